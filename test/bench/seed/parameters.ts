import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What a seeded database holds. The same parameters give the same rows, but for the API key and transaction ids. */
export interface SeedParameters {
  readonly clients: number;
  /** Days (UTC) before `END`. */
  readonly days: number;
  /** Mailboxes of all clients; sizes are log-normal. */
  readonly mailboxes: number;
  /** Rows of the ledger, about; deliveries are 47 % of it. */
  readonly events: number;
  /** The last days, which have a ledger; days before it have rollups only, as after retention. */
  readonly ledgerDays: number;
}

/** The first moment after the seeded days. Fixed, so that questions name the same days at every run. */
export const END = new Date('2026-11-01T00:00:00Z');

export const DAY_MS = 86_400_000;

/** A year of so many clients with a hundred mailboxes each on average, and 10,000 rows of the ledger for each. */
export function seedOf(clients: number): SeedParameters {
  return { clients, days: 365, mailboxes: clients * 100, events: clients * 10_000, ledgerDays: 3 };
}

export const PARTNER_ID = '0192b0c0-0000-7000-8000-000000000001';
/** One small client of another partner: row-level security has something to leave out. */
export const OTHER_PARTNER_ID = '0192b0c0-0000-7000-8000-000000000002';

/** The folder of a seeded database, under the system's own for temporary files unless one is given. */
export function seedFolder(parameters: SeedParameters, home?: string): string {
  const digest = createHash('sha256').update(JSON.stringify(parameters)).digest('hex').slice(0, 8);
  return path.join(home ?? path.join(tmpdir(), 'tollgate-bench-seed'), `${parameters.clients}-clients-${digest}`);
}

/** Moments of the seed. */
export function times(parameters: SeedParameters): { start: Date; ledgerStart: Date } {
  return {
    start: new Date(END.getTime() - parameters.days * DAY_MS),
    ledgerStart: new Date(END.getTime() - parameters.ledgerDays * DAY_MS),
  };
}

export const NODE = 'bench';
