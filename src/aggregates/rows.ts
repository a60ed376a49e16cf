import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type PackedReport, piecesOf } from './packed.ts';
import type { DmarcRecord, TlsPolicy, TlsResult } from './report.ts';

interface Belongs {
  readonly reportId: string;
  readonly clientId: string;
  readonly domain: string;
  /** UTC, `YYYY-MM-DD`. */
  readonly day: string;
}

/** What a taken report says, a row each, in the order that the reader gave them. */
export async function insertRows(tx: TenantTx, of: Belongs, report: PackedReport): Promise<void> {
  if (report.kind === 'dmarc') {
    await inPieces<DmarcRecord>(report.rows, (rows, after) => insertRecords(tx, of, rows, after));
    return;
  }
  await inPieces<TlsPolicy>(report.rows, (rows, after) => insertPolicies(tx, of, rows, after));
  await inPieces<TlsResult>(report.results, (rows, after) => insertResults(tx, of, rows, after));
}

/** `after`: how many went before. */
async function inPieces<T>(
  packed: Uint8Array,
  insert: (rows: readonly T[], after: number) => Promise<void>,
): Promise<void> {
  let after = 0;
  for (const rows of piecesOf<T>(packed)) {
    await insert(rows, after);
    after += rows.length;
  }
}

async function insertRecords(tx: TenantTx, of: Belongs, rows: readonly DmarcRecord[], after: number): Promise<void> {
  const pick = <T>(value: (one: DmarcRecord) => T) => rows.map(value);
  await tx.run(sql`
    insert into dmarc_records (partner_id, report_id, position, client_id, domain, day, source_ip, disposition, dkim_aligned,
                               spf_aligned, header_from, envelope_from, dkim_domain, dkim_selector, dkim_result, spf_domain,
                               spf_result, overrides, messages)
    select ${tx.partnerId}, ${of.reportId}, r.position + ${after}::integer, ${of.clientId}, ${of.domain}, ${of.day}, r.source_ip, r.disposition,
           r.dkim_aligned, r.spf_aligned, r.header_from, r.envelope_from, r.dkim_domain, r.dkim_selector, r.dkim_result,
           r.spf_domain, r.spf_result, string_to_array(r.overrides, ','), r.messages
    from unnest(${pick((one) => one.sourceIp)}::inet[], ${pick((one) => one.disposition)}::text[],
                ${pick((one) => one.dkimAligned)}::boolean[], ${pick((one) => one.spfAligned)}::boolean[],
                ${pick((one) => one.headerFrom)}::text[], ${pick((one) => one.envelopeFrom)}::text[],
                ${pick((one) => one.dkimDomain)}::text[], ${pick((one) => one.dkimSelector)}::text[],
                ${pick((one) => one.dkimResult)}::text[], ${pick((one) => one.spfDomain)}::text[],
                ${pick((one) => one.spfResult)}::text[],
                ${pick((one) => one.overrides.map((type) => type.replaceAll(',', ' ')).join(','))}::text[],
                ${pick((one) => one.messages)}::bigint[])
      with ordinality as r (source_ip, disposition, dkim_aligned, spf_aligned, header_from, envelope_from, dkim_domain,
                            dkim_selector, dkim_result, spf_domain, spf_result, overrides, messages, position)`);
}

async function insertPolicies(tx: TenantTx, of: Belongs, rows: readonly TlsPolicy[], after: number): Promise<void> {
  const pick = <T>(value: (one: TlsPolicy) => T) => rows.map(value);
  await tx.run(sql`
    insert into tls_policies (partner_id, report_id, position, client_id, domain, day, policy_type, successful, failed)
    select ${tx.partnerId}, ${of.reportId}, r.position + ${after}::integer, ${of.clientId}, ${of.domain}, ${of.day}, r.policy_type, r.successful,
           r.failed
    from unnest(${pick((one) => one.policyType)}::text[], ${pick((one) => one.successful)}::bigint[],
                ${pick((one) => one.failed)}::bigint[])
      with ordinality as r (policy_type, successful, failed, position)`);
}

async function insertResults(tx: TenantTx, of: Belongs, rows: readonly TlsResult[], after: number): Promise<void> {
  const pick = <T>(value: (one: TlsResult) => T) => rows.map(value);
  await tx.run(sql`
    insert into tls_results (partner_id, report_id, position, client_id, domain, day, policy_type, result_type, sending_mta,
                             receiving_mx, sessions)
    select ${tx.partnerId}, ${of.reportId}, r.position + ${after}::integer, ${of.clientId}, ${of.domain}, ${of.day}, r.policy_type, r.result_type,
           r.sending_mta, r.receiving_mx, r.sessions
    from unnest(${pick((one) => one.policyType)}::text[], ${pick((one) => one.resultType)}::text[],
                ${pick((one) => one.sendingMta)}::inet[], ${pick((one) => one.receivingMx)}::text[],
                ${pick((one) => one.sessions)}::bigint[])
      with ordinality as r (policy_type, result_type, sending_mta, receiving_mx, sessions, position)`);
}
