import type { LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { SystemTx } from '../db/db.ts';
import { together } from '../db/together.ts';
import { appendEvents } from '../ledger/append.ts';
import { holdOriginals, ORIGINAL_REASON, type OriginalOutcome, settleOriginals } from '../quarantine/originals.ts';
import type { AcceptedMessage } from './acceptance.ts';
import { type Attempted, recordAttempts } from './attempts.ts';
import { type Change, writeChanges } from './backoff.ts';
import { writeMessages } from './commit.ts';
import { type RouteState, recordHealth } from './health.ts';
import { type Job, makeDue, type Outcome, postpone, removeEnded, updateDeliveries } from './queue.ts';
import { countSecondChances, SECOND_CHANCE } from './secondchance.ts';

/** What a try, or the want of one, did to rows and destinations: written together. */
export interface Settlement {
  readonly outcomes: readonly Outcome[];
  readonly notices: readonly { readonly notice: AcceptedMessage | null; readonly id: string }[];
  readonly attempts: readonly Attempted[];
  /** Deliveries that were tried the second way, and whether they arrived. */
  readonly second: ReadonlyMap<string, boolean>;
  readonly states: readonly RouteState[];
  readonly changes: readonly Change[];
}

/**
 * Writes what became of many groups that a node tried, in one transaction. What is known to be ours goes in one round trip, in
 * this order.
 */
export async function settle(
  node: { readonly id: string; readonly region: string | null },
  tx: SystemTx,
  batch: readonly Settlement[],
): Promise<void> {
  const outcomes = batch.flatMap((one) => one.outcomes);
  const [ended, waiting] = await together([
    removeEnded(
      tx,
      node.id,
      outcomes.filter((one) => one.end !== 'deferred'),
    ),
    postpone(
      tx,
      node.id,
      outcomes.filter((one) => one.end === 'deferred'),
    ),
  ] as const);
  const isOurs = (id: string) => ended.has(id) || waiting.has(id);
  const ours = outcomes.filter((one) => isOurs(one.job.deliveryId));
  // An original comes after a delivery that has ended, and changes nothing of how it ended.
  const [originals, deliveries] = [ours.filter(isOriginal), ours.filter((one) => !isOriginal(one))];
  const second = new Map(batch.flatMap((one) => [...one.second]).filter(([id]) => isOurs(id)));
  // The first deferral is an event, later ones are not: n deferrals are one deferred recipient.
  const told = ours.filter(
    (one) =>
      one.end !== 'deferred' || (one.job.disposition !== 'deferred' && one.job.kind !== 'release' && !isOriginal(one)),
  );
  const messages = batch
    .flatMap((one) => one.notices)
    .flatMap(({ notice, id }) => (notice !== null && ended.has(id) ? [notice] : []));
  // The last word on each server, in one order everywhere, so that two nodes don't wait for each other.
  const states = [...new Map(batch.flatMap((one) => one.states).map((state) => [stateKey(state), state]))]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([, state]) => state);
  await together([
    updateDeliveries(tx, deliveries),
    holdOriginals(tx, stripped(deliveries)),
    settleOriginals(tx, originals.flatMap(settled)),
    recordAttempts(
      tx,
      node,
      batch.flatMap((one) => one.attempts).filter((one) => isOurs(one.deliveryId)),
    ),
    countSecondChances(tx, second.size, [...second.values()].filter((arrived) => arrived).length),
    appendEvents(
      tx,
      told.map((one) => eventOf(one, tx.now, node.id, second.get(one.job.deliveryId) === true ? [SECOND_CHANCE] : [])),
    ),
  ]);
  if (messages.length > 0) await writeMessages(tx, messages, node.id);
  await writeChanges(
    tx,
    batch.flatMap((one) => one.changes),
  );
  const came = await together(states.map((state) => recordHealth(tx, state)));
  for (const [index, state] of states.entries()) if (came[index] === true) await makeDue(tx, state.clientId);
}

const stateKey = ({ clientId, host, port }: RouteState): string => `${clientId} ${host} ${port}`;

const isOriginal = ({ job }: Outcome): boolean => job.kind === 'original';

/** The deliveries of these outcomes that went out without their files; of a forwarded copy the mailbox may have no other. */
function stripped(outcomes: readonly Outcome[]): Job[] {
  return outcomes
    .filter(({ job, disposition }) => (job.kind === 'mail' || job.kind === 'forward') && disposition === 'stripped')
    .map(({ job }) => job);
}

function settled({ job: { partnerId, deliveryId }, end, reply }: Outcome): OriginalOutcome[] {
  return end === 'deferred' ? [] : [{ partnerId, deliveryId, arrived: end === 'delivered', reply }];
}

function eventOf({ job, end, disposition }: Outcome, now: Date, node: string, reasons: readonly string[]): LedgerEvent {
  const isOriginal = job.kind === 'original';
  return {
    id: newId(),
    partnerId: job.partnerId,
    clientId: job.clientId,
    occurredAt: now,
    kind: isOriginal ? (end === 'delivered' ? 'original_released' : 'original_failed') : end,
    direction: job.direction,
    messageId: job.messageId,
    deliveryId: job.deliveryId,
    mailboxId: job.mailboxId,
    recipient: job.recipient,
    domain: job.ownDomain,
    sender: job.sender,
    verdict: job.verdict as Verdict,
    disposition: isOriginal ? 'stripped' : (disposition as Disposition),
    reasons: isOriginal ? [ORIGINAL_REASON] : reasons,
    bytes: job.bytes,
    leads: 0,
    latencyMs: end === 'delivered' && wasHeld(job) ? null : Math.max(0, now.getTime() - job.acceptedAt.getTime()),
    node,
  };
}

/** Whether a person let it go: its time in the queue began then. How long people take is not how long delivery takes. */
function wasHeld({ kind, queuedAt, acceptedAt }: Job): boolean {
  return kind !== 'release' && kind !== 'original' && queuedAt > acceptedAt;
}
