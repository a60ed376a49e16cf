import { newId } from '../core/id.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { PackedReport } from './packed.ts';
import { dayOf } from './report.ts';
import { insertRows } from './rows.ts';

/** How far the word of a report is to be trusted. */
export const STANDING = { anybody: 0, file: 1, authenticated: 2 } as const;
export type Standing = (typeof STANDING)[keyof typeof STANDING];

export interface Origin {
  readonly source: 'mail' | 'file';
  readonly mailId: string | null;
  readonly fileName: string;
  readonly standing: Standing;
}

export interface Outcome {
  readonly id: string;
  /** `duplicate`: known already, whatever became of it then. */
  readonly state: 'taken' | 'duplicate' | 'conflict' | 'refused';
  readonly reason: string | null;
}

/** Records that one domain and day may have: of reports that anybody may have written, and of others. */
export const ROWS_PER_DAY = { anybody: 20_000, known: 500_000 } as const;

interface Known {
  readonly id: string;
  readonly state: 'taken' | 'conflict' | 'refused';
  readonly standing: Standing;
}

/**
 * Takes a report in, once: the same again is `duplicate`; one with the same organisation, id, domain and period that says
 * something else is `conflict` and not counted, unless it stands higher than the one that is: then they change places.
 */
export async function takeReport(tx: TenantTx, report: PackedReport, origin: Origin): Promise<Outcome> {
  const { org } = report;
  const key = [report.kind, org, report.reportId, report.policyDomain, report.from.getTime(), report.to.getTime()];
  await tx.run(sql`select pg_advisory_xact_lock(hashtextextended(${JSON.stringify([tx.partnerId, ...key])}, 18))`);
  const digest = Buffer.from(report.digest);
  const known = await byDigest(tx, digest);
  const standing = Math.max(known?.standing ?? 0, origin.standing) as Standing;
  const owner = await ownerOf(tx, report.policyDomain);
  const place = { ...origin, standing, digest, known };
  if (owner === null) return refuse(tx, report, null, place, 'domain.foreign');
  if (known?.state === 'taken') {
    await tx.run(sql`
      update aggregate_reports set standing = ${standing} where partner_id = ${tx.partnerId} and id = ${known.id}`);
    return { id: known.id, state: 'duplicate', reason: null };
  }
  const winner = await tx.maybe<Known>(sql`
    select id, state, standing from aggregate_reports
    where partner_id = ${tx.partnerId} and kind = ${report.kind} and org = ${org} and report_id = ${report.reportId}
      and policy_domain = ${report.policyDomain} and period_from = ${report.from} and period_to = ${report.to}
      and state = 'taken' for update`);
  if (winner !== null && winner.standing >= standing) {
    const id = await put(tx, report, owner, place, 'conflict', 'other_content');
    return known === null
      ? { id, state: 'conflict', reason: 'other_content' }
      : { id, state: 'duplicate', reason: 'other_content' };
  }
  if (await isFlooded(tx, owner.domain, report, standing)) return refuse(tx, report, owner, place, 'flood');
  if (winner !== null) await supersede(tx, winner.id);
  const id = await put(tx, report, owner, place, 'taken', null);
  await insertRows(tx, { reportId: id, ...owner, day: dayOf(report) }, report);
  return { id, state: 'taken', reason: null };
}

/** Writes down a file that could not be read, once. `of`: its digest. */
export async function refuseFile(
  tx: TenantTx,
  of: Uint8Array,
  reason: string,
  origin: Origin,
  clientId: string | null,
): Promise<Outcome> {
  const digest = Buffer.from(of);
  const row = await tx.maybe<{ id: string }>(sql`
    insert into aggregate_reports (partner_id, id, client_id, state, reason, source, mail_id, file_name, standing, org, contact,
                                   report_id, policy_domain, digest, records, messages, received_at)
    values (${tx.partnerId}, ${newId()}, ${clientId}, 'refused', ${reason}, ${origin.source}, ${origin.mailId},
            ${origin.fileName}, ${origin.standing}, '', '', '', '', ${digest}, 0, 0, ${tx.now})
    on conflict (partner_id, digest) do nothing returning id`);
  if (row !== null) return { id: row.id, state: 'refused', reason };
  const known = await byDigest(tx, digest);
  return { id: known?.id ?? '', state: 'duplicate', reason };
}

interface Place extends Origin {
  readonly digest: Buffer;
  readonly known: Known | null;
}

interface Owner {
  readonly clientId: string;
  readonly domain: string;
}

/** The partner's domain that a name is, or lies below: the nearest. */
function ownerOf(tx: TenantTx, name: string): Promise<Owner | null> {
  const labels = name.split('.').slice(-20);
  const above = labels.map((_, index) => labels.slice(index).join('.'));
  return tx.maybe<Owner>(sql`
    select client_id as "clientId", name as domain from domains
    where partner_id = ${tx.partnerId} and name = any(${above}::text[]) order by length(name) desc limit 1`);
}

function byDigest(tx: TenantTx, digest: Buffer): Promise<Known | null> {
  return tx.maybe<Known>(sql`
    select id, state, standing from aggregate_reports where partner_id = ${tx.partnerId} and digest = ${digest} for update`);
}

async function isFlooded(tx: TenantTx, domain: string, report: PackedReport, standing: Standing): Promise<boolean> {
  const anybody = standing === STANDING.anybody;
  const row = await tx.one<{ records: number }>(sql`
    select coalesce(sum(records), 0)::bigint as records from aggregate_reports
    where partner_id = ${tx.partnerId} and domain = ${domain} and day = ${dayOf(report)} and state = 'taken'
      and (standing = 0) = ${anybody}`);
  return row.records + report.records > (anybody ? ROWS_PER_DAY.anybody : ROWS_PER_DAY.known);
}

async function refuse(
  tx: TenantTx,
  report: PackedReport,
  owner: Owner | null,
  place: Place,
  reason: string,
): Promise<Outcome> {
  const id = await put(tx, report, owner, place, 'refused', reason);
  return { id, state: place.known === null ? 'refused' : 'duplicate', reason };
}

/** The one that was counted gives way to one that stands higher. */
async function supersede(tx: TenantTx, id: string): Promise<void> {
  await tx.run(sql`
    update aggregate_reports set state = 'conflict', reason = 'superseded' where partner_id = ${tx.partnerId} and id = ${id}`);
  for (const drop of [
    sql`delete from dmarc_records where partner_id = ${tx.partnerId} and report_id = ${id}`,
    sql`delete from tls_policies where partner_id = ${tx.partnerId} and report_id = ${id}`,
    sql`delete from tls_results where partner_id = ${tx.partnerId} and report_id = ${id}`,
  ])
    await tx.run(drop);
}

/** Writes the report's row, or says anew what became of the one that is there. Answers its id. */
async function put(
  tx: TenantTx,
  report: PackedReport,
  owner: Owner | null,
  place: Place,
  state: Known['state'],
  reason: string | null,
): Promise<string> {
  const id = place.known?.id ?? newId();
  await tx.run(sql`
    insert into aggregate_reports (partner_id, id, client_id, kind, state, reason, source, mail_id, file_name, standing, org,
                                   contact, report_id, domain, policy_domain, period_from, period_to, day, digest, records,
                                   messages, policy, received_at)
    values (${tx.partnerId}, ${id}, ${owner?.clientId ?? null}, ${report.kind}, ${state}, ${reason}, ${place.source},
            ${place.mailId}, ${place.fileName}, ${place.standing}, ${report.org}, ${report.contact},
            ${report.reportId}, ${owner?.domain ?? null}, ${report.policyDomain}, ${report.from}, ${report.to},
            ${dayOf(report)}, ${place.digest}, ${report.records}, ${report.messages},
            ${report.policy}, ${tx.now})
    on conflict (partner_id, digest) do update set state = excluded.state, reason = excluded.reason,
      standing = excluded.standing, client_id = excluded.client_id, domain = excluded.domain`);
  return id;
}
