import { type Cutoff, retentionCutoffs } from '../accounts/retention.ts';
import type { ContentStore } from '../core/content.ts';
import { newId } from '../core/id.ts';
import type { Direction, Verdict } from '../core/verdict.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { appendEvents } from '../ledger/append.ts';

const BATCH = 500;
const REASON = 'quarantine.retention';
const NODE = 'worker';

interface Expired {
  readonly id: string;
  readonly partnerId: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly domain: string;
  readonly sender: string;
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly acceptedAt: Date;
  readonly bytes: number;
}

/**
 * Throws away what has been in quarantine for longer than its client keeps it: each ends as `discarded`, once, with the reason
 * `quarantine.retention`. An open request for it expires. In batches, so that no transaction is long; what somebody decides on
 * at this moment is left to the next run. Answers how many.
 */
export async function expireHeld(db: SystemDb): Promise<number> {
  const cutoffs = await db.system(retentionCutoffs, { readOnly: true });
  let expired = 0;
  for (;;) {
    const rows = await db.system((tx) => expireBatch(tx, cutoffs));
    expired += rows;
    if (rows < BATCH) return expired;
  }
}

async function expireBatch(tx: SystemTx, cutoffs: readonly Cutoff[]): Promise<number> {
  const rows = await tx.rows<Expired>(sql`
    select d.id, d.partner_id as "partnerId", d.client_id as "clientId", d.message_id as "messageId",
           d.mailbox_id as "mailboxId", d.recipient, d.domain, m.sender, d.direction, d.verdict, d.accepted_at as "acceptedAt",
           m.bytes
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    join unnest(${cutoffs.map((one) => one.partnerId)}::uuid[], ${cutoffs.map((one) => one.clientId)}::uuid[],
                ${cutoffs.map((one) => one.before)}::timestamptz[], ${cutoffs.map((one) => one.malwareBefore)}::timestamptz[])
      as k (partner_id, client_id, before, malware_before) on k.partner_id = d.partner_id and k.client_id = d.client_id
    where d.disposition = 'quarantined'
      and d.accepted_at < case when d.verdict = 'malware' then k.malware_before else k.before end
    order by d.accepted_at limit ${BATCH} for update of d skip locked`);
  if (rows.length === 0) return 0;
  const [partners, ids] = [rows.map((row) => row.partnerId), rows.map((row) => row.id)];
  await tx.run(sql`
    update deliveries d set disposition = 'discarded', ended_at = ${tx.now}
    from unnest(${partners}::uuid[], ${ids}::uuid[]) as e (partner_id, id)
    where d.partner_id = e.partner_id and d.id = e.id`);
  await tx.run(sql`
    update release_requests r set state = 'expired', decided_by = 'job:quarantine.retention', decided_at = ${tx.now}
    from unnest(${partners}::uuid[], ${ids}::uuid[]) as e (partner_id, id)
    where r.partner_id = e.partner_id and r.delivery_id = e.id and r.state = 'open'`);
  await appendEvents(
    tx,
    rows.map(({ id, acceptedAt, ...row }) => ({
      ...row,
      id: newId(),
      deliveryId: id,
      occurredAt: tx.now,
      kind: 'discarded' as const,
      disposition: 'discarded' as const,
      reasons: [REASON],
      leads: 0,
      latencyMs: Math.max(0, tx.now.getTime() - acceptedAt.getTime()),
      node: NODE,
    })),
  );
  return rows.length;
}

interface Candidate {
  readonly id: string;
  readonly contentId: string;
  readonly receivedAt: Date;
}

/**
 * Removes bodies that nobody needs any more: every delivery that shares one, of whatever partner, has ended, is not in
 * quarantine, and is older than its client keeps mail. The rows stay until their detail goes, and say that the body is gone.
 * The file goes first: after a crash between the two it is removed again, which is no error. Answers how many.
 */
export async function sweepContent(db: SystemDb, store: ContentStore): Promise<number> {
  const cutoffs = await db.system(retentionCutoffs, { readOnly: true });
  let removed = 0;
  let after: Candidate | null = null;
  for (;;) {
    const page: readonly Candidate[] = await db.system((tx) => candidates(tx, cutoffs, after), { readOnly: true });
    const contents = [...new Set(page.map((one) => one.contentId))];
    const unneeded = await db.system((tx) => withoutNeed(tx, cutoffs, contents), { readOnly: true });
    for (const contentId of unneeded) await store.remove(contentId);
    if (unneeded.length > 0) {
      await db.system((tx) =>
        tx.run(sql`update messages set content_removed_at = ${tx.now} where content_id = any(${unneeded}::text[])`),
      );
    }
    removed += unneeded.length;
    after = page.at(-1) ?? null;
    if (after === null) return removed;
  }
}

/** Messages with a body that are older than the shortest time that any client keeps mail; without clients, than now. */
function candidates(tx: SystemTx, cutoffs: readonly Cutoff[], after: Candidate | null): Promise<Candidate[]> {
  const youngest = cutoffs.reduce(
    (latest, one) => Math.max(latest, one.before.getTime(), one.malwareBefore.getTime()),
    cutoffs.length === 0 ? tx.now.getTime() : 0,
  );
  return tx.rows<Candidate>(sql`
    select m.id, m.content_id as "contentId", m.received_at as "receivedAt"
    from messages m
    where m.received_at < ${new Date(youngest)} and m.content_removed_at is null
      and (${after?.id ?? null}::uuid is null
           or (m.received_at, m.id) > (${after?.receivedAt ?? null}::timestamptz, ${after?.id ?? null}::uuid))
    order by m.received_at, m.id limit ${BATCH}`);
}

async function withoutNeed(tx: SystemTx, cutoffs: readonly Cutoff[], contentIds: readonly string[]): Promise<string[]> {
  if (contentIds.length === 0) return [];
  const rows = await tx.rows<{ id: string }>(sql`
    select c.id from unnest(${[...contentIds]}::text[]) as c (id)
    where not exists (
      select from messages m
      join deliveries d on d.partner_id = m.partner_id and d.message_id = m.id
      left join unnest(${cutoffs.map((one) => one.partnerId)}::uuid[], ${cutoffs.map((one) => one.clientId)}::uuid[],
                       ${cutoffs.map((one) => one.before)}::timestamptz[],
                       ${cutoffs.map((one) => one.malwareBefore)}::timestamptz[])
        as k (partner_id, client_id, before, malware_before) on k.partner_id = d.partner_id and k.client_id = d.client_id
      where m.content_id = c.id
        and (d.ended_at is null or d.disposition in ('quarantined', 'queued', 'deferred') or k.client_id is null
             or d.accepted_at >= case when d.verdict = 'malware' then k.malware_before else k.before end))
      and not exists (select from queue q where q.content_id = c.id)`);
  return rows.map((row) => row.id);
}
