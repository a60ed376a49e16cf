import { Resolver as NodeResolver } from 'node:dns/promises';
import { isIP } from 'node:net';

/** What mailauth asks with: TXT and MX come as Node gives them, everything else as a list of texts. */
export type Resolver = (name: string, rrtype: string) => Promise<DnsAnswer>;
export type DnsAnswer = string[] | string[][] | MxRecord[];

export interface MxRecord {
  readonly exchange: string;
  readonly priority: number;
}

/** Codes that mean "there is none". Every other failure means "nobody knows". */
const ABSENT = new Set(['ENOTFOUND', 'ENODATA', 'NXDOMAIN']);

export function dnsError(code: string, name: string, rrtype: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${rrtype} ${code} ${name}`), { code });
}

export function isAbsent(error: unknown): boolean {
  return error instanceof Error && ABSENT.has((error as NodeJS.ErrnoException).code ?? '');
}

export interface ResolverOptions {
  /** `host:port`, `[::1]:53` or a bare address; undefined means the system's servers. */
  readonly server?: string | undefined;
  /** For one try, milliseconds. */
  readonly timeoutMs?: number;
  readonly tries?: number;
}

/** A resolver over node:dns. Absence rejects with `ENOTFOUND` or `ENODATA`, as mailauth expects. */
export function systemResolver(options: ResolverOptions = {}): Resolver {
  const resolver = new NodeResolver({ timeout: options.timeoutMs ?? 2000, tries: options.tries ?? 2 });
  if (options.server !== undefined && options.server !== '') resolver.setServers([serverAddress(options.server)]);
  return async (name, rrtype) => {
    switch (rrtype.toUpperCase()) {
      case 'A':
        return resolver.resolve4(name);
      case 'AAAA':
        return resolver.resolve6(name);
      case 'TXT':
        return resolver.resolveTxt(name);
      case 'MX':
        return resolver.resolveMx(name);
      case 'PTR':
        return isIP(name) > 0 ? resolver.reverse(name) : resolver.resolvePtr(name);
      case 'NS':
        return resolver.resolveNs(name);
      case 'CNAME':
        return resolver.resolveCname(name);
      default:
        throw dnsError('ENOTIMP', name, rrtype);
    }
  };
}

/** Node takes addresses only; `localhost` is a word that people write. */
function serverAddress(server: string): string {
  const named = server.replace(/^localhost(?=:|$)/, '127.0.0.1');
  const host = named.startsWith('[')
    ? named.slice(1, named.indexOf(']'))
    : isIP(named) > 0
      ? named
      : named.replace(/:\d+$/, '');
  if (isIP(host) === 0) throw new Error(`a DNS server is given by its address, not as "${server}"`);
  return named;
}

export interface CacheOptions {
  /** Milliseconds that an answer is kept; Node does not tell the TTL, so this is a bound of ours. */
  readonly ttlMs?: number;
  /** The same for "there is none". Failures are kept for a second only, so that an outage ends when it ends. */
  readonly negativeTtlMs?: number;
  readonly maxEntries?: number;
  /** Milliseconds for one look-up, whatever the resolver below does. */
  readonly deadlineMs?: number;
  readonly now?: () => number;
}

interface Entry {
  readonly answer: Promise<DnsAnswer>;
  expires: number;
}

const FAILURE_TTL_MS = 1000;

/**
 * Remembers answers, bounded in time and number (the oldest goes first), joins look-ups of the same name that are under
 * way, and ends each after `deadlineMs` with `ETIMEOUT`.
 */
export function cachingResolver(inner: Resolver, options: CacheOptions = {}): Resolver {
  const ttl = options.ttlMs ?? 300_000;
  const negativeTtl = options.negativeTtlMs ?? 60_000;
  const maxEntries = options.maxEntries ?? 10_000;
  const deadline = options.deadlineMs ?? 5000;
  const now = options.now ?? Date.now;
  const cache = new Map<string, Entry>();

  return (name, rrtype) => {
    const key = `${rrtype.toUpperCase()} ${name.toLowerCase().replace(/\.$/, '')}`;
    const known = cache.get(key);
    if (known !== undefined && known.expires > now()) return known.answer;
    cache.delete(key);
    const answer = withDeadline(inner(name, rrtype), deadline, () => dnsError('ETIMEOUT', name, rrtype));
    const entry: Entry = { answer, expires: Number.POSITIVE_INFINITY };
    cache.set(key, entry);
    answer.then(
      () => {
        entry.expires = now() + ttl;
      },
      (error: unknown) => {
        entry.expires = now() + (isAbsent(error) ? negativeTtl : FAILURE_TTL_MS);
      },
    );
    for (const oldest of cache.keys()) {
      if (cache.size <= maxEntries) break;
      cache.delete(oldest);
    }
    return answer;
  };
}

/** Rejects with `late()` when the promise has not settled in time. */
export function withDeadline<T>(promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Mail hosts of a domain, best first (RFC 5321 section 5.1). Null: the domain says that it takes no mail (RFC 7505). */
export async function resolveMx(resolver: Resolver, domain: string): Promise<string[] | null> {
  return (await mxRecords(resolver, domain))?.map((record) => record.exchange) ?? null;
}

/** The same with their preferences; a domain without MX is its own mail host. */
export async function mxRecords(resolver: Resolver, domain: string): Promise<MxRecord[] | null> {
  try {
    const records = ((await resolver(domain, 'MX')) as MxRecord[]).toSorted((a, b) => a.priority - b.priority);
    if (records.length === 1 && (records[0]?.exchange === '' || records[0]?.exchange === '.')) return null;
    if (records.length > 0) return records;
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  return [{ exchange: domain, priority: 0 }];
}

/** The name of an address, confirmed by looking it up again (forward-confirmed reverse DNS); null when there is none. */
export async function confirmedName(resolver: Resolver, address: string): Promise<string | null> {
  try {
    const names = (await resolver(address, 'PTR')) as string[];
    const type = isIP(address) === 6 ? 'AAAA' : 'A';
    for (const name of names.slice(0, 3)) {
      const addresses = (await resolver(name, type).catch(() => [])) as string[];
      if (addresses.includes(address)) return name.toLowerCase().replace(/\.$/, '');
    }
    return null;
  } catch {
    return null;
  }
}

export type ZoneRecords = Readonly<Record<string, Readonly<Record<string, readonly (string | MxRecord)[]>>>>;

/** Makes each TXT text from pieces as servers send them: at most 255 octets each. */
function txtPieces(text: string): string[] {
  return text.match(/.{1,255}/gs) ?? [''];
}

/**
 * A resolver over records in memory, for the demo and for tests: `{ 'example.org': { TXT: ['v=spf1 -all'] } }`. A name
 * that is not there rejects with `ENOTFOUND`, a type that is not there with `ENODATA`; the type `FAIL` makes every look-up
 * of the name fail with the code it holds.
 */
export function zoneResolver(zone: ZoneRecords): Resolver {
  const names = new Map(Object.entries(zone).map(([name, records]) => [name.toLowerCase(), records]));
  return async (name, rrtype) => {
    const records = names.get(name.toLowerCase().replace(/\.$/, ''));
    if (records === undefined) throw dnsError('ENOTFOUND', name, rrtype);
    const failure = records['FAIL']?.[0];
    if (typeof failure === 'string') throw dnsError(failure, name, rrtype);
    const found = records[rrtype.toUpperCase()];
    if (found === undefined || found.length === 0) throw dnsError('ENODATA', name, rrtype);
    if (rrtype.toUpperCase() === 'TXT') return found.map((text) => txtPieces(String(text)));
    if (rrtype.toUpperCase() === 'MX') return found.filter((record) => typeof record !== 'string');
    return found.map(String);
  };
}
