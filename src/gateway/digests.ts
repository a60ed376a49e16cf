import { createHash } from 'node:crypto';
import { networkOf } from '../core/networks.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { AcceptedMessage } from './acceptance.ts';

/** How long a transaction that comes again counts as the same, milliseconds. */
export const REPEAT_MS = 600_000;

/** What an earlier, equal transaction was answered. */
export interface Repeated {
  readonly contentId: string;
  readonly rejected: boolean;
}

/**
 * What makes two transactions the same: network, envelope and body. Null for a message without Message-ID, which may be a
 * device that says the same twice and means it twice.
 */
export function digestOf(messages: readonly AcceptedMessage[]): Buffer | null {
  const [first] = messages;
  if (first === undefined || first.facts.messageId === '') return null;
  const { sender, remoteAddress, direction, authenticatedAs } = first.envelope;
  const recipients = messages.flatMap((one) => one.deliveries.map((delivery) => delivery.context.recipient)).toSorted();
  const parts = [direction, authenticatedAs, networkOf(remoteAddress), sender, first.content.sha256, recipients];
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

export interface Claim {
  readonly digest: Buffer;
  readonly contentId: string;
  readonly rejected: boolean;
}

/**
 * Claims digests in the transaction that writes their messages. Answers those that another transaction has: a client that
 * did not hear its 250 sends again (RFC 1047), to this node or to another. Two at once wait for each other at the key, so
 * that one of them writes. In the order of the digests: two batches must not wait crosswise. A rejection is no answer to
 * mail that is taken by now, and neither is a digest of which no message is there.
 */
export async function claimDigests(tx: SystemTx, claims: readonly Claim[]): Promise<Map<string, Repeated>> {
  const repeated = new Map<string, Repeated>();
  const sorted = inOrder(claims);
  if (sorted.length === 0) return repeated;
  const forgotten = new Date(tx.now.getTime() - REPEAT_MS);
  const won = await tx.rows<{ digest: Buffer }>(sql`
    insert into accepted_digests as a (digest, content_id, rejected, accepted_at)
    select c.digest, c.content_id, c.rejected, ${tx.now}
    from unnest(${sorted.map((one) => one.digest)}::bytea[], ${sorted.map((one) => one.contentId)}::text[],
                ${sorted.map((one) => one.rejected)}::boolean[]) as c (digest, content_id, rejected)
    order by c.digest
    on conflict (digest) do update set content_id = excluded.content_id, rejected = excluded.rejected,
      accepted_at = excluded.accepted_at
      where a.accepted_at < ${forgotten} or (a.rejected and not excluded.rejected)
    returning a.digest`);
  const mine = new Set(won.map((row) => row.digest.toString('hex')));
  const lost = sorted.filter((one) => !mine.has(one.digest.toString('hex')));
  if (lost.length > 0) {
    const rows = await tx.rows<{ digest: Buffer; content_id: string; rejected: boolean }>(sql`
      select a.digest, a.content_id, a.rejected from accepted_digests a
      where a.digest = any(${lost.map((one) => one.digest)}::bytea[])
        and exists (select from messages m where m.content_id = a.content_id)`);
    for (const row of rows) {
      repeated.set(row.digest.toString('hex'), { contentId: row.content_id, rejected: row.rejected });
    }
  }
  return repeated;
}

function inOrder(claims: readonly Claim[]): Claim[] {
  const byDigest = new Map<string, Claim>();
  for (const claim of claims) {
    const key = claim.digest.toString('hex');
    if (!byDigest.has(key)) byDigest.set(key, claim);
  }
  return [...byDigest].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, claim]) => claim);
}

/** SQLSTATE division_by_zero: what `claimNew` fails with. */
const NOT_NEW = '22012';

/** Whether a transaction failed because a digest of `claimNew` had been claimed before. */
export function isNotNew(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === NOT_NEW;
}

/**
 * Claims digests of which nobody has any, as nearly always: fails otherwise (`isNotNew`), and its transaction with it. So the
 * rows can be sent behind it without waiting for what it says. The digests must differ.
 */
export async function claimNew(tx: SystemTx, claims: readonly Claim[]): Promise<void> {
  const sorted = inOrder(claims);
  if (sorted.length === 0) return;
  await tx.rows(sql`
    with claimed as (
      insert into accepted_digests (digest, content_id, rejected, accepted_at)
      select c.digest, c.content_id, c.rejected, ${tx.now}
      from unnest(${sorted.map((one) => one.digest)}::bytea[], ${sorted.map((one) => one.contentId)}::text[],
                  ${sorted.map((one) => one.rejected)}::boolean[]) as c (digest, content_id, rejected)
      order by c.digest
      on conflict (digest) do nothing
      returning 1)
    select 1 / (case when (select count(*) from claimed) = ${sorted.length}::int then 1 else 0 end)`);
}
