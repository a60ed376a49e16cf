import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { DaysOfDomain } from './read.ts';

export interface TlsTotals {
  readonly reports: number;
  /** Days with a report. */
  readonly days: number;
  readonly successful: number;
  readonly failed: number;
}

export async function tlsTotals(tx: TenantTx, of: DaysOfDomain): Promise<TlsTotals> {
  return tx.one<TlsTotals>(sql`
    select count(distinct a.id) as reports, count(distinct a.day) as days, coalesce(sum(p.successful), 0)::bigint as successful,
           coalesce(sum(p.failed), 0)::bigint as failed
    from aggregate_reports a
    join tls_policies p on p.partner_id = a.partner_id and p.report_id = a.id
    where a.partner_id = ${tx.partnerId} and a.domain = ${of.domain} and a.day between ${of.from} and ${of.to}
      and a.state = 'taken' and a.standing >= ${of.authenticatedOnly ? 1 : 0}`);
}

export interface TlsDay {
  readonly day: string;
  readonly policyType: string;
  readonly successful: number;
  readonly failed: number;
}

/** By day and type of policy. Days without a report are not in it. */
export function tlsByDay(tx: TenantTx, of: DaysOfDomain): Promise<TlsDay[]> {
  return tx.rows<TlsDay>(sql`
    select p.day, p.policy_type as "policyType", sum(p.successful)::bigint as successful, sum(p.failed)::bigint as failed
    from tls_policies p
    join aggregate_reports a on a.partner_id = p.partner_id and a.id = p.report_id
    where p.partner_id = ${tx.partnerId} and p.domain = ${of.domain} and p.day between ${of.from} and ${of.to}
      and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by p.day, p.policy_type order by p.day, p.policy_type`);
}

export interface TlsFailure {
  readonly policyType: string;
  readonly resultType: string;
  readonly receivingMx: string;
  /** How many different addresses of senders say so. */
  readonly sendingMtas: number;
  readonly sessions: number;
}

const FAILURES_MAX = 100;

/** Why sessions failed, as far as senders say, the most first, at most 100. */
export function tlsFailures(tx: TenantTx, of: DaysOfDomain): Promise<TlsFailure[]> {
  return tx.rows<TlsFailure>(sql`
    select r.policy_type as "policyType", r.result_type as "resultType", r.receiving_mx as "receivingMx",
           count(distinct r.sending_mta) as "sendingMtas", sum(r.sessions)::bigint as sessions
    from tls_results r
    join aggregate_reports a on a.partner_id = r.partner_id and a.id = r.report_id
    where r.partner_id = ${tx.partnerId} and r.domain = ${of.domain} and r.day between ${of.from} and ${of.to}
      and a.standing >= ${of.authenticatedOnly ? 1 : 0}
    group by r.policy_type, r.result_type, r.receiving_mx order by sum(r.sessions) desc, 1, 2, 3 limit ${FAILURES_MAX}`);
}
