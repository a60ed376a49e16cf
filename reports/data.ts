import { getBrand } from '../src/accounts/branding.ts';
import { requireClient } from '../src/accounts/clients.ts';
import { getMailboxes } from '../src/accounts/mailboxes.ts';
import { type Interval, interval, type LocalPeriod, localDate, previousPeriod } from '../src/core/period.ts';
import type { TenantTx } from '../src/db/db.ts';
import { readChanges, readHistory } from '../src/insights/history.ts';
import { readUnusual } from '../src/insights/unusual.ts';
import { readHealth, readValue } from '../src/insights/wellbeing.ts';
import { readStatistics, topMailboxes, topSenders } from '../src/rollups/read.ts';
import type { IncidentFact, ReportFacts, UsageFact } from './model.ts';

/** What comes from domains that reports may not import; handed in. */
export interface ReportDeps {
  incidents(tx: TenantTx, clientId: string, range: Interval): Promise<readonly IncidentFact[]>;
  usage(tx: TenantTx, clientId: string, days: { from: string; to: string }): Promise<readonly UsageFact[]>;
}

export interface ReportRequest {
  readonly clientId: string;
  readonly period: LocalPeriod;
  readonly version: number;
  readonly now: Date;
}

const TOP = 8;
const UNUSUAL = 2;
/** A year of days of three products. */
const USAGE_ROWS = 1_100;

/** Reads all that a report shows, in the caller's one transaction, so that its numbers belong together. */
export async function gather(deps: ReportDeps, tx: TenantTx, request: ReportRequest): Promise<ReportFacts> {
  const { clientId, period } = request;
  const range = interval(period);
  const client = await requireClient(tx, clientId);
  const brand = await getBrand(tx);
  const current = await readStatistics(tx, { clientId, period, granularity: 'DAY' });
  const previous = await readStatistics(tx, { clientId, period: previousPeriod(period), granularity: 'MONTH' });
  const senders = await topSenders(tx, clientId, range, TOP);
  const targets = await topMailboxes(tx, clientId, range, TOP);
  const mailboxes = await getMailboxes(
    tx,
    targets.map((row) => row.key),
  );
  const scope = { clientId, zone: period.zone, since: client.createdAt };
  const history = await readHistory(tx, scope, period);
  const nameOf = (id: string) => mailboxes.find((mailbox) => mailbox.id === id)?.address ?? 'a mailbox that is gone';
  return {
    clientName: client.name,
    partnerName: brand.partnerName,
    period,
    version: request.version,
    now: request.now,
    current,
    previous,
    days: current.buckets.map((bucket) => ({
      date: localDate(bucket.start, period.zone),
      complete: bucket.complete,
      future: bucket.start > request.now,
      totals: bucket.totals,
    })),
    senders: senders.map((row) => ({ name: row.key, deliveries: row.deliveries, unwanted: row.unwanted })),
    mailboxes: targets
      .filter((row) => row.unwanted > 0)
      .map((row) => ({ name: nameOf(row.key), deliveries: row.deliveries, unwanted: row.unwanted })),
    incidents: await deps.incidents(tx, clientId, range),
    usage: (await deps.usage(tx, clientId, { from: period.from, to: period.to })).slice(0, USAGE_ROWS),
    insights: {
      changes: await readChanges(tx, scope, period),
      health: await readHealth(tx, clientId, history),
      value: await readValue(tx, clientId, period),
      unusual: await readUnusual(tx, scope, history, UNUSUAL),
    },
  };
}
