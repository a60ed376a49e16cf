import ipaddr from 'ipaddr.js';
import type { Logger } from '../core/log.ts';
import { dnsError, isAbsent, type Resolver, withDeadline } from './resolver.ts';

/** A DNS list as the operator set it (RFC 5782). `points` above 0: a block list; below: an allow list. */
export interface DnsListZone {
  readonly zone: string;
  readonly points: number;
  /** Mail from listed addresses is refused at RCPT. */
  readonly reject: boolean;
}

export interface DnsListHit {
  readonly zone: string;
  readonly points: number;
  readonly reject: boolean;
}

export interface DnsListOptions {
  /** Milliseconds for all zones together. */
  readonly deadlineMs?: number;
  readonly now?: () => number;
  readonly logger?: Logger;
}

type Health = 'good' | 'broken' | 'unknown';

/** How long a zone's own test entries count, and for how long a zone that failed them is left out. */
const TESTED_MS = 3_600_000;
const UNKNOWN_MS = 60_000;

/**
 * Asks DNS lists for an address. A zone is trusted while its test entries are right (RFC 5782 section 5): 127.0.0.2 listed and
 * 127.0.0.1 not. A zone that lists everything, lists nothing, or answers with an error code (127.255.255.x: query refused, over
 * quota) is left out, loudly. A zone that does not answer in time says nothing. Answers are as old as the resolver's cache.
 */
export class DnsLists {
  readonly #zones: readonly DnsListZone[];
  readonly #resolver: Resolver;
  readonly #deadline: number;
  readonly #now: () => number;
  readonly #logger: Logger | undefined;
  readonly #tested = new Map<string, { until: number; health: Promise<Health> }>();

  constructor(zones: readonly DnsListZone[], resolver: Resolver, options: DnsListOptions = {}) {
    this.#zones = zones;
    this.#resolver = resolver;
    this.#deadline = options.deadlineMs ?? 3_000;
    this.#now = options.now ?? (() => performance.now());
    this.#logger = options.logger;
  }

  /** The zones that list the address. Never rejects. */
  async check(address: string): Promise<DnsListHit[]> {
    const name = queryName(address);
    if (name === null || this.#zones.length === 0) return [];
    const late = () => dnsError('ETIMEOUT', address, 'DNS lists');
    const found = await Promise.all(
      this.#zones.map((zone) => withDeadline(this.#listed(zone.zone, name), this.#deadline, late).catch(() => false)),
    );
    return this.#zones
      .filter((_, index) => found[index] === true)
      .map(({ zone, points, reject }) => ({ zone, points, reject }));
  }

  async #listed(zone: string, name: string): Promise<boolean> {
    if ((await this.#health(zone)) !== 'good') return false;
    const answers = await this.#ask(`${name}.${zone}`);
    if (answers.some(isErrorCode)) {
      this.#distrust(zone, `answers with the error code ${answers.find(isErrorCode)}`);
      return false;
    }
    return answers.some((answer) => answer.startsWith('127.'));
  }

  /** The answers; none when the name is not there. Rejects when nobody knows. */
  async #ask(name: string): Promise<string[]> {
    try {
      return ((await this.#resolver(name, 'A')) as string[]).map(String);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  #health(zone: string): Promise<Health> {
    const known = this.#tested.get(zone);
    if (known !== undefined && known.until > this.#now()) return known.health;
    const entry = { until: Number.POSITIVE_INFINITY, health: this.#test(zone) };
    this.#tested.set(zone, entry);
    void entry.health.then((health) => {
      entry.until = this.#now() + (health === 'unknown' ? UNKNOWN_MS : TESTED_MS);
    });
    return entry.health;
  }

  async #test(zone: string): Promise<Health> {
    try {
      const [listed, free] = await Promise.all([this.#ask(`2.0.0.127.${zone}`), this.#ask(`1.0.0.127.${zone}`)]);
      const fault = [...listed, ...free].some(isErrorCode)
        ? 'answers with an error code'
        : free.length > 0
          ? 'lists 127.0.0.1, so it lists everything'
          : listed.some((answer) => answer.startsWith('127.'))
            ? null
            : 'does not list 127.0.0.2, so it lists nothing';
      if (fault === null) return 'good';
      this.#logger?.error({ zone, fault }, 'a DNS list is not used');
      return 'broken';
    } catch {
      this.#logger?.warn({ zone }, 'a DNS list does not answer and is left out');
      return 'unknown';
    }
  }

  #distrust(zone: string, fault: string): void {
    this.#logger?.error({ zone, fault }, 'a DNS list is not used');
    this.#tested.set(zone, { until: this.#now() + TESTED_MS, health: Promise.resolve('broken') });
  }
}

const isErrorCode = (answer: string) => answer.startsWith('127.255.255.');

/** `2.0.0.127` for 127.0.0.2, the nibbles of an IPv6 address in reverse (RFC 5782 sections 2.1 and 2.4). */
function queryName(address: string): string | null {
  if (!ipaddr.isValid(address)) return null;
  const parsed = ipaddr.process(address);
  const bytes = parsed.toByteArray();
  if (parsed.kind() === 'ipv4') return bytes.toReversed().join('.');
  return bytes
    .flatMap((byte) => [byte >> 4, byte & 15])
    .toReversed()
    .map((nibble) => nibble.toString(16))
    .join('.');
}
