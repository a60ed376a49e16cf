import { mappingOf } from '../accounts/connections.ts';
import type { Clock } from '../core/clock.ts';
import { errorCode, publicMessage } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Psa } from '../core/psa.ts';
import type { SystemDb } from '../db/db.ts';
import { advance, type Filing, LostLease, type TicketDeps } from './protocol.ts';
import { backoff, REFUSED_MS, type TicketWork } from './state.ts';
import { claim, type DueConnection, dueConnections, ticketStore, wakeHeld } from './store.ts';

export interface SyncDeps {
  readonly db: SystemDb;
  /** Throws AppError `not_found` when the connection is gone. */
  readonly psaFor: (connectionId: string, partnerId: string) => Promise<Psa>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called between the steps, by name: tests crash here. */
  readonly fault?: (name: string) => Promise<void> | void;
}

/** Connections that are worked on side by side, so that one slow PSA does not hold up the others. */
const PARALLEL = 8;
/** Steps per connection in one call; what is left is due at the next. */
const STEPS_MAX = 500;

/**
 * Brings all tickets whose work is due a step further, one at a time per PSA, and answers with the number of steps. Any
 * number of processes may call this at once. A PSA that does not answer costs one call, whatever is waiting for it; what
 * waits has no age limit.
 */
export async function syncTickets(deps: SyncDeps): Promise<number> {
  const due = await deps.db.system(async (tx) => {
    await wakeHeld(tx);
    return dueConnections(tx);
  });
  let steps = 0;
  const errors: unknown[] = [];
  const queue = [...due];
  const worker = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      try {
        steps += await syncConnection(deps, next);
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, due.length) }, worker));
  if (errors.length > 0) throw errors[0];
  return steps;
}

async function syncConnection(deps: SyncDeps, due: DueConnection): Promise<number> {
  const store = ticketStore(deps.db, () => deps.clock.now());
  const protocol: TicketDeps = { store, logger: deps.logger, fault: deps.fault ?? (() => undefined) };
  for (let steps = 0; steps < STEPS_MAX; steps += 1) {
    const work = await deps.db.system((tx) => claim(tx, due));
    if (work === null) return steps;
    try {
      const result = await step(deps, protocol, work, due.connectionId);
      if (result === 'unreachable') return steps + 1;
    } catch (error) {
      // Fenced off: the incident has a new worker, which is told nothing by this one.
      if (!(error instanceof LostLease)) throw error;
      deps.logger.warn({ incident: work.id }, 'a lease was lost; nothing more is written');
    }
  }
  return STEPS_MAX;
}

async function step(
  deps: SyncDeps,
  protocol: TicketDeps,
  work: TicketWork,
  connectionId: string | null,
): Promise<'done' | 'unreachable'> {
  const { store } = protocol;
  if (connectionId === null) {
    await store.hold(work, 'the client is mapped to no company, or its mapping needs attention');
    return 'done';
  }
  let psa: Psa;
  try {
    psa = await deps.psaFor(connectionId, work.partnerId);
  } catch (error) {
    return withoutPsa(deps, protocol, work, error);
  }
  return advance(protocol, psa, work, await filingOf(deps, work));
}

async function filingOf(deps: SyncDeps, work: TicketWork): Promise<Filing | null> {
  const mapping = await deps.db.system((tx) => mappingOf(tx, work.partnerId, work.clientId));
  return mapping?.state === 'ok' ? { connectionId: mapping.connectionId, companyId: mapping.companyId } : null;
}

/** The connection was removed, or its credentials do not open. */
async function withoutPsa(
  deps: SyncDeps,
  protocol: TicketDeps,
  work: TicketWork,
  error: unknown,
): Promise<'done' | 'unreachable'> {
  if (errorCode(error) === 'not_found') {
    const isMade = work.ticketState === 'open' || work.ticketState === 'resolving';
    await protocol.store.finish(work, {
      ticketState: isMade ? 'none' : 'wanted',
      connectionId: null,
      intentAt: null,
      note: isMade ? 'the connection to the PSA that holds the ticket was removed' : null,
      ...(isMade ? {} : { attempts: work.attempts + 1, nextAt: new Date(deps.clock.now().getTime() + backoff(1)) }),
    });
    return 'done';
  }
  deps.logger.error({ incident: work.id, err: error }, 'a PSA connection cannot be used');
  await protocol.store.finish(work, {
    attempts: work.attempts + 1,
    note: publicMessage(error),
    nextAt: new Date(deps.clock.now().getTime() + REFUSED_MS),
  });
  return 'unreachable';
}
