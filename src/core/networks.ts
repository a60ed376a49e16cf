import ipaddr from 'ipaddr.js';
import type { ListEntry } from './message.ts';

/**
 * The network that an address is counted by: its /24 (IPv4) or /64 (IPv6), as `192.0.2.0/24`. What is no address is counted
 * by its own text. An IPv4 address in IPv6 clothes is IPv4.
 */
export function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address.slice(0, 64);
  const parsed = ipaddr.process(address);
  const prefix = parsed.kind() === 'ipv4' ? 24 : 64;
  const bytes = parsed.toByteArray().map((byte, index) => (index * 8 < prefix ? byte : 0));
  return `${ipaddr.fromByteArray(bytes).toString()}/${prefix}`;
}

/** The canonical text of an address or a network (`192.0.2.0/24`), host bits off; null when it is neither. */
export function normalizeNetwork(text: string): string | null {
  const [host = '', length] = text.trim().split('/', 2);
  if (!ipaddr.isValid(host) || /[^0-9a-f:.]/i.test(host) || !/^(?:\d+\.){3}\d+$|:/.test(host)) return null;
  const parsed = ipaddr.parse(host);
  const bits = parsed.kind() === 'ipv4' ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return null;
  const prefix = length === undefined ? bits : Number(length);
  if (prefix > bits) return null;
  const mapped = parsed.kind() === 'ipv6' && prefix >= 96 && (parsed as ipaddr.IPv6).isIPv4MappedAddress();
  const bytes = parsed.toByteArray().map((byte, index) => byte & maskOf(prefix - index * 8));
  if (mapped) return `${ipaddr.fromByteArray(bytes.slice(12)).toString()}/${prefix - 96}`;
  return `${ipaddr.fromByteArray(bytes).toString()}/${prefix}`;
}

function maskOf(left: number): number {
  return left >= 8 ? 0xff : left <= 0 ? 0 : (0xff << (8 - left)) & 0xff;
}

/** Whether a pattern of a list is a network and not an address or a domain. */
export function isNetwork(pattern: string): boolean {
  return pattern.includes('/') && !pattern.includes('@');
}

/** Networks by prefix length, the longest first, and in it by text. */
type Index = readonly (readonly [number, ReadonlyMap<string, ListEntry['kind']>])[];
const indexes = new WeakMap<readonly ListEntry[], Index>();

function indexOf(entries: readonly ListEntry[]): Index {
  const known = indexes.get(entries);
  if (known !== undefined) return known;
  const byLength = new Map<number, Map<string, ListEntry['kind']>>();
  for (const { kind, pattern } of entries) {
    const length = Number(pattern.slice(pattern.indexOf('/') + 1));
    const same = byLength.get(length) ?? new Map<string, ListEntry['kind']>();
    if (same.get(pattern) !== 'block') same.set(pattern, kind);
    byLength.set(length, same);
  }
  const index = [...byLength].toSorted(([a], [b]) => b - a);
  indexes.set(entries, index);
  return index;
}

/**
 * What entries that name networks say of an address, or null: the entry with the longest prefix decides, at a tie the block.
 * Takes as long for thousands of entries as for one; the index is made once for each array.
 */
export function networkRule(entries: readonly ListEntry[], address: string): ListEntry['kind'] | null {
  if (entries.length === 0 || !ipaddr.isValid(address)) return null;
  const host = ipaddr.process(address).toString();
  for (const [length, networks] of indexOf(entries)) {
    const network = normalizeNetwork(`${host}/${length}`);
    const kind = network === null ? undefined : networks.get(network);
    if (kind !== undefined) return kind;
  }
  return null;
}

/**
 * Whom an address counts as under limits: an IPv4 address as itself, an IPv6 address as its /64, which is the least that one
 * subscriber is given and within which he has every address (RFC 6177). What is no address is its own text.
 */
export function subscriberOf(address: string): string {
  const plain = address.split('%')[0] ?? '';
  if (!ipaddr.isValid(plain)) return address.slice(0, 64);
  const parsed = ipaddr.process(plain);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${(parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`;
}
