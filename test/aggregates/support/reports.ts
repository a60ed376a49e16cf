import { gzipSync } from 'node:zlib';

/** Midnight (UTC) of the day before the tests' present. */
export const DAY = Date.UTC(2026, 9, 13) / 1000;

export interface Row {
  readonly ip: string;
  readonly count: number | string;
  readonly dkim?: string;
  readonly spf?: string;
  readonly disposition?: string;
  readonly from?: string;
}

export interface Wanted {
  readonly org?: string;
  readonly email?: string;
  readonly id?: string;
  readonly domain?: string;
  readonly begin?: number | string;
  readonly end?: number | string;
  readonly policy?: string;
  readonly rows?: readonly Row[];
  /** Put into the tag of the root. */
  readonly root?: string;
  readonly prolog?: string;
}

const recordOf = (row: Row, domain: string) => `
  <record>
    <row><source_ip>${row.ip}</source_ip><count>${row.count}</count>
      <policy_evaluated><disposition>${row.disposition ?? 'none'}</disposition><dkim>${row.dkim ?? 'pass'}</dkim><spf>${row.spf ?? 'pass'}</spf></policy_evaluated>
    </row>
    <identifiers><header_from>${row.from ?? domain}</header_from></identifiers>
    <auth_results>
      <dkim><domain>${domain}</domain><result>${row.dkim ?? 'pass'}</result><selector>s1</selector></dkim>
      <spf><domain>${domain}</domain><result>${row.spf ?? 'pass'}</result></spf>
    </auth_results>
  </record>`;

/** A report as Google writes it. */
export function dmarcXml(wanted: Wanted = {}): string {
  const domain = wanted.domain ?? 'acme.example';
  return `${wanted.prolog ?? '<?xml version="1.0" encoding="UTF-8" ?>\n'}<feedback${wanted.root ?? ''}>
  <report_metadata>
    <org_name>${wanted.org ?? 'google.com'}</org_name>
    <email>${wanted.email ?? 'noreply-dmarc-support@google.com'}</email>
    <extra_contact_info>https://support.google.com/a/answer/2466580</extra_contact_info>
    <report_id>${wanted.id ?? '9391651994964116463'}</report_id>
    <date_range><begin>${wanted.begin ?? DAY}</begin><end>${wanted.end ?? DAY + 86_399}</end></date_range>
  </report_metadata>
  <policy_published><domain>${domain}</domain><adkim>r</adkim><aspf>r</aspf><p>${wanted.policy ?? 'none'}</p><sp>none</sp><pct>100</pct><np>none</np></policy_published>
  ${(wanted.rows ?? [{ ip: '192.0.2.1', count: 3 }]).map((row) => recordOf(row, domain)).join('')}
</feedback>
`;
}

export interface TlsWanted {
  readonly org?: string;
  readonly id?: string;
  readonly domain?: string;
  readonly successful?: number;
  readonly failed?: number;
  readonly detail?: number;
}

/** A report as RFC 8460 appendix B and Google write it. */
export function tlsJson(wanted: TlsWanted = {}): string {
  const failed = wanted.failed ?? 3;
  return JSON.stringify({
    'organization-name': wanted.org ?? 'Google Inc.',
    'date-range': { 'start-datetime': '2026-10-13T00:00:00Z', 'end-datetime': '2026-10-13T23:59:59Z' },
    'contact-info': 'smtp-tls-reporting@google.com',
    'report-id': wanted.id ?? '2026-10-13T00:00:00Z_acme.example',
    policies: [
      {
        policy: {
          'policy-type': 'sts',
          'policy-string': ['version: STSv1', 'mode: testing'],
          'policy-domain': wanted.domain ?? 'acme.example',
          'mx-host': ['mx.acme.example'],
        },
        summary: { 'total-successful-session-count': wanted.successful ?? 97, 'total-failure-session-count': failed },
        ...(failed === 0
          ? {}
          : {
              'failure-details': [
                {
                  'result-type': 'certificate-expired',
                  'sending-mta-ip': '2001:db8::1',
                  'receiving-mx-hostname': 'mx.acme.example',
                  'failed-session-count': wanted.detail ?? failed,
                },
              ],
            }),
      },
    ],
  });
}

export interface Attached {
  readonly name: string;
  readonly type: string;
  readonly content: Buffer;
}

/** A mail with a report, in the shape of those receivers: a part of words, and the file in base64. */
export function mailOf(files: readonly Attached[], from = 'noreply-dmarc-support@google.com'): string {
  const parts = files.map(
    ({ name, type, content }) =>
      `--b1\r\nContent-Type: ${type}; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${(content.toString('base64').match(/.{1,76}/g) ?? []).join('\r\n')}\r\n`,
  );
  return `From: <${from}>\r\nTo: <reports@reports.example>\r\nSubject: Report domain: acme.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b1"\r\n\r\n--b1\r\nContent-Type: text/plain\r\n\r\nThis is an aggregate report.\r\n${parts.join('')}--b1--\r\n`;
}

export const gzipped = (name: string, text: string, type = 'application/gzip'): Attached => ({
  name: `${name}.gz`,
  type,
  content: gzipSync(text),
});
