import type { Readable } from 'node:stream';
import {
  type ARCData,
  type ARCResult,
  arc,
  type DKIMResult,
  type DKIMVerifyResult,
  type DMARCResult,
  type DNSResolver,
  dkimVerify,
  dmarc,
  type SPFResult,
  spf,
} from 'mailauth';
import { getDomain } from 'tldts';
import { normalizeDomain } from '../core/address.ts';
import { cleanToken } from './format.ts';
import { type DnsAnswer, dnsError, isAbsent, type Resolver, withDeadline } from './resolver.ts';
import { tameMessage, tameStream } from './tame.ts';
import type { AuthenticationResult } from './types.ts';

export interface AuthenticationInput {
  readonly ip: string;
  readonly helo: string;
  /** Envelope sender; empty for the null sender, whose SPF identity is the HELO name (RFC 7208 section 2.4). */
  readonly sender: string;
  /** Our authserv-id. */
  readonly mta: string;
}

export interface AuthenticationOptions {
  /** Wall clock for all of it, milliseconds. */
  readonly deadlineMs?: number;
}

/**
 * SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489) and ARC (RFC 8617) of a message. Never throws for what the message
 * holds. When the outcome hangs on a look-up that failed, `available` is false and no result says `fail` for it. A failing
 * or slow name server of a domain that cannot speak for the From address changes nothing, since a forger can choose such a
 * domain: SPF runs beside DKIM with its own time, and the key look-ups of all signatures share a budget.
 * Differs from mailauth in three points: strict alignment (`adkim=s`, `aspf=s`) is enforced; a DKIM signature that leaves
 * a part of the body unsigned (`l=`) is not a pass; a body that does not match its hash is a fail.
 */
export async function authenticate(
  message: Buffer | Readable,
  input: AuthenticationInput,
  resolver: Resolver,
  options: AuthenticationOptions = {},
): Promise<AuthenticationResult> {
  const deadline = options.deadlineMs ?? 15_000;
  const watch = new WatchedResolver(resolver, deadline / 3);
  try {
    const found = await withDeadline(verify(message, input, watch, deadline), deadline, () =>
      dnsError('ETIMEOUT', input.ip, 'authentication'),
    );
    return interpret(found, input, watch);
  } catch {
    return unavailable(input.mta);
  } finally {
    watch.close();
  }
}

/** SPF alone (RFC 7208), before there is a message. `temperror` when it cannot be said in time. Never rejects. */
export async function spfResult(input: AuthenticationInput, resolver: Resolver, deadlineMs: number): Promise<string> {
  const watch = new WatchedResolver(resolver, deadlineMs);
  const late = () => dnsError('ETIMEOUT', input.helo, 'SPF');
  try {
    const found = await withDeadline(spf({ ...input, resolver: watch.resolve as DNSResolver }), deadlineMs, late);
    return found.status.result;
  } catch {
    return 'temperror';
  } finally {
    watch.close();
  }
}

interface Findings {
  readonly spf: SPFResult | null;
  readonly dkim: DKIMVerifyResult;
  /** False: the From field names no domain, or several. */
  readonly dmarc: DMARCResult | false;
  readonly arc: ARCResult;
  readonly from: string;
  readonly severalFrom: boolean;
}

async function verify(
  message: Buffer | Readable,
  input: AuthenticationInput,
  watch: WatchedResolver,
  deadline: number,
): Promise<Findings> {
  const resolver = watch.resolve as DNSResolver;
  const late = () => dnsError('ETIMEOUT', input.helo, 'SPF');
  const [spfFound, [dkim, dmarcFound, arcFound, domains]] = await Promise.all([
    withDeadline(
      spf({ sender: input.sender, ip: input.ip, helo: input.helo, mta: input.mta, resolver }),
      deadline * 0.6,
      late,
    ).catch(() => null),
    (async () => {
      const tamed = Buffer.isBuffer(message) ? tameMessage(message) : tameStream(message);
      const signatures = await dkimVerify(tamed, { resolver, sender: input.sender, minBitLength: 1024 });
      const senders = [...new Set((signatures.headerFrom ?? []).map(domainPart))];
      const chain = signatures.arc ?? ({} as ARCData);
      const policy = senders.length === 1 ? dmarc({ headerFrom: senders[0] ?? '', resolver }) : false;
      return [signatures, await policy, await arc(chain as ARCData, { resolver }), senders] as const;
    })(),
  ]);
  return {
    spf: spfFound,
    dkim,
    dmarc: dmarcFound,
    arc: arcFound,
    from: domains.length === 1 ? (domains[0] ?? '') : '',
    severalFrom: domains.length > 1,
  };
}

function unavailable(mta: string): AuthenticationResult {
  return {
    available: false,
    spf: { result: 'temperror', domain: '', aligned: false },
    dkim: [],
    dmarc: { result: 'temperror', policy: '', domain: '' },
    arc: { result: 'none' },
    header: `${cleanToken(mta)}; spf=temperror; dkim=temperror; dmarc=temperror`,
  };
}

const MAX_LOOKUPS = 200;
const MAX_KEYS = 20;

/** Counts what was asked and what failed; after `close` it answers nothing, so that a late message asks no more. */
class WatchedResolver {
  readonly #inner: Resolver;
  readonly #keyBudgetMs: number;
  #asked = 0;
  #keysAsked = 0;
  #keyMs = 0;
  #answered = 0;
  #closed = false;
  #keyFailed = false;
  #failed = 0;

  constructor(inner: Resolver, keyBudgetMs: number) {
    this.#inner = inner;
    this.#keyBudgetMs = keyBudgetMs;
  }

  readonly resolve: Resolver = async (name, rrtype) => {
    const isKey = name.toLowerCase().includes('._domainkey.');
    this.#asked += 1;
    if (this.#closed || this.#asked > MAX_LOOKUPS) throw dnsError('EREFUSED', name, rrtype);
    try {
      const answer = isKey ? await this.#key(name, rrtype) : await this.#inner(name, rrtype);
      this.#answered += 1;
      return answer;
    } catch (error) {
      if (isAbsent(error)) this.#answered += 1;
      else this.#failed += 1;
      if (isKey && !isAbsent(error)) this.#keyFailed = true;
      throw error;
    }
  };

  /**
   * A key beyond the budget counts as absent, not as unknown: otherwise signatures of a slow domain, put in front, would
   * make the fate of the From domain "unknown" too.
   */
  async #key(name: string, rrtype: string): Promise<DnsAnswer> {
    this.#keysAsked += 1;
    const left = this.#keyBudgetMs - this.#keyMs;
    if (this.#keysAsked > MAX_KEYS || left <= 0) throw dnsError('ENODATA', name, rrtype);
    const start = performance.now();
    try {
      return await withDeadline(this.#inner(name, rrtype), left, () => dnsError('ETIMEOUT', name, rrtype));
    } finally {
      this.#keyMs += performance.now() - start;
    }
  }

  close(): void {
    this.#closed = true;
  }

  /** Every question failed: it is not the domains, it is the resolver. */
  get down(): boolean {
    return this.#failed > 0 && this.#answered === 0;
  }

  get keyFailed(): boolean {
    return this.#keyFailed;
  }
}

function interpret(found: Findings, input: AuthenticationInput, watch: WatchedResolver): AuthenticationResult {
  const { from } = found;
  const policy = found.dmarc === false ? null : found.dmarc;
  const strictSpf = policy?.alignment?.spf?.strict === true;
  const strictDkim = policy?.alignment?.dkim?.strict === true;

  const spfDomain = domainPart(found.spf?.domain ?? (input.sender === '' ? input.helo : input.sender));
  const spfRow = {
    result: found.spf?.status.result ?? 'temperror',
    domain: spfDomain,
    aligned: isAligned(from, spfDomain, strictSpf),
  };
  const signatures = (found.dkim.results ?? [])
    .filter((row) => typeof row.signingDomain === 'string' && row.signingDomain !== '')
    .slice(0, 50)
    .map((row) => {
      const domain = domainPart(row.signingDomain);
      return {
        result: signatureResult(row),
        domain,
        aligned: isAligned(from, domain, strictDkim),
        selector: row.selector ?? '',
      };
    });
  const passes =
    (spfRow.result === 'pass' && spfRow.aligned) || signatures.some((row) => row.result === 'pass' && row.aligned);
  const open =
    (spfRow.result === 'temperror' && isAligned(from, spfDomain, false)) ||
    signatures.some((row) => row.result === 'temperror' && isAligned(from, row.domain, false));
  const dmarcRow = {
    result: dmarcResult(found, passes, open),
    policy: (policy?.policy ?? '').toLowerCase(),
    domain: from,
  };
  const arcResult = found.arc.status.result;
  const arcRow = { result: arcResult === 'fail' && watch.keyFailed ? 'temperror' : arcResult };
  return {
    available: dmarcRow.result === 'pass' || !(watch.down || open || dmarcRow.result === 'temperror'),
    spf: spfRow,
    dkim: signatures.map(({ result, domain, aligned }) => ({ result, domain, aligned })),
    dmarc: dmarcRow,
    arc: arcRow,
    header: header(input, spfRow, signatures, dmarcRow, arcRow),
  };
}

function signatureResult(row: DKIMResult): string {
  const { result, comment, underSized } = row.status;
  if (result === 'temperr') return 'temperror';
  if (result === 'pass' && Number(underSized ?? 0) > 0) return 'policy';
  return result === 'neutral' && comment === 'body hash did not verify' ? 'fail' : result;
}

function dmarcResult(found: Findings, passes: boolean, open: boolean): string {
  if (found.severalFrom) return 'permerror';
  const record = found.dmarc === false ? 'none' : found.dmarc.status.result;
  if (record !== 'pass' && record !== 'fail') return record;
  if (passes) return 'pass';
  return open ? 'temperror' : 'fail';
}

function domainPart(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1).trim();
  return normalizeDomain(domain) ?? domain.toLowerCase();
}

const SUFFIXES = { allowPrivateDomains: true, validateHostname: false };

/** Whether two domains speak for one organisation (RFC 7489 section 3.1); the same name exactly when `strict`. */
export function isAligned(from: string, domain: string, strict: boolean): boolean {
  if (from === '' || domain === '') return false;
  if (from === domain) return true;
  if (strict) return false;
  const organisation = getDomain(from, SUFFIXES);
  return organisation !== null && organisation === getDomain(domain, SUFFIXES);
}

/** The value of the header field, made of our own words and cleaned tokens only (RFC 8601 section 2.2). */
function header(
  input: AuthenticationInput,
  spfRow: AuthenticationResult['spf'],
  signatures: readonly { result: string; domain: string; selector: string }[],
  dmarcRow: AuthenticationResult['dmarc'],
  arcRow: AuthenticationResult['arc'],
): string {
  const identity =
    input.sender === '' ? `smtp.helo=${cleanToken(input.helo, 255)}` : `smtp.mailfrom=${cleanToken(input.sender)}`;
  const parts = [`spf=${cleanToken(spfRow.result)} ${identity}`];
  if (signatures.length === 0) parts.push('dkim=none');
  for (const row of signatures.slice(0, 10)) {
    parts.push(
      `dkim=${cleanToken(row.result)} header.d=${cleanToken(row.domain, 255)} header.s=${cleanToken(row.selector, 255)}`,
    );
  }
  const policy = dmarcRow.policy === '' ? '' : ` (p=${cleanToken(dmarcRow.policy, 20)})`;
  const from = dmarcRow.domain === '' ? '' : ` header.from=${cleanToken(dmarcRow.domain, 255)}`;
  parts.push(`dmarc=${cleanToken(dmarcRow.result)}${policy}${from}`);
  if (arcRow.result !== 'none') parts.push(`arc=${cleanToken(arcRow.result)}`);
  return `${cleanToken(input.mta, 255)}; ${parts.join('; ')}`;
}

/**
 * mailauth 4.13 prints a line for each DKIM signature with `l=` (lib/dkim/dkim-verifier.js), and the service's standard output is
 * a protocol: that line is dropped, wherever it comes from. To know the caller would take AsyncLocalStorage, which makes every
 * promise of the process dearer for good.
 */
function muffle(): void {
  const target = globalThis.console;
  const log = target.log;
  target.log = (...words: unknown[]) => {
    if (words.length !== 4 || words[0] !== 'TOTAL' || words[2] !== 'EXPECTING') log.apply(target, words);
  };
}
muffle();
