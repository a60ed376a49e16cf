import { mappingOf } from '../accounts/connections.ts';
import type { Clock } from '../core/clock.ts';
import { type ErrorCode, errorCode, publicMessage } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Psa, PsaTicket } from '../core/psa.ts';
import type { SystemDb } from '../db/db.ts';
import { type Step, type TicketWork, takeWork, writeStep } from './work.ts';

export interface SyncDeps {
  readonly db: SystemDb;
  /** The connector of a partner's connection. Throws AppErrors. */
  psaFor(partnerId: string, connectionId: string): Promise<Psa>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long after a create whose answer was lost its ticket may still appear. Longer than a PSA's request limit. */
  readonly settleMs?: number;
  /** Called at each step's border, by crash tests. */
  readonly fault?: (step: string) => void;
}

const SETTLE_MS = 120_000;
const NOTE_INTERVAL_MS = 15 * 60_000;
const HELD_MS = 5 * 60_000;
const BACK_OFF_MS = 15_000;
const BACK_OFF_MAX_MS = 15 * 60_000;
const BATCH = 20;

/**
 * Brings tickets to where their incidents are, one step per incident, and answers with the number of incidents it worked on.
 *
 * A create is an intent first (committed), then a search by key, then one request. When its answer is lost nothing is done
 * until the settle time has passed and a search has shown that there is no ticket: so there is never a second one (rule 8).
 * A client that is not mapped is held with a note; its ticket is never filed elsewhere. Waiting has no age limit.
 */
export async function syncTickets(deps: SyncDeps): Promise<number> {
  const works = await deps.db.system((tx) => takeWork(tx, BATCH));
  for (const work of works) {
    try {
      await advance(deps, work);
    } catch (error) {
      // The lease ends by itself; what was begun is found again by its intent.
      deps.logger.error({ incident: work.id, err: error }, 'a ticket could not be brought forward');
    }
  }
  return works.length;
}

async function advance(deps: SyncDeps, work: TicketWork): Promise<void> {
  const connectionId = work.ticketConnectionId ?? (await connectionFor(deps, work));
  if (connectionId === null) return;
  try {
    const psa = await deps.psaFor(work.partnerId, connectionId);
    await step(deps, work, psa, connectionId);
  } catch (error) {
    await postpone(deps, work, error);
  }
}

/** The connection to use; null when the work is at rest: not mapped, or nothing to tell any more. */
async function connectionFor(deps: SyncDeps, work: TicketWork): Promise<string | null> {
  if (work.state === 'resolved' && (work.ticketState === 'wanted' || work.ticketState === 'held')) {
    await write(deps, work, { ticketState: 'none', nextAt: null, note: 'It was over before a ticket was made.' });
    return null;
  }
  const mapping = await deps.db.system((tx) => mappingOf(tx, work.partnerId, work.clientId), { readOnly: true });
  if (mapping !== null && mapping.state === 'ok') return mapping.connectionId;
  const note =
    mapping === null
      ? 'Held: the client is not mapped to a company of the PSA.'
      : `Held: the company ${mapping.companyName} was renamed, merged or made inactive in the PSA.`;
  await write(deps, work, { ticketState: 'held', nextAt: later(deps, HELD_MS), note });
  deps.logger.warn({ incident: work.id, clientId: work.clientId }, 'a ticket is held: its client is not mapped');
  return null;
}

async function step(deps: SyncDeps, work: TicketWork, psa: Psa, connectionId: string): Promise<void> {
  switch (work.ticketState) {
    case 'wanted':
    case 'held':
    case 'creating':
      return create(deps, work, psa, connectionId);
    case 'open':
    case 'resolving':
      return work.state === 'resolved' ? close(deps, work, psa) : note(deps, work, psa);
    default:
      await write(deps, work, { ticketState: work.ticketState, nextAt: null });
  }
}

async function create(deps: SyncDeps, work: TicketWork, psa: Psa, connectionId: string): Promise<void> {
  const now = deps.clock.now();
  const settle = deps.settleMs ?? SETTLE_MS;
  const mapping = await deps.db.system((tx) => mappingOf(tx, work.partnerId, work.clientId), { readOnly: true });
  if (mapping === null) return void (await connectionFor(deps, work));
  if (work.ticketState === 'creating' && work.intentAt !== null && now.getTime() < work.intentAt.getTime() + settle) {
    const found = await psa.findTickets(work.ticketKey);
    const step: Step =
      found[0] === undefined
        ? { ticketState: 'creating', nextAt: new Date(work.intentAt.getTime() + settle), attempts: work.attempts }
        : opened(deps, work, found[0], connectionId);
    return void (await write(deps, work, step));
  }
  const intent: Step = {
    ticketState: 'creating',
    nextAt: new Date(now.getTime() + settle),
    intentAt: now,
    attempts: work.attempts,
  };
  if (!(await write(deps, work, intent))) return;
  deps.fault?.('after intent');
  const held: TicketWork = { ...work, ticketState: 'creating', intentAt: now };
  try {
    const [existing] = await psa.findTickets(work.ticketKey);
    const ticket =
      existing ??
      (await psa.createTicket({
        companyId: mapping.companyId,
        title: work.title,
        description: [work.description, work.ticketNote ?? '', `Tollgate incident ${work.id}, rule ${work.rule}.`]
          .filter(Boolean)
          .join('\n\n'),
        key: work.ticketKey,
        priority: work.severity,
      }));
    deps.fault?.('after create');
    await write(deps, held, opened(deps, held, ticket, connectionId));
  } catch (error) {
    await postpone(deps, held, error);
  }
}

function opened(deps: SyncDeps, work: TicketWork, ticket: PsaTicket, connectionId: string): Step {
  return {
    ticketState: 'open',
    // Due at once when it is over already, so that its ticket is closed.
    nextAt: work.state === 'resolved' ? deps.clock.now() : null,
    note: null,
    ticket: { id: ticket.id, number: ticket.number, connectionId },
    noted: work.occurrences,
  };
}

/** A recurrence is told as one counted note, not more often than every 15 minutes. A closed ticket is not reopened by it. */
async function note(deps: SyncDeps, work: TicketWork, psa: Psa): Promise<void> {
  const fresh = work.occurrences - work.notedOccurrences;
  if (fresh <= 0 || work.ticketId === null)
    return void (await write(deps, work, { ticketState: 'open', nextAt: null }));
  const last = work.intentAt?.getTime() ?? 0;
  const now = deps.clock.now();
  if (now.getTime() < last + NOTE_INTERVAL_MS) {
    return void (await write(deps, work, { ticketState: 'open', nextAt: new Date(last + NOTE_INTERVAL_MS) }));
  }
  // Counted as told before it is sent: a note whose answer is lost is not sent twice.
  const told: Step = { ticketState: 'open', nextAt: null, noted: work.occurrences, intentAt: now };
  if (!(await write(deps, work, told))) return;
  const ticket = await psa.getTicket(work.ticketId);
  if (ticket === null || !ticket.open) return;
  await psa.addNote(ticket.id, {
    title: 'It happened again',
    text: `Seen ${fresh} more time${fresh === 1 ? '' : 's'}, ${work.occurrences} in all.`,
    internal: true,
  });
}

async function close(deps: SyncDeps, work: TicketWork, psa: Psa): Promise<void> {
  if (work.ticketId === null) return void (await write(deps, work, { ticketState: 'none', nextAt: null }));
  const ticket = await psa.getTicket(work.ticketId);
  if (ticket === null) {
    return void (await write(deps, work, {
      ticketState: 'resolved',
      nextAt: null,
      note: 'The ticket was deleted in the PSA.',
    }));
  }
  if (ticket.open) await psa.resolveTicket(ticket.id, work.resolution ?? 'It is over.');
  deps.fault?.('after resolve');
  await write(deps, work, { ticketState: 'resolved', nextAt: null, note: null });
}

const PATIENT: readonly ErrorCode[] = [
  'upstream_rejected',
  'unauthenticated',
  'forbidden',
  'config_invalid',
  'not_found',
];

/** After a failure: an unknown outcome waits for the settle time, a refusal for a person, everything else backs off. */
async function postpone(deps: SyncDeps, work: TicketWork, error: unknown): Promise<void> {
  const code = errorCode(error);
  if (code === 'internal') throw error;
  const attempts = work.attempts + 1;
  const text = `${publicMessage(error)} (${code})`;
  deps.logger.warn(
    { incident: work.id, code, attempts },
    `the PSA did not take a ticket step: ${publicMessage(error)}`,
  );
  if (work.ticketState === 'creating' && code === 'upstream_ambiguous') {
    const from = work.intentAt?.getTime() ?? deps.clock.now().getTime();
    return void (await write(deps, work, {
      ticketState: 'creating',
      nextAt: new Date(from + (deps.settleMs ?? SETTLE_MS)),
      note: text,
      attempts,
    }));
  }
  const back = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** Math.min(attempts - 1, 10));
  const wait = PATIENT.includes(code) ? BACK_OFF_MAX_MS : back;
  // Nothing was carried out, so a create may be begun anew.
  const ticketState = work.ticketState === 'creating' ? 'wanted' : work.ticketState;
  await write(deps, work, { ticketState, nextAt: later(deps, wait), note: text, attempts });
}

const later = (deps: SyncDeps, ms: number) => new Date(deps.clock.now().getTime() + ms);

function write(deps: SyncDeps, work: TicketWork, step: Step): Promise<boolean> {
  return deps.db.system((tx) => writeStep(tx, work, work.ticketState, step));
}
