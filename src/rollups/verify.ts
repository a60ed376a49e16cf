import { BUCKET_MS, bucketStart } from '../core/period.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type Piece, piecesOf, type Range } from './pieces.ts';
import { readCursor, readFloor, UNCOUNTED } from './state.ts';
import { compareFolds, compareItems, compareMailboxDays, compareSketches } from './verify-dimensions.ts';
import { compareTiers } from './verify-tiers.ts';

/** A count on which the rollups and a recount of the ledger do not agree. */
export interface Difference {
  readonly table:
    | 'traffic'
    | 'mailboxes'
    | 'senders'
    | 'reasons'
    | 'days'
    | 'months'
    | 'sketches'
    | 'items'
    | 'folds'
    | 'mailbox_days';
  readonly partnerId: string;
  readonly clientId: string;
  /** Of a day or month its first moment. */
  readonly bucket: Date;
  /** The rest of the row's key, as a JSON array. */
  readonly group: string;
  /** The column: deliveries, messages, bytes and so on. */
  readonly measure: string;
  /** What it has to be: by the ledger, of a day by its quarter hours, of a month by its days. */
  readonly ledger: number;
  readonly rollup: number;
}

export interface Verification {
  /** Rows that were compared, of all tables. */
  readonly groups: number;
  /** At most 100 of each table, the earliest first. */
  readonly differences: readonly Difference[];
  /** Whether these are all differences there are. */
  readonly exhaustive: boolean;
}

const SHOWN = 100;

/** What is compared. */
export interface Extent {
  /** By the events' time, widened to whole buckets. */
  readonly from?: Date;
  readonly to?: Date;
  /** Of these clients only. */
  readonly clients?: readonly string[];
}

interface Part extends Piece {
  readonly clients: readonly string[] | null;
}

/** One row for each number that differs, or a single one without; each with how many rows were compared. */
export type Found = { groups: number } & (Omit<Difference, 'table'> | { measure: null });

/**
 * Counts the ledger anew below the roller's cursor and compares every number of every rollup (rule 3), then the days and months
 * with what they are made of. Without an extent everything is compared that retention has left. Each table is compared piece
 * by piece, each in one statement and so in one snapshot: the roller may work on meanwhile. Before the first round, and from a
 * take-over until everything is counted anew, there is nothing to compare with, and the answer is not exhaustive.
 */
export async function verify(db: SystemDb, extent: Extent = {}): Promise<Verification> {
  const range: Range = {
    from: extent.from === undefined ? null : bucketStart(extent.from),
    to: extent.to === undefined ? null : bucketStart(new Date(extent.to.getTime() + BUCKET_MS - 1)),
  };
  const clients = extent.clients === undefined ? null : [...extent.clients];
  return db.system(
    async (tx) => {
      const cursor = await readCursor(tx);
      if (cursor === null || cursor.xid === UNCOUNTED) return { groups: 0, differences: [], exhaustive: false };
      let groups = 0;
      const differences: Difference[] = [];
      const shown = new Map<string, number>();
      const take = (table: Difference['table'], rows: readonly Found[]) => {
        groups += rows[0]?.groups ?? 0;
        const room = Math.max(0, SHOWN - (shown.get(table) ?? 0));
        const found = rows.flatMap(({ groups: _groups, measure, ...row }) =>
          measure === null ? [] : [{ table, ...row, measure }],
        );
        shown.set(table, (shown.get(table) ?? 0) + found.length);
        differences.push(...(found as Difference[]).slice(0, room));
      };
      const floor = (await readFloor(tx)) ?? range.from;
      const whole = {
        from: range.from === null || (floor !== null && floor > range.from) ? floor : range.from,
        to: range.to,
      };
      for (const piece of await piecesOf(tx, whole)) {
        const part = { ...piece, clients };
        take('traffic', await compareTraffic(tx, part));
        take('mailboxes', await compareMailboxes(tx, part));
        take('senders', await compareSenders(tx, part));
        take('reasons', await compareReasons(tx, part));
        take('sketches', await compareSketches(tx, part));
        take('items', await compareItems(tx, part));
        take('folds', await compareFolds(tx, part));
      }
      await compareTiers(tx, { ...range, clients }, take);
      await compareMailboxDays(tx, { ...range, clients }, take);
      return { groups, differences, exhaustive: [...shown.values()].every((count) => count < SHOWN) };
    },
    { readOnly: true },
  );
}

async function compareTraffic(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(e.domain, e.direction, e.kind, coalesce(e.verdict, ''), coalesce(e.disposition, '')) as grp,
             count(*) as n, count(*) filter (where e.leads & 2 <> 0) as messages,
             count(*) filter (where e.leads & 4 <> 0) as domain_messages,
             count(*) filter (where e.leads & 1 <> 0) as partner_messages,
             coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint as bytes,
             coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)::bigint as partner_bytes
      from ledger e
      where e.xid < (select s.cursor from rollup_state s)
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket,
             jsonb_build_array(r.domain, r.direction, r.kind, r.verdict, r.disposition) as grp, r.deliveries as n, r.messages,
             r.domain_messages, r.partner_messages, r.bytes, r.partner_bytes
      from rollup_traffic r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, c.n as n1, k.n as n2, c.messages as m1, k.messages as m2,
             c.domain_messages as d1, k.domain_messages as d2, c.partner_messages as p1, k.partner_messages as p2,
             c.bytes as b1, k.bytes as b2, c.partner_bytes as pb1, k.partner_bytes as pb2
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (
      select j.partner_id, j.client_id, j.bucket, j.grp, x.measure, coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
      from joined j
      cross join lateral (values ('deliveries', j.n1, j.n2), ('messages', j.m1, j.m2), ('domain_messages', j.d1, j.d2),
        ('partner_messages', j.p1, j.p2), ('bytes', j.b1, j.b2), ('partner_bytes', j.pb1, j.pb2)) as x (measure, ledger, rollup)
      where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
      order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

async function compareMailboxes(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(e.mailbox_id, e.direction, coalesce(e.verdict, '')) as grp,
             count(*) as n, count(*) filter (where e.leads & 8 <> 0) as messages,
             coalesce(sum(e.bytes) filter (where e.leads & 8 <> 0), 0)::bigint as bytes
      from ledger e
      where e.xid < (select s.cursor from rollup_state s) and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket, jsonb_build_array(r.mailbox_id, r.direction, r.verdict) as grp,
             r.deliveries as n, r.messages, r.bytes
      from rollup_mailboxes r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, c.n as n1, k.n as n2, c.messages as m1, k.messages as m2, c.bytes as b1, k.bytes as b2
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (
      select j.partner_id, j.client_id, j.bucket, j.grp, x.measure, coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
      from joined j
      cross join lateral (values ('deliveries', j.n1, j.n2), ('messages', j.m1, j.m2), ('bytes', j.b1, j.b2))
        as x (measure, ledger, rollup)
      where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
      order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

async function compareSenders(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(e.sender, e.direction, coalesce(e.verdict, '')) as grp,
             count(*) as n, count(*) filter (where e.leads & 2 <> 0) as messages,
             coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint as bytes
      from ledger e
      where e.xid < (select s.cursor from rollup_state s) and e.kind in ('accepted', 'rejected')
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
        and not exists (select from rollup_folds f
                        where f.partner_id = e.partner_id and f.client_id = e.client_id and f.dimension = 'sender'
                          and f.direction = e.direction and f.starts <= e.occurred_at and f.ends > e.occurred_at
                          and f.starts < ${to} and f.ends > ${from} and f.starts > ${from}::timestamptz - interval '3 days')
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket, jsonb_build_array(r.sender, r.direction, r.verdict) as grp,
             r.deliveries as n, r.messages, r.bytes
      from rollup_senders r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, c.n as n1, k.n as n2, c.messages as m1, k.messages as m2, c.bytes as b1, k.bytes as b2
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (
      select j.partner_id, j.client_id, j.bucket, j.grp, x.measure, coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
      from joined j
      cross join lateral (values ('deliveries', j.n1, j.n2), ('messages', j.m1, j.m2), ('bytes', j.b1, j.b2))
        as x (measure, ledger, rollup)
      where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
      order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

async function compareReasons(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(x.reason, e.direction) as grp, count(*) as n
      from ledger e cross join lateral (select distinct u.reason from unnest(e.reasons) as u (reason)) as x
      where e.xid < (select s.cursor from rollup_state s) and e.kind in ('accepted', 'rejected', 'refused')
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket, jsonb_build_array(r.reason, r.direction) as grp, r.deliveries as n
      from rollup_reasons r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, coalesce(c.n, 0) as ledger, coalesce(k.n, 0) as rollup
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (select * from joined j where j.ledger <> j.rollup order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group",
           case when d.grp is not null then 'deliveries' end as measure, d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}
