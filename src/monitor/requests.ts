import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type WaitingRequest, waitingRequests } from '../quarantine/request-rows.ts';
import { verdictWords } from '../quarantine/words.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'release.requested';

/**
 * Opens an incident `release.requested` for each request for a held message that waits for somebody's word; ends it when the
 * request is decided or the message is gone. Answers with the number of incidents that were opened or ended.
 */
export async function watchReleaseRequests(db: SystemDb): Promise<number> {
  let changes = await db.system(resolveDecided);
  let after: string | null = null;
  for (;;) {
    const page: readonly WaitingRequest[] = await db.system(async (tx) => {
      const waiting = await waitingRequests(tx, after);
      const known = await toldOf(tx, waiting);
      for (const request of waiting) {
        if (known.has(request.id)) continue;
        await openIncident(tx, {
          partnerId: request.partnerId,
          clientId: request.clientId,
          rule: RULE,
          subject: request.id,
          severity: 'normal',
          title: `Release requested: ${request.recipient}`,
          description: describe(request),
        });
        changes += 1;
      }
      return waiting;
    });
    const last = page.at(-1);
    if (last === undefined) return changes;
    after = last.id;
  }
}

function describe(request: WaitingRequest): string {
  return [
    `${request.requestedBy} asks for a message in quarantine, at ${request.requestedAt.toISOString()}.`,
    `From: ${request.sender === '' ? '(no sender)' : request.sender}`,
    `To: ${request.recipient}`,
    `Subject: ${request.subject}`,
    `Held because: ${verdictWords(request.verdict)}.`,
    ...(request.note === '' ? [] : [`They say: ${request.note}`]),
    'Approve or deny the request; until then the message stays where it is.',
  ].join('\n');
}

/** Those of the requests that somebody was told of: one incident each, even if it was closed by hand. */
async function toldOf(tx: SystemTx, requests: readonly WaitingRequest[]): Promise<Set<string>> {
  const rows = await tx.rows<{ subject: string }>(sql`
    select i.subject from incidents i
    join unnest(${requests.map((one) => one.partnerId)}::uuid[], ${requests.map((one) => one.clientId)}::uuid[],
                ${requests.map((one) => one.id)}::text[]) as r (partner_id, client_id, id)
      on i.partner_id = r.partner_id and i.client_id = r.client_id and i.subject = r.id
    where i.rule = ${RULE}`);
  return new Set(rows.map((row) => row.subject));
}

const ENDED = {
  approved: 'The message was let out',
  denied: 'The request was refused',
  expired: 'The message reached its age before anybody decided',
  open: 'The message is gone',
} as const;

async function resolveDecided(tx: SystemTx): Promise<number> {
  const rows = await tx.rows<{
    partnerId: string;
    clientId: string;
    subject: string;
    state: keyof typeof ENDED | null;
    by: string | null;
    note: string | null;
  }>(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject, r.state, r.decided_by as by,
           r.decision_note as note
    from incidents i
    left join release_requests r on r.partner_id = i.partner_id and r.id = i.subject::uuid
    where i.rule = ${RULE} and i.state = 'open' and (r.id is null or r.state <> 'open')`);
  for (const { partnerId, clientId, subject, state, by, note } of rows) {
    const resolution = `${ENDED[state ?? 'open']}${by === null ? '' : `, by ${by}`}.${note === null || note === '' ? '' : ` ${note}`}`;
    await resolveIncident(tx, { partnerId, clientId, subject, rule: RULE, resolution });
  }
  return rows.length;
}
