import { childOf, readXml, textOf, type XmlElement, XmlFault } from '../mail/xml.ts';
import {
  BOUNDS,
  DISPOSITIONS,
  type Disposition,
  type DmarcRecord,
  type DmarcReport,
  messagesOf,
  ReportFault,
} from './report.ts';
import { canonical, countOf, digestOf, domainWord, idWord, ipWord, periodOf, word } from './values.ts';

/**
 * Reads a DMARC aggregate report: RFC 7489 appendix C, and what RFC 9990 adds, whatever the namespace. Unknown elements are
 * passed over. Throws ReportFault; nothing is taken of a report of which a part can't be read.
 */
export async function readDmarc(text: string, now: Date): Promise<DmarcReport> {
  let metadata: XmlElement | null = null;
  let published: XmlElement | null = null;
  const raw: DmarcRecord[] = [];
  try {
    const root = await readXml(text, (child) => {
      if (child.name === 'report_metadata') metadata ??= child;
      else if (child.name === 'policy_published') published ??= child;
      else if (child.name === 'record') {
        if (raw.length >= BOUNDS.records) throw new ReportFault('records');
        raw.push(recordOf(child));
      }
    });
    if (root !== 'feedback') throw new ReportFault('format');
  } catch (error) {
    if (error instanceof XmlFault) throw new ReportFault(error.code);
    throw error;
  }
  if (metadata === null || published === null) throw new ReportFault('format');
  const contact = word(textOf(metadata, 'email'));
  const org = word(textOf(metadata, 'org_name')) || contact.slice(contact.lastIndexOf('@') + 1);
  if (org === '') throw new ReportFault('org');
  const policyDomain = domainWord(textOf(published, 'domain'));
  if (policyDomain === '') throw new ReportFault('domain');
  const period = periodOf(textOf(metadata, 'date_range', 'begin'), textOf(metadata, 'date_range', 'end'), now);
  const records = canonical(
    raw
      .map((one) => (one.headerFrom === '' ? { ...one, headerFrom: policyDomain } : one))
      .filter((one) => one.messages > 0),
    'messages',
  );
  const policy = word(textOf(published, 'p'), 20).toLowerCase();
  const reportId = idWord(textOf(metadata, 'report_id')) || `content-${digestOf(records).toString('hex').slice(0, 32)}`;
  const report: DmarcReport = {
    kind: 'dmarc',
    ...{ org, contact, reportId, policyDomain, ...period },
    policy: policy === '' ? null : policy,
    records,
  };
  if (messagesOf(report) > BOUNDS.messages) throw new ReportFault('record');
  return report;
}

const isPass = (text: string) => text.trim().toLowerCase() === 'pass';

function recordOf(record: XmlElement): DmarcRecord {
  const row = childOf(record, 'row');
  const evaluated = childOf(row, 'policy_evaluated');
  // Both spellings are in the wild.
  const identifiers = childOf(record, 'identifiers') ?? childOf(record, 'identities');
  const sourceIp = ipWord(textOf(row, 'source_ip'));
  if (sourceIp === null) throw new ReportFault('record');
  const dkim = bestOf(record, 'dkim', isPass(textOf(evaluated, 'dkim')));
  const spf = bestOf(record, 'spf', isPass(textOf(evaluated, 'spf')));
  const overrides = (evaluated?.children ?? [])
    .filter((child) => child.name === 'reason')
    .map((reason) => word(textOf(reason, 'type'), 40).toLowerCase());
  return {
    sourceIp,
    disposition: dispositionOf(textOf(evaluated, 'disposition')),
    dkimAligned: isPass(textOf(evaluated, 'dkim')),
    spfAligned: isPass(textOf(evaluated, 'spf')),
    headerFrom: domainWord(textOf(identifiers, 'header_from')),
    envelopeFrom: domainWord(textOf(identifiers, 'envelope_from')),
    dkimDomain: domainWord(textOf(dkim, 'domain')),
    dkimSelector: word(textOf(dkim, 'selector')),
    dkimResult: word(textOf(dkim, 'result'), 20).toLowerCase(),
    spfDomain: domainWord(textOf(spf, 'domain')),
    spfResult: word(textOf(spf, 'result'), 20).toLowerCase(),
    overrides: [...new Set(overrides)].filter((type) => type !== '').sort(),
    messages: countOf(textOf(row, 'count')),
  };
}

function dispositionOf(text: string): Disposition {
  const wanted = text.trim().toLowerCase();
  return DISPOSITIONS.find((one) => one === wanted) ?? 'other';
}

/** Of several signatures, the one that made the record what it is: one that passes, if DKIM does. */
function bestOf(record: XmlElement, name: 'dkim' | 'spf', passes: boolean): XmlElement | null {
  const all = childOf(record, 'auth_results')?.children.filter((child) => child.name === name) ?? [];
  return all.find((one) => isPass(textOf(one, 'result')) === passes) ?? all[0] ?? null;
}
