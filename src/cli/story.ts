import type { EventKind } from '../core/event.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { storyOf } from './trace.ts';

type Story = Awaited<ReturnType<typeof storyOf>>;

/** `2026-10-14 09:30:05`, UTC. */
export const shortTime = (at: Date): string => at.toISOString().slice(0, 19).replace('T', ' ');

/** `2026-10-14 09:30`, UTC: for lists, whose lines are short of room. */
export const minute = (at: Date): string => shortTime(at).slice(0, 16);

/** A line of a list of deliveries, for people. */
export function brief(row: {
  readonly id: string;
  readonly acceptedAt: Date;
  readonly from: string;
  readonly recipient: string;
  readonly subject: string;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
}) {
  const { id, from, recipient, subject, verdict, disposition } = row;
  return { id, 'accepted (UTC)': minute(row.acceptedAt), from, recipient, subject, what: `${verdict} ${disposition}` };
}

const EVENT_WORDS: Readonly<Record<EventKind, string>> = {
  accepted: 'accepted (250)',
  rejected: 'refused after DATA',
  refused: 'recipient refused',
  quarantined: 'put into quarantine',
  deferred: 'not taken yet, waits',
  delivered: 'delivered',
  bounced: 'refused by the server',
  expired: 'given up after days',
  discarded: 'thrown away',
  release_requested: 'let out, on its way',
  original_released: 'original delivered',
  original_failed: 'original not delivered',
};

/** The story of a delivery as a technician reads it: the message, the verdict in words, then the tables. */
export function storyForPeople(story: Story): Record<string, unknown> {
  const { message } = story;
  const fromName = message === null || message.fromName === '' ? '' : `${message.fromName} `;
  return {
    id: story.id,
    client: story.client,
    direction: story.direction,
    ...(message === null
      ? {}
      : {
          from: `${fromName}<${message.fromAddress}>`,
          sender: message.sender === '' ? '<> (a notice of a mail server)' : message.sender,
        }),
    recipient: story.recipient,
    ...(message === null
      ? {}
      : {
          subject: message.subject,
          messageId: message.headerMessageId,
          came: `from ${message.remoteAddress}, which says it is ${message.helo || 'nobody'}, ${message.tls ? 'with TLS' : 'without TLS'}`,
          bytes: message.bytes,
          authentication: message.authenticationResults,
          files: message.attachments.map((file) => `${file.name} (${file.type}, ${file.bytes} bytes)`),
        }),
    verdict: `${story.verdict}, score ${Math.round(story.score * 100) / 100}`,
    disposition: story.disposition,
    ...(story.original === null ? {} : { original: story.original }),
    lastReply: story.remoteReply,
    why: story.why,
    codes: story.reasons.map(({ code, detail }) => (detail === '' ? code : `${code} (${detail})`)),
    ...(story.eventsComplete ? {} : { older: 'the older part of its events was removed by age' }),
    events: story.events.map((event) => ({
      'at (UTC)': shortTime(event.occurredAt),
      event: EVENT_WORDS[event.kind],
      now: event.disposition,
      after: event.latencyMs === null ? null : lasted(event.latencyMs),
      node: event.node,
      // The reasons of the verdict are told above.
      why: event.kind === 'accepted' || event.kind === 'quarantined' ? '' : event.why.join('; '),
    })),
    attempts: story.attempts.map((attempt) => ({
      'at (UTC)': shortTime(attempt.at),
      server: `${attempt.host}:${attempt.port}`,
      address: attempt.address,
      tls: attempt.tlsVersion,
      took: lasted(attempt.durationMs),
      reply: attempt.reply,
    })),
  };
}

function lasted(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
