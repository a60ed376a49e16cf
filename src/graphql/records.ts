import { getRuns, type RunRow } from '../../reports/run-list.ts';
import { type Client, getClients, listDomains } from '../accounts/clients.ts';
import { type Mapping, mappingsOf } from '../accounts/connections.ts';
import { type Credential, getCredentials } from '../accounts/credentials.ts';
import { type DkimKey, getDkimKeys } from '../accounts/dkim.ts';
import { getListEntries } from '../accounts/lists.ts';
import { getMailboxes, type Mailbox } from '../accounts/mailboxes.ts';
import { getNetworks, type SubmissionNetwork } from '../accounts/networks.ts';
import { type LimitSubject, limitsOf, type RecipientLimits, subjectKey } from '../accounts/outbound-limits.ts';
import { type OutboundPolicy, outboundPolicies } from '../accounts/policy.ts';
import { type Retention, retentionsOf } from '../accounts/retention.ts';
import { type ClientRoute, listRoutes } from '../accounts/routes.ts';
import { type ClientStrategy, listStrategies } from '../accounts/routing.ts';
import { getReports, type ReportRow } from '../aggregates/read.ts';
import {
  getPlans,
  type PlanRow,
  type SubscriptionRow,
  subscriptionsOf,
  type UsageRow,
  usageOf,
} from '../billing/read.ts';
import type { ListEntry } from '../core/message.ts';
import type { Granularity, LocalPeriod } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { type AttemptRow, deliveryAttempts } from '../ledger/attempts.ts';
import {
  type DeliveryRow,
  deliveryEvents,
  detailFrom,
  getDeliveries,
  getMessages,
  type MessageRow,
  type TraceEvent,
} from '../ledger/read.ts';
import { type ServerRow, serversOf } from '../monitor/read.ts';
import { getRequests, type ReleaseRequest } from '../quarantine/request-rows.ts';
import { readStatisticsOf, type Statistics } from '../rollups/read.ts';
import { type MailboxStatistics, readMailboxStatistics } from '../rollups/read-mailboxes.ts';
import { getIncidents, type IncidentRow } from '../tickets/read.ts';
import { byKey, groupBy, Loader } from './loaders.ts';

type Read = <T>(work: (tx: TenantTx) => Promise<T>) => Promise<T>;

export interface StatisticsKey {
  readonly clientId: string;
  readonly period: LocalPeriod;
  readonly granularity: Granularity;
}

export interface MailboxStatisticsKey {
  readonly mailboxId: string;
  readonly period: LocalPeriod;
  readonly granularity: Granularity;
}

export interface UsageKey {
  readonly clientId: string;
  readonly from: string;
  readonly to: string;
}

/** Everything that is fetched by id, each kind in one statement per level of the query. */
export interface Loaders {
  readonly client: Loader<string, Client>;
  readonly mailbox: Loader<string, Mailbox>;
  readonly listEntry: Loader<string, ListEntry>;
  readonly credential: Loader<string, Credential>;
  readonly network: Loader<string, SubmissionNetwork>;
  readonly dkimKey: Loader<string, DkimKey>;
  readonly recipientLimits: Loader<LimitSubject, RecipientLimits>;
  readonly outboundPolicy: Loader<string, OutboundPolicy>;
  readonly delivery: Loader<string, DeliveryRow>;
  readonly message: Loader<string, MessageRow>;
  readonly events: Loader<string, TraceEvent[]>;
  readonly attempts: Loader<string, AttemptRow[]>;
  readonly routes: Loader<string, ClientRoute[]>;
  readonly strategies: Loader<string, ClientStrategy[]>;
  readonly statistics: Loader<StatisticsKey, Statistics>;
  readonly mailboxStatistics: Loader<MailboxStatisticsKey, MailboxStatistics>;
  readonly incident: Loader<string, IncidentRow>;
  readonly aggregateReport: Loader<string, ReportRow>;
  readonly reportRun: Loader<string, RunRow>;
  readonly billingPlan: Loader<string, PlanRow>;
  readonly releaseRequest: Loader<string, ReleaseRequest>;
  /** Under the key ''; null while nothing was removed. */
  readonly detailFrom: Loader<string, Date>;
  readonly retention: Loader<string, { readonly clientId: string; readonly retention: Retention }>;
  readonly mapping: Loader<string, Mapping>;
  readonly subscriptions: Loader<string, SubscriptionRow[]>;
  readonly usage: Loader<UsageKey, UsageRow[]>;
  readonly servers: Loader<string, ServerRow[]>;
  readonly domains: Loader<string, { readonly clientId: string; readonly name: string }[]>;
}

export function createLoaders(read: Read): Loaders {
  return {
    client: new Loader(async (ids) => byKey(await read((tx) => getClients(tx, ids)), (row) => row.id)),
    mailbox: new Loader(async (ids) => byKey(await read((tx) => getMailboxes(tx, ids)), (row) => row.id)),
    listEntry: new Loader(async (ids) => byKey(await read((tx) => getListEntries(tx, ids)), (row) => row.id)),
    credential: new Loader(async (ids) => byKey(await read((tx) => getCredentials(tx, ids)), (row) => row.id)),
    network: new Loader(async (ids) => byKey(await read((tx) => getNetworks(tx, ids)), (row) => row.id)),
    dkimKey: new Loader(async (ids) => byKey(await read((tx) => getDkimKeys(tx, ids)), (row) => row.id)),
    recipientLimits: new Loader<LimitSubject, RecipientLimits>(
      (subjects) => read((tx) => limitsOf(tx, subjects)),
      subjectKey,
    ),
    outboundPolicy: new Loader((ids) => read((tx) => outboundPolicies(tx, ids))),
    delivery: new Loader(async (ids) => byKey(await read((tx) => getDeliveries(tx, ids)), (row) => row.id)),
    message: new Loader(async (ids) => byKey(await read((tx) => getMessages(tx, ids)), (row) => row.id)),
    events: new Loader(async (ids) => groupBy(await read((tx) => deliveryEvents(tx, ids)), (row) => row.deliveryId)),
    attempts: new Loader(async (ids) =>
      groupBy(await read((tx) => deliveryAttempts(tx, ids)), (row) => row.deliveryId),
    ),
    routes: new Loader(async (ids) => groupBy(await read((tx) => listRoutes(tx, ids)), (row) => row.clientId)),
    strategies: new Loader(async (ids) => groupBy(await read((tx) => listStrategies(tx, ids)), (row) => row.clientId)),
    statistics: new Loader((keys) => read((tx) => statistics(tx, keys)), statisticsKey),
    mailboxStatistics: new Loader((keys) => read((tx) => mailboxStatistics(tx, keys)), mailboxStatisticsKey),
    incident: new Loader(async (ids) => byKey(await read((tx) => getIncidents(tx, ids)), (row) => row.id)),
    aggregateReport: new Loader(async (ids) => byKey(await read((tx) => getReports(tx, ids)), (row) => row.id)),
    reportRun: new Loader(async (ids) => byKey(await read((tx) => getRuns(tx, ids)), (row) => row.id)),
    billingPlan: new Loader(async (ids) => byKey(await read((tx) => getPlans(tx, ids)), (row) => row.id)),
    releaseRequest: new Loader(async (ids) => byKey(await read((tx) => getRequests(tx, ids)), (row) => row.id)),
    detailFrom: new Loader(async () => {
      const from = await read(detailFrom);
      return new Map(from === null ? [] : [['', from]]);
    }),
    retention: new Loader(async (ids) => byKey(await read((tx) => retentionsOf(tx, ids)), (row) => row.clientId)),
    mapping: new Loader(async (ids) => byKey(await read((tx) => mappingsOf(tx, ids)), (row) => row.clientId)),
    subscriptions: new Loader(async (ids) =>
      groupBy(await read((tx) => subscriptionsOf(tx, ids)), (row) => row.clientId),
    ),
    usage: new Loader((keys) => read((tx) => usage(tx, keys)), usageKey),
    servers: new Loader(async (ids) => groupBy(await read((tx) => serversOf(tx, ids)), (row) => row.clientId)),
    domains: new Loader(async (ids) => groupBy(await read((tx) => listDomains(tx, ids)), (row) => row.clientId)),
  };
}

const statisticsKey = (key: StatisticsKey) => JSON.stringify([key.clientId, questionOf(key)]);
const questionOf = (key: Pick<StatisticsKey, 'period' | 'granularity'>) =>
  JSON.stringify([key.period.from, key.period.to, key.period.zone, key.granularity]);

/** One reading for each question: clients of one zone that are asked for the same days are read together. */
async function statistics(tx: TenantTx, keys: readonly StatisticsKey[]): Promise<Map<string, Statistics>> {
  const found = new Map<string, Statistics>();
  for (const group of groupBy(keys, questionOf).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const { period, granularity } = first;
    const read = await readStatisticsOf(tx, { clientIds: group.map((key) => key.clientId), period, granularity });
    for (const key of group) {
      const own = read.get(key.clientId);
      if (own !== undefined) found.set(statisticsKey(key), own);
    }
  }
  return found;
}

const mailboxStatisticsKey = (key: MailboxStatisticsKey) => JSON.stringify([key.mailboxId, questionOf(key)]);

/** The same for mailboxes. */
async function mailboxStatistics(
  tx: TenantTx,
  keys: readonly MailboxStatisticsKey[],
): Promise<Map<string, MailboxStatistics>> {
  const found = new Map<string, MailboxStatistics>();
  for (const group of groupBy(keys, questionOf).values()) {
    const [first] = group;
    if (first === undefined) continue;
    const ids = group.map((key) => key.mailboxId);
    const read = await readMailboxStatistics(tx, ids, first.period, first.granularity);
    for (const key of group) {
      const own = read.get(key.mailboxId);
      if (own !== undefined) found.set(mailboxStatisticsKey(key), own);
    }
  }
  return found;
}

const usageKey = (key: UsageKey) => `${key.clientId} ${key.from} ${key.to}`;

async function usage(tx: TenantTx, keys: readonly UsageKey[]): Promise<Map<string, UsageRow[]>> {
  const found = new Map<string, UsageRow[]>();
  for (const group of groupBy(keys, (key) => `${key.from} ${key.to}`).values()) {
    const [days] = group;
    if (days === undefined) continue;
    const rows = await usageOf(
      tx,
      group.map((key) => key.clientId),
      days,
    );
    for (const [clientId, own] of groupBy(rows, (row) => row.clientId)) found.set(usageKey({ ...days, clientId }), own);
  }
  return found;
}
