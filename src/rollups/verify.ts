import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A group of counts that the rollups and a recount of the ledger do not agree on. */
export interface Difference {
  readonly table: 'traffic' | 'mailboxes';
  readonly partnerId: string;
  readonly clientId: string;
  readonly bucket: Date;
  readonly group: string;
  readonly ledger: number;
  readonly rollup: number;
}

export interface Verification {
  readonly groups: number;
  readonly differences: readonly Difference[];
}

const SHOWN = 100;

/**
 * Counts the ledger anew below the roller's cursor and compares group by group (rule 3). `from` and `to` bound it by the
 * events' time; without them everything is compared. At most 100 differences are listed.
 */
export async function verify(db: SystemDb, range: { from?: Date; to?: Date } = {}): Promise<Verification> {
  const from = range.from ?? new Date(0);
  const to = range.to ?? new Date('9999-01-01T00:00:00Z');
  return db.system(
    async (tx) => {
      const traffic = await tx.rows<Difference & { groups: number }>(sql`
        with counted as (
          select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
                 concat_ws(' ', e.domain, e.direction, e.kind, coalesce(e.verdict, ''), coalesce(e.disposition, '')) as grp,
                 count(*) as n, coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0) as bytes
          from ledger e
          where e.xid < (select s.cursor from rollup_state s) and e.occurred_at >= ${from} and e.occurred_at < ${to}
          group by 1, 2, 3, 4),
        kept as (
          select r.partner_id, r.client_id, r.bucket,
                 concat_ws(' ', r.domain, r.direction, r.kind, r.verdict, r.disposition) as grp, r.deliveries as n, r.bytes
          from rollup_traffic r where r.bucket >= ${from} and r.bucket < ${to}
            and r.bucket >= coalesce((select date_bin('15 minutes', min(l.occurred_at), timestamptz '2000-01-01 00:00Z') from ledger l), 'infinity'))
        select 'traffic' as "table", partner_id as "partnerId", client_id as "clientId", bucket, grp as "group",
               coalesce(c.n, 0) as ledger, coalesce(k.n, 0) as rollup, count(*) over () as groups
        from counted c full join kept k using (partner_id, client_id, bucket, grp)
        order by (c.n is not distinct from k.n and c.bytes is not distinct from k.bytes), bucket limit ${SHOWN}`);
      const mailboxes = await tx.rows<Difference & { groups: number }>(sql`
        with counted as (
          select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
                 concat_ws(' ', e.mailbox_id, e.direction, e.verdict) as grp, count(*) as n
          from ledger e
          where e.xid < (select s.cursor from rollup_state s) and e.occurred_at >= ${from} and e.occurred_at < ${to}
            and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
          group by 1, 2, 3, 4),
        kept as (
          select r.partner_id, r.client_id, r.bucket, concat_ws(' ', r.mailbox_id, r.direction, r.verdict) as grp, r.deliveries as n
          from rollup_mailboxes r where r.bucket >= ${from} and r.bucket < ${to}
            and r.bucket >= coalesce((select date_bin('15 minutes', min(l.occurred_at), timestamptz '2000-01-01 00:00Z') from ledger l), 'infinity'))
        select 'mailboxes' as "table", partner_id as "partnerId", client_id as "clientId", bucket, grp as "group",
               coalesce(c.n, 0) as ledger, coalesce(k.n, 0) as rollup, count(*) over () as groups
        from counted c full join kept k using (partner_id, client_id, bucket, grp)
        order by (c.n is not distinct from k.n), bucket limit ${SHOWN}`);
      const all = [...traffic, ...mailboxes];
      return {
        groups: (traffic[0]?.groups ?? 0) + (mailboxes[0]?.groups ?? 0),
        differences: all.filter((row) => row.ledger !== row.rollup).map(({ groups: _groups, ...row }) => row),
      };
    },
    { readOnly: true, repeatableRead: true },
  );
}
