import { type Interval, interval, type LocalPeriod } from '../core/period.ts';
import type { Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { type FlowRow, readFlow } from '../rollups/flow.ts';
import { completeThrough } from '../rollups/read.ts';
import { type Availability, availabilityOf } from './availability.ts';
import { serverSegments } from './rows.ts';

/** How well inbound mail reached the client's servers. */
export interface DeliveryQuality {
  /** Handed to a server, tagged, stripped and released ones included. */
  readonly delivered: number;
  /** Those that a server answered `later` at least once in the period. */
  readonly deferred: number;
  readonly bounced: number;
  readonly expired: number;
  /** Bounced and expired, of all that ended at a server; null: none did. */
  readonly failedShare: number | null;
  readonly availability: Availability;
  readonly servers: readonly ServerAvailability[];
}

export interface ServerAvailability extends Availability {
  readonly clientId: string;
  readonly host: string;
  readonly port: number;
}

/** Pure: what the flow says of delivery. */
export function deliveryOf(
  flow: readonly FlowRow[],
): Pick<DeliveryQuality, 'delivered' | 'deferred' | 'bounced' | 'expired' | 'failedShare'> {
  const sum = (kind: FlowRow['kind']) =>
    flow.reduce((all, row) => all + (row.direction === 'inbound' && row.kind === kind ? row.deliveries : 0), 0);
  const [delivered, deferred, bounced, expired] = [sum('delivered'), sum('deferred'), sum('bounced'), sum('expired')];
  const ended = delivered + bounced + expired;
  return { delivered, deferred, bounced, expired, failedShare: ended === 0 ? null : (bounced + expired) / ended };
}

/**
 * A delivery is kept once: held, rejected, or thrown away as it came. An event `discarded` alone tells nothing: it also ends what
 * was held, when a person or its age throws it away.
 */
function isKept({ kind, disposition }: FlowRow): boolean {
  return kind === 'quarantined' || kind === 'rejected' || (kind === 'accepted' && disposition === 'discarded');
}

/** Pure: inbound deliveries that were kept from their reader, by verdict. Those released later are taken off again. */
export function keptOf(flow: readonly FlowRow[]): Map<Verdict, number> {
  const kept = new Map<Verdict, number>();
  for (const row of flow) {
    const { kind, direction, verdict, disposition, deliveries } = row;
    if (direction !== 'inbound' || verdict === '') continue;
    const sign = isKept(row) ? 1 : kind === 'delivered' && disposition === 'released' ? -1 : 0;
    if (sign !== 0) kept.set(verdict, (kept.get(verdict) ?? 0) + sign * deliveries);
  }
  // Mail that was held in an earlier period and let out in this one must not make a time saved negative.
  return new Map([...kept].map(([verdict, count]) => [verdict, Math.max(0, count)]));
}

/** The part of a period that has passed; a server is not unavailable tomorrow. */
export async function passed(tx: TenantTx, period: LocalPeriod): Promise<Interval> {
  const { start, end } = interval(period);
  return { start, end: new Date(Math.max(start.getTime(), Math.min(end.getTime(), tx.now.getTime()))) };
}

/** The part of a period that is counted; null: none of it. */
export async function counted(tx: TenantTx, period: LocalPeriod): Promise<Interval | null> {
  const { start, end } = interval(period);
  const through = await completeThrough(tx);
  if (through === null || through <= start) return null;
  return { start, end: new Date(Math.min(end.getTime(), through.getTime())) };
}

export async function deliveryQuality(
  tx: TenantTx,
  clientId: string | null,
  period: LocalPeriod,
): Promise<DeliveryQuality> {
  const flow = await readFlow(tx, clientId, interval(period));
  const range = await passed(tx, period);
  const rows = await serverSegments(tx, clientId, range);
  const byServer = new Map<string, typeof rows>();
  for (const row of rows) {
    const key = `${row.clientId} ${row.host} ${row.port}`;
    byServer.set(key, [...(byServer.get(key) ?? []), row]);
  }
  const servers = [...byServer.values()].flatMap((own) => {
    const [first] = own;
    if (first === undefined) return [];
    const { clientId: client, host, port } = first;
    return [{ clientId: client, host, port, ...availabilityOf(own, range) }];
  });
  return { ...deliveryOf(flow), availability: availabilityOf(rows, range, servers.length), servers };
}
