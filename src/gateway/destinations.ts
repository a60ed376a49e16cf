import type { SystemDb } from '../db/db.ts';
import {
  type Change,
  type Destination,
  type Parked,
  pauseOf,
  readDestinations,
  type Sign,
  slotsOf,
  takeProbe,
} from './backoff.ts';

/** Refusals in a row, each of a whole transaction, that park a destination. */
const SOFT_MAX = 5;
const REMEMBERED_MAX = 10_000;

export type Gate =
  | { readonly open: true; readonly epoch: number; readonly isProbe: boolean }
  | { readonly open: false; readonly state: Parked };

/** What this process knows of destinations in trouble: the table, and what it found itself and is about to write. */
export class Destinations {
  readonly #db: SystemDb;
  readonly #full: number;
  readonly #states = new Map<string, Destination>();
  /** Found here, not yet written: newer than the table. */
  readonly #unwritten = new Map<string, number>();
  readonly #soft = new Map<string, number>();

  constructor(db: SystemDb, full: number) {
    this.#db = db;
    this.#full = full;
  }

  limitOf(key: string, now: Date): number {
    return slotsOf(this.#states.get(key), this.#full, now);
  }

  /** Reads what other nodes have found. */
  async load(keys: readonly string[]): Promise<void> {
    const wanted = [...new Set(keys)];
    if (wanted.length === 0) return;
    const read = await this.#db.system((tx) => readDestinations(tx, wanted), { readOnly: true, perStatement: true });
    const rows = new Map(read.map((row) => [row.destination, row]));
    if (this.#states.size > REMEMBERED_MAX) this.#states.clear();
    if (this.#soft.size > REMEMBERED_MAX) this.#soft.clear();
    for (const key of wanted) {
      if (this.#unwritten.has(key)) continue;
      const row = rows.get(key);
      if (row === undefined) this.#states.delete(key);
      else this.#states.set(key, row);
    }
  }

  /** Whether a connection may be made now; takes the right to probe when the pause is over. */
  async enter(key: string, now: Date): Promise<Gate> {
    const state = this.#states.get(key);
    if (!isParked(state)) return opened(state);
    if (state.parkedUntil > now) return { open: false, state };
    const taken = await this.#db.system((tx) => takeProbe(tx, key, state.epoch));
    await this.load([key]);
    if (taken !== null) return { open: true, epoch: taken, isProbe: true };
    const other = this.#states.get(key);
    return isParked(other) ? { open: false, state: other } : opened(other);
  }

  /** Takes note of what a try found. Answers what is to be written, null: nothing. */
  note(
    key: string,
    entered: { readonly epoch: number; readonly isProbe: boolean },
    sign: Sign,
    now: Date,
  ): Change | null {
    const state = this.#states.get(key);
    // Something has changed since the try began, and was found by another.
    if ((state?.epoch ?? 0) !== entered.epoch || sign === 'nothing') return null;
    if (sign === 'ok') {
      this.#soft.delete(key);
      if (state === undefined || state.failures === 0) return null;
      this.#keep({ ...state, failures: 0, parkedUntil: null, epoch: state.epoch + 1 });
      return { does: 'open', destination: key, epoch: state.epoch };
    }
    if (sign === 'soft' && entered.isProbe && state?.reason !== 'refusing') {
      // It answers again, if only to this message; refusals in a row are counted from here.
      return this.note(key, entered, 'ok', now);
    }
    if (sign === 'soft' && !entered.isProbe) {
      const soft = (this.#soft.get(key) ?? 0) + 1;
      this.#soft.set(key, soft);
      if (soft < SOFT_MAX) return null;
    }
    this.#soft.delete(key);
    const failures = (state?.failures ?? 0) + 1;
    const cut = sign === 'too_many';
    const next: Destination = {
      destination: key,
      reason: sign === 'soft' ? 'refusing' : sign,
      failures,
      parkedUntil: new Date(now.getTime() + pauseOf(key, failures)),
      epoch: entered.epoch + 1,
      slots: cut ? Math.max(1, Math.floor(slotsOf(state, this.#full, now) / 2)) : (state?.slots ?? null),
      slotsAt: cut ? now : (state?.slotsAt ?? null),
    };
    this.#keep(next);
    return { does: 'park', state: next, since: now, epoch: entered.epoch };
  }

  /** Whether it is in trouble, so that its rows may wait for its return. */
  isParked(key: string): boolean {
    return isParked(this.#states.get(key));
  }

  /** The changes have been written, or could not be: the table is the truth again. */
  settled(changes: readonly Change[]): void {
    for (const change of changes) {
      const key = change.does === 'open' ? change.destination : change.state.destination;
      const left = (this.#unwritten.get(key) ?? 1) - 1;
      if (left > 0) this.#unwritten.set(key, left);
      else this.#unwritten.delete(key);
    }
  }

  #keep(state: Destination): void {
    this.#states.set(state.destination, state);
    this.#unwritten.set(state.destination, (this.#unwritten.get(state.destination) ?? 0) + 1);
  }
}

function isParked(state: Destination | undefined): state is Parked {
  return state !== undefined && state.parkedUntil !== null;
}

function opened(state: Destination | undefined): Gate {
  return { open: true, epoch: state?.epoch ?? 0, isProbe: false };
}
