import dns from 'node:dns';
import type { LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AppError } from '../src/core/errors.ts';

/**
 * Which addresses a connector may reach. A PSA's URL is typed in by an MSP's administrator and its answers carry URLs of
 * their own, so each is a way to make this server talk to its own network.
 */
export interface GuardOptions {
  /** Hosts that may have a private address and may be plain http: TOLLGATE_ALLOW_PRIVATE_HOSTS. */
  readonly allowPrivateHosts: readonly string[];
}

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, '').toLowerCase();

/** True for addresses of the public internet only; IPv4 inside IPv6 is judged by the IPv4 address. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  // `::127.0.0.1` (IPv4-compatible, deprecated by RFC 4291 section 2.5.5.1) counts as unicast in ipaddr.js.
  return !(parsed instanceof ipaddr.IPv6) || parsed.parts.slice(0, 6).some((part) => part !== 0);
}

/**
 * The URL, parsed, when a connector may use it: https, no user info, not a literal private address. Host names are checked
 * again when they are resolved, see `guardedLookup`. Throws AppError `invalid_input`.
 */
export function checkUrl(text: string, options: GuardOptions): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw new AppError('invalid_input', 'the PSA address is not a URL');
  const host = bare(url.hostname);
  const exempt = options.allowPrivateHosts.includes(host);
  if (url.protocol !== 'https:' && !(exempt && url.protocol === 'http:')) {
    throw new AppError(
      'invalid_input',
      'the PSA address must begin with https:// (http:// is for hosts in TOLLGATE_ALLOW_PRIVATE_HOSTS)',
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new AppError('invalid_input', 'the PSA address must not hold a user name or password');
  }
  if (!exempt && (host === 'localhost' || (ipaddr.isValid(host) && !isPublicAddress(host)))) {
    throw new AppError('invalid_input', `${host} is a private address and not in TOLLGATE_ALLOW_PRIVATE_HOSTS`);
  }
  return url;
}

/**
 * A look-up for sockets that answers public addresses only. The socket connects to the very address that was checked, so
 * a name that answers differently the second time (DNS rebinding) gains nothing.
 */
export function guardedLookup(options: GuardOptions, resolve: typeof dns.lookup = dns.lookup): LookupFunction {
  return (hostname, lookupOptions, callback) => {
    resolve(hostname, { ...lookupOptions, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      const exempt = options.allowPrivateHosts.includes(bare(hostname));
      const usable = exempt ? addresses : addresses.filter(({ address }) => isPublicAddress(address));
      const first = usable[0];
      if (first === undefined) {
        callback(
          Object.assign(new Error(`${hostname} has a private address and is not in TOLLGATE_ALLOW_PRIVATE_HOSTS`), {
            code: 'EPRIVATE',
          }),
          '',
          0,
        );
      } else if (lookupOptions.all === true) {
        callback(null, usable);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}
