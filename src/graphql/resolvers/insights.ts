import type { Client } from '../../accounts/clients.ts';
import { getPartner, type Partner } from '../../accounts/partners.ts';
import { AppError } from '../../core/errors.ts';
import { interval, type LocalPeriod, localDate } from '../../core/period.ts';
import type { TenantTx } from '../../db/db.ts';
import { type Cause, type JudgedDay, judgeDays } from '../../insights/anomalies.ts';
import { type Campaign, findCampaigns } from '../../insights/campaign-rows.ts';
import type { Change } from '../../insights/comparison.ts';
import { forecast } from '../../insights/forecast.ts';
import {
  type History,
  METRICS,
  type Metric,
  readCauses,
  readChanges,
  readHistory,
  type Scope,
  seriesOf,
} from '../../insights/history.ts';
import { licenceUse } from '../../insights/licences.ts';
import { type Benchmark, benchmarks } from '../../insights/peers.ts';
import { type TargetedPerson, targetedPeople } from '../../insights/people.ts';
import { deliveryQuality } from '../../insights/quality.ts';
import { firstClientAt } from '../../insights/rows.ts';
import { type AnomalyAlerts, insightSettings, setAnomalyAlerts, setProtectionValue } from '../../insights/settings.ts';
import { readHealth, readValue } from '../../insights/wellbeing.ts';
import { completeness } from '../../rollups/read.ts';
import { connectList, type PageArgs, requireFirst } from '../connection.ts';
import type { Context } from '../context.ts';
import { payload } from '../payload.ts';
import { type PeriodArgs, requirePeriod } from './statistics.ts';
import type { Resolvers } from './types.ts';

const DAYS_MAX = 366;
const CAMPAIGN_DAYS_MAX = 92;
const FORECAST_DAYS_MAX = 92;

/** What an answer's fields share: the days are read once, by the first field that needs them. */
interface Asked {
  readonly scope: Scope;
  readonly period: LocalPeriod;
  history(): Promise<History>;
}

interface FoundAnomaly {
  readonly asked: Asked;
  readonly metric: Metric;
  readonly judged: JudgedDay;
}

async function ask(scope: Scope, args: PeriodArgs, context: Context) {
  const period = requirePeriod(args, scope.zone, DAYS_MAX);
  let history: Promise<History> | undefined;
  const asked: Asked = {
    scope,
    period,
    history() {
      history ??= context.read((tx) => readHistory(tx, scope, period));
      return history;
    },
  };
  const known = await context.read((tx) => completeness(tx, interval(period).end));
  return { ...asked, ...known, from: period.from, to: period.to, timeZone: period.zone };
}

const changeOf = ({ reason, ...change }: Change & LocalPeriod) => ({ ...change, unknown: reason });

const dayOf = ({ date, judgement, actual, band, score }: JudgedDay) => ({
  date,
  judgement,
  actual,
  expected: band?.expected ?? null,
  low: band?.low ?? null,
  high: band?.high ?? null,
  score,
});

async function anomalies(asked: Asked, args: { first: number }): Promise<FoundAnomaly[]> {
  const first = requireFirst(args.first);
  const history = await asked.history();
  return METRICS.flatMap((metric) =>
    judgeDays(seriesOf(history, metric), history.first).map((judged) => ({ asked, metric, judged })),
  )
    .filter(({ judged }) => judged.judgement === 'high' || judged.judgement === 'low')
    .sort((a, b) => Math.abs(b.judged.score ?? 0) - Math.abs(a.judged.score ?? 0))
    .slice(0, first);
}

async function foretell(asked: Asked, args: { metric: Metric; days: number }) {
  if (!Number.isInteger(args.days) || args.days < 1 || args.days > FORECAST_DAYS_MAX) {
    throw new AppError('invalid_input', `days is 1 to ${FORECAST_DAYS_MAX}`, { field: 'days' });
  }
  const days = seriesOf(await asked.history(), args.metric);
  return forecast(days.slice(0, days.findLastIndex((day) => day.count !== null) + 1), args.days);
}

async function campaignPage(
  args: PageArgs & PeriodArgs,
  scope: { readonly clientId: string | null; readonly zone: string },
  context: Context,
) {
  const range = interval(requirePeriod(args, scope.zone, CAMPAIGN_DAYS_MAX));
  const found = await context.read((tx) => findCampaigns(tx, scope.clientId, range));
  const page = await connectList(args, found.campaigns, (campaign) => [campaign.key]);
  return { ...page, complete: found.complete, completeThrough: found.completeThrough };
}

/** One of a cause's four fields: that of its kind. */
const keyOf = (kind: Cause['kind']) => (cause: Cause) => (cause.kind === kind ? cause.key : null);

const change = (context: Context, write: (tx: TenantTx) => Promise<void>) =>
  payload<{ partner: Partner | null }>({ partner: null }, () =>
    context.write(async (tx) => {
      await write(tx);
      return { partner: await getPartner(tx) };
    }),
  );

export const insightResolvers: Resolvers = {
  Query: {
    campaigns: (_: unknown, args: PageArgs & PeriodArgs & { timeZone: string }, context: Context) =>
      campaignPage(args, { clientId: null, zone: args.timeZone }, context),
  },
  Client: {
    insights: (client: Client, args: PeriodArgs, context: Context) =>
      ask({ clientId: client.id, zone: client.timeZone, since: client.createdAt }, args, context),
    campaigns: (client: Client, args: PageArgs & PeriodArgs, context: Context) =>
      campaignPage(args, { clientId: client.id, zone: client.timeZone }, context),
  },
  Partner: {
    insights: async (_: unknown, args: PeriodArgs & { timeZone: string }, context: Context) => {
      const since = (await context.read(firstClientAt)) ?? new Date(0);
      return ask({ clientId: null, zone: args.timeZone, since }, args, context);
    },
    anomalyAlerts: async (_: unknown, __: unknown, context: Context) =>
      (await context.read(insightSettings)).anomalyAlerts,
  },
  Insights: {
    changes: ({ scope, period }: Asked, _: unknown, context: Context) =>
      context.read((tx) => readChanges(tx, scope, period)),
    days: async (asked: Asked, args: { metric: Metric }) => {
      const history = await asked.history();
      return judgeDays(seriesOf(history, args.metric), history.first).map(dayOf);
    },
    anomalies,
    forecast: foretell,
    benchmarks: ({ scope, period }: Asked, _: unknown, context: Context) =>
      scope.clientId === null ? [] : context.read((tx) => benchmarks(tx, scope.clientId ?? '', period)),
    targetedPeople: ({ scope, period }: Asked, args: { first: number }, context: Context) =>
      context.read((tx) => targetedPeople(tx, scope, period, requireFirst(args.first))),
    protection: async ({ scope, period }: Asked, _: unknown, context: Context) => {
      const value = await context.read((tx) => readValue(tx, scope.clientId, period));
      if (value === null) return null;
      const byVerdict = value.byVerdict.map(({ verdict, deliveries, seconds }) => ({
        verdict,
        deliveries,
        secondsPerMessage: value.perMessage[verdict],
        secondsSaved: seconds,
      }));
      return { ...value, byVerdict };
    },
    health: async (asked: Asked, _: unknown, context: Context) => {
      const history = await asked.history();
      const { score, components } = await context.read((tx) => readHealth(tx, asked.scope.clientId, history));
      return { score, components: components.map(({ part, points, max }) => ({ part, points, maximum: max })) };
    },
    licences: ({ scope, period }: Asked, _: unknown, context: Context) =>
      context.read((tx) => {
        const today = localDate(tx.now, period.zone);
        return licenceUse(tx, scope.clientId, [today, period.to].sort()[0] ?? today);
      }),
    delivery: async ({ scope, period }: Asked, _: unknown, context: Context) => {
      const found = await context.read((tx) => deliveryQuality(tx, scope.clientId, period));
      const shown = ({ available, knownShare }: (typeof found)['availability']) => ({
        availability: available,
        availabilityKnown: knownShare,
      });
      return {
        ...found,
        ...shown(found.availability),
        servers: found.servers.map((server) => ({ ...server, ...shown(server) })),
      };
    },
  },
  MetricChange: {
    previous: (one: { previous: Change & LocalPeriod }) => changeOf(one.previous),
    lastYear: (one: { lastYear: Change & LocalPeriod }) => changeOf(one.lastYear),
  },
  Anomaly: {
    date: ({ judged }: FoundAnomaly) => judged.date,
    judgement: ({ judged }: FoundAnomaly) => judged.judgement,
    actual: ({ judged }: FoundAnomaly) => judged.actual,
    expected: ({ judged }: FoundAnomaly) => judged.band?.expected,
    score: ({ judged }: FoundAnomaly) => judged.score,
    causes: ({ asked, metric, judged }: FoundAnomaly, _: unknown, context: Context) =>
      context.read((tx) => readCauses(tx, asked.scope, judged, metric)),
  },
  AnomalyCause: {
    verdict: keyOf('verdict'),
    sender: keyOf('sender'),
    reason: keyOf('reason'),
    mailbox: (cause: Cause, _: unknown, context: Context) =>
      cause.kind === 'mailbox' ? context.loaders.mailbox.load(cause.key) : null,
  },
  Benchmark: {
    sizeFrom: ({ size }: Benchmark) => size?.[0] ?? null,
    sizeTo: ({ size }: Benchmark) => size?.[1] ?? null,
    clients: ({ standing }: Benchmark) => standing?.clients ?? null,
    own: ({ standing }: Benchmark) => standing?.own ?? null,
    lowerQuartile: ({ standing }: Benchmark) => standing?.lowerQuartile ?? null,
    median: ({ standing }: Benchmark) => standing?.median ?? null,
    upperQuartile: ({ standing }: Benchmark) => standing?.upperQuartile ?? null,
    position: ({ standing }: Benchmark) => standing?.position ?? null,
  },
  TargetedPerson: {
    mailbox: (person: TargetedPerson, _: unknown, context: Context) => context.loaders.mailbox.load(person.mailboxId),
  },
  Campaign: {
    clients: async ({ clientIds }: Campaign, _: unknown, context: Context) =>
      (await Promise.all(clientIds.map((id) => context.loaders.client.load(id)))).filter((one) => one !== null),
  },
  Mutation: {
    setProtectionValue: (
      _: unknown,
      { input }: { input: { seconds: readonly { verdict: string; seconds: number }[] } },
      context: Context,
    ) => change(context, (tx) => setProtectionValue(tx, input.seconds, context.caller.actor)),
    setAnomalyAlerts: (_: unknown, { input }: { input: { alerts: AnomalyAlerts } }, context: Context) =>
      change(context, (tx) => setAnomalyAlerts(tx, input.alerts, context.caller.actor)),
  },
};
