/** A bar with count, rate and time left on a terminal; a line now and then where there is none. */
export class Progress {
  readonly #total: number;
  readonly #label: string;
  readonly #out: NodeJS.WriteStream;
  readonly #start = Date.now();
  #done = 0;
  #lastDrawn = 0;

  constructor(label: string, total: number, out: NodeJS.WriteStream) {
    this.#label = label;
    this.#total = total;
    this.#out = out;
  }

  step(): void {
    this.#done += 1;
    const now = Date.now();
    const every = this.#out.isTTY ? 100 : 5_000;
    if (now - this.#lastDrawn < every && this.#done < this.#total) return;
    this.#lastDrawn = now;
    const line = renderProgress(this.#label, this.#done, this.#total, now - this.#start);
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${line}` : `${line}\n`);
    if (this.#done === this.#total && this.#out.isTTY) this.#out.write('\n');
  }
}

const WIDTH = 30;

export function renderProgress(label: string, done: number, total: number, elapsedMs: number): string {
  const share = total === 0 ? 1 : done / total;
  const filled = Math.round(share * WIDTH);
  const rate = elapsedMs > 0 ? (done * 1000) / elapsedMs : 0;
  const left = rate > 0 ? Math.ceil((total - done) / rate) : 0;
  const bar = `${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)}`;
  return `  ${label} ${bar} ${done.toLocaleString('en')}/${total.toLocaleString('en')}  ${rate.toFixed(0)}/s  ${left} s left`;
}
