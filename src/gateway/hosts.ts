import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { isAbsent, type Resolver } from '../mail/resolver.ts';

/** The host has no address at all, and that is for sure: no failure of the look-up. */
export class NoSuchHost extends Error {
  override readonly name = 'NoSuchHost';
}

/**
 * All addresses of the host are refused. They are not named: whoever may set a route would read from it what the DNS of our own
 * network says.
 */
class PrivateHost extends Error {
  override readonly name = 'PrivateHost';

  constructor(host: string) {
    const what = isIP(host) > 0 ? 'it is a private or special one' : 'what it has is private or special';
    super(
      `${host} has no address that mail may be sent to: ${what}, and TOLLGATE_ALLOW_PRIVATE_HOSTS does not list ${host}`,
    );
  }
}

/**
 * The address of a mail host, checked: one on a private, loopback or otherwise special range is refused unless the host or
 * the address is listed, so that no tenant can make us speak to our own network. Throws with a text for the queue;
 * NoSuchHost when there is none and never was a doubt of it.
 */
export async function addressOf(host: string, resolver: Resolver, allowPrivate: readonly string[]): Promise<string> {
  const name = host.toLowerCase();
  const found = await addressesOf(name, resolver);
  for (const address of found) {
    const parsed = ipaddr.process(address);
    if (parsed.range() === 'unicast' || allowPrivate.includes(name) || allowPrivate.includes(parsed.toString())) {
      return parsed.toString();
    }
  }
  throw found.length > 0 ? new PrivateHost(host) : new Error(`${host} has no address that mail may be sent to`);
}

/**
 * Why mail would wait for ever for a host, as far as can be told now: it is in no DNS, or at an address that is refused. Null when
 * it would not, and when nobody knows, as without a network.
 */
export async function faultOfHost(
  host: string,
  resolver: Resolver,
  allowPrivate: readonly string[],
): Promise<string | null> {
  try {
    await addressOf(host, resolver, allowPrivate);
    return null;
  } catch (error) {
    return error instanceof PrivateHost || error instanceof NoSuchHost ? error.message : null;
  }
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
