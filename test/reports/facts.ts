import type { InsightFacts, ReportFacts } from '../../reports/model.ts';
import { NO_TOTALS, type Totals } from '../../src/core/counts.ts';
import { healthOf } from '../../src/insights/health.ts';
import { protectionValue, secondsOf } from '../../src/insights/value.ts';

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
    usage: Array.from({ length: 31 }, (_, index) => ({
      day: `2026-10-${String(31 - index).padStart(2, '0')}`,
      product: 'mailbox-protection',
      quantity: index < 10 ? 8 : 7,
    })),
    insights: sampleInsights(),
    ...given,
  };
}

/** What insights make of the month. */
export function sampleInsights(): InsightFacts {
  const period = { from: '2026-09-01', to: '2026-09-30', zone: 'Europe/London' };
  const none = { reference: null, difference: null, ratio: null, reason: 'not_counted' } as const;
  const year = (ratio: number) => ({ reference: 100, difference: 100 * ratio, ratio, reason: null, ...period });
  return {
    changes: [
      { metric: 'messages', value: 77_109, previous: { ...none, ...period }, lastYear: year(0.25) },
      { metric: 'deliveries', value: 90_000, previous: { ...none, ...period }, lastYear: year(-0.1) },
      { metric: 'unwanted', value: 25_000, previous: { ...none, ...period }, lastYear: { ...none, ...period } },
    ],
    health: healthOf({
      failedShare: 0.004,
      availability: 0.998,
      threatsPerMailbox: null,
      unusualDays: { unusual: 1, judged: 31 },
      openIncidents: { high: 0, critical: 0 },
    }),
    value: {
      ...protectionValue(
        new Map([
          ['spam', 20_000],
          ['phish', 4_000],
          ['malware', 1_000],
        ]),
        secondsOf(null),
      ),
      perMessage: secondsOf(null),
    },
    unusual: {
      judged: 31,
      days: 31,
      found: 1,
      told: [
        {
          date: '2026-10-13',
          title: 'much more unwanted mail than usual: 412 on 2026-10-13, where 100 is usual',
          causes: ['Sender: offers@bulk.example: 300, before 0.4 a day (96 % of the difference)'],
        },
      ],
    },
  };
}
