import type { TestContext } from 'node:test';
import { createKey, type Scope } from '../../src/accounts/keys.ts';
import type { ManualClock } from '../../src/core/clock.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import type { Database } from '../../src/db/db.ts';
import { LinkSigner } from '../../src/digest/links.ts';
import { createHttp, type Http, type HttpDeps } from '../../src/http/server.ts';
import type { MailPreview } from '../../src/mail/preview.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: {
    readonly data?: Record<string, unknown> | null;
    readonly errors?: readonly {
      readonly message: string;
      readonly path?: readonly (string | number)[];
      readonly extensions: Readonly<Record<string, unknown>>;
    }[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  };
}

export interface TestServer {
  readonly http: Http;
  readonly url: string;
  /** POSTs a query and answers with status and parsed body. */
  ask(key: string | null, query: string, variables?: object, headers?: Record<string, string>): Promise<Answer>;
}

const refuse = () => Promise.reject(new Error('no such command in this test'));

/** What every message looks like where no body is stored. */
const SHOWN: MailPreview = {
  headers: [{ name: 'Subject', value: 'x', raw: 'Subject: x' }],
  attachments: [{ name: 'a.txt', type: 'text/plain', bytes: 1, sha256: '00', findings: [] }],
  kind: 'text',
  html: '<pre>x</pre>',
  text: 'x',
  document: '<!doctype html>',
  remoteImages: 0,
  truncated: false,
  problem: null,
};

export const NO_COMMANDS: HttpDeps['commands'] = {
  // What is only read answers, so that every field can be asked for.
  spfAdvice: async () => ({ record: null, problems: [{ code: 'none', message: 'There is none.' }], suggestion: null }),
  dmarcAdvice: async () => ({ record: 'v=DMARC1; p=reject', problems: [], suggestion: null }),
  reportRecords: async (domain, token) => {
    const advice = { record: null, problems: [{ code: 'none', message: 'There is none.' }], suggestion: null };
    const address = `${token}@reports.example`;
    const names = { dmarcName: `_dmarc.${domain}`, tlsName: `_smtp._tls.${domain}`, permissionName: domain };
    return { address, ...names, dmarc: advice, tls: advice, permission: advice };
  },
  spfAllows: async () => true,
  dkimState: async () => 'missing',
  dkimRecord: ({ publicKey }) => `v=DKIM1; p=${publicKey}`,
  createDkimKey: refuse,
  activateDkimKey: refuse,
  releaseDelivery: refuse,
  discardDelivery: refuse,
  flushQueue: refuse,
  previewMessage: async () => SHOWN,
  messageSource: async () => ({ bytes: Buffer.from('Subject: x\r\n\r\n'), total: 14 }),
  replyToDelivery: refuse,
  resolveIncident: refuse,
  requestReport: refuse,
  sendDigest: refuse,
  createBillingPlan: refuse,
  approveBillingPlan: refuse,
  applyBillingPlan: refuse,
};

export const NO_PAGES: HttpDeps['pages'] = {
  signer: new LinkSigner(Buffer.alloc(32, 7)),
  preview: refuse,
  request: refuse,
};

/** The HTTP face on a free port, closed at the end of the test. */
export async function openServer(
  t: TestContext,
  parts: { db: HttpDeps['db']; clock: ManualClock; logger?: Logger } & Partial<HttpDeps>,
): Promise<TestServer> {
  const http = await createHttp({
    host: '127.0.0.1',
    port: 0,
    logger: silentLogger,
    commands: NO_COMMANDS,
    hooks: { verify: async () => 'unknown', accept: async () => undefined },
    pages: NO_PAGES,
    checks: [],
    metrics: async () => [],
    rate: { capacity: 1e9, perSecond: 1e6 },
    ...parts,
  });
  t.after(() => http.close(0));
  const url = await http.listen();
  return {
    http,
    url,
    async ask(key, query, variables, headers = {}) {
      const response = await fetch(`${url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
          ...headers,
        },
        body: JSON.stringify({ query, ...(variables === undefined ? {} : { variables }) }),
      });
      return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
    },
  };
}

/** A key of a partner with these scopes only. */
export async function keyWith(db: Database, partner: PartnerId, scopes: readonly Scope[]): Promise<string> {
  const key = await db.system((tx) =>
    createKey(tx, { partnerId: partner, label: scopes.join('+'), scopes, actor: 'test' }),
  );
  return key.token;
}
