import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { Disposition, ReportKind } from './report.ts';

/** UTC days, `YYYY-MM-DD`, both included. */
export interface DaysOfDomain {
  readonly domain: string;
  readonly from: string;
  readonly to: string;
  /** Leave out what anybody may have written. */
  readonly authenticatedOnly: boolean;
}

export interface DmarcCounts {
  readonly messages: number;
  /** DKIM or SPF passed and was aligned: what DMARC calls a pass. */
  readonly aligned: number;
  readonly dkimAligned: number;
  readonly spfAligned: number;
}

export interface DmarcTotals extends DmarcCounts {
  readonly reports: number;
  /** Days with a report, empty ones included: on others nobody knows. */
  readonly days: number;
}

/** A report that is empty counts as a report. */
export function dmarcTotals(tx: TenantTx, of: DaysOfDomain): Promise<DmarcTotals> {
  const least = of.authenticatedOnly ? 1 : 0;
  return tx.one<DmarcTotals>(sql`
    select p.reports, p.days, coalesce(r.messages, 0)::bigint as messages, coalesce(r.aligned, 0)::bigint as aligned,
           coalesce(r.dkim, 0)::bigint as "dkimAligned", coalesce(r.spf, 0)::bigint as "spfAligned"
    from (select count(*) as reports, count(distinct day) as days from aggregate_reports
          where partner_id = ${tx.partnerId} and domain = ${of.domain} and day between ${of.from} and ${of.to}
            and kind = 'dmarc' and state = 'taken' and standing >= ${least}) as p,
         (select sum(d.messages) as messages,
                 sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned) as aligned,
                 sum(d.messages) filter (where d.dkim_aligned) as dkim, sum(d.messages) filter (where d.spf_aligned) as spf
          from dmarc_records d
          join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id and a.standing >= ${least}
          where d.partner_id = ${tx.partnerId} and d.domain = ${of.domain} and d.day between ${of.from} and ${of.to}) as r`);
}

export function dmarcByDisposition(
  tx: TenantTx,
  of: DaysOfDomain,
): Promise<{ readonly disposition: Disposition; readonly messages: number }[]> {
  return tx.rows(sql`
    select d.disposition, sum(d.messages)::bigint as messages
    from dmarc_records d
    join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id
    where d.partner_id = ${tx.partnerId} and d.domain = ${of.domain} and d.day between ${of.from} and ${of.to}
      and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by d.disposition order by d.disposition`);
}

export interface DmarcDay extends DmarcCounts {
  readonly day: string;
  readonly reports: number;
}

/** Days without a report are not in it. */
export function dmarcByDay(tx: TenantTx, of: DaysOfDomain): Promise<DmarcDay[]> {
  return tx.rows<DmarcDay>(sql`
    select a.day, count(distinct a.id) as reports, coalesce(sum(d.messages), 0)::bigint as messages,
           coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned,
           coalesce(sum(d.messages) filter (where d.dkim_aligned), 0)::bigint as "dkimAligned",
           coalesce(sum(d.messages) filter (where d.spf_aligned), 0)::bigint as "spfAligned"
    from aggregate_reports a
    left join dmarc_records d on d.partner_id = a.partner_id and d.report_id = a.id
    where a.partner_id = ${tx.partnerId} and a.domain = ${of.domain} and a.day between ${of.from} and ${of.to}
      and a.kind = 'dmarc' and a.state = 'taken' and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by a.day order by a.day`);
}

export interface DmarcOrg extends DmarcCounts {
  readonly org: string;
  readonly reports: number;
}

const ORGS_MAX = 100;

/** The reporters that saw the most, at most 100. */
export function dmarcByOrg(tx: TenantTx, of: DaysOfDomain): Promise<DmarcOrg[]> {
  return tx.rows<DmarcOrg>(sql`
    select a.org, count(distinct a.id) as reports, coalesce(sum(d.messages), 0)::bigint as messages,
           coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned,
           coalesce(sum(d.messages) filter (where d.dkim_aligned), 0)::bigint as "dkimAligned",
           coalesce(sum(d.messages) filter (where d.spf_aligned), 0)::bigint as "spfAligned"
    from aggregate_reports a
    left join dmarc_records d on d.partner_id = a.partner_id and d.report_id = a.id
    where a.partner_id = ${tx.partnerId} and a.domain = ${of.domain} and a.day between ${of.from} and ${of.to}
      and a.kind = 'dmarc' and a.state = 'taken' and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by a.org order by messages desc, a.org limit ${ORGS_MAX}`);
}

export interface DmarcSource extends DmarcCounts {
  readonly sourceIp: string;
}

/** Who sent in the name of the domain, the most first. */
export function dmarcSources(
  tx: TenantTx,
  of: DaysOfDomain,
  page: { readonly first: number; readonly after: { readonly messages: number; readonly sourceIp: string } | null },
): Promise<DmarcSource[]> {
  return tx.rows<DmarcSource>(sql`
    select host(d.source_ip) as "sourceIp", sum(d.messages)::bigint as messages,
           coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned,
           coalesce(sum(d.messages) filter (where d.dkim_aligned), 0)::bigint as "dkimAligned",
           coalesce(sum(d.messages) filter (where d.spf_aligned), 0)::bigint as "spfAligned"
    from dmarc_records d
    join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id
    where d.partner_id = ${tx.partnerId} and d.domain = ${of.domain} and d.day between ${of.from} and ${of.to}
      and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by d.source_ip
    having ${page.after?.messages ?? null}::bigint is null or sum(d.messages) < ${page.after?.messages ?? 0}::bigint
        or (sum(d.messages) = ${page.after?.messages ?? 0}::bigint and d.source_ip > ${page.after?.sourceIp ?? '0.0.0.0'}::inet)
    order by sum(d.messages) desc, d.source_ip limit ${page.first}`);
}

export type ReportState = 'taken' | 'conflict' | 'refused';

export interface ReportRow {
  readonly id: string;
  readonly clientId: string | null;
  readonly kind: ReportKind | null;
  readonly state: ReportState;
  readonly reason: string | null;
  readonly source: 'mail' | 'file';
  readonly fileName: string;
  readonly standing: number;
  readonly org: string;
  readonly contact: string;
  readonly reportId: string;
  readonly domain: string | null;
  readonly policyDomain: string;
  readonly periodFrom: Date | null;
  readonly periodTo: Date | null;
  readonly day: string | null;
  readonly records: number;
  readonly messages: number;
  readonly policy: string | null;
  readonly receivedAt: Date;
}

/** Every report, what became of it and why, the newest first. */
export function listReports(
  tx: TenantTx,
  filter: { readonly clientId: string | null; readonly domain: string | null; readonly state: ReportState | null },
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<ReportRow[]> {
  return tx.rows<ReportRow>(sql`
    select id, client_id as "clientId", kind, state, reason, source, file_name as "fileName", standing, org, contact,
           report_id as "reportId", domain, policy_domain as "policyDomain", period_from as "periodFrom",
           period_to as "periodTo", day, records, messages, policy, received_at as "receivedAt"
    from aggregate_reports
    where partner_id = ${tx.partnerId}
      and (${filter.clientId}::uuid is null or client_id = ${filter.clientId}::uuid)
      and (${filter.domain}::text is null or domain = ${filter.domain}::text)
      and (${filter.state}::text is null or state = ${filter.state}::text)
      and (${page.after?.id ?? null}::uuid is null
           or (received_at, id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by received_at desc, id desc limit ${page.first}`);
}

export function getReports(tx: TenantTx, ids: readonly string[]): Promise<ReportRow[]> {
  return tx.rows<ReportRow>(sql`
    select id, client_id as "clientId", kind, state, reason, source, file_name as "fileName", standing, org, contact,
           report_id as "reportId", domain, policy_domain as "policyDomain", period_from as "periodFrom",
           period_to as "periodTo", day, records, messages, policy, received_at as "receivedAt"
    from aggregate_reports where partner_id = ${tx.partnerId} and id = any(${[...ids]}::uuid[])`);
}

/** The local part of the domain's address for reports; null: no such domain. */
export async function reportTokenOf(tx: TenantTx, domain: string): Promise<string | null> {
  const row = await tx.maybe<{ token: string }>(sql`
    select report_token as token from domains where partner_id = ${tx.partnerId} and name = ${domain}`);
  return row?.token ?? null;
}
