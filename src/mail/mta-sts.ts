import { parsePolicy, resolvePolicy } from 'mailauth/lib/mta-sts.js';
import { isAbsent, type Resolver } from './resolver.ts';

/** A policy of a domain for mail sent to it (RFC 8461 section 3.2). */
export interface StsPolicy {
  readonly mode: 'enforce' | 'testing' | 'none';
  /** Patterns of mail hosts, lower case; empty for `none` only. */
  readonly mx: readonly string[];
  /** Seconds that it may be kept. */
  readonly maxAge: number;
}

const RECORD_MAX = 512;
const MX_MAX = 200;
const PATTERN = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * The id of a domain's policy record `_mta-sts` (RFC 8461 section 3.1). Null: there is none, there are several, or it can't
 * be read. Rejects when the look-up fails.
 */
export async function stsRecordId(resolver: Resolver, domain: string): Promise<string | null> {
  const bounded: Resolver = async (name, rrtype) => {
    const rows = (await resolver(name, rrtype)) as string[][];
    return rows.filter((row) => row.reduce((sum, piece) => sum + piece.length, 0) <= RECORD_MAX);
  };
  let id: string | false;
  try {
    id = await resolvePolicy(domain, { resolver: bounded as never });
  } catch (error) {
    if ((error as { code?: unknown }).code === 'multi_sts_records' || isAbsent(error)) return null;
    throw error;
  }
  return id !== false && /^[A-Za-z0-9]{1,32}$/.test(id) ? id : null;
}

/**
 * Reads a policy file. Throws with a text when it is none. Of a key that is given twice the first counts, as the RFC wants it
 * and mailauth 4.13 does not.
 */
export function parseStsPolicy(text: string): StsPolicy {
  const seen = new Set<string>();
  const lines = text.split(/\r?\n/).filter((line) => {
    const key = line
      .slice(0, Math.max(0, line.indexOf(':')))
      .trim()
      .toLowerCase();
    if (key === 'max_age' && !seen.has(key) && !/^[^:]*:\s*\d{1,10}\s*$/.test(line))
      throw new Error('Invalid max_age field');
    if (key === 'mx' || !seen.has(key)) {
      seen.add(key);
      return true;
    }
    return false;
  });
  const { mode, mx = [], maxAge } = parsePolicy(lines.join('\n'));
  if (mx.length > MX_MAX) throw new Error(`more than ${MX_MAX} mx fields`);
  if (mx.some((one) => one.length > 255 || !PATTERN.test(one))) throw new Error('Invalid mx field');
  return { mode, mx: mode === 'none' ? [] : mx, maxAge: maxAge ?? 0 };
}

/** Whether a mail host is one of a policy's. `*.` stands for exactly one label (RFC 8461 section 4.1; mailauth 4.13: for any number). */
export function isStsHost(policy: Pick<StsPolicy, 'mx'>, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '');
  const above = name.slice(name.indexOf('.') + 1);
  return policy.mx.some((one) => (one.startsWith('*.') ? name.includes('.') && above === one.slice(2) : name === one));
}
