import type { Interval } from '../core/period.ts';
import type { Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { completeThrough } from '../rollups/read.ts';
import { type Cluster, clusterTraits, type TraitRow } from './campaigns.ts';

/** A wave of unwanted mail that shares a file, a link or a subject. */
export interface Campaign {
  /** The smallest message id: the same while the period and what is known of it are the same. */
  readonly key: string;
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  readonly deliveries: number;
  /** Those that reached a mailbox, by a verdict's policy or by release. */
  readonly delivered: number;
  readonly mailboxes: number;
  readonly clientIds: readonly string[];
  readonly verdicts: readonly { readonly verdict: Verdict; readonly deliveries: number }[];
  /** Envelope sender of most deliveries; empty: the null sender. */
  readonly topSender: string;
  readonly subject: string;
  /** What its messages share, the most common first, at most 5. */
  readonly traits: readonly { readonly kind: TraitRow['kind']; readonly label: string; readonly messages: number }[];
}

export interface Campaigns {
  /** Most deliveries first. */
  readonly campaigns: readonly Campaign[];
  /** False: detail of the period was removed or cut, or the period is not over. */
  readonly complete: boolean;
  readonly completeThrough: Date | null;
}

/** So many rows of a period are looked at, the newest first. */
export const TRAIT_ROWS_MAX = 30_000;
/** What makes messages a campaign: so many mailboxes, or two clients. */
export const MAILBOXES_MIN = 3;
const CLIENTS_MIN = 2;

interface SeenTrait extends TraitRow {
  readonly label: string;
}

interface SeenDelivery {
  readonly messageId: string;
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly verdict: Verdict;
  readonly disposition: string;
  readonly at: Date;
  readonly sender: string;
  readonly subject: string;
}

/**
 * Campaigns of a period. With a client: of its own deliveries only, so that nothing of other clients is in any number.
 * Unwanted mail alone counts; a message of which one recipient's policy made it wanted is unwanted for the others.
 */
export async function findCampaigns(tx: TenantTx, clientId: string | null, range: Interval): Promise<Campaigns> {
  const through = await completeThrough(tx);
  const floor = await tx.maybe<{ at: Date }>(sql`select whole_from as at from retention_floor`);
  const rows = await readTraits(tx, clientId, range);
  const isWhole = rows.length < TRAIT_ROWS_MAX && (floor === null || floor.at <= range.start);
  const known = { complete: isWhole && through !== null && through >= range.end, completeThrough: through };
  const ids = [...new Set(rows.map((row) => row.messageId))];
  const deliveries = ids.length === 0 ? [] : await readDeliveries(tx, clientId, ids);
  return { ...known, campaigns: campaignsOf(rows, deliveries) };
}

/** Pure part of `findCampaigns`. */
export function campaignsOf(rows: readonly SeenTrait[], deliveries: readonly SeenDelivery[]): Campaign[] {
  const byMessage = new Map<string, SeenDelivery[]>();
  for (const one of deliveries) {
    const own = byMessage.get(one.messageId);
    if (own === undefined) byMessage.set(one.messageId, [one]);
    else own.push(one);
  }
  const labels = new Map<string, { label: string; messages: number }>();
  for (const { kind, digest, label } of rows) {
    const trait = `${kind} ${digest}`;
    const known = labels.get(trait);
    if (known === undefined) labels.set(trait, { label, messages: 1 });
    else known.messages += 1;
  }
  return clusterTraits(rows)
    .flatMap((cluster) =>
      summarize(
        cluster,
        cluster.messageIds.flatMap((id) => byMessage.get(id) ?? []),
        labels,
      ),
    )
    .sort((a, b) => b.deliveries - a.deliveries || (a.key < b.key ? -1 : 1));
}

function summarize(
  cluster: Cluster,
  deliveries: readonly SeenDelivery[],
  labels: ReadonlyMap<string, { label: string; messages: number }>,
): Campaign[] {
  const mailboxes = new Set(deliveries.map((one) => one.mailboxId ?? one.recipient)).size;
  const clientIds = [...new Set(deliveries.map((one) => one.clientId))].sort();
  if (mailboxes < MAILBOXES_MIN && clientIds.length < CLIENTS_MIN) return [];
  const times = deliveries.map((one) => one.at.getTime());
  const traits = cluster.shared.flatMap(({ kind, digest }) => {
    const known = labels.get(`${kind} ${digest}`);
    return known === undefined ? [] : [{ kind, ...known }];
  });
  return [
    {
      key: cluster.messageIds[0] ?? '',
      firstSeen: new Date(times.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
      lastSeen: new Date(times.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)),
      deliveries: deliveries.length,
      delivered: deliveries.filter((one) => REACHED.has(one.disposition)).length,
      mailboxes,
      clientIds,
      verdicts: ranked(deliveries.map((one) => one.verdict)).map(([verdict, count]) => ({
        verdict,
        deliveries: count,
      })),
      topSender: ranked(deliveries.map((one) => one.sender))[0]?.[0] ?? '',
      subject: ranked(deliveries.map((one) => one.subject))[0]?.[0] ?? '',
      traits: traits.sort((a, b) => b.messages - a.messages || (a.label < b.label ? -1 : 1)).slice(0, 5),
    },
  ];
}

const REACHED: ReadonlySet<string> = new Set(['delivered', 'tagged', 'stripped', 'released']);

/** Values by how often they are there, the most common first. */
function ranked<T extends string>(values: readonly T[]): [T, number][] {
  const counts = new Map<T, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

function readTraits(tx: TenantTx, clientId: string | null, range: Interval): Promise<SeenTrait[]> {
  return tx.rows<SeenTrait>(sql`
    select t.message_id as "messageId", t.kind, encode(t.digest, 'hex') as digest, t.label
    from threat_traits t
    where t.partner_id = ${tx.partnerId} and t.occurred_at >= ${range.start} and t.occurred_at < ${range.end}
      and (${clientId}::uuid is null or exists (
        select from deliveries d
        where d.partner_id = t.partner_id and d.message_id = t.message_id and d.client_id = ${clientId}::uuid))
    order by t.occurred_at desc, t.message_id, t.kind, t.digest limit ${TRAIT_ROWS_MAX}`);
}

function readDeliveries(tx: TenantTx, clientId: string | null, ids: readonly string[]): Promise<SeenDelivery[]> {
  return tx.rows<SeenDelivery>(sql`
    select d.message_id as "messageId", d.client_id as "clientId", d.mailbox_id as "mailboxId", d.recipient, d.verdict,
           d.disposition, d.accepted_at as at, m.sender, m.subject
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.message_id = any(${[...ids]}::uuid[])
      and (${clientId}::uuid is null or d.client_id = ${clientId}::uuid)
      and d.verdict not in ('clean', 'bulk')`);
}
