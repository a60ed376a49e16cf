import ipaddr from 'ipaddr.js';

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

/** Whether an address lies in a network of `normalizeNetwork`. */
export function isInNetwork(address: string, network: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const range = ipaddr.parseCIDR(network);
  return range[0].kind() === parsed.kind() && parsed.match(range);
}
