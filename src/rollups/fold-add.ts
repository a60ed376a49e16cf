import { merge, REGISTERS, raise, registerOf, stored } from '../core/hll.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { FoldKey } from './fold.ts';

/** The numbers of a fold, as far as they can be added to. */
export interface Fold {
  readonly items: readonly string[];
  readonly deliveries: readonly number[];
  readonly unwanted: readonly number[];
  readonly messages: readonly number[];
  readonly rest_deliveries: number;
  readonly rest_unwanted: number;
  readonly rest_messages: number;
  readonly bound: number;
  readonly registers: Uint8Array | null;
}

/** What is added of one item. */
export interface Added {
  readonly item: string;
  readonly deliveries: number;
  readonly unwanted: number;
  readonly messages: number;
}

/**
 * A fold with more counted in. An item that is not listed gets a place while all items are listed and there is one; else it adds
 * to the rest, and the bound on what an item of the rest may have rises by as much, so that the stated error stays true.
 */
export function withAdded(fold: Fold, added: readonly Added[], places: number): Fold {
  const listed = new Map(
    fold.items.map((item, index) => [
      item,
      {
        item,
        deliveries: fold.deliveries[index] ?? 0,
        unwanted: fold.unwanted[index] ?? 0,
        messages: fold.messages[index] ?? 0,
      },
    ]),
  );
  const rest = { deliveries: fold.rest_deliveries, unwanted: fold.rest_unwanted, messages: fold.rest_messages };
  let bound = fold.bound;
  for (const one of added) {
    const known = listed.get(one.item);
    const isWhole = rest.deliveries === 0;
    if (known !== undefined || (isWhole && listed.size < places)) {
      listed.set(one.item, sum(one, known));
      continue;
    }
    bound = Math.max(bound, fold.bound + one.deliveries);
    rest.deliveries += one.deliveries;
    rest.unwanted += one.unwanted;
    rest.messages += one.messages;
  }
  const sorted = [...listed.values()].sort(
    (a, b) => b.deliveries - a.deliveries || Buffer.compare(Buffer.from(a.item), Buffer.from(b.item)),
  );
  return {
    items: sorted.map((one) => one.item),
    deliveries: sorted.map((one) => one.deliveries),
    unwanted: sorted.map((one) => one.unwanted),
    messages: sorted.map((one) => one.messages),
    rest_deliveries: rest.deliveries,
    rest_unwanted: rest.unwanted,
    rest_messages: rest.messages,
    bound,
    registers: fold.registers === null ? null : withItems(fold.registers, added),
  };
}

const sum = (one: Added, other: Added | undefined): Added => ({
  item: one.item,
  deliveries: one.deliveries + (other?.deliveries ?? 0),
  unwanted: one.unwanted + (other?.unwanted ?? 0),
  messages: one.messages + (other?.messages ?? 0),
});

function withItems(known: Uint8Array, added: readonly Added[]): Buffer {
  const registers = new Uint8Array(REGISTERS);
  merge(registers, known);
  for (const { item } of added) {
    const { at, rank } = registerOf(item);
    raise(registers, at, rank);
  }
  return stored(registers);
}

/** Adds the rows that are there for a fold's time to it: for days whose detail retention has removed. */
export async function addToFold(tx: SystemTx, key: FoldKey, places: number): Promise<void> {
  // As JSON: arrays of bigint come as texts.
  const fold = await tx.one<Fold>(sql`
    select f.items, to_jsonb(f.deliveries) as deliveries, to_jsonb(f.unwanted) as unwanted, to_jsonb(f.messages) as messages,
           f.rest_deliveries, f.rest_unwanted, f.rest_messages, f.bound, f.registers
    from rollup_folds f
    where f.partner_id = ${key.partner_id} and f.client_id = ${key.client_id} and f.dimension = ${key.dimension}
      and f.direction = ${key.direction} and f.starts = ${key.starts}`);
  const added = await tx.rows<Added>(sql`
    select y.item, sum(y.deliveries)::bigint as deliveries, sum(y.unwanted)::bigint as unwanted, sum(y.messages)::bigint as messages
    from (select r.sender as item, r.deliveries, case when r.verdict in ('clean', 'bulk') then 0 else r.deliveries end as unwanted,
                 r.messages
          from rollup_senders r
          where ${key.dimension} = 'sender' and r.partner_id = ${key.partner_id} and r.client_id = ${key.client_id}
            and r.direction = ${key.direction} and r.bucket >= ${key.starts} and r.bucket < ${key.ends}
          union all
          select i.item, i.deliveries, i.unwanted, i.messages
          from rollup_items i
          where i.partner_id = ${key.partner_id} and i.client_id = ${key.client_id} and i.dimension = ${key.dimension}
            and i.direction = ${key.direction} and i.bucket >= ${key.starts} and i.bucket < ${key.ends}) as y
    group by y.item order by deliveries desc, y.item collate "C"`);
  const next = withAdded(fold, added, places);
  await tx.run(sql`
    update rollup_folds f
    set items = ${next.items}::text[], deliveries = ${next.deliveries}::bigint[], unwanted = ${next.unwanted}::bigint[],
        messages = ${next.messages}::bigint[], rest_deliveries = ${next.rest_deliveries}, rest_unwanted = ${next.rest_unwanted},
        rest_messages = ${next.rest_messages}, bound = ${next.bound}, registers = ${next.registers}::bytea
    where f.partner_id = ${key.partner_id} and f.client_id = ${key.client_id} and f.dimension = ${key.dimension}
      and f.direction = ${key.direction} and f.starts = ${key.starts}`);
}
