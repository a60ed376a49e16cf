import type { ReportFacts } from '../../reports/model.ts';
import { NO_TOTALS, type Totals } from '../../src/core/counts.ts';

export function totals(given: Partial<Totals>): Totals {
  return { ...NO_TOTALS, ...given };
}

/** A month with everything in it; what matters to a test is given. */
export function sampleFacts(given: Partial<ReportFacts> = {}): ReportFacts {
  const current = totals({
    messages: 77_109,
    deliveries: 90_000,
    refused: 12,
    bytes: 4_200_000_000,
    byVerdict: new Map([
      ['clean', 60_000],
      ['bulk', 5_000],
      ['spam', 20_000],
      ['phish', 4_000],
      ['malware', 1_000],
    ]),
  });
  return {
    clientName: 'Hudson Legal',
    partnerName: 'Northwind IT Services',
    period: { from: '2026-10-01', to: '2026-10-31', zone: 'Europe/London' },
    version: 1,
    now: new Date('2026-11-01T06:00:00Z'),
    current: { complete: true, completeThrough: new Date('2026-11-01T05:59:00Z'), totals: current },
    previous: {
      complete: true,
      completeThrough: new Date('2026-11-01T05:59:00Z'),
      totals: totals({ messages: 70_000, deliveries: 100_000, byVerdict: new Map([['spam', 10_000]]) }),
    },
    days: Array.from({ length: 31 }, (_, index) => ({
      date: `2026-10-${String(index + 1).padStart(2, '0')}`,
      complete: true,
      future: false,
      totals: totals({
        deliveries: 100 + index,
        byVerdict: new Map([
          ['clean', 60 + index],
          ['spam', 40],
        ]),
      }),
    })),
    senders: Array.from({ length: 60 }, (_, index) => ({
      name: `sender-${index}@mail.example`,
      deliveries: 500 - index,
      unwanted: index,
    })),
    mailboxes: [{ name: 'ava.brooks@hudson-legal.example', deliveries: 900, unwanted: 400 }],
    incidents: [
      {
        title: 'Mail server mail.hudson-legal.example:25 does not answer',
        openedAt: new Date('2026-10-12T08:00:00Z'),
        resolvedAt: new Date('2026-10-12T09:30:00Z'),
        ticketNumber: 'T20261012.0001',
      },
    ],
    usage: [{ day: '2026-10-31', product: 'mailbox-protection', quantity: 8 }],
    ...given,
  };
}
