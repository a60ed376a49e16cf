import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { isAbsent, type Resolver } from '../mail/resolver.ts';

/** The host has no address at all, and that is for sure: no failure of the look-up. */
export class NoSuchHost extends Error {
  override readonly name = 'NoSuchHost';
}

/**
 * The address of a mail host, checked: one on a private, loopback or otherwise special range is refused unless the host or
 * the address is listed, so that no tenant can make us speak to our own network. Throws with a text for the queue;
 * NoSuchHost when there is none and never was a doubt of it.
 */
export async function addressOf(host: string, resolver: Resolver, allowPrivate: readonly string[]): Promise<string> {
  const name = host.toLowerCase();
  for (const address of await addressesOf(name, resolver)) {
    const parsed = ipaddr.process(address);
    if (parsed.range() === 'unicast' || allowPrivate.includes(name) || allowPrivate.includes(parsed.toString())) {
      return parsed.toString();
    }
  }
  throw new Error(`${host} has no address that mail may be sent to`);
}

/** All addresses of a host, unchecked. Throws NoSuchHost. */
export async function addressesOf(name: string, resolver: Resolver): Promise<string[]> {
  if (isIP(name) > 0) return [name];
  if (name === 'localhost') return ['127.0.0.1'];
  const found = await Promise.allSettled([resolver(name, 'A'), resolver(name, 'AAAA')]);
  if (found.every((one) => one.status === 'rejected' && isAbsent(one.reason))) {
    throw new NoSuchHost(`${name} has no address in the DNS`);
  }
  return found
    .flatMap((one) => (one.status === 'fulfilled' ? one.value.map(String) : []))
    .filter((text) => isIP(text) > 0);
}
