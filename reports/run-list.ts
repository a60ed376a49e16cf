import type { TenantTx } from '../src/db/db.ts';
import { sql } from '../src/db/sql.ts';

/** One issue of a report for one period. Days are `YYYY-MM-DD`. */
export interface RunRow {
  readonly id: string;
  readonly clientId: string;
  readonly report: string;
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  readonly version: number;
  /** The highest version of the same report, client and period. */
  readonly newestVersion: number;
  readonly state: 'waiting' | 'rendering' | 'issued' | 'failed';
  readonly complete: boolean | null;
  readonly completeThrough: Date | null;
  readonly bytes: number | null;
  /** Lower-case hex. */
  readonly sha256: string | null;
  readonly documentState: 'none' | 'wanted' | 'sending' | 'sent' | 'failed';
  readonly error: string | null;
  readonly requestedAt: Date;
  readonly dueAt: Date;
  readonly deadlineAt: Date;
  readonly issuedAt: Date | null;
}

/** A page of report runs, the last asked for first. `after` is the last one's asking and id. */
export async function listRuns(
  tx: TenantTx,
  clientId: string | null,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<RunRow[]> {
  return tx.rows<RunRow>(sql`
    select r.id, r.client_id as "clientId", r.report, r.period_from as "from", r.period_to as "to",
           r.time_zone as "timeZone", r.version,
           (select max(n.version) from report_runs n
            where n.partner_id = r.partner_id and n.client_id = r.client_id and n.report = r.report
              and n.period_from = r.period_from and n.period_to = r.period_to) as "newestVersion", r.state, r.complete, r.complete_through as "completeThrough", r.bytes,
           encode(r.sha256, 'hex') as sha256, r.document_state as "documentState", r.error,
           r.requested_at as "requestedAt", r.due_at as "dueAt", r.deadline_at as "deadlineAt", r.issued_at as "issuedAt"
    from report_runs r
    where r.partner_id = ${tx.partnerId}
      and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
      and (${page.after?.id ?? null}::uuid is null
           or (r.requested_at, r.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by r.requested_at desc, r.id desc limit ${page.first}`);
}

/** Those of the ids that exist, in no special order. */
export async function getRuns(tx: TenantTx, ids: readonly string[]): Promise<RunRow[]> {
  return tx.rows<RunRow>(sql`
    select r.id, r.client_id as "clientId", r.report, r.period_from as "from", r.period_to as "to",
           r.time_zone as "timeZone", r.version,
           (select max(n.version) from report_runs n
            where n.partner_id = r.partner_id and n.client_id = r.client_id and n.report = r.report
              and n.period_from = r.period_from and n.period_to = r.period_to) as "newestVersion", r.state, r.complete, r.complete_through as "completeThrough", r.bytes,
           encode(r.sha256, 'hex') as sha256, r.document_state as "documentState", r.error,
           r.requested_at as "requestedAt", r.due_at as "dueAt", r.deadline_at as "deadlineAt", r.issued_at as "issuedAt"
    from report_runs r where r.partner_id = ${tx.partnerId} and r.id = any(${[...ids]}::uuid[])`);
}
