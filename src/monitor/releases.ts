import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'release.late';

/**
 * Verifies releases by their delivery: one that has not arrived in time opens an incident, and its arrival ends it. Answers
 * with what changed.
 */
export async function watchReleases(db: SystemDb): Promise<{ opened: number; resolved: number }> {
  return db.system(async (tx) => {
    const late = await tx.rows<{
      partnerId: string;
      clientId: string;
      id: string;
      recipient: string;
      subject: string;
      reply: string | null;
    }>(sql`
      select d.partner_id as "partnerId", d.client_id as "clientId", d.id, d.recipient, m.subject, q.last_reply as reply
      from deliveries d
      join messages m on m.partner_id = d.partner_id and m.id = d.message_id
      left join queue q on q.partner_id = d.partner_id and q.delivery_id = d.id
      where d.release_due_at is not null and d.release_due_at <= ${tx.now}
        and not exists (select from incidents i where i.partner_id = d.partner_id and i.client_id = d.client_id
                        and i.rule = ${RULE} and i.subject = d.id::text and i.state = 'open')`);
    for (const row of late) {
      await openIncident(tx, {
        partnerId: row.partnerId,
        clientId: row.clientId,
        rule: RULE,
        subject: row.id,
        severity: 'high',
        title: `Released mail for ${row.recipient} has not arrived`,
        description: `The message "${row.subject}" was released from quarantine more than 10 minutes ago and is not delivered.\nLast answer of the server: ${row.reply ?? 'none yet'}.`,
      });
    }
    const arrived = await tx.rows<{ partnerId: string; clientId: string; subject: string; disposition: string }>(sql`
      select i.partner_id as "partnerId", i.client_id as "clientId", i.subject, d.disposition
      from incidents i join deliveries d on d.partner_id = i.partner_id and d.id::text = i.subject
      where i.rule = ${RULE} and i.state = 'open' and d.disposition in ('released', 'bounced', 'expired', 'discarded')`);
    for (const row of arrived) {
      await resolveIncident(
        tx,
        { ...row, rule: RULE },
        row.disposition === 'released' ? 'It has arrived.' : `It ended as ${row.disposition}.`,
      );
    }
    return { opened: late.length, resolved: arrived.length };
  });
}
