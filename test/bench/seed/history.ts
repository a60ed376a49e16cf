import type pg from 'pg';
import { DAY_MS, PARTNER_ID, type SeedParameters, times } from './parameters.ts';

/**
 * Quarter-hours of a client and day that have traffic, at most, in days without a ledger. A client with a hundred mailboxes
 * really has forty; a year of those would be four times as large and would say no more.
 */
const SLOTS = 8;
/** Deliveries per mailbox and working day. */
const DELIVERIES = 15;
const CHUNK_DAYS = 30;
/** Days before the ledger that have rollups of mailboxes and senders. */
const DETAIL_DAYS = 30;

/** What a quarter-hour's deliveries become: direction, kind, verdict, disposition, share. */
const VARIANTS = `
  (1, 'inbound', 'accepted', 'clean', 'queued', 0.56), (2, 'inbound', 'delivered', 'clean', 'delivered', 0.56),
  (3, 'inbound', 'accepted', 'bulk', 'queued', 0.11), (4, 'inbound', 'delivered', 'bulk', 'delivered', 0.11),
  (5, 'inbound', 'accepted', 'spam', 'quarantined', 0.15), (6, 'inbound', 'quarantined', 'spam', 'quarantined', 0.15),
  (7, 'inbound', 'accepted', 'phish', 'quarantined', 0.03), (8, 'inbound', 'quarantined', 'phish', 'quarantined', 0.03),
  (9, 'inbound', 'rejected', 'malware', 'rejected', 0.012), (10, 'inbound', 'refused', '', '', 0.08),
  (11, 'outbound', 'accepted', 'clean', 'queued', 0.12), (12, 'outbound', 'delivered', 'clean', 'delivered', 0.12),
  (13, 'inbound', 'bounced', 'clean', 'bounced', 0.004)`;

/** The rollups of the days before the ledger, in the order of time as the roller writes them. */
export async function makeHistory(owner: pg.Client, parameters: SeedParameters): Promise<void> {
  const { start, ledgerStart } = times(parameters);
  const days = Math.round((ledgerStart.getTime() - start.getTime()) / DAY_MS);
  for (let from = 0; from < days; from += CHUNK_DAYS) {
    const values = [PARTNER_ID, start, from, Math.min(days, from + CHUNK_DAYS) - 1, ledgerStart];
    await owner.query(TRAFFIC, values);
    await owner.query(REASONS, values);
  }
  const detail = [PARTNER_ID, start, Math.max(0, days - DETAIL_DAYS), days - 1, ledgerStart];
  await owner.query(MAILBOXES, detail);
  await owner.query(SENDERS, detail);
}

const CLIENT_DAYS = `
  client_days as (
    select c.n, c.id, c.domain, c.mailboxes, d.day, (d.day::timestamp at time zone c.zone) as midnight,
           c.mailboxes * ${DELIVERIES} * bench.workload(d.day) * (0.7 + 0.6 * bench.h(c.n * 10000 + d.k, 40)) as total,
           c.n * 10000 + d.k as key
    from (select k, ($2::timestamptz at time zone 'UTC')::date + k as day from generate_series($3::integer, $4::integer) as k) as d
    cross join bench.client c)`;

const TRAFFIC = `
  with ${CLIENT_DAYS},
  slots as (
    select t.*, least(${SLOTS}, ceil(t.total / 6))::integer as slots from client_days t),
  quarters as (
    select s.key, s.id, s.domain, s.total / s.slots as per_slot, s.midnight + q.quarter * interval '15 minutes' as bucket,
           q.quarter, q.parts
    from slots s cross join lateral (
      select bench.quarter((j + bench.h(s.key * 10 + j, 41)) / s.slots) as quarter, count(*) as parts
      from generate_series(0, s.slots - 1) as j group by 1) as q),
  counted as (
    select q.id, q.domain, q.bucket, v.direction, v.kind, v.verdict, v.disposition,
           floor(q.per_slot * q.parts * v.share + bench.h(q.key * 100 + q.quarter, v.n))::bigint as deliveries
    from quarters q cross join (values ${VARIANTS}) as v (n, direction, kind, verdict, disposition, share)
    where q.bucket < $5),
  told as (
    select c.*, case when c.kind in ('accepted', 'rejected') then ceil(c.deliveries * 0.9)::bigint else 0 end as messages
    from counted c where c.deliveries > 0)
  insert into rollup_traffic (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries, messages,
                              domain_messages, partner_messages, bytes, partner_bytes)
  select $1, t.id, t.bucket, t.domain, t.direction, t.kind, t.verdict, t.disposition, t.deliveries, t.messages, t.messages,
         t.messages, t.messages * 61440, t.messages * 61440
  from told t order by t.bucket, t.id`;

const REASONS = `
  with ${CLIENT_DAYS}
  insert into rollup_reasons (partner_id, client_id, bucket, direction, reason, deliveries)
  select $1, t.id, t.midnight + interval '10 hours', 'inbound', r.reason, ceil(t.total * r.share)::bigint
  from client_days t
  cross join (values ('content.model', 0.12), ('auth.dmarc.fail', 0.04), ('url.listed', 0.03), ('attachment.executable', 0.01),
                     ('recipient.unknown', 0.08)) as r (reason, share)
  where t.midnight + interval '10 hours' < $5
  order by t.midnight, t.id`;

const MAILBOXES = `
  with ${CLIENT_DAYS}
  insert into rollup_mailboxes (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
  select $1, t.id, t.midnight + bench.quarter(bench.h(m.n, t.key)) * interval '15 minutes', m.id, 'inbound',
         case when bench.h(m.n, t.key + 1) < 0.8 then 'clean' else 'spam' end, 1 + floor(bench.h(m.n, t.key + 2) * 20)::bigint,
         1 + floor(bench.h(m.n, t.key + 2) * 20)::bigint, 61440
  from client_days t join bench.mailbox m on m.client = t.n
  where bench.h(m.n, t.key + 3) < 0.7 and t.midnight + bench.quarter(bench.h(m.n, t.key)) * interval '15 minutes' < $5`;

const SENDERS = `
  with ${CLIENT_DAYS}
  insert into rollup_senders (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
  select $1, t.id, t.midnight + interval '9 hours', s.sender, 'inbound', 'clean', count(*), count(*), count(*) * 61440
  from client_days t
  cross join lateral (
    select 's' || floor(power(200000::double precision, bench.h(t.key * 100 + j, 43)))::integer || '@sender.example' as sender
    from generate_series(1, least(30, ceil(t.total / 5))::integer) as j) as s
  where t.midnight + interval '9 hours' < $5
  group by t.id, t.midnight, s.sender`;
