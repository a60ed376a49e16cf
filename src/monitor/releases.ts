import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type OverdueRelease, overdueReleases } from '../quarantine/overdue.ts';
import { type IncidentInput, openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'release.late';

/**
 * Opens an incident `release.late` for each message that was let out of quarantine and did not arrive in time, or was given
 * up; ends it when the message arrives. While the client's server is known to be down its releases wait like all its mail,
 * and one incident (`server.down`) tells of it. Answers with the number of incidents that were opened or ended.
 */
export async function watchReleases(db: SystemDb): Promise<number> {
  let changes = await db.system(resolveArrived);
  let after: string | null = null;
  for (;;) {
    const page: readonly OverdueRelease[] = await db.system(async (tx) => {
      const late = await overdueReleases(tx, after);
      const known = await toldOf(tx, late);
      for (const release of late) {
        if (known.has(release.deliveryId)) continue;
        await openIncident(tx, incidentOf(release));
        changes += 1;
      }
      return late;
    });
    const last = page.at(-1);
    if (last === undefined) return changes;
    after = last.deliveryId;
  }
}

/** What a technician is to know of a release that did not arrive. */
export function incidentOf(release: OverdueRelease): IncidentInput {
  const isOver = release.disposition === 'bounced' || release.disposition === 'expired';
  return {
    partnerId: release.partnerId,
    clientId: release.clientId,
    rule: RULE,
    subject: release.deliveryId,
    severity: 'high',
    title: `Released message ${isOver ? 'could not be delivered' : 'has not arrived'}: ${release.recipient}`,
    description: [
      `From: ${release.sender === '' ? '(no sender)' : release.sender}`,
      `To: ${release.recipient}`,
      `Subject: ${release.subject}`,
      `Let out of quarantine by ${release.releasedBy} at ${release.releasedAt.toISOString()}.`,
      isOver
        ? 'The receiving server refused it for good, or it was tried for too long; nothing more is tried.'
        : `Tried ${release.attempts} ${release.attempts === 1 ? 'time' : 'times'}; it is tried on.`,
      ...(release.lastReply === null ? [] : [`The receiving server said: ${release.lastReply}`]),
    ].join('\n'),
  };
}

/** Those of the releases that somebody was told of, or need not be: one incident each, or their client's server is down. */
async function toldOf(tx: SystemTx, releases: readonly OverdueRelease[]): Promise<Set<string>> {
  const rows = await tx.rows<{ id: string }>(sql`
    select r.id from unnest(${releases.map((one) => one.partnerId)}::uuid[], ${releases.map((one) => one.clientId)}::uuid[],
                            ${releases.map((one) => one.deliveryId)}::text[],
                            ${releases.map((one) => one.disposition)}::text[]) as r (partner_id, client_id, id, disposition)
    where exists (select from incidents i where i.partner_id = r.partner_id and i.client_id = r.client_id
                    and i.rule = ${RULE} and i.subject = r.id)
      or (r.disposition in ('queued', 'deferred')
          and exists (select from incidents s where s.partner_id = r.partner_id and s.client_id = r.client_id
                        and s.rule = 'server.down' and s.state = 'open'))`);
  return new Set(rows.map((row) => row.id));
}

async function resolveArrived(tx: SystemTx): Promise<number> {
  const arrived = await tx.rows<{ partnerId: string; clientId: string; subject: string; endedAt: Date }>(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject, coalesce(d.original_at, d.ended_at) as "endedAt"
    from incidents i
    join deliveries d on d.partner_id = i.partner_id and d.id = i.subject::uuid
    where i.rule = ${RULE} and i.state = 'open' and (d.disposition = 'released' or d.original_state = 'released')`);
  for (const { endedAt, ...key } of arrived) {
    await resolveIncident(tx, { ...key, rule: RULE, resolution: `The message arrived at ${endedAt.toISOString()}.` });
  }
  return arrived.length;
}
