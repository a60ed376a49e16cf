import type { SystemTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { RelayResult } from './relay.ts';

/** Why a destination is not sent to for a while. */
export type Trouble = 'no_answer' | 'closing' | 'too_many' | 'refusing';

/** What a try says of its destination: it works, it is in trouble, it refused this one for now (`soft`), or nothing. */
export type Sign = Trouble | 'ok' | 'soft' | 'nothing';

/** A row of destination_backoff. */
export interface Destination {
  readonly destination: string;
  readonly reason: Trouble;
  readonly failures: number;
  /** Null: it is open. */
  readonly parkedUntil: Date | null;
  readonly epoch: number;
  readonly slots: number | null;
  readonly slotsAt: Date | null;
}

export interface Parked extends Destination {
  readonly parkedUntil: Date;
}

const MINUTE = 60_000;
const CLIENT = { first: 15_000, max: 5 * MINUTE };
const WORLD = { first: MINUTE, max: 60 * MINUTE };
const RESTORE_MS = 2 * MINUTE;
/** A probe that has not ended by then is taken for dead, and the next one goes. */
const PROBE_MS = 5 * MINUTE;

export const serverKey = (host: string, port: number): string => `server ${host.toLowerCase()}:${port}`;
export const domainKey = (domain: string): string => `domain ${domain}`;

/**
 * Milliseconds until the next probe after `failures` of them. A client's server is asked often, one connection for all its
 * mail, so that mail flows soon after its return; a server of the world less and less.
 */
export function pauseOf(destination: string, failures: number): number {
  const { first, max } = destination.startsWith('server ') ? CLIENT : WORLD;
  return Math.min(max, first * 2 ** Math.min(20, Math.max(0, failures - 1)));
}

/** Connections at once: `full` unless it was cut, then one more for each two minutes since. */
export function slotsOf(state: Destination | undefined, full: number, now: Date): number {
  if (state === undefined || state.slots === null || state.slotsAt === null) return full;
  const back = Math.floor((now.getTime() - state.slotsAt.getTime()) / RESTORE_MS);
  return Math.max(1, Math.min(full, state.slots + back));
}

export function signOf(result: RelayResult): Sign {
  if (result.ours === true) return 'nothing';
  if (result.failure !== null) {
    if (/^421\b/.test(result.failure)) {
      return /too many|concurren|connections/i.test(result.failure) ? 'too_many' : 'closing';
    }
    // Broken off after the greeting: the server is up, and that may be one message's doing.
    return result.unreached === true && result.greeted !== true ? 'no_answer' : 'soft';
  }
  return [...result.replies.values()].every((reply) => reply.code === 451) ? 'soft' : 'ok';
}

/** A change of a destination, to be written together with what the try did to its rows. */
export type Change =
  | { readonly does: 'park'; readonly state: Destination; readonly since: Date; readonly epoch: number }
  | { readonly does: 'open'; readonly destination: string; readonly epoch: number };

export function readDestinations(tx: SystemTx, keys: readonly string[]): Promise<Destination[]> {
  return tx.rows<Destination>(sql`
    select destination, reason, failures, parked_until as "parkedUntil", epoch, slots, slots_at as "slotsAt"
    from destination_backoff where destination = any(${keys}::text[])`);
}

/** Takes the right to probe. Answers the new epoch, or null when another one has it. */
export async function takeProbe(tx: SystemTx, destination: string, epoch: number): Promise<number | null> {
  const row = await tx.maybe<{ epoch: number }>(sql`
    update destination_backoff set epoch = epoch + 1, parked_until = ${new Date(tx.now.getTime() + PROBE_MS)}
    where destination = ${destination} and epoch = ${epoch} and parked_until <= ${tx.now}
    returning epoch`);
  return row?.epoch ?? null;
}

/** Writes changes; one that an earlier change has overtaken does nothing. */
export async function writeChanges(tx: SystemTx, changes: readonly Change[]): Promise<void> {
  for (const change of changes.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)))) {
    if (change.does === 'open') {
      await tx.run(sql`
        update destination_backoff set parked_until = null, failures = 0, epoch = epoch + 1
        where destination = ${change.destination} and epoch = ${change.epoch}`);
      continue;
    }
    const { destination, reason, failures, parkedUntil, epoch, slots, slotsAt } = change.state;
    await tx.run(sql`
      insert into destination_backoff as b (destination, reason, failures, parked_until, epoch, slots, slots_at, since)
      values (${destination}, ${reason}, ${failures}, ${parkedUntil}, ${epoch}, ${slots}, ${slotsAt}, ${change.since})
      on conflict (destination) do update set reason = excluded.reason, failures = excluded.failures,
        parked_until = excluded.parked_until, epoch = excluded.epoch, slots = excluded.slots, slots_at = excluded.slots_at,
        since = case when b.failures = 0 then excluded.since else b.since end
      where b.epoch = ${change.epoch}`);
  }
}

const nameOf = (change: Change): string => (change.does === 'open' ? change.destination : change.state.destination);

/**
 * Makes due what waits for a destination: one row as a probe when its pause is over, `batch` rows when it is open again. The
 * probe is a row that was tried least, so that a message that breaks its server's connection does not stand for the others.
 * Answers the number of rows.
 */
export function wakeDestinations(tx: SystemTx, batch: number): Promise<number> {
  return tx.run(sql`
    with due as (
      select b.destination, case when b.parked_until is null then ${batch}::int else 1 end as take
      from destination_backoff b where b.parked_until <= ${tx.now} or b.parked_until is null
      order by b.parked_until nulls first limit 1000),
    woken as (
      select r.partner_id, r.delivery_id from due cross join lateral (
        select q.partner_id, q.delivery_id from queue q
        where q.destination = due.destination and q.waiting and q.lease_until is null and q.held_at is null
        order by q.attempts, q.queued_at limit due.take for update skip locked) as r)
    update queue q set waiting = false, destination = null, due_at = ${tx.now}
    from unnest((select array_agg(partner_id) from woken), (select array_agg(delivery_id) from woken)) as e (partner_id, id)
    where q.partner_id = e.partner_id and q.delivery_id = e.id`);
}

/** Forgets destinations that nothing waits for: open and whole again, or parked with their pause long over. */
export function forgetDestinations(tx: SystemTx, full: number): Promise<number> {
  return tx.run(sql`
    delete from destination_backoff b
    where not exists (select from queue q where q.destination = b.destination)
      and (b.parked_until is null or b.parked_until < ${new Date(tx.now.getTime() - WORLD.max)})
      and (b.slots is null or b.slots_at < ${new Date(tx.now.getTime() - full * RESTORE_MS)})`);
}

/** Lets the destinations be probed at once that a client's mail, or its mail to some domains, waits for. */
export function probeNow(tx: Tx, clientId: string | null, domains: readonly string[] | null = null): Promise<number> {
  return tx.run(sql`
    update destination_backoff set parked_until = ${tx.now}
    where parked_until > ${tx.now} and (${clientId}::uuid is null or destination in (
      select q.destination from queue q
      where q.client_id = ${clientId}::uuid and q.destination is not null
        and (${domains}::text[] is null or q.domain = any(${domains}::text[]))))`);
}
