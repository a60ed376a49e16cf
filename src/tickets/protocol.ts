import { AppError, errorCode, publicMessage } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Psa, PsaTicket } from '../core/psa.ts';
import {
  backoff,
  isSettled,
  NOTE_EVERY_MS,
  REFUSED_MS,
  SEND_WITHIN_MS,
  type TicketPatch,
  type TicketWork,
} from './state.ts';
import { mergedNote, recurrenceNote, ticketInput } from './text.ts';

/** Another worker has taken the incident over since: this one may not write any more. */
export class LostLease extends Error {
  override readonly name = 'LostLease';
}

/** What the protocol asks of the database. Every write is fenced by the work's epoch and throws LostLease. */
export interface TicketStore {
  now(): Date;
  /** Writes and keeps the lease: an intent, before a request goes out. */
  announce(work: TicketWork, patch: TicketPatch): Promise<TicketWork>;
  /** Writes and gives the lease back. */
  finish(work: TicketWork, patch: TicketPatch): Promise<void>;
  /** Gives the lease back; the client has no company to file it under. Raises the alarm of an unmapped client. */
  hold(work: TicketWork, reason: string): Promise<void>;
  /** A technician closed the ticket: the incident ends with it. Occurrences that no note told of open a new one. */
  closedByTechnician(work: TicketWork, patch: TicketPatch): Promise<void>;
  /** The number of the latest ticket of an earlier incident of the same matter. */
  earlierNumber(work: TicketWork): Promise<string | null>;
}

export interface TicketDeps {
  readonly store: TicketStore;
  readonly logger: Logger;
  /** Called between the steps, by name: tests crash here. */
  readonly fault: (name: string) => Promise<void> | void;
}

/** Which company to file under, when the mapping is sound. */
export interface Filing {
  readonly connectionId: string;
  readonly companyId: string;
}

/** `unreachable`: the PSA does not answer or lets nobody in, so that asking it for the next incident makes no sense. */
export type StepResult = 'done' | 'unreachable';

/**
 * Takes one incident's ticket one step on (rule 8). Creating is: look for the key, commit the intent, send once. When the
 * outcome is unknown nothing is sent until the settle window has passed and the key is still not found: so a request that is
 * applied late, a lost answer and a crash at any point all end with one ticket.
 */
export async function advance(
  deps: TicketDeps,
  psa: Psa,
  work: TicketWork,
  filing: Filing | null,
): Promise<StepResult> {
  switch (work.ticketState) {
    case 'wanted':
    case 'creating':
      return create(deps, psa, work, filing);
    case 'open':
      return look(deps, psa, work);
    case 'resolving':
      return resolve(deps, psa, work);
    case 'resolved':
    case 'held':
    case 'none':
      await deps.store.finish(work, {});
      return 'done';
  }
}

async function create(deps: TicketDeps, psa: Psa, given: TicketWork, filing: Filing | null): Promise<StepResult> {
  const { store, fault } = deps;
  if (given.ticketState === 'creating' && !isSettled(given.intentAt, store.now())) {
    // Found early, it is adopted early; not found says nothing yet.
    const early = await attempt(deps, given, () => psa.findTickets(given.ticketKey));
    if (!early.ok) return early.result;
    if (early.value.length > 0) return adopt(deps, given, early.value);
    await store.finish(given, {});
    return 'done';
  }
  const found = await attempt(deps, given, () => psa.findTickets(given.ticketKey));
  if (!found.ok) return found.result;
  if (found.value.length > 0) return adopt(deps, given, found.value);
  if (filing === null) {
    await store.hold(given, 'the client is mapped to no company, or its mapping needs attention');
    return 'done';
  }
  if (given.ticketState === 'creating' && filing.connectionId !== given.connectionId) {
    // It was tried in another PSA, and is certainly not there.
    return finished(deps, given, { ticketState: 'wanted', connectionId: null, intentAt: null });
  }

  const input = ticketInput(given, filing.companyId, await store.earlierNumber(given));
  await fault('ticket.before-intent');
  const intentAt = store.now();
  const work = await store.announce(given, {
    ticketState: 'creating',
    connectionId: filing.connectionId,
    intentAt,
  });
  await fault('ticket.after-intent');
  if (store.now().getTime() - intentAt.getTime() > SEND_WITHIN_MS) {
    // This process slept: whoever looks next counts the settle window from the intent.
    return finished(deps, work, {});
  }
  let ticket: PsaTicket;
  try {
    ticket = await psa.createTicket(input);
  } catch (error) {
    return creationFailed(deps, work, error);
  }
  await fault('ticket.after-create');
  return adopt(deps, work, [ticket]);
}

async function creationFailed(deps: TicketDeps, work: TicketWork, error: unknown): Promise<StepResult> {
  if (isCertain(error)) {
    // Certainly not carried out: wanted as before.
    return failed(deps, work, error, { ticketState: 'wanted', intentAt: null, connectionId: null });
  }
  deps.logger.warn({ incident: work.id, err: error }, 'whether a ticket was created is not known; it is looked for');
  await deps.store.finish(work, {
    attempts: work.attempts + 1,
    note: 'the PSA did not say whether it created the ticket; it is looked for before anything else',
  });
  return 'unreachable';
}

/** Several tickets with one key are a person's copies: the oldest open one is ours. */
async function adopt(deps: TicketDeps, work: TicketWork, tickets: readonly PsaTicket[]): Promise<StepResult> {
  const oldestFirst = tickets.toReversed();
  const ticket = oldestFirst.find((one) => one.open) ?? oldestFirst[0];
  if (ticket === undefined) throw new AppError('internal', 'a ticket to adopt is missing');
  if (tickets.length > 1) {
    deps.logger.error({ incident: work.id, tickets: tickets.map((one) => one.number) }, 'one key on several tickets');
  }
  return finished(deps, work, {
    ticketState: 'open',
    ticketId: ticket.id,
    ticketNumber: ticket.number,
    intentAt: work.intentAt ?? deps.store.now(),
  });
}

/** An open ticket: whether it is still there, still open, still itself; then the note that is due. */
async function look(deps: TicketDeps, psa: Psa, work: TicketWork): Promise<StepResult> {
  const read = await attempt(deps, work, () => psa.getTicket(required(work.ticketId)));
  if (!read.ok) return read.result;
  const ticket = read.value;
  if (ticket === null) {
    // Deleted: the alarm must not be lost with it. The number stays, for the new ticket to refer to.
    return finished(deps, work, { ticketState: 'wanted', ticketId: null, intentAt: null });
  }
  const identity = { ticketId: ticket.id, ticketNumber: ticket.number };
  if (!ticket.open) {
    await deps.store.closedByTechnician(work, { ...identity, ticketState: 'resolved' });
    return 'done';
  }
  const now = deps.store.now();
  if (work.occurrences <= work.notedOccurrences || !isNoteDue(work, now)) return finished(deps, work, identity);

  // A note has no key to find it by: it is sent at most once, and one that is lost is told by the next, which counts all.
  const note = recurrenceNote(work);
  const announced = await deps.store.announce(work, {
    ...identity,
    notedOccurrences: work.occurrences,
    intentAt: now,
  });
  await deps.fault('ticket.after-note-intent');
  try {
    await psa.addNote(ticket.id, note);
  } catch (error) {
    const undo = isCertain(error) ? { notedOccurrences: work.notedOccurrences } : {};
    return failed(deps, announced, error, undo);
  }
  await deps.fault('ticket.after-note');
  return finished(deps, announced, {});
}

async function resolve(deps: TicketDeps, psa: Psa, work: TicketWork): Promise<StepResult> {
  const read = await attempt(deps, work, () => psa.getTicket(required(work.ticketId)));
  if (!read.ok) return read.result;
  const ticket = read.value;
  if (ticket === null)
    return finished(deps, work, { ticketState: 'resolved', note: 'the ticket was deleted in the PSA' });
  const end = { ticketState: 'resolved', ticketId: ticket.id, ticketNumber: ticket.number } as const;
  if (!ticket.open) return finished(deps, work, end);
  if (ticket.key !== work.ticketKey) {
    const announced = await deps.store.announce(work, { ...end, intentAt: deps.store.now() });
    await deps.fault('ticket.after-merged-intent');
    const told = await attempt(deps, announced, () => psa.addNote(ticket.id, mergedNote(work)), {
      ticketState: 'resolving',
    });
    return told.ok ? finished(deps, announced, {}) : told.result;
  }
  // Closing is repeatable: the port says that closing a closed ticket changes nothing.
  const resolution = work.resolution ?? 'Resolved';
  const closed = await attempt(deps, work, () => psa.resolveTicket(ticket.id, resolution));
  if (!closed.ok) return closed.result;
  await deps.fault('ticket.after-resolve');
  return finished(deps, work, end);
}

function isNoteDue(work: TicketWork, now: Date): boolean {
  return work.intentAt === null || now.getTime() - work.intentAt.getTime() >= NOTE_EVERY_MS;
}

function required(ticketId: string | null): string {
  if (ticketId === null) throw new AppError('internal', 'an open ticket has no id');
  return ticketId;
}

/** A step went well: failures are forgotten. */
async function finished(deps: TicketDeps, work: TicketWork, patch: TicketPatch): Promise<StepResult> {
  await deps.store.finish(work, { attempts: 0, note: null, ...patch });
  return 'done';
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly result: StepResult };

/** Asks the PSA something that may be repeated. `undo` goes with a failure that certainly changed nothing. */
async function attempt<T>(
  deps: TicketDeps,
  work: TicketWork,
  ask: () => Promise<T>,
  undo: TicketPatch = {},
): Promise<Attempt<T>> {
  try {
    return { ok: true, value: await ask() };
  } catch (error) {
    return { ok: false, result: await failed(deps, work, error, isCertain(error) ? undo : {}) };
  }
}

async function failed(deps: TicketDeps, work: TicketWork, error: unknown, patch: TicketPatch): Promise<StepResult> {
  const attempts = work.attempts + 1;
  const code = errorCode(error);
  const refused = code !== 'unavailable' && code !== 'upstream_ambiguous';
  const wait = refused ? REFUSED_MS : Math.max(backoff(attempts), retryAfterMs(error));
  deps.logger.warn({ incident: work.id, attempts, err: error }, 'a ticket could not be brought up to date');
  await deps.store.finish(work, {
    ...patch,
    attempts,
    note: publicMessage(error),
    nextAt: new Date(deps.store.now().getTime() + wait),
  });
  return code === 'upstream_rejected' || code === 'invalid_input' ? 'done' : 'unreachable';
}

function retryAfterMs(error: unknown): number {
  return error instanceof AppError && error.retryAfter !== undefined ? error.retryAfter * 1_000 : 0;
}

/** Whether the failure says that the PSA did nothing (see the port). Anything unforeseen counts as unclear. */
function isCertain(error: unknown): boolean {
  const code = errorCode(error);
  return code !== 'upstream_ambiguous' && code !== 'internal';
}
