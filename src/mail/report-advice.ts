import type { RecordAdvice, ReportRecords } from '../core/advice.ts';
import { allTexts } from './advice.ts';
import type { Resolver } from './resolver.ts';

const UNAVAILABLE: RecordAdvice = {
  record: null,
  problems: [{ code: 'unavailable', message: 'The name servers did not answer, so nobody can say.' }],
  suggestion: null,
};

/** Looks at the three records of a domain (RFC 7489 sections 6.3 and 7.1, RFC 8460 section 3). */
export async function reportRecords(resolver: Resolver, domain: string, address: string): Promise<ReportRecords> {
  const reportDomain = address.slice(address.lastIndexOf('@') + 1);
  const dmarcName = `_dmarc.${domain}`;
  const tlsName = `_smtp._tls.${domain}`;
  const permissionName = `${domain}._report._dmarc.${reportDomain}`;
  const [dmarc, tls, permission] = await Promise.all([
    named(resolver, dmarcName, 'v=DMARC1', address, `v=DMARC1; p=none; rua=mailto:${address}`),
    named(resolver, tlsName, 'v=TLSRPTv1', address, `v=TLSRPTv1; rua=mailto:${address}`),
    allowed(resolver, permissionName),
  ]);
  return { address, dmarcName, dmarc, tlsName, tls, permissionName, permission };
}

async function named(
  resolver: Resolver,
  name: string,
  version: string,
  address: string,
  whole: string,
): Promise<RecordAdvice> {
  const texts = await allTexts(resolver, name);
  if (texts === null) return UNAVAILABLE;
  const records = texts.filter((text) => new RegExp(`^${version}\\s*(?:;|$)`).test(text));
  if (records.length > 1) {
    const message = 'There are several such records, so all are ignored: there must be one.';
    return { record: null, problems: [{ code: 'several', message }], suggestion: null };
  }
  const record = records[0] ?? null;
  if (record === null) {
    const message = 'There is no such record, so nobody sends reports.';
    return { record, problems: [{ code: 'none', message }], suggestion: whole };
  }
  const tag = /(;\s*rua\s*=\s*)([^;]*)/i.exec(record);
  const uris = (tag?.[2] ?? '').split(',').map((uri) =>
    uri
      .trim()
      .toLowerCase()
      .replace(/![0-9]+[kmgt]?$/, ''),
  );
  if (uris.includes(`mailto:${address}`)) return { record, problems: [], suggestion: null };
  const message = 'The record does not name the address, so reports do not come here.';
  const suggestion =
    tag === null
      ? `${record.replace(/[;\s]*$/, '')}; rua=mailto:${address}`
      : record.replace(tag[0], `${tag[1]}${(tag[2] ?? '').trim()},mailto:${address}`);
  return { record, problems: [{ code: 'missing_address', message }], suggestion };
}

async function allowed(resolver: Resolver, name: string): Promise<RecordAdvice> {
  const texts = await allTexts(resolver, name);
  if (texts === null) return UNAVAILABLE;
  const record = texts.find((text) => /^v=DMARC1\s*(?:;|$)/.test(text)) ?? null;
  if (record !== null) return { record, problems: [], suggestion: null };
  const message = 'The report domain does not say that it takes reports of this domain, so receivers send none.';
  return { record, problems: [{ code: 'none', message }], suggestion: 'v=DMARC1' };
}
