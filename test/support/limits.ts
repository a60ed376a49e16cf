import type { Later } from '../../src/core/clock.ts';

interface Wait {
  readonly ms: number;
  readonly act: () => void;
}

/** Time limits that are over when the test says so, and not before. */
export class Limits {
  /** Those that run now. */
  readonly running: Wait[] = [];
  /** Milliseconds of all that ever began. */
  readonly begun: number[] = [];

  readonly later: Later = (ms, act) => {
    const wait = { ms, act };
    this.begun.push(ms);
    this.running.push(wait);
    return () => {
      const at = this.running.indexOf(wait);
      if (at >= 0) this.running.splice(at, 1);
    };
  };

  /** All that run now are over. */
  end(): void {
    for (const wait of this.running.splice(0)) wait.act();
  }
}
