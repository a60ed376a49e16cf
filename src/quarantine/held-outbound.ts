import { recordAudit } from '../accounts/audit.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { appendEvents } from '../ledger/append.ts';

/** An outbound delivery that waits in the queue until a person releases or purges it. */
export interface HeldDelivery {
  readonly id: string;
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly messageId: string;
  readonly sender: string;
  readonly recipient: string;
  readonly subject: string;
  readonly bytes: number;
  /** `hold.policy`, or `hold.<mailbox|client|partner>_<recipients|first_time>`. */
  readonly reason: string;
  readonly heldAt: Date;
}

/** Which held mail is meant: single deliveries, or all of a client or a mailbox. At least one must be given. */
export interface HeldSelection {
  readonly ids?: readonly string[] | null;
  readonly clientId?: string | null;
  readonly mailboxId?: string | null;
}

/** The node that events name which no gateway wrote. */
const NODE = 'api';
const RELEASE_EXPIRES_MS = 14 * 86_400_000;
/** Its sender is told that it is late as of any other mail, from the release on (gateway/retry.ts). */
const NOTICE_MS = 4 * 3_600_000;
const IDS_MAX = 1_000;
const CHUNK = 1_000;

/** A page of a client's held mail, the longest held first. `after` is the last one's time and id. */
export function listHeld(
  tx: TenantTx,
  clientId: string,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<HeldDelivery[]> {
  return tx.rows<HeldDelivery>(sql`
    select q.delivery_id as id, q.client_id as "clientId", d.mailbox_id as "mailboxId", q.message_id as "messageId", q.sender,
           q.recipient, m.subject, m.bytes, q.held_reason as reason, q.held_at as "heldAt"
    from queue q
    join deliveries d on d.partner_id = q.partner_id and d.id = q.delivery_id
    join messages m on m.partner_id = q.partner_id and m.id = q.message_id
    where q.partner_id = ${tx.partnerId} and q.client_id = ${clientId} and q.held_at is not null
      and (${page.after?.id ?? null}::uuid is null
           or (q.held_at, q.delivery_id) > (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by q.held_at, q.delivery_id limit ${page.first}`);
}

/**
 * Lets held mail go: it is due at once, and has the usual time to be delivered from now on. It is not counted against the
 * limits, since a person decided. Answers how many deliveries went; those that are not held are left alone.
 */
export async function releaseHeld(tx: TenantTx, selection: HeldSelection, actor: string): Promise<number> {
  const { ids, clientId, mailboxId } = checked(selection);
  const released = await tx.rows<{ id: string }>(sql`
    update queue q set held_at = null, held_reason = null, queued_at = ${tx.now}, due_at = ${tx.now},
      expires_at = ${new Date(tx.now.getTime() + RELEASE_EXPIRES_MS)},
      notice_due_at = case when q.kind = 'mail' and q.sender <> ''
                             and 'DELAY' = any(string_to_array(coalesce(d.dsn_notify, 'DELAY'), ','))
                           then ${new Date(tx.now.getTime() + NOTICE_MS)}::timestamptz end
    from deliveries d
    where q.partner_id = ${tx.partnerId} and d.partner_id = q.partner_id and d.id = q.delivery_id and q.held_at is not null
      and (${ids}::uuid[] is null or q.delivery_id = any(${ids}::uuid[]))
      and (${clientId}::uuid is null or q.client_id = ${clientId}::uuid)
      and (${mailboxId}::uuid is null or d.mailbox_id = ${mailboxId}::uuid)
    returning q.delivery_id as id`);
  if (released.length > 0) await tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`);
  await audit(tx, 'held.release', selection, released.length, actor);
  return released.length;
}

interface Purged {
  readonly id: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly domain: string;
  readonly sender: string;
  readonly verdict: Verdict;
  readonly acceptedAt: Date;
  readonly bytes: number;
}

/** Throws held mail away for good: each delivery ends as discarded. Answers how many. */
export async function purgeHeld(tx: TenantTx, selection: HeldSelection, actor: string): Promise<number> {
  const { ids, clientId, mailboxId } = checked(selection);
  let count = 0;
  for (;;) {
    const purged = await tx.rows<Purged>(sql`
      with gone as (
        delete from queue q using (
          select w.delivery_id from queue w
          join deliveries x on x.partner_id = w.partner_id and x.id = w.delivery_id
          where w.partner_id = ${tx.partnerId} and w.held_at is not null
            and (${ids}::uuid[] is null or w.delivery_id = any(${ids}::uuid[]))
            and (${clientId}::uuid is null or w.client_id = ${clientId}::uuid)
            and (${mailboxId}::uuid is null or x.mailbox_id = ${mailboxId}::uuid)
          limit ${CHUNK}) as s
        where q.partner_id = ${tx.partnerId} and q.delivery_id = s.delivery_id and q.held_at is not null
        returning q.delivery_id, q.sender)
      update deliveries d set disposition = 'discarded', ended_at = ${tx.now}
      from gone, messages m
      where d.partner_id = ${tx.partnerId} and d.id = gone.delivery_id and m.partner_id = d.partner_id and m.id = d.message_id
      returning d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
                d.domain, gone.sender, d.verdict, d.accepted_at as "acceptedAt", m.bytes`);
    if (purged.length === 0) break;
    count += purged.length;
    await appendEvents(
      tx,
      purged.map(({ id, acceptedAt, ...one }) => ({
        ...one,
        id: newId(),
        partnerId: tx.partnerId,
        deliveryId: id,
        occurredAt: tx.now,
        kind: 'discarded' as const,
        direction: 'outbound' as const,
        disposition: 'discarded' as const,
        reasons: [],
        leads: 0,
        latencyMs: Math.max(0, tx.now.getTime() - acceptedAt.getTime()),
        node: NODE,
      })),
    );
    if (purged.length < CHUNK) break;
  }
  await audit(tx, 'held.purge', selection, count, actor);
  return count;
}

function checked({ ids, clientId, mailboxId }: HeldSelection) {
  if (ids == null && clientId == null && mailboxId == null)
    throw new AppError('invalid_input', 'say which held mail: by ids, a client or a mailbox', { field: 'ids' });
  if (ids != null && ids.length > IDS_MAX)
    throw new AppError('invalid_input', `at most ${IDS_MAX} at once`, { field: 'ids' });
  return { ids: ids ?? null, clientId: clientId ?? null, mailboxId: mailboxId ?? null };
}

function audit(
  tx: TenantTx,
  action: string,
  { ids, clientId, mailboxId }: HeldSelection,
  deliveries: number,
  actor: string,
): Promise<void> {
  return recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action,
    subject: mailboxId ?? clientId ?? `${ids?.length ?? 0} deliveries`,
    details: { deliveries, ids: ids?.slice(0, 100) ?? null, clientId: clientId ?? null, mailboxId: mailboxId ?? null },
  });
}
