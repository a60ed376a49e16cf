import { localDate, startOfDay } from '../core/period.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { addToFold } from './fold-add.ts';
import type { BucketKey, Counting } from './recompute.ts';
import { readFloor, waitForRoller } from './state.ts';
import { datesAround, zoneTable } from './zones.ts';

/** So many senders of a client's day are kept by name, and so many attachment types and subjects. */
export const SENDERS_KEPT = 1_000;
export const ITEMS_KEPT = 200;

/** A day is folded when it is over for so long. */
const AGE_MS = 2 * 86_400_000;
/** Folds in one transaction: the roller waits for it, half a second or so. */
const FOLDS_MAX = 200;
/** So many days are looked through for the next folds. */
const DAYS_MAX = 2;

/** A stretch of a client's time in one dimension and direction. */
export interface FoldKey {
  readonly partner_id: string;
  readonly client_id: string;
  readonly dimension: string;
  readonly direction: string;
  readonly starts: Date;
  readonly ends: Date;
}

/** Folds all days that are over for two days. Answers how many stretches that were. */
export async function foldDue(db: SystemDb): Promise<number> {
  const days = await db.system(daysBefore, { readOnly: true });
  let folded = 0;
  // Few days at a time: with years to fold, going through all of them for every few folds would take days.
  for (let at = 0; at < days.length; at += DAYS_MAX) {
    for (;;) {
      const keys = await db.system(async (tx) => {
        await waitForRoller(tx);
        return foldSome(tx, days.slice(at, at + DAYS_MAX));
      });
      folded += keys;
      if (keys === 0) break;
    }
  }
  return folded;
}

/**
 * Before which moment days have to have ended: what had begun before `settled_at` is counted, so that an event of those days that
 * still comes is a late one. Null: nothing is counted yet.
 */
async function foldedBefore(tx: SystemTx): Promise<Date | null> {
  const state = await tx.maybe<{ at: Date }>(sql`select s.settled_at as at from rollup_state s`);
  return state === null ? null : new Date(state.at.getTime() - AGE_MS);
}

/** The UTC days, in order, that have rows which are not folded and old enough. */
async function daysBefore(tx: SystemTx): Promise<Date[]> {
  const latest = await foldedBefore(tx);
  if (latest === null) return [];
  const senders = await tx.rows<{ day: Date }>(sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day from rollup_senders r
    where r.bucket < ${latest} and r.bucket >= '1900-01-02Z' group by 1`);
  const items = await tx.rows<{ day: Date }>(sql`
    select date_bin('1 day', i.bucket, timestamptz '2000-01-01 00:00Z') as day from rollup_items i
    where i.bucket < ${latest} and i.bucket >= '1900-01-02Z' group by 1`);
  return [...new Set([...senders, ...items].map((row) => row.day.getTime()))]
    .sort((a, b) => a - b)
    .map((day) => new Date(day));
}

/** One transaction of it, under the roller's lock. */
async function foldSome(tx: SystemTx, days: readonly Date[]): Promise<number> {
  const latest = await foldedBefore(tx);
  if (latest === null) return 0;
  const keys = await dueKeys(tx, latest, days);
  for (const key of keys) await fold(tx, key);
  return keys.length;
}

/**
 * Days (of the clients' zones) that ended before `latest`, reach into these UTC days and have rows that are not folded; without
 * what is folded around them.
 */
async function dueKeys(tx: SystemTx, latest: Date, days: readonly Date[]): Promise<FoldKey[]> {
  const known = await tx.rows<{ zone: string }>(sql`select distinct z.time_zone as zone from rollup_zones z`);
  const names = known.map((row) => row.zone);
  const zones = zoneTable(names, datesAround(days));
  const until = zones.to < latest ? zones.to : latest;
  const cuts = names.map((zone) => startOfDay(localDate(latest, zone), zone));
  return tx.rows<FoldKey>(sql`
    with zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days, z.cut
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[], ${cuts}::timestamptz[])
        as z (zone, starts, days, cut)),
    due as (
      select y.partner_id, y.client_id, y.dimension, y.direction, z.starts[w.place] as starts, z.starts[w.place + 1] as ends,
             min(y.bucket) as bucket
      from (select r.partner_id, r.client_id, 'sender' as dimension, r.direction, r.bucket from rollup_senders r
            where r.bucket >= ${zones.from} and r.bucket < ${until}
            union all
            select i.partner_id, i.client_id, i.dimension, i.direction, i.bucket from rollup_items i
            where i.bucket >= ${zones.from} and i.bucket < ${until}) as y
      join rollup_zones c on c.partner_id = y.partner_id and c.client_id = y.client_id
      join zones z on z.zone = c.time_zone
      cross join lateral (select width_bucket(y.bucket, z.starts) as place) as w
      where z.days[w.place] is not null and z.starts[w.place + 1] <= z.cut
      group by 1, 2, 3, 4, 5, 6 limit ${FOLDS_MAX})
    select d.partner_id, d.client_id, d.dimension, d.direction, greatest(d.starts, o.before) as starts, least(d.ends, o.after) as ends
    from due d
    -- After a change of the zone a new day may reach into days that are folded already.
    cross join lateral (
      select max(f.ends) filter (where f.ends <= d.bucket) as before, min(f.starts) filter (where f.starts > d.bucket) as after
      from rollup_folds f
      where f.partner_id = d.partner_id and f.client_id = d.client_id and f.dimension = d.dimension and f.direction = d.direction
        and f.ends > d.starts and f.starts < d.ends) as o`);
}

async function fold(tx: SystemTx, key: FoldKey): Promise<void> {
  await tx.run(sql`
    insert into rollup_folds (partner_id, client_id, dimension, direction, starts, ends, items, deliveries, unwanted, messages,
                              rest_deliveries, rest_unwanted, rest_messages, bound, registers)
    select ${key.partner_id}::uuid, ${key.client_id}::uuid, ${key.dimension}, ${key.direction}, ${key.starts}, ${key.ends}, c.*
    from fold_of(${key.partner_id}, ${key.client_id}, ${key.dimension}, ${key.direction}, ${key.starts}, ${key.ends}, null,
                 ${placesOf(key.dimension)}) as c`);
  await dropYoung(tx, key);
}

const placesOf = (dimension: string): number => (dimension === 'sender' ? SENDERS_KEPT : ITEMS_KEPT);

/** The rows that a fold stands for. */
async function dropYoung(tx: SystemTx, key: FoldKey): Promise<void> {
  if (key.dimension === 'sender') {
    await tx.run(sql`
      delete from rollup_senders r
      where r.partner_id = ${key.partner_id} and r.client_id = ${key.client_id} and r.direction = ${key.direction}
        and r.bucket >= ${key.starts} and r.bucket < ${key.ends}`);
    return;
  }
  await tx.run(sql`
    delete from rollup_items r
    where r.partner_id = ${key.partner_id} and r.client_id = ${key.client_id} and r.dimension = ${key.dimension}
      and r.direction = ${key.direction} and r.bucket >= ${key.starts} and r.bucket < ${key.ends}`);
}

/**
 * Takes late events into the folds of their days: the roller has put them down as rows of those days. While their detail is kept
 * the day is counted anew from the ledger below `below`, else they are added.
 */
export async function settleFolds(tx: SystemTx, touched: readonly BucketKey[], below: string): Promise<void> {
  const old = touched.filter((key) => key.bucket.getTime() < tx.now.getTime() - AGE_MS);
  if (old.length === 0) return;
  const keys = await tx.rows<FoldKey>(sql`
    select distinct f.partner_id, f.client_id, f.dimension, f.direction, f.starts, f.ends
    from unnest(${old.map((key) => key.partner_id)}::uuid[], ${old.map((key) => key.client_id)}::uuid[],
                ${old.map((key) => key.bucket)}::timestamptz[]) as t (partner_id, client_id, bucket)
    join rollup_folds f on f.partner_id = t.partner_id and f.client_id = t.client_id and f.starts <= t.bucket and f.ends > t.bucket
    where exists (select from rollup_senders r
                  where f.dimension = 'sender' and r.partner_id = f.partner_id and r.client_id = f.client_id
                    and r.direction = f.direction and r.bucket >= f.starts and r.bucket < f.ends)
       or exists (select from rollup_items i
                  where i.partner_id = f.partner_id and i.client_id = f.client_id and i.dimension = f.dimension
                    and i.direction = f.direction and i.bucket >= f.starts and i.bucket < f.ends)`);
  if (keys.length === 0) return;
  const floor = (await readFloor(tx))?.getTime() ?? Number.NEGATIVE_INFINITY;
  for (const key of keys) {
    if (key.starts.getTime() >= floor) await recountFold(tx, key, below);
    else await addToFold(tx, key, placesOf(key.dimension));
    await dropYoung(tx, key);
  }
}

/** Counts the folds anew that start in a stretch of time and writes what differs. Answers with their first moments. */
export async function mendFolds(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  const keys = await tx.rows<FoldKey>(sql`
    select f.partner_id, f.client_id, f.dimension, f.direction, f.starts, f.ends
    from rollup_folds f where f.starts >= ${from} and f.starts < ${to}`);
  const changed: BucketKey[] = [];
  for (const key of keys) {
    if ((await recountFold(tx, key, below)) > 0) changed.push({ ...key, bucket: key.starts });
  }
  return changed;
}

/** One fold from the ledger; one that nothing is left of goes. Answers how many rows changed. */
async function recountFold(tx: SystemTx, key: FoldKey, below: string): Promise<number> {
  const changed = await tx.run(sql`
    update rollup_folds f
    set items = c.items, deliveries = c.deliveries, unwanted = c.unwanted, messages = c.messages, rest_deliveries = c.rest_deliveries,
        rest_unwanted = c.rest_unwanted, rest_messages = c.rest_messages, bound = c.bound, registers = c.registers
    from fold_of(${key.partner_id}, ${key.client_id}, ${key.dimension}, ${key.direction}, ${key.starts}, ${key.ends}, ${below}::xid8,
                 ${placesOf(key.dimension)}) as c
    where f.partner_id = ${key.partner_id} and f.client_id = ${key.client_id} and f.dimension = ${key.dimension}
      and f.direction = ${key.direction} and f.starts = ${key.starts}
      and (f.items, f.deliveries, f.unwanted, f.messages, f.rest_deliveries, f.rest_unwanted, f.rest_messages, f.bound, f.registers)
          is distinct from
          (c.items, c.deliveries, c.unwanted, c.messages, c.rest_deliveries, c.rest_unwanted, c.rest_messages, c.bound, c.registers)`);
  if (changed > 0) {
    await tx.run(sql`
      delete from rollup_folds f
      where f.partner_id = ${key.partner_id} and f.client_id = ${key.client_id} and f.dimension = ${key.dimension}
        and f.direction = ${key.direction} and f.starts = ${key.starts} and cardinality(f.items) = 0`);
  }
  return changed;
}
