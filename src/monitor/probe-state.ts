import type { ProbeResult } from '../core/probe.ts';

export const SERVER_STATES = ['up', 'slow', 'failing', 'down'] as const;
export type ServerState = (typeof SERVER_STATES)[number];

/** A client's server as the probes have seen it. */
export interface ProbedServer {
  readonly partnerId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly host: string;
  readonly port: number;
  /** Null: not known yet. */
  readonly state: ServerState | null;
  readonly since: Date | null;
  /** Probes in a row that said something else than `state`. */
  readonly strikes: number;
  readonly certificateUntil: Date | null;
}

/** Milliseconds from which an answer is slow: senders hang up after minutes, but queues grow from here on. */
export const SLOW_MS = 10_000;
/** So many probes in a row make a new state. */
export const STRIKES = 2;
export const CERTIFICATE_DAYS = 14;
const DAY_MS = 86_400_000;

export const PROBE_RULES = ['server.failing', 'server.slow', 'server.certificate'] as const;
export type ProbeRule = (typeof PROBE_RULES)[number];

export function observedState(result: ProbeResult): ServerState {
  if (result.answer === 'silent') return 'down';
  if (result.answer === 'refused') return 'failing';
  return (result.latencyMs ?? 0) >= SLOW_MS ? 'slow' : 'up';
}

/** The state after one more probe. One that differs is no change yet, the second in a row is: to what was seen last. */
export function nextState(
  before: Pick<ProbedServer, 'state' | 'since' | 'strikes'>,
  result: ProbeResult,
  now: Date,
): Pick<ProbedServer, 'state' | 'since' | 'strikes'> {
  const observed = observedState(result);
  if (observed === before.state) return { ...before, strikes: 0 };
  const strikes = before.strikes + 1;
  // That a new server is up needs no proof.
  const isSure = strikes >= STRIKES || (before.state === null && observed === 'up');
  return isSure ? { state: observed, since: now, strikes: 0 } : { ...before, strikes };
}

/** What is to be told of a server by one rule. `since` null: nothing, what was told is over, for the reason in `text`. */
export type Alarm =
  | { readonly rule: ProbeRule; readonly since: null; readonly text: string }
  | {
      readonly rule: ProbeRule;
      /** An incident seen at this time or later tells of the same thing. */
      readonly since: Date;
      readonly severity: 'normal' | 'high';
      readonly title: string;
      readonly text: string;
    };

export function serverName({ host, port }: Pick<ProbedServer, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The alarms of a server in its new state. A rule about which nothing is known by this probe is left out. */
export function alarmsOf(server: ProbedServer, result: ProbeResult, now: Date): Alarm[] {
  const alarms: Alarm[] = [];
  const name = serverName(server);
  const said = result.error === null ? '' : `\nIt said: ${result.error}`;
  if (server.state !== null && server.since !== null) {
    const states = [
      ['server.failing', 'failing', 'high', 'refuses mail', 'answers, and refuses what a delivery begins with.'],
      [
        'server.slow',
        'slow',
        'normal',
        'is slow',
        `takes ${SLOW_MS / 1000} s or longer for the beginning of a delivery.`,
      ],
    ] as const;
    for (const [rule, state, severity, title, text] of states) {
      if (server.state === state) {
        alarms.push({
          rule,
          since: server.since,
          severity,
          title: `Mail server of ${server.clientName} ${title}: ${name}`,
          text: `${name} ${text} So since ${server.since.toISOString()}.${said}`,
        });
      } else alarms.push({ rule, since: null, text: `The server is ${server.state} now.` });
    }
  }
  const until = server.certificateUntil;
  if (until !== null) {
    const warnFrom = new Date(until.getTime() - CERTIFICATE_DAYS * DAY_MS);
    if (now < warnFrom)
      alarms.push({ rule: 'server.certificate', since: null, text: 'The server has a new certificate.' });
    else {
      const isOver = now >= until;
      alarms.push({
        rule: 'server.certificate',
        // That it has ended is told once more.
        since: isOver ? until : warnFrom,
        severity: isOver ? 'high' : 'normal',
        title: `Certificate of the mail server of ${server.clientName} ${isOver ? 'has ended' : 'ends soon'}: ${name}`,
        text: `The certificate that ${name} shows behind STARTTLS ${isOver ? 'ended' : 'ends'} at ${until.toISOString()}. Senders that verify it stop delivering then.`,
      });
    }
  }
  return alarms;
}
