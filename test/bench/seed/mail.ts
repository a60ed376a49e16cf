import type pg from 'pg';
import { NODE, PARTNER_ID, type SeedParameters, times } from './parameters.ts';

/** Rows of the ledger per delivery: acceptance, end, deferrals, releases, refused recipients. */
const EVENTS_PER_DELIVERY = 2.12;
const SENDERS = 200_000;

/** The mail of the last days: messages, deliveries, and the ledger's rows of their lives, all in the order of time. */
export async function makeMail(
  owner: pg.Client,
  parameters: SeedParameters,
  step: (name: string, work: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const { ledgerStart } = times(parameters);
  const deliveries = Math.round(parameters.events / EVENTS_PER_DELIVERY);
  const { rows } = await owner.query<{ n: number }>('select max(n) as n from bench.mailbox');
  await step('mail', () => owner.query(MAIL, [deliveries, rows[0]?.n ?? 1, ledgerStart, parameters.ledgerDays]));
  await owner.query('analyze bench.mail');
  await step('messages', () => owner.query(MESSAGES, [PARTNER_ID, NODE]));
  await step('deliveries', () => owner.query(DELIVERIES, [PARTNER_ID]));
  await step('ledger', () => owner.query(LEDGER, [PARTNER_ID, NODE]));
}

// Every tenth delivery is a second recipient of the message before it, where the client has another mailbox.
const MAIL = `
  create table bench.mail as
  with drawn as (
    select n, n - (n % 10 = 9)::integer as m from generate_series(1, $1::bigint) as n),
  boxes as (
    select d.n, d.m, 1 + floor(bench.h(d.m, 20) * $2)::integer as box from drawn d),
  people as (
    select b.n, b.m, b.n <> b.m and o.n is not null as is_second, a.client, coalesce(o.id, a.id) as mailbox_id,
           coalesce(o.address, a.address) as address
    from boxes b
    join bench.mailbox a on a.n = b.box
    left join bench.mailbox o on b.n <> b.m and o.n = b.box + 1 and o.client = a.client),
  placed as (
    select p.*, c.id as client_id, c.domain,
           $3::timestamptz + mod((floor(bench.h(p.m, 21) * $4) * 86400000 + bench.quarter(bench.h(p.m, 22)) * 900000
             + floor(bench.h(p.m, 23) * 900000) - c.utc_offset * 1000 + $4 * 86400000)::bigint, ($4 * 86400000)::bigint)
             * interval '1 millisecond' as at,
           bench.h(p.m, 24) as v, bench.h(p.n, 25) as w, bench.h(p.m, 26) < 0.12 as is_outbound,
           floor(power(${SENDERS}::double precision, bench.h(p.m, 27)))::integer as s
    from people p join bench.client c on c.n = p.client),
  judged as (
    select p.*, case when p.is_outbound or p.v < 0.66 then 'clean' when p.v < 0.78 then 'bulk' when p.v < 0.945 then 'spam'
                     when p.v < 0.975 then 'phish' when p.v < 0.98 then 'spoof' when p.v < 0.99 then 'policy'
                     when p.v < 0.998 then 'malware' else 'unscannable' end as verdict
    from placed p)
  select j.n, case when j.is_second then j.m else j.n end as m, j.is_second, j.client_id, j.mailbox_id, j.domain, j.at, j.verdict,
         j.is_outbound, j.s,
         case when j.is_outbound then 'buyer' || j.s || case when j.is_second then 'b' else '' end || '@customer' || j.s % 20000 || '.example' else j.address end as recipient,
         case when j.is_outbound then j.address when bench.h(j.m, 28) < 0.01 then ''
              else 's' || j.s || '@mail' || j.s % 20000 || '.example' end as sender,
         case when j.verdict in ('clean', 'bulk') then case when j.w < 0.99 then 'delivered' else 'bounced' end
              when j.verdict = 'spam' then case when j.w < 0.2 then 'tagged' when j.w < 0.22 then 'released' else 'quarantined' end
              when j.verdict = 'malware' then case when j.w < 0.5 then 'rejected' else 'quarantined' end
              when j.verdict = 'policy' then 'stripped' else 'quarantined' end as disposition,
         bench.uid(j.at, case when j.is_second then j.m else j.n end, 30) as message_id,
         bench.uid(j.at, j.n, 31) as delivery_id, 2000 + floor(exp(6 + 7 * bench.h(j.m, 29)))::bigint as bytes,
         bench.h(j.n, 32) < 0.03 as is_deferred, (exp(4 + 5 * bench.h(j.n, 33)))::bigint as latency_ms,
         case j.verdict when 'spam' then array['content.model', 'url.listed'] when 'phish' then array['content.model', 'url.mismatch']
              when 'malware' then array['attachment.executable'] when 'spoof' then array['auth.dmarc.fail']
              when 'policy' then array['attachment.blocked'] else '{}'::text[] end as reasons
  from judged j order by j.at, j.n`;

const MESSAGES = `
  insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id, from_address,
                        from_name, subject, attachments, bytes, sha256, authentication_results, received_at, node)
  select $1, x.message_id, replace(x.message_id::text, '-', ''), case when x.is_outbound then 'outbound' else 'inbound' end, x.sender,
         '198.' || 18 + x.s % 2 || '.' || x.s / 2 % 256 || '.' || x.s / 512 % 256, 'mail' || x.s % 20000 || '.example', x.n % 20 <> 0,
         '<' || md5(x.n::text) || '@mail' || x.s % 20000 || '.example>', x.sender, 'Sender ' || x.s,
         case when bench.h(x.n, 50) < 0.3 then 'Re: ' when bench.h(x.n, 50) < 0.36 then 'Fwd: ' else '' end
           || bench.word(bench.h(x.n, 51)) || ' ' || bench.word(bench.h(x.n, 52)) || ' ' || bench.word(bench.h(x.n, 53))
           || case when x.n % 2 = 0 then ' ' || bench.word(bench.h(x.n, 54)) || ' ' || bench.word(bench.h(x.n, 55)) else '' end
           || case when x.n % 3 = 0 then ' INV-' || lpad(x.n::text, 8, '0') else '' end,
         case when bench.h(x.n, 56) < 0.12
              then jsonb_build_array(jsonb_build_object('name', bench.word(bench.h(x.n, 57)) || '-' || x.n % 100000 || '.pdf',
                                                        'type', 'application/pdf', 'bytes', x.bytes / 2))
              else '[]' end,
         x.bytes, decode(md5(x.n::text) || md5(x.n::text || 'b'), 'hex'), 'mx.bench.example; spf=pass; dkim=pass; dmarc=pass', x.at, $2
  from bench.mail x where not x.is_second`;

const DELIVERIES = `
  insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict, disposition,
                          score, reasons, accepted_at, ended_at, released_at, released_by, remote_reply)
  select $1, x.client_id, x.delivery_id, x.message_id, case when x.is_outbound then null else x.mailbox_id end, x.recipient, x.domain,
         case when x.is_outbound then 'outbound' else 'inbound' end, x.verdict, x.disposition,
         case when x.verdict in ('clean', 'bulk') then 0.5 else 8 end,
         case when x.reasons = '{}' then '[]'
              else jsonb_build_array(jsonb_build_object('code', x.reasons[1], 'detail', 'a seeded reason')) end, x.at,
         x.at + case when x.disposition in ('rejected', 'quarantined') then 0 else x.latency_ms end * interval '1 millisecond',
         case when x.disposition = 'released' then x.at + x.latency_ms * interval '1 millisecond' end,
         case when x.disposition = 'released' then 'seed' end,
         case when x.disposition in ('delivered', 'tagged', 'stripped', 'released') then '250 2.0.0 queued' end
  from bench.mail x`;

// An event's columns that differ: kind, moment, disposition then, latency, and whether it leads (src/core/event.ts).
const LEDGER = `
  with ends as (
    select x.*, x.at + x.latency_ms * interval '1 millisecond' as ended from bench.mail x),
  lives as (
    select x.n * 10 as k, x.*, e.kind, e.occurred_at, e.disposition_then, e.latency, e.leads from ends x
    cross join lateral (
      select case when x.disposition = 'rejected' then 'rejected' else 'accepted' end as kind, x.at as occurred_at,
             case when x.disposition in ('rejected', 'quarantined') then x.disposition when x.disposition = 'released' then 'quarantined'
                  else 'queued' end as disposition_then,
             null::bigint as latency,
             case when x.is_second then case when x.is_outbound then 0 else 8 end when x.is_outbound then 7 else 15 end as leads
      union all
      select 'deferred', x.at + interval '1 second', 'deferred', 1000, 0
      where x.is_deferred and x.disposition in ('delivered', 'bounced', 'tagged')
      union all
      select 'quarantined', x.at, 'quarantined', 0, 0 where x.disposition in ('quarantined', 'released')
      union all
      select 'release_requested', x.at + interval '500 milliseconds', null, null, 0 where x.disposition = 'released'
      union all
      select case when x.disposition = 'bounced' then 'bounced' else 'delivered' end, x.ended, x.disposition, x.latency_ms, 0
      where x.disposition not in ('rejected', 'quarantined')) as e),
  refused as (
    select x.* from ends x where x.n % 12 = 0),
  events as (
    select l.client_id, l.occurred_at, l.kind, l.is_outbound, l.message_id, l.delivery_id,
           case when l.is_outbound then null else l.mailbox_id end as mailbox_id, l.recipient, l.domain, l.sender, l.verdict,
           l.disposition_then as disposition, l.reasons, l.bytes, l.leads, l.latency, l.n
    from lives l
    union all
    select r.client_id, r.at, 'refused', false, null, null, null, 'nobody' || r.n % 977 || '@' || r.domain, r.domain, r.sender, null,
           null, array['recipient.unknown'], 0, 0, null, r.n
    from refused r)
  insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, message_id, delivery_id, mailbox_id, recipient, domain,
                      sender, verdict, disposition, reasons, bytes, leads, latency_ms, node)
  select $1, bench.uid(e.occurred_at, e.n, hashtext(e.kind)), e.client_id, e.occurred_at, e.kind,
         case when e.is_outbound then 'outbound' else 'inbound' end, e.message_id, e.delivery_id, e.mailbox_id, e.recipient, e.domain,
         e.sender, e.verdict, e.disposition, e.reasons, e.bytes, e.leads, e.latency, $2
  from events e order by e.occurred_at`;
