import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

/** Days before the two that are judged, in which a source is known by what it sent aligned. */
const KNOWN_DAYS = 30;
/** Reports older than this say nothing of the present. */
const STALE_DAYS = 14;
const DMARC = { rule: 'dmarc.unaligned', least: 50, share: 0.1 } as const;
const TLS = { rule: 'tls.failing', least: 10, share: 0.05 } as const;

interface Judged {
  readonly partnerId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly domain: string;
  /** The last UTC day with reports; it and the one before are judged. */
  readonly day: string;
  readonly messages: number;
  readonly failed: number;
  readonly policy: string | null;
}

/**
 * `dmarc.unaligned`: a domain asks for quarantine or reject, and on the last two days with reports a tenth or more (at least 50) of the
 * messages of its known sources is not aligned; known is who sent aligned mail in the 30 days before. `tls.failing`: on those
 * days a twentieth or more (at least 10) of the sessions failed. Of reports that are authenticated or were brought in by the
 * operator. Each ends when the newest two days are better, or when reports are two weeks old. Answers how many were opened or ended.
 */
export async function watchAggregates(db: SystemDb): Promise<number> {
  return db.system(async (tx) => {
    const dmarc = (await unaligned(tx)).filter((one) => isBad(one, DMARC));
    const tls = (await failing(tx)).filter((one) => isBad(one, TLS));
    return (await settle(tx, DMARC.rule, dmarc, dmarcText)) + (await settle(tx, TLS.rule, tls, tlsText));
  });
}

const isBad = (one: Judged, { least, share }: { least: number; share: number }) =>
  one.failed >= least && one.failed >= share * one.messages;

const dmarcText = (one: Judged) => ({
  title: `Mail of ${one.clientName} fails DMARC: ${one.domain}`,
  description: [
    `On ${one.day} and the day before, ${one.failed} of ${one.messages} messages from senders that used to pass were not aligned.`,
    `The domain asks receivers for ${one.policy ?? 'a policy'}, so such mail is lost to its readers.`,
    'A DKIM key or an SPF record that was changed is the usual cause. See Domain.dmarc, bySource.',
  ].join('\n'),
});

const tlsText = (one: Judged) => ({
  title: `Others can't reach ${one.clientName} over TLS: ${one.domain}`,
  description: [
    `On ${one.day} and the day before, ${one.failed} of ${one.messages} sessions failed for senders that want TLS.`,
    'A certificate that expired, or a name that is not in it, is the usual cause. See Domain.tlsReports, failures.',
  ].join('\n'),
});

async function settle(
  tx: SystemTx,
  rule: string,
  bad: readonly Judged[],
  text: (one: Judged) => { title: string; description: string },
): Promise<number> {
  let changes = 0;
  const open = await tx.rows<{ partnerId: string; clientId: string; subject: string }>(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject from incidents i
    where i.rule = ${rule} and i.state = 'open'`);
  const key = (one: { partnerId: string; clientId: string }, subject: string) =>
    `${one.partnerId} ${one.clientId} ${subject}`;
  const known = new Set(open.map((one) => key(one, one.subject)));
  for (const one of bad) {
    if (known.has(key(one, one.domain))) continue;
    const { partnerId, clientId, domain: subject } = one;
    await openIncident(tx, { partnerId, clientId, rule, subject, severity: 'high', ...text(one) });
    changes += 1;
  }
  const alive = new Set(bad.map((one) => key(one, one.domain)));
  for (const one of open) {
    if (alive.has(key(one, one.subject))) continue;
    await resolveIncident(tx, { ...one, rule, resolution: 'The newest reports no longer say so.' });
    changes += 1;
  }
  return changes;
}

function unaligned(tx: SystemTx): Promise<Judged[]> {
  const today = tx.now.toISOString().slice(0, 10);
  return tx.rows<Judged>(sql`
    with last as (
      select a.partner_id, a.client_id, a.domain, max(a.day) as day,
             (array_agg(a.policy order by a.day desc, a.messages desc))[1] as policy
      from aggregate_reports a
      where a.state = 'taken' and a.kind = 'dmarc' and a.standing >= 1 and a.day > ${today}::date - ${STALE_DAYS}::int
      group by a.partner_id, a.client_id, a.domain)
    select l.partner_id as "partnerId", l.client_id as "clientId", c.name as "clientName", l.domain, l.day, l.policy,
           sum(d.messages)::bigint as messages,
           coalesce(sum(d.messages) filter (where not (d.dkim_aligned or d.spf_aligned)), 0)::bigint as failed
    from last l
    join clients c on c.partner_id = l.partner_id and c.id = l.client_id
    join dmarc_records d on d.partner_id = l.partner_id and d.domain = l.domain and d.day between l.day - 1 and l.day
    join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id and a.standing >= 1
    where l.policy in ('quarantine', 'reject')
      and exists (select from dmarc_records k
                  join aggregate_reports b on b.partner_id = k.partner_id and b.id = k.report_id and b.standing >= 1
                  where k.partner_id = l.partner_id and k.domain = l.domain and k.source_ip = d.source_ip
                    and k.day < l.day - 1 and k.day >= l.day - 1 - ${KNOWN_DAYS}::int and (k.dkim_aligned or k.spf_aligned))
    group by l.partner_id, l.client_id, c.name, l.domain, l.day, l.policy`);
}

function failing(tx: SystemTx): Promise<Judged[]> {
  const today = tx.now.toISOString().slice(0, 10);
  return tx.rows<Judged>(sql`
    with last as (
      select a.partner_id, a.client_id, a.domain, max(a.day) as day
      from aggregate_reports a
      where a.state = 'taken' and a.kind = 'tls' and a.standing >= 1 and a.day > ${today}::date - ${STALE_DAYS}::int
      group by a.partner_id, a.client_id, a.domain)
    select l.partner_id as "partnerId", l.client_id as "clientId", c.name as "clientName", l.domain, l.day,
           null::text as policy, sum(p.successful + p.failed)::bigint as messages, sum(p.failed)::bigint as failed
    from last l
    join clients c on c.partner_id = l.partner_id and c.id = l.client_id
    join tls_policies p on p.partner_id = l.partner_id and p.domain = l.domain and p.day between l.day - 1 and l.day
    join aggregate_reports a on a.partner_id = p.partner_id and a.id = p.report_id and a.standing >= 1
    group by l.partner_id, l.client_id, c.name, l.domain, l.day`);
}
