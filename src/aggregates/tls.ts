import { z } from 'zod';
import {
  BOUNDS,
  messagesOf,
  ReportFault,
  recordsOf,
  type TlsPolicy,
  type TlsReport,
  type TlsResult,
} from './report.ts';
import { canonical, countOf, digestOf, domainWord, idWord, ipWord, periodOf, word } from './values.ts';

const text = z.unknown().transform((value) => (typeof value === 'number' ? String(value) : value));
const policySchema = z.object({
  policy: z.object({ 'policy-type': text, 'policy-domain': text }),
  summary: z.object({ 'total-successful-session-count': text, 'total-failure-session-count': text }),
  'failure-details': z
    .union([
      z.array(
        z.object({
          'result-type': text,
          'sending-mta-ip': text,
          'receiving-mx-hostname': text,
          'failed-session-count': text,
        }),
      ),
      z.null(),
    ])
    .optional(),
});
const reportSchema = z.object({
  'organization-name': text,
  'contact-info': text,
  'report-id': text,
  'date-range': z.object({ 'start-datetime': text, 'end-datetime': text }),
  policies: z.array(policySchema),
});

type Policy = z.infer<typeof policySchema>;

/**
 * Reads a TLS report (RFC 8460 section 4.4). One that speaks of several domains is several reports, one for each. Throws
 * ReportFault; nothing is taken of a report of which a part can't be read.
 */
export function readTls(source: string, now: Date): TlsReport[] {
  if (source.length > BOUNDS.json) throw new ReportFault('size');
  const parsed = reportSchema.safeParse(jsonOf(source));
  if (!parsed.success) throw new ReportFault('format');
  const { data } = parsed;
  const contact = word(data['contact-info']);
  const org = word(data['organization-name']) || contact.slice(contact.lastIndexOf('@') + 1);
  if (org === '') throw new ReportFault('org');
  const period = periodOf(data['date-range']['start-datetime'], data['date-range']['end-datetime'], now);
  const details = data.policies.reduce((sum, one) => sum + (one['failure-details']?.length ?? 0), 0);
  if (data.policies.length + details > BOUNDS.records) throw new ReportFault('records');
  const byDomain = new Map<string, Policy[]>();
  for (const one of data.policies) {
    const domain = domainWord(one.policy['policy-domain']);
    if (domain === '') throw new ReportFault('domain');
    const known = byDomain.get(domain);
    if (known === undefined) byDomain.set(domain, [one]);
    else known.push(one);
  }
  if (byDomain.size > BOUNDS.domains) throw new ReportFault('records');
  if (byDomain.size === 0) throw new ReportFault('format');
  return [...byDomain].map(([policyDomain, group]) => {
    const policies = byType(group.map(policyOf));
    const results = canonical(group.flatMap(resultsOf), 'sessions');
    const reportId =
      idWord(data['report-id']) || `content-${digestOf([policies, results]).toString('hex').slice(0, 32)}`;
    const report: TlsReport = { kind: 'tls', org, contact, reportId, policyDomain, ...period, policies, results };
    if (messagesOf(report) > BOUNDS.messages || recordsOf(report) > BOUNDS.records) throw new ReportFault('record');
    return report;
  });
}

function jsonOf(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    throw new ReportFault('json');
  }
}

const typeOf = (one: Policy) => word(one.policy['policy-type'], 40).toLowerCase() || 'unknown';

function policyOf(one: Policy): TlsPolicy {
  return {
    policyType: typeOf(one),
    successful: countOf(one.summary['total-successful-session-count']),
    failed: countOf(one.summary['total-failure-session-count']),
  };
}

/** One row for each type of policy, in the order of their names. */
function byType(rows: readonly TlsPolicy[]): TlsPolicy[] {
  const types = new Map<string, TlsPolicy>();
  for (const { policyType, successful, failed } of rows) {
    const known = types.get(policyType) ?? { policyType, successful: 0, failed: 0 };
    types.set(policyType, { policyType, successful: known.successful + successful, failed: known.failed + failed });
  }
  return [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function resultsOf(one: Policy): TlsResult[] {
  return (one['failure-details'] ?? [])
    .map((detail) => ({
      policyType: typeOf(one),
      resultType: word(detail['result-type'], 60).toLowerCase() || 'unknown',
      sendingMta: ipWord(detail['sending-mta-ip']),
      receivingMx: domainWord(detail['receiving-mx-hostname']),
      sessions: countOf(detail['failed-session-count']),
    }))
    .filter((detail) => detail.sessions > 0);
}
