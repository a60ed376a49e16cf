import type pg from 'pg';
import { END, NODE, PARTNER_ID, type SeedParameters, times } from './parameters.ts';

/**
 * Counts the ledger into the rollups, a table in one statement, and writes down what the roller would have: its cursor, the
 * watermark of one node through `END`, the floor before which retention has dropped the ledger. The statements are this file's
 * own, so that `verify`, which the product does with its own, is a check of both.
 */
export async function countMail(owner: pg.Client): Promise<void> {
  const bucket = `date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z')`;
  await owner.query(`
    insert into rollup_traffic (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries, messages,
                                domain_messages, partner_messages, bytes, partner_bytes)
    select e.partner_id, e.client_id, ${bucket}, e.domain, e.direction, e.kind, coalesce(e.verdict, ''), coalesce(e.disposition, ''),
           count(*), count(*) filter (where e.leads & 2 <> 0), count(*) filter (where e.leads & 4 <> 0),
           count(*) filter (where e.leads & 1 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0),
           coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)
    from ledger e group by 1, 2, 3, 4, 5, 6, 7, 8 order by 3`);
  await owner.query(`
    insert into rollup_mailboxes (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
    select e.partner_id, e.client_id, ${bucket}, e.mailbox_id, e.direction, coalesce(e.verdict, ''), count(*),
           count(*) filter (where e.leads & 8 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 8 <> 0), 0)
    from ledger e where e.kind in ('accepted', 'rejected') and e.mailbox_id is not null group by 1, 2, 3, 4, 5, 6 order by 3`);
  await owner.query(`
    insert into rollup_senders (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
    select e.partner_id, e.client_id, ${bucket}, e.sender, e.direction, coalesce(e.verdict, ''), count(*),
           count(*) filter (where e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)
    from ledger e where e.kind in ('accepted', 'rejected') group by 1, 2, 3, 4, 5, 6 order by 3`);
  await owner.query(`
    insert into rollup_reasons (partner_id, client_id, bucket, direction, reason, deliveries)
    select e.partner_id, e.client_id, ${bucket}, e.direction, x.reason, count(*)
    from ledger e cross join lateral (select distinct u.reason from unnest(e.reasons) as u (reason)) as x
    where e.kind in ('accepted', 'rejected', 'refused') group by 1, 2, 3, 4, 5 order by 3`);
}

export async function writeState(owner: pg.Client, parameters: SeedParameters): Promise<void> {
  const { start, ledgerStart } = times(parameters);
  await owner.query(
    `insert into nodes (id, role, started_at, heartbeat_at, flushed_through, state) values ($1, 'gateway', $2, $3, $3, 'alive')`,
    [NODE, start, END],
  );
  await owner.query(`insert into rollup_watermarks (node, complete_through, state) values ($1, $2, 'alive')`, [
    NODE,
    END,
  ]);
  await owner.query('insert into retention_floor (whole_from) values ($1)', [ledgerStart]);
  await owner.query(
    `insert into rollup_state (cluster, cursor, rolled_at, mark, mark_at, settled_at, pending)
     select s.system_identifier, pg_snapshot_xmin(pg_current_snapshot()), $1, pg_current_xact_id(), $1, $1, 0
     from pg_control_system() as s`,
    [END],
  );
}

/** Events of the last twenty minutes that no round of the roller has taken yet: what readers count from the ledger themselves. */
const TAIL = 2_000;

/** After the cursor was written: refused recipients, which belong to no delivery, so that deliveries still add up. */
export async function makeTail(owner: pg.Client): Promise<void> {
  await owner.query(
    `insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, recipient, domain, sender, reasons, bytes, leads, node)
     select $1, bench.uid(t.at, t.n, 60), c.id, t.at, 'refused', 'inbound', 'nobody@' || c.domain, c.domain, 's1@mail1.example',
            array['recipient.unknown'], 0, 0, $2
     from (select n, $3::timestamptz - floor(bench.h(n, 61) * 1200000) * interval '1 millisecond' as at
           from generate_series(1, $4::integer) as n) as t
     join bench.client c on c.n = 1 + mod(t.n, (select count(*) from bench.client))`,
    [PARTNER_ID, NODE, END, TAIL],
  );
  await owner.query('update rollup_state set pending = $1', [TAIL]);
}
