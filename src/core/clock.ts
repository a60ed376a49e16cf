/** Time is handed in, never read from the global clock inside the domain, so that tests can move it. */
export interface Clock {
  /** The present moment. */
  now(): Date;
}

/** Calls `act` after `ms` milliseconds, unless what it answers is called before: for time limits, so that tests say when one is over. */
export type Later = (ms: number, act: () => void) => () => void;

/** By a timer that keeps no process alive. */
export const later: Later = (ms, act) => {
  const timer = setTimeout(act, ms).unref();
  return () => clearTimeout(timer);
};

export const systemClock: Clock = { now: () => new Date() };

/** A clock that stands still until it is moved: for tests and for replaying a day in seconds. */
export class ManualClock implements Clock {
  #now: number;

  constructor(start: Date | string) {
    this.#now = new Date(start).getTime();
  }

  now(): Date {
    return new Date(this.#now);
  }

  /** Moves the clock by `ms` milliseconds; a negative number moves it back, as a corrected system clock does. */
  advance(ms: number): void {
    this.#now += ms;
  }

  set(to: Date | string): void {
    this.#now = new Date(to).getTime();
  }
}
