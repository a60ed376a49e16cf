import { domainToASCII } from 'node:url';

/** A mail address split at its last `@`. `domain` is the lower-case A-label form (RFC 5890). */
export interface Address {
  readonly local: string;
  readonly domain: string;
}

const LOCAL_MAX = 64; // RFC 5321 section 4.5.3.1.1, octets
const DOMAIN_MAX = 255; // RFC 5321 section 4.5.3.1.2, octets
const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

/** The canonical form of a domain, or null when it is not one. Accepts U-labels and a single trailing dot. */
export function normalizeDomain(text: string): string | null {
  const trimmed = text.trim().replace(/\.$/, '');
  if (trimmed === '' || /[\s@/\\:]/.test(trimmed)) return null;
  const ascii = domainToASCII(trimmed).toLowerCase();
  if (ascii === '' || ascii.length > DOMAIN_MAX) return null;
  const labels = ascii.split('.');
  if (labels.length < 2 || !labels.every((label) => LABEL.test(label))) return null;
  return ascii;
}

/**
 * Parses an address as it stands in an envelope or a directory (no display name, no source route).
 * Returns null for what RFC 5321 section 4.1.2 does not allow, for control characters and for over-long parts.
 */
export function parseAddress(text: string): Address | null {
  const trimmed = text.trim();
  const at = trimmed.lastIndexOf('@');
  if (at <= 0) return null;
  const local = trimmed.slice(0, at);
  const domain = normalizeDomain(trimmed.slice(at + 1));
  if (domain === null || Buffer.byteLength(local) > LOCAL_MAX) return null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (/[\u0000-\u001f\u007f\ufffd]/.test(local)) return null;
  const quoted = local.startsWith('"') && local.endsWith('"') && local.length >= 2;
  if (!quoted && (/[\s"(),:;<>@[\\\]]/.test(local) || /^\.|\.\.|\.$/.test(local))) return null;
  return { local, domain };
}

/**
 * The form that addresses are compared and stored in: lower case throughout. RFC 5321 section 2.4 leaves the case of the
 * local part to its host; every host that MSPs run ignores it, and two directory rows that differ by case would be a fault.
 */
export function normalizeAddress(text: string): string | null {
  const parsed = parseAddress(text);
  return parsed === null ? null : `${parsed.local.normalize('NFC').toLowerCase()}@${parsed.domain}`;
}

export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

/** Without a `+detail` after the local part (RFC 5233); an address without one as it is. */
export function plainAddress(address: string): string {
  const domain = domainOf(address);
  const local = address.slice(0, -domain.length - 1);
  const plus = local.indexOf('+');
  return plus > 0 ? `${local.slice(0, plus)}@${domain}` : address;
}

/** Text that came from outside, cut and stripped of control characters, fit for a message or a log line. */
export function printable(text: string, max = 120): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '\ufffd');
  const points = [...clean];
  return points.length > max ? `${points.slice(0, max - 1).join('')}…` : clean;
}
