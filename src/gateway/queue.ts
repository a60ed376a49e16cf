import type { FilterClass } from '../core/message.ts';
import type { Reason } from '../core/verdict.ts';
import type { SystemTx, Tx } from '../db/db.ts';
import { type Sql, sql } from '../db/sql.ts';
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
  /** When it is given up at the latest. */
  readonly expiresAt: Date;
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

const STRANDED_MS = 60_000;
/** After so long without a sign of life a node is not at work. */
export const NODE_SILENT_MS = 120_000;

/** Says that a node of a region is at work. */
export function seenInRegion(tx: SystemTx, node: string, region: string): Promise<number> {
  return tx.run(sql`
    insert into node_regions (node, region, seen_at) values (${node}, ${region}, ${tx.now})
    on conflict (node) do update set region = excluded.region, seen_at = excluded.seen_at`);
}

/** Longer than the slowest try: several servers in turn, and ten minutes for the reply to the final dot. */
const LEASE_MS = 1_800_000;

/** Whose turn it is: a client's mail in one direction. */
export interface Lane {
  readonly partnerId: string;
  readonly clientId: string;
  readonly direction: Job['direction'];
}

/** How much a claim takes at most, and where it goes on in the circle of lanes. */
export interface Want {
  readonly lanes: number;
  /** Recipient domains of a lane, and rows of each of them. */
  readonly domains: number;
  readonly rows: number;
  /** The lane that had the last turn. */
  readonly after: Lane | null;
  /** The domain that had the last turn in a lane, by laneKey. */
  readonly afterDomains: ReadonlyMap<string, string>;
  /** Lanes (laneKey) and domains of lanes (laneKey, space, domain) that are passed over. */
  readonly fullLanes: readonly string[];
  readonly fullDomains: readonly string[];
  /** Of the node. */
  readonly region: string | null;
  /** Take only what has been due for a while and no node that is at work may deliver, to say so. */
  readonly stranded: boolean;
}

/** From the beginning, and nothing passed over, by a node that is in no region. */
export const ANY = {
  after: null,
  afterDomains: new Map<string, string>(),
  fullLanes: [],
  fullDomains: [],
  region: null,
  stranded: false,
};

export const laneKey = ({ clientId, direction }: Omit<Lane, 'partnerId'>): string => `${clientId} ${direction}`;

interface Row extends Omit<Job, 'strip' | 'forwardedFor' | 'deliveryId'> {
  /** Null: nothing was taken. */
  readonly deliveryId: string | null;
  readonly reasons: readonly Reason[];
  readonly lastLane: string | null;
}

export interface Turn {
  readonly jobs: readonly Job[];
  /** The lane that the circle has come to, whether it had anything to take or not; null: no lane had its turn. */
  readonly last: Lane | null;
}

/**
 * Leases rows that are ready and free, lane by lane and domain by domain, in the order of their due times. Other workers skip
 * them until the lease ends, which a worker that died leaves behind.
 */
export async function claim(tx: SystemTx, owner: string, want: Want): Promise<Turn> {
  const rows = await tx.rows<Row>(claimStatement(tx.now, owner, want));
  const [partnerId = '', clientId = '', direction] = rows[0]?.lastLane?.split(' ') ?? [];
  const last: Lane | null =
    direction === 'inbound' || direction === 'outbound' ? { partnerId, clientId, direction } : null;
  const jobs = rows.flatMap(({ reasons, lastLane: _, deliveryId, ...row }): Job[] => {
    if (deliveryId === null) return [];
    const strip = row.transform === 'strip' ? stripClasses(reasons) : [];
    const forwardedFor =
      row.kind === 'forward' ? (reasons.find((one) => one.code === FORWARDED_FOR)?.detail ?? null) : null;
    return [{ ...row, deliveryId, strip, forwardedFor }];
  });
  return { jobs, last };
}

/** Whether there is a strategy that no node at work may deliver for: only then `stranded` finds anything. */
export async function isAnyStranded(tx: SystemTx, region: string | null): Promise<boolean> {
  const alive = new Date(tx.now.getTime() - NODE_SILENT_MS);
  const { stranded } = await tx.one<{ stranded: boolean }>(sql`
    select exists (
      select from region_strategies s
      where coalesce(${region}::text <> all(s.regions), true)
        and not exists (select from node_regions n where n.seen_at > ${alive} and n.region = any(s.regions))) as stranded`);
  return stranded;
}

/**
 * Steps through the index queue_ready from lane to lane, and in each from domain to domain, beginning behind those that had
 * the last turn: what it reads grows with what it takes, not with what waits or is held. Lanes of which no row may be sent from
 * this node's region are passed over.
 */
export function claimStatement(now: Date, owner: string, want: Want): Sql {
  const until = new Date(now.getTime() + LEASE_MS);
  const { lanes, domains, rows, fullLanes, fullDomains, region, stranded } = want;
  const alive = new Date(now.getTime() - NODE_SILENT_MS);
  const dueBy = stranded ? new Date(now.getTime() - STRANDED_MS) : now;
  const after = want.after ?? { partnerId: NO_ID, clientId: NO_ID, direction: '' };
  const cursors = [...want.afterDomains];
  return sql`
    with recursive walk as (
      (select s.partner_id, s.client_id, s.direction, s.again from (
        (select q.partner_id, q.client_id, q.direction, false as again from queue q
         where not q.waiting and q.lease_until is null and q.held_at is null
           and (q.partner_id, q.client_id, q.direction) > (${after.partnerId}::uuid, ${after.clientId}::uuid, ${after.direction}::text)
         order by q.partner_id, q.client_id, q.direction limit 1)
        union all
        (select q.partner_id, q.client_id, q.direction, true from queue q
         where not q.waiting and q.lease_until is null and q.held_at is null
           and (q.partner_id, q.client_id, q.direction) <= (${after.partnerId}::uuid, ${after.clientId}::uuid, ${after.direction}::text)
         order by q.partner_id, q.client_id, q.direction limit 1)) as s
       order by s.again limit 1)
      union all
      select n.partner_id, n.client_id, n.direction, n.again from walk w cross join lateral (
        select s.partner_id, s.client_id, s.direction, s.again from (
          (select q.partner_id, q.client_id, q.direction, w.again from queue q
           where not q.waiting and q.lease_until is null and q.held_at is null
             and (q.partner_id, q.client_id, q.direction) > (w.partner_id, w.client_id, w.direction)
             and (not w.again
               or (q.partner_id, q.client_id, q.direction) <= (${after.partnerId}::uuid, ${after.clientId}::uuid, ${after.direction}::text))
           order by q.partner_id, q.client_id, q.direction limit 1)
          union all
          (select q.partner_id, q.client_id, q.direction, true from queue q
           where not w.again and not q.waiting and q.lease_until is null and q.held_at is null
             and (q.partner_id, q.client_id, q.direction) <= (${after.partnerId}::uuid, ${after.clientId}::uuid, ${after.direction}::text)
           order by q.partner_id, q.client_id, q.direction limit 1)) as s
        order by s.again limit 1) as n),
    lanes as (
      select w.partner_id, w.client_id, w.direction, w.client_id || ' ' || w.direction as name, s.strategies > 0 as regional
      from walk w
      cross join lateral (
        select count(*) as strategies, bool_or(t.domain is null) as for_all,
               bool_or(coalesce(${region}::text = any(t.regions), false)) as allowed,
               bool_or(not exists (select from node_regions n where n.seen_at > ${alive} and n.region = any(t.regions))) as stranded
        from region_strategies t where t.partner_id = w.partner_id and t.client_id = w.client_id) as s
      where w.client_id || ' ' || w.direction <> all(${fullLanes}::text[])
        and case when ${stranded}::boolean then s.stranded else coalesce(s.allowed or not s.for_all, true) end
      limit ${lanes}),
    due as (
      select r.partner_id, r.delivery_id
      from lanes l
      left join unnest(${cursors.map(([name]) => name)}::text[], ${cursors.map(([, domain]) => domain)}::text[])
        as c (name, domain) on c.name = l.name
      cross join lateral (
        with recursive step as (
          (select s.domain, s.again from (
            (select q.domain, false as again from queue q
             where q.partner_id = l.partner_id and q.client_id = l.client_id and q.direction = l.direction
               and not q.waiting and q.lease_until is null and q.held_at is null and q.domain > coalesce(c.domain, '')
             order by q.domain limit 1)
            union all
            (select q.domain, true from queue q
             where q.partner_id = l.partner_id and q.client_id = l.client_id and q.direction = l.direction
               and not q.waiting and q.lease_until is null and q.held_at is null and q.domain <= coalesce(c.domain, '')
             order by q.domain limit 1)) as s
           order by s.again limit 1)
          union all
          select n.domain, n.again from step t cross join lateral (
            select s.domain, s.again from (
              (select q.domain, t.again from queue q
               where q.partner_id = l.partner_id and q.client_id = l.client_id and q.direction = l.direction
                 and not q.waiting and q.lease_until is null and q.held_at is null and q.domain > t.domain
                 and (not t.again or q.domain <= coalesce(c.domain, ''))
               order by q.domain limit 1)
              union all
              (select q.domain, true from queue q
               where not t.again and q.partner_id = l.partner_id and q.client_id = l.client_id and q.direction = l.direction
                 and not q.waiting and q.lease_until is null and q.held_at is null and q.domain <= coalesce(c.domain, '')
               order by q.domain limit 1)) as s
            order by s.again limit 1) as n)
        select t.domain from step t where l.name || ' ' || t.domain <> all(${fullDomains}::text[]) limit ${domains}) as d
      cross join lateral (
        select q.partner_id, q.delivery_id from queue q
        where q.partner_id = l.partner_id and q.client_id = l.client_id and q.direction = l.direction and q.domain = d.domain
          and not q.waiting and q.lease_until is null and q.held_at is null and q.due_at <= ${dueBy}
          and case when l.regional then region_allows(q.partner_id, q.client_id, q.delivery_id, ${region}::text) else true end
            <> ${stranded}::boolean
          and not (${stranded}::boolean and exists (
            select from node_regions n
            where n.seen_at > ${alive} and region_allows(q.partner_id, q.client_id, q.delivery_id, n.region)))
        order by q.due_at limit ${rows} for update skip locked) as r),
    taken as (
      update queue q set lease_owner = ${owner}, lease_until = ${until}
      -- As arrays: the planner takes them for few, and looks the rows up instead of reading the table.
      from unnest((select array_agg(partner_id) from due), (select array_agg(delivery_id) from due)) as e (partner_id, id)
      where q.partner_id = e.partner_id and q.delivery_id = e.id
      returning q.*)
    select q.partner_id as "partnerId", q.delivery_id as "deliveryId", q.client_id as "clientId", q.message_id as "messageId",
           d.mailbox_id as "mailboxId", q.content_id as "contentId", q.sender, q.recipient, q.domain, d.domain as "ownDomain",
           q.kind, q.direction, d.transform, d.reasons, d.verdict, d.disposition, q.attempts + 1 as attempts,
           q.queued_at as "queuedAt", q.expires_at as "expiresAt", d.accepted_at as "acceptedAt", m.bytes, m.helo,
           m.remote_address as "remoteAddress", m.tls, m.received_at as "receivedAt",
           m.authentication_results as "authenticationResults", m.dsn_ret as "dsnRet", m.dsn_envid as "dsnEnvid",
           d.dsn_notify as "dsnNotify", d.dsn_orcpt as "dsnOrcpt", m.smtp_utf8 as "smtpUtf8", turn.last_lane as "lastLane"
    from (select (array_agg(l.partner_id || ' ' || l.name))[count(*)] as last_lane from lanes l) as turn
    left join taken q on true
    left join deliveries d on d.partner_id = q.partner_id and d.id = q.delivery_id
    left join messages m on m.partner_id = q.partner_id and m.id = q.message_id
    order by q.queued_at, q.delivery_id`;
}

const NO_ID = '00000000-0000-0000-0000-000000000000';

/** Makes rows ready whose time has come or whose holder's lease has ended, at most `limit`. Answers their number. */
export function wakeDue(tx: SystemTx, limit: number): Promise<number> {
  return tx.run(sql`
    with due as (
      select q.partner_id, q.delivery_id from queue q
      where (q.waiting or q.lease_until is not null) and coalesce(q.lease_until, q.due_at) <= ${tx.now} and q.held_at is null
      order by coalesce(q.lease_until, q.due_at) limit ${limit} for update skip locked)
    update queue q set waiting = q.due_at > ${tx.now}, destination = null, lease_owner = null, lease_until = null
    from unnest((select array_agg(partner_id) from due), (select array_agg(delivery_id) from due)) as e (partner_id, id)
    where q.partner_id = e.partner_id and q.delivery_id = e.id`);
}

/** Gives back rows that were leased and not tried. */
export function giveBack(tx: SystemTx, owner: string, jobs: readonly Job[]): Promise<number> {
  return tx.run(sql`
    update queue q set lease_owner = null, lease_until = null
    from unnest(${jobs.map((one) => one.partnerId)}::uuid[], ${jobs.map((one) => one.deliveryId)}::uuid[]) as e (partner_id, id)
    where q.partner_id = e.partner_id and q.delivery_id = e.id and q.lease_owner = ${owner}`);
}

/** Gives back what a process of this node held when it was killed. */
export function freeLeases(tx: SystemTx, owner: string): Promise<number> {
  return tx.run(sql`update queue set lease_owner = null, lease_until = null where lease_owner = ${owner}`);
}

/** Makes waiting mail due now: all of it, or a client's. What is held stays so. */
export function makeDue(tx: Tx, clientId: string | null): Promise<number> {
  return tx.run(sql`
    update queue set due_at = ${tx.now}
    where due_at > ${tx.now} and held_at is null and (${clientId}::uuid is null or client_id = ${clientId}::uuid)`);
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
  /** For `deferred`: the destination whose return makes it due before that. */
  readonly waitsFor?: string;
  /** It was not tried, since its destination is parked: that is no attempt. */
  readonly untried?: true;
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
    update queue q set due_at = e.due_at, waiting = true, last_reply = e.reply, attempts = e.attempts,
      destination = e.destination, lease_owner = null, lease_until = null
    from unnest(${deferred.map((one) => one.job.partnerId)}::uuid[], ${deferred.map((one) => one.job.deliveryId)}::uuid[],
                ${deferred.map((one) => one.dueAt)}::timestamptz[], ${deferred.map((one) => one.reply)}::text[],
                ${deferred.map((one) => one.job.attempts - (one.untried === true ? 1 : 0))}::int[],
                ${deferred.map((one) => one.waitsFor ?? null)}::text[])
      as e (partner_id, id, due_at, reply, attempts, destination)
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
