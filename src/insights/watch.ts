import { getMailboxes } from '../accounts/mailboxes.ts';
import { addDays, interval, isTimeZone, localDate } from '../core/period.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { SystemDb, TenantDb, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { completeThrough, readStatisticsOf } from '../rollups/read.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';
import { type JudgedDay, judgeDay } from './anomalies.ts';
import { fitBaseline, HISTORY_DAYS } from './baseline.ts';
import { METRICS, type Metric, readCauses, seriesOf } from './history.ts';
import { type AnomalyAlerts, insightSettings } from './settings.ts';
import { anomalyTitle, causeLines } from './words.ts';

export const ANOMALY_RULE = 'traffic.anomaly';
const BATCH = 50;
const KEPT_DAYS = 800;
/** Of so many judged clients of a zone, half with little mail: the day is a holiday there, and nobody's fault. */
const HOLIDAY_CLIENTS = 3;

interface WatchedClient {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly since: Date;
}

interface Judged {
  readonly client: WatchedClient;
  readonly days: Readonly<Record<Metric, JudgedDay>>;
}

/**
 * Judges the newest closed and completely counted day of every client, in its own zone and once, and opens or ends incidents
 * `traffic.anomaly`. A day that is not complete is not judged, and nothing is made of too few mails or too short a history.
 * Answers the number of clients that were judged.
 */
export async function watchTraffic(db: SystemDb & TenantDb): Promise<number> {
  const partners = await db.system((tx) => tx.rows<{ id: string }>(sql`select p.id from partners p order by p.id`), {
    readOnly: true,
  });
  let judged = 0;
  for (const { id } of partners) judged += await watchPartner(db, partnerId(id));
  await db.system((tx) =>
    tx.run(
      sql`delete from day_judgements where day < ${localDate(new Date(tx.now.getTime() - KEPT_DAYS * 86_400_000), 'UTC')}::date`,
    ),
  );
  return judged;
}

async function watchPartner(db: TenantDb, partner: PartnerId): Promise<number> {
  const { clients, through, now } = await db.tenant(
    partner,
    async (tx) => ({ clients: await watchedClients(tx), through: await completeThrough(tx), now: tx.now }),
    { readOnly: true },
  );
  if (through === null) return 0;
  let count = 0;
  for (const zone of new Set(clients.map((client) => client.zone).filter(isTimeZone))) {
    const day = lastCompleteDay(through, now, zone);
    const own = clients.filter((client) => client.zone === zone);
    const judged: Judged[] = [];
    for (let at = 0; at < own.length; at += BATCH) {
      judged.push(...(await db.tenant(partner, (tx) => judge(tx, own.slice(at, at + BATCH), day), { readOnly: true })));
    }
    const isHoliday = holiday(judged);
    for (const one of judged) count += await db.tenant(partner, (tx) => record(tx, one, isHoliday));
  }
  return count;
}

/** The newest day that is over in the zone and counted to its end. */
export function lastCompleteDay(through: Date, now: Date, zone: string): string {
  const day = localDate(new Date(Math.min(through.getTime(), now.getTime())), zone);
  const { end } = interval({ from: day, to: day, zone });
  return end <= through && end <= now ? day : addDays(day, -1);
}

/** Pure: whether what is low on this day is low for everybody. */
export function holiday(judged: readonly { readonly days: { readonly deliveries: JudgedDay } }[]): boolean {
  const sure = judged.filter(({ days }) => days.deliveries.score !== null);
  const low = sure.filter(({ days }) => days.deliveries.judgement === 'low');
  return sure.length >= HOLIDAY_CLIENTS && low.length * 2 >= sure.length;
}

/** Pure: which metrics of a day are told. One wave is told once: mail that is more by its unwanted part alone is that. */
export function toldOf(days: Judged['days'], isHoliday: boolean): Metric[] {
  const { deliveries, unwanted } = days;
  const excess = ({ actual, band }: JudgedDay) => (actual ?? 0) - (band?.expected ?? 0);
  if (unwanted.judgement === 'high') {
    return deliveries.judgement === 'high' && excess(unwanted) < excess(deliveries) / 2
      ? ['unwanted', 'deliveries']
      : ['unwanted'];
  }
  if (deliveries.judgement === 'high') return ['deliveries'];
  return deliveries.judgement === 'low' && !isHoliday ? ['deliveries'] : [];
}

function watchedClients(tx: TenantTx): Promise<WatchedClient[]> {
  return tx.rows<WatchedClient>(sql`
    select c.id, c.name, c.time_zone as zone, c.created_at as since from clients c
    where c.partner_id = ${tx.partnerId} and c.status = 'active' order by c.id`);
}

/** Those of the clients whose day has not been judged yet. */
async function judge(tx: TenantTx, clients: readonly WatchedClient[], day: string): Promise<Judged[]> {
  const done = await tx.rows<{ clientId: string }>(sql`
    select distinct j.client_id as "clientId" from day_judgements j
    where j.partner_id = ${tx.partnerId} and j.client_id = any(${clients.map((one) => one.id)}::uuid[]) and j.day >= ${day}::date`);
  const left = clients.filter((client) => !done.some((one) => one.clientId === client.id));
  const [first] = left;
  if (first === undefined) return [];
  const period = { from: addDays(day, -HISTORY_DAYS), to: day, zone: first.zone };
  const ids = left.map((client) => client.id);
  const found = await readStatisticsOf(tx, { clientIds: ids, period, granularity: 'DAY' });
  return left.flatMap((client) => {
    const buckets = found.get(client.id)?.buckets ?? [];
    const days = buckets.map(({ start, complete, totals }) => ({
      date: localDate(start, first.zone),
      complete,
      totals,
    }));
    if (days.at(-1)?.complete !== true) return [];
    const of = (metric: Metric) => {
      const series = seriesOf({ days }, metric);
      return judgeDay(fitBaseline(series.slice(0, -1)), series.at(-1) ?? { date: day, count: null });
    };
    return [{ client, days: { deliveries: of('deliveries'), unwanted: of('unwanted') } }];
  });
}

/** Writes the judgement and what follows from it, in one transaction. 0: another worker was first. */
async function record(tx: TenantTx, { client, days }: Judged, isHoliday: boolean): Promise<number> {
  for (const metric of METRICS) {
    const { date, judgement, actual, band, score } = days[metric];
    const written = await tx.run(sql`
      insert into day_judgements (partner_id, client_id, metric, day, judgement, actual, expected, score, judged_at)
      values (${tx.partnerId}, ${client.id}, ${metric}, ${date}, ${judgement}, ${actual}, ${band?.expected ?? null}, ${score}, ${tx.now})
      on conflict (partner_id, client_id, metric, day) do nothing`);
    if (written === 0) return 0;
  }
  const { anomalyAlerts } = await insightSettings(tx);
  const told = toldOf(days, isHoliday);
  for (const metric of METRICS) {
    const isUnusual = days[metric].judgement === 'high' || days[metric].judgement === 'low';
    if (told.includes(metric)) await tell(tx, client, metric, days[metric], anomalyAlerts);
    else if (!isUnusual) await end(tx, client, metric, days[metric]);
  }
  return 1;
}

async function tell(
  tx: TenantTx,
  client: WatchedClient,
  metric: Metric,
  judged: JudgedDay,
  alerts: AnomalyAlerts,
): Promise<void> {
  if (alerts === 'off') return;
  const scope = { clientId: client.id, zone: client.zone, since: client.since };
  const causes = await readCauses(tx, scope, judged, metric);
  const ids = causes.filter((cause) => cause.kind === 'mailbox').map((cause) => cause.key);
  const mailboxes = ids.length === 0 ? [] : await getMailboxes(tx, ids);
  const nameOf = (id: string) => mailboxes.find((one) => one.id === id)?.address ?? 'a mailbox that is gone';
  const { band, score } = judged;
  await openIncident(tx, {
    partnerId: tx.partnerId,
    clientId: client.id,
    rule: ANOMALY_RULE,
    subject: metric,
    severity: 'normal',
    title: `${client.name}: ${anomalyTitle(metric, judged)}`,
    description: [
      `Usual on such a day (${client.zone}): ${Math.round(band?.low ?? 0)} to ${Math.round(band?.high ?? 0)}. This is ${Math.abs(score ?? 0).toFixed(1)} usual deviations away.`,
      ...(causes.length === 0 ? ['No single kind of mail, sender or mailbox made up a fifth of the difference.'] : []),
      ...causeLines(causes, nameOf),
      'It ends by itself when a whole day is as usual again.',
    ].join('\n'),
    ticket: alerts === 'ticket',
  });
}

async function end(tx: TenantTx, client: WatchedClient, metric: Metric, { date, judgement }: JudgedDay): Promise<void> {
  const resolution =
    judgement === 'usual'
      ? `${date} was as usual again.`
      : 'There is too little mail by now, or too little is known of it, to say what is usual.';
  await resolveIncident(tx, {
    partnerId: tx.partnerId,
    clientId: client.id,
    rule: ANOMALY_RULE,
    subject: metric,
    resolution,
  });
}
