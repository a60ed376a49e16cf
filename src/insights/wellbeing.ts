import type { LocalPeriod } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { type FlowRow, readFlow } from '../rollups/flow.ts';
import { judgeDays } from './anomalies.ts';
import { availabilityOf } from './availability.ts';
import { type Health, healthOf } from './health.ts';
import { type History, seriesOf } from './history.ts';
import { counted, deliveryOf, keptOf, passed } from './quality.ts';
import { mailboxCount, openIncidents, serverSegments } from './rows.ts';
import { insightSettings } from './settings.ts';
import { type ProtectionValue, protectionValue, type SecondsPerMessage } from './value.ts';

/** Of less than a day nothing is extrapolated: one attack in the first minute would be forty thousand a month. */
const DAY_MS = 86_400_000;

/** The health score of a period, from what of it is counted. The formula is in health.ts and docs/insights.md. */
export async function readHealth(
  tx: TenantTx,
  clientId: string | null,
  history: Pick<History, 'days' | 'first' | 'period'>,
): Promise<Health> {
  const { period } = history;
  const range = await counted(tx, period);
  const flow = range === null ? null : await readFlow(tx, clientId, range);
  const mailboxes = await mailboxCount(tx, clientId);
  const segments = await serverSegments(tx, clientId, await passed(tx, period));
  const incidents = await openIncidents(tx, clientId);
  return healthOf({
    failedShare: flow === null ? null : deliveryOf(flow).failedShare,
    availability: availabilityOf(segments, await passed(tx, period)).available,
    threatsPerMailbox:
      flow === null || range === null || mailboxes === 0 || !hasInbound(flow)
        ? null
        : (threatsOf(flow) / mailboxes) *
          ((30 * DAY_MS) / Math.max(DAY_MS, range.end.getTime() - range.start.getTime())),
    unusualDays: unusualDaysOf(history),
    openIncidents: incidents,
  });
}

/** Where no mail came there is nothing to say of attacks. */
function hasInbound(flow: readonly FlowRow[]): boolean {
  return flow.some(({ kind, direction }) => direction === 'inbound' && (kind === 'accepted' || kind === 'rejected'));
}

/** Attacks on the client's own people: inbound phishing and malware. */
function threatsOf(flow: readonly FlowRow[]): number {
  return flow.reduce(
    (sum, { kind, direction, verdict, deliveries }) =>
      sum +
      (direction === 'inbound' &&
      (kind === 'accepted' || kind === 'rejected') &&
      (verdict === 'phish' || verdict === 'malware')
        ? deliveries
        : 0),
    0,
  );
}

/** Days of the period whose deliveries could be judged, and those of them outside the usual band. */
export function unusualDaysOf(history: Pick<History, 'days' | 'first'>): { unusual: number; judged: number } {
  const days = judgeDays(seriesOf(history, 'deliveries'), Math.max(0, history.first));
  const unusual = days.filter(({ judgement }) => judgement === 'high' || judgement === 'low').length;
  return { unusual, judged: days.filter(({ score }) => score !== null).length };
}

export interface PeriodValue extends ProtectionValue {
  readonly perMessage: SecondsPerMessage;
}

/** Time saved in what of a period is counted; null: nothing of it is. */
export async function readValue(
  tx: TenantTx,
  clientId: string | null,
  period: LocalPeriod,
): Promise<PeriodValue | null> {
  const range = await counted(tx, period);
  const { seconds } = await insightSettings(tx);
  if (range === null) return null;
  return { ...protectionValue(keptOf(await readFlow(tx, clientId, range)), seconds), perMessage: seconds };
}
