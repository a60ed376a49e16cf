import type { FilterClass } from '../core/message.ts';
import type { Reason } from '../core/verdict.ts';
import type { SystemTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { Transform } from './acceptance.ts';
import { FORWARDED_FOR } from './forward.ts';
import { stripClasses } from './strip.ts';

/** A row of the queue with what its delivery needs. */
export interface Job {
  readonly partnerId: string;
  readonly deliveryId: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly contentId: string;
  readonly sender: string;
  readonly recipient: string;
  /** Of the recipient's address: where it goes. */
  readonly domain: string;
  /** The protected domain that the events belong to. */
  readonly ownDomain: string;
  readonly kind: 'mail' | 'release' | 'dsn' | 'forward' | 'return' | 'original';
  readonly direction: 'inbound' | 'outbound';
  readonly transform: Transform;
  /** What a `strip` takes out. */
  readonly strip: readonly FilterClass[];
  /** Of a forwarded copy: the address that forwards. */
  readonly forwardedFor: string | null;
  readonly verdict: string;
  readonly disposition: string;
  /** Tries so far, this one included. */
  readonly attempts: number;
  readonly queuedAt: Date;
  readonly acceptedAt: Date;
  readonly bytes: number;
  readonly helo: string;
  readonly remoteAddress: string;
  readonly tls: boolean;
  readonly receivedAt: Date;
  readonly authenticationResults: string | null;
  /** What the sender asked for by RFC 3461, and whether it declared SMTPUTF8. */
  readonly dsnRet: 'FULL' | 'HDRS' | null;
  readonly dsnEnvid: string | null;
  readonly dsnNotify: string | null;
  readonly dsnOrcpt: string | null;
  readonly smtpUtf8: boolean;
}

/** Which rows a node takes: those that its region may deliver, or those that nobody takes, to say so. */
export interface ClaimRegion {
  /** Of the node. */
  readonly region: string | null;
  /** Take only what has been due for a while and no node that is at work may deliver, to say so. */
  readonly stranded?: boolean;
}

const STRANDED_MS = 60_000;
/** After so long without a sign of life a node is not at work. */
export const NODE_SILENT_MS = 120_000;

/** Says that a node of a region is at work. */
export function seenInRegion(tx: SystemTx, node: string, region: string): Promise<number> {
  return tx.run(sql`
    insert into node_regions (node, region, seen_at) values (${node}, ${region}, ${tx.now})
    on conflict (node) do update set region = excluded.region, seen_at = excluded.seen_at`);
}

const LEASE_MS = 900_000;

/** Leases rows that are due and free. Other workers skip them until the lease ends, which a worker that died leaves behind. */
export async function claim(
  tx: SystemTx,
  owner: string,
  limit: number,
  { region, stranded = false }: ClaimRegion = { region: null },
): Promise<Job[]> {
  const alive = new Date(tx.now.getTime() - NODE_SILENT_MS);
  const dueBy = stranded ? new Date(tx.now.getTime() - STRANDED_MS) : tx.now;
  const until = new Date(tx.now.getTime() + LEASE_MS);
  const rows = await tx.rows<Omit<Job, 'strip' | 'forwardedFor'> & { reasons: readonly Reason[] }>(sql`
    with due as (
      select q.partner_id, q.delivery_id from queue q
      where q.held_at is null and q.due_at <= ${dueBy} and (q.lease_until is null or q.lease_until < ${tx.now})
        -- Few clients have a strategy: the others are told apart by one hash look-up.
        and case when (q.partner_id, q.client_id) in (select s.partner_id, s.client_id from region_strategies s)
              then region_allows(q.partner_id, q.client_id, q.delivery_id, ${region}::text) else true end <> ${stranded}::boolean
        and not (${stranded}::boolean and exists (
          select from node_regions n
          where n.seen_at > ${alive} and region_allows(q.partner_id, q.client_id, q.delivery_id, n.region)))
      order by q.due_at, q.queued_at limit ${limit} for update skip locked),
    taken as (
      update queue q set lease_owner = ${owner}, lease_until = ${until}, attempts = q.attempts + 1
      from due where q.partner_id = due.partner_id and q.delivery_id = due.delivery_id
      returning q.*)
    select q.partner_id as "partnerId", q.delivery_id as "deliveryId", q.client_id as "clientId", q.message_id as "messageId",
           d.mailbox_id as "mailboxId", q.content_id as "contentId", q.sender, q.recipient, q.domain, d.domain as "ownDomain",
           q.kind, d.direction, d.transform, d.reasons, d.verdict, d.disposition, q.attempts, q.queued_at as "queuedAt",
           d.accepted_at as "acceptedAt", m.bytes, m.helo, m.remote_address as "remoteAddress", m.tls,
           m.received_at as "receivedAt", m.authentication_results as "authenticationResults",
           m.dsn_ret as "dsnRet", m.dsn_envid as "dsnEnvid", d.dsn_notify as "dsnNotify", d.dsn_orcpt as "dsnOrcpt",
           m.smtp_utf8 as "smtpUtf8"
    from taken q
    join deliveries d on d.partner_id = q.partner_id and d.id = q.delivery_id
    join messages m on m.partner_id = q.partner_id and m.id = q.message_id
    order by q.queued_at`);
  return rows.map(({ reasons, ...row }) => ({
    ...row,
    strip: row.transform === 'strip' ? stripClasses(reasons) : [],
    forwardedFor: row.kind === 'forward' ? (reasons.find((one) => one.code === FORWARDED_FOR)?.detail ?? null) : null,
  }));
}

/** Gives back what a process of this node held when it was killed. */
export function freeLeases(tx: SystemTx, owner: string): Promise<number> {
  return tx.run(sql`update queue set lease_owner = null, lease_until = null where lease_owner = ${owner}`);
}

/** Makes waiting mail due now: all of it, or a client's. */
export function makeDue(tx: Tx, clientId: string | null): Promise<number> {
  return tx.run(sql`
    update queue set due_at = ${tx.now}
    where due_at > ${tx.now} and (${clientId}::uuid is null or client_id = ${clientId}::uuid)`);
}

export type End = 'delivered' | 'bounced' | 'expired';

/** What one try did to one row. */
export interface Outcome {
  readonly job: Job;
  readonly end: End | 'deferred';
  readonly disposition: string;
  readonly reply: string;
  /** For `deferred`. */
  readonly dueAt: Date | null;
  /** The server that gave the reply; null or absent: none did. */
  readonly host?: string | null;
  /** The server tells the sender of its success itself. */
  readonly dsnTakenOver?: boolean;
}

/**
 * Removes ended rows and answers the delivery ids that were still ours: a row that somebody else ended meanwhile is not
 * ended twice (rule 2).
 */
export async function removeEnded(tx: SystemTx, owner: string, ended: readonly Outcome[]): Promise<Set<string>> {
  if (ended.length === 0) return new Set();
  const rows = await tx.rows<{ id: string }>(sql`
    delete from queue q using unnest(${ended.map((one) => one.job.partnerId)}::uuid[],
                                     ${ended.map((one) => one.job.deliveryId)}::uuid[]) as e (partner_id, id)
    where q.partner_id = e.partner_id and q.delivery_id = e.id and q.lease_owner = ${owner}
    returning q.delivery_id as id`);
  return new Set(rows.map((row) => row.id));
}

export async function postpone(tx: SystemTx, owner: string, deferred: readonly Outcome[]): Promise<Set<string>> {
  if (deferred.length === 0) return new Set();
  const rows = await tx.rows<{ id: string }>(sql`
    update queue q set due_at = e.due_at, last_reply = e.reply, lease_owner = null, lease_until = null
    from unnest(${deferred.map((one) => one.job.partnerId)}::uuid[], ${deferred.map((one) => one.job.deliveryId)}::uuid[],
                ${deferred.map((one) => one.dueAt)}::timestamptz[], ${deferred.map((one) => one.reply)}::text[])
      as e (partner_id, id, due_at, reply)
    where q.partner_id = e.partner_id and q.delivery_id = e.id and q.lease_owner = ${owner}
    returning q.delivery_id as id`);
  return new Set(rows.map((row) => row.id));
}

/** The new state of deliveries after a try. Answers those whose disposition changed by it. */
export async function updateDeliveries(tx: SystemTx, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.length === 0) return;
  await tx.run(sql`
    update deliveries d set
      disposition = e.disposition, remote_reply = e.reply,
      ended_at = case when e.ended then ${tx.now}::timestamptz end,
      released_at = case when e.disposition = 'released' then ${tx.now}::timestamptz else d.released_at end,
      release_due_at = case when e.ended then null else d.release_due_at end
    from unnest(${outcomes.map((one) => one.job.partnerId)}::uuid[], ${outcomes.map((one) => one.job.deliveryId)}::uuid[],
                ${outcomes.map((one) => one.disposition)}::text[], ${outcomes.map((one) => one.reply)}::text[],
                ${outcomes.map((one) => one.end !== 'deferred')}::boolean[]) as e (partner_id, id, disposition, reply, ended)
    where d.partner_id = e.partner_id and d.id = e.id`);
}
