import type { Writable } from 'node:stream';
import pg from 'pg';

/**
 * A client that never ends the process. A pool hears errors of idle clients only, so one that breaks while it is checked out
 * and between two statements would be an unheard `error` event. For pools that others make, as BullMQ does: give it as their `Client`.
 */
export class HeardClient extends pg.Client {
  #isGathering = false;

  constructor(config?: string | pg.ClientConfig) {
    super(config);
    // Whoever runs the next statement is told by its rejection.
    this.on('error', () => undefined);
  }

  /** What is sent from now until the promises at hand are done leaves in one write: a system call costs more than its bytes. */
  gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    const { stream } = (this as unknown as { readonly connection: { readonly stream: Writable } }).connection;
    stream.cork();
    process.nextTick(() => {
      this.#isGathering = false;
      stream.uncork();
    });
  }
}
