import type { TicketInput, TicketNote } from '../core/psa.ts';
import type { TicketWork } from './state.ts';

const moment = (at: Date) => `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/**
 * What a technician reads. `earlier` is the number of the ticket before: of the same matter, or the one that was deleted.
 */
export function ticketInput(work: TicketWork, companyId: string, earlier: string | null): TicketInput {
  const facts = [
    `First seen: ${moment(work.openedAt)}`,
    ...(work.occurrences > 1 ? [`Seen ${work.occurrences} times, last ${moment(work.lastSeenAt)}`] : []),
    ...(work.ticketNumber === null ? [] : [`Replaces ticket ${work.ticketNumber}, which is no longer there.`]),
    ...(work.ticketNumber === null && earlier !== null ? [`Earlier ticket on this matter: ${earlier}`] : []),
    `Rule: ${work.rule}`,
    `Reference: ${work.ticketKey}`,
  ];
  return {
    companyId,
    title: work.title,
    description: `${work.description}\n\n${facts.join('\n')}`,
    key: work.ticketKey,
    priority: work.severity,
  };
}

export function recurrenceNote(work: TicketWork): TicketNote {
  const more = work.occurrences - work.notedOccurrences;
  return {
    title: `Seen ${more} more ${more === 1 ? 'time' : 'times'}`,
    text: `Seen ${work.occurrences} times in all since ${moment(work.openedAt)}, last ${moment(work.lastSeenAt)}.`,
    internal: true,
  };
}

/** For a ticket that ours was merged into: it is about more than our incident, so it is not ours to close. */
export function mergedNote(work: TicketWork): TicketNote {
  return {
    title: `Resolved: ${work.title}`,
    text: `${work.resolution ?? ''}\n\nThis ticket holds other matters too, so it stays open. Reference: ${work.ticketKey}`,
    internal: true,
  };
}
