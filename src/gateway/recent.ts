/** Octets of messages that are held in all. */
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * Small messages that came a moment ago: they are filtered, sealed and delivered without being read back from the disk. What
 * has no room goes in the order in which it came.
 */
export class RecentBodies {
  readonly #bodies = new Map<string, Uint8Array>();
  readonly #max: number;
  #bytes = 0;

  constructor(max = BYTES_MAX) {
    this.#max = max;
  }

  get(id: string): Uint8Array | undefined {
    return this.#bodies.get(id);
  }

  put(id: string, body: Uint8Array): void {
    this.delete(id);
    this.#bodies.set(id, body);
    this.#bytes += body.length;
    for (const oldest of this.#bodies.keys()) {
      if (this.#bytes <= this.#max) break;
      this.delete(oldest);
    }
  }

  delete(id: string): void {
    this.#bytes -= this.#bodies.get(id)?.length ?? 0;
    this.#bodies.delete(id);
  }
}
