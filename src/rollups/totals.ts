import type { Totals } from '../core/counts.ts';
import type { EventKind } from '../core/event.ts';
import { DISPOSITIONS, type Disposition, VERDICTS, type Verdict } from '../core/verdict.ts';

/** A count of the quarter hours or of the tail: one kind of event with one verdict and disposition. */
export interface NarrowCount {
  readonly kind: EventKind;
  readonly verdict: Verdict | '';
  readonly disposition: Disposition | '';
  readonly deliveries: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Sums of days: messages, deliveries, refused, bytes, then deliveries by verdict and by disposition, in the order of `core`. */
export interface WideCount {
  readonly kind: null;
  readonly wide: readonly number[];
}

export type Count = (NarrowCount & { readonly wide: null }) | WideCount;

const ENDING: readonly string[] = [
  'rejected',
  'quarantined',
  'delivered',
  'bounced',
  'expired',
  'discarded',
] satisfies EventKind[];

/** What a count says for which total: the one place where this is decided for numbers that are read. */
export class Sum {
  #messages = 0;
  #deliveries = 0;
  #refused = 0;
  #bytes = 0;
  readonly #verdicts = new Map<Verdict, number>();
  readonly #dispositions = new Map<Disposition, number>();

  add(count: Count): void {
    if (count.kind === null) this.addSums(count.wide);
    else this.#addNarrow(count);
  }

  #addNarrow(row: NarrowCount): void {
    if (row.kind === 'refused') this.#refused += row.deliveries;
    if (row.kind === 'accepted' || row.kind === 'rejected') {
      this.#messages += row.messages;
      this.#deliveries += row.deliveries;
      this.#bytes += row.bytes;
      if (row.verdict !== '') grow(this.#verdicts, row.verdict, row.deliveries);
    }
    if (ENDING.includes(row.kind) && row.disposition !== '') grow(this.#dispositions, row.disposition, row.deliveries);
  }

  /** Sums of days, in the order of `WideCount`, from `offset` on. */
  addSums(sums: readonly number[], offset = 0): void {
    this.#messages += sums[offset] ?? 0;
    this.#deliveries += sums[offset + 1] ?? 0;
    this.#refused += sums[offset + 2] ?? 0;
    this.#bytes += sums[offset + 3] ?? 0;
    let at = offset + 4;
    for (const verdict of VERDICTS) grow(this.#verdicts, verdict, sums[at++] ?? 0);
    for (const disposition of DISPOSITIONS) grow(this.#dispositions, disposition, sums[at++] ?? 0);
  }

  totals(): Totals {
    return {
      messages: this.#messages,
      deliveries: this.#deliveries,
      refused: this.#refused,
      bytes: this.#bytes,
      byVerdict: this.#verdicts,
      byDisposition: this.#dispositions,
    };
  }
}

/** What never happened has no entry. */
function grow<K>(map: Map<K, number>, key: K, by: number): void {
  if (by !== 0) map.set(key, (map.get(key) ?? 0) + by);
}
