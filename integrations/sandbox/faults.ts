/** What can go wrong between a connector and a PSA, armed for the next matching requests. */
export const FAULT_KINDS = [
  /** Carried out, and the connection is cut before the answer: the lost response. */
  'drop_after_commit',
  /** Cut before anything is done. */
  'drop_before',
  /** Carried out; the answer is held until `release()`. */
  'slow',
  /** 429; `value` is the Retry-After header, none when absent. */
  'throttle',
  /** 502 with a proxy's page. */
  'html_502',
  /** 200 with a page of HTML. */
  'html_200',
  /** 200 with the first half of the true answer. */
  'truncated',
  /** 500 without reasons. */
  'error_500',
  /** 302; `value` is the place. */
  'redirect',
  /** 403. */
  'forbidden',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface FaultMatch {
  /** How many requests it hits; 1 when left out. */
  readonly times?: number;
  readonly method?: string;
  readonly path?: RegExp;
  readonly value?: string;
}

export interface ArmedFault extends FaultMatch {
  readonly kind: FaultKind;
}

/** The switches of one sandbox. */
export class Faults {
  #armed: { fault: ArmedFault; left: number }[] = [];
  #held: (() => void)[] = [];
  #heldWatchers: (() => void)[] = [];

  arm(kind: FaultKind, match: FaultMatch = {}): void {
    this.#armed.push({ fault: { kind, ...match }, left: match.times ?? 1 });
  }

  clear(): void {
    this.#armed = [];
    this.release();
  }

  /** The fault that hits this request, used up by it. */
  take(method: string, path: string): ArmedFault | null {
    const hit = this.#armed.find(
      ({ fault, left }) =>
        left > 0 && (fault.method ?? method) === method && (fault.path === undefined || fault.path.test(path)),
    );
    if (hit === undefined) return null;
    hit.left -= 1;
    return hit.fault;
  }

  /** Holds a slow answer. */
  hold(): Promise<void> {
    const held = new Promise<void>((go) => {
      this.#held.push(go);
    });
    for (const tell of this.#heldWatchers.splice(0)) tell();
    return held;
  }

  /** Resolves when `count` answers are held. */
  async held(count: number): Promise<void> {
    while (this.#held.length < count) {
      await new Promise<void>((tell) => {
        this.#heldWatchers.push(tell);
      });
    }
  }

  /** Lets all held answers go. */
  release(): void {
    for (const go of this.#held.splice(0)) go();
  }
}
