import { createHash } from 'node:crypto';
import { networkOf } from '../core/networks.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
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
 * What makes two transactions equal: network, envelope and body. Null for a message without Message-ID: of such devices some
 * say all and leave without waiting for an answer, the same again and again.
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
  readonly receivedAt: Date;
  /** Its client is gone: whatever it is answered is not heard. */
  readonly left: boolean;
}

/** A transaction that was written and whose 250 was not heard. */
export interface Unheard {
  readonly digest: Buffer;
  readonly contentId: string;
}

interface Known {
  readonly contentId: string;
  readonly rejected: boolean;
  readonly acceptedAt: Date;
  readonly unheard: boolean;
  /** Its message is there. */
  readonly exists: boolean;
}

/**
 * Claims digests in the transaction that writes their messages, in the order given; answers for each the transaction that it
 * repeats, null for those to be written. Two at once wait for each other at the key, and both take keys in the order of the
 * digests: two batches must not wait crosswise.
 */
export async function claimDigests(
  tx: SystemTx,
  claims: readonly (Claim | null)[],
  unheard: readonly Unheard[],
): Promise<(Repeated | null)[]> {
  await noteUnheard(tx, unheard);
  const known = await lockDigests(tx, inOrder(claims.filter((one) => one !== null)));
  const changed = new Map<string, { readonly digest: Buffer; readonly now: Known }>();
  const repeats = claims.map((claim) => {
    if (claim === null) return null;
    const key = claim.digest.toString('hex');
    const before = known.get(key) ?? null;
    const isRepeat = before !== null && repeatsOne(before, claim, tx.now);
    // Who repeats what nobody heard of takes its place, and hears: the next one is another message.
    const now = isRepeat ? { ...before, unheard: before.unheard && claim.left } : claimed(claim, tx.now);
    known.set(key, now);
    changed.set(key, { digest: claim.digest, now });
    return isRepeat ? { contentId: before.contentId, rejected: before.rejected } : null;
  });
  await writeDigests(tx, [...changed.values()]);
  return repeats;
}

function claimed({ contentId, rejected, left }: Claim, now: Date): Known {
  return { contentId, rejected, acceptedAt: now, unheard: left && !rejected, exists: true };
}

/**
 * Whether an equal transaction of a moment ago is this one. Of mail that was taken only two cases are: the first one's client was
 * gone before its answer (RFC 1047), or this one's client is gone, and the equal one was taken after this one had begun to come. Whoever heard 250 twice
 * sent twice. A rejection is no answer to mail that is taken by now, and neither is a digest of which no message is there.
 */
function repeatsOne(before: Known, claim: Claim, now: Date): boolean {
  if (!before.exists) return false;
  // After an unclear commit the batch is written again.
  if (before.contentId === claim.contentId) return true;
  if (now.getTime() - before.acceptedAt.getTime() > REPEAT_MS) return false;
  if (before.rejected) return claim.rejected;
  return before.unheard || (claim.left && claim.receivedAt <= before.acceptedAt);
}

/** Those that others hold, locked; those that nobody held are held now. */
async function lockDigests(tx: SystemTx, sorted: readonly Claim[]): Promise<Map<string, Known>> {
  if (sorted.length === 0) return new Map();
  const rows = await tx.rows<Known & { digest: Buffer; isNew: boolean }>(sql`
    insert into accepted_digests as a (digest, content_id, rejected, accepted_at)
    select c.digest, c.content_id, false, ${tx.now}
    from unnest(${sorted.map((one) => one.digest)}::bytea[], ${sorted.map((one) => one.contentId)}::text[])
      as c (digest, content_id)
    order by c.digest
    on conflict (digest) do update set digest = excluded.digest
    returning a.digest, a.content_id as "contentId", a.rejected, a.accepted_at as "acceptedAt", a.unheard, a.xmax = 0 as "isNew",
      a.xmax <> 0 and exists (select from messages m where m.content_id = a.content_id) as "exists"`);
  return new Map(rows.filter((row) => !row.isNew).map((row) => [row.digest.toString('hex'), row]));
}

async function writeDigests(tx: SystemTx, rows: readonly { readonly digest: Buffer; readonly now: Known }[]) {
  if (rows.length === 0) return;
  const pick = <T>(value: (one: Known) => T) => rows.map((row) => value(row.now));
  await tx.run(sql`
    update accepted_digests a set content_id = c.content_id, rejected = c.rejected, accepted_at = c.accepted_at, unheard = c.unheard
    from unnest(${rows.map((row) => row.digest)}::bytea[], ${pick((one) => one.contentId)}::text[],
                ${pick((one) => one.rejected)}::boolean[], ${pick((one) => one.acceptedAt)}::timestamptz[],
                ${pick((one) => one.unheard)}::boolean[]) as c (digest, content_id, rejected, accepted_at, unheard)
    where a.digest = c.digest`);
}

async function noteUnheard(tx: SystemTx, unheard: readonly Unheard[]): Promise<void> {
  if (unheard.length === 0) return;
  await tx.run(sql`
    with mine as materialized (
      select a.digest from accepted_digests a
      join unnest(${unheard.map((one) => one.digest)}::bytea[], ${unheard.map((one) => one.contentId)}::text[])
        as c (digest, content_id) using (digest, content_id)
      order by a.digest for update of a)
    update accepted_digests a set unheard = true from mine m where a.digest = m.digest and not a.rejected`);
}

/**
 * Of a node that was killed nobody knows what it still answered in its last moment: what it took after its last sign of life counts
 * as not heard. To be called before its first sign of life.
 */
export async function noteKilled(db: SystemDb, node: string): Promise<void> {
  await db.system((tx) =>
    tx.run(sql`
      update accepted_digests a set unheard = true
      from nodes n, messages m
      where n.id = ${node} and n.state = 'alive' and a.accepted_at > n.flushed_through and not a.rejected
        and m.content_id = a.content_id and m.node = n.id`),
  );
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
      insert into accepted_digests (digest, content_id, rejected, accepted_at, unheard)
      select c.digest, c.content_id, c.rejected, ${tx.now}, c.unheard
      from unnest(${sorted.map((one) => one.digest)}::bytea[], ${sorted.map((one) => one.contentId)}::text[],
                  ${sorted.map((one) => one.rejected)}::boolean[], ${sorted.map((one) => one.left && !one.rejected)}::boolean[])
        as c (digest, content_id, rejected, unheard)
      order by c.digest
      on conflict (digest) do nothing
      returning 1)
    select 1 / (case when (select count(*) from claimed) = ${sorted.length}::int then 1 else 0 end)`);
}
