import { isStsHost } from '../mail/mta-sts.ts';
import { type Resolver, resolveMx } from '../mail/resolver.ts';
import type { Destination } from './relay.ts';
import type { LivePolicy, StsPolicies } from './sts.ts';

/** A host that a delivery may be tried at. */
export type Target = Omit<Destination, 'address'>;

/** Mail hosts of the world for a domain, best first. `refused`: why others of its hosts may not be used. */
export interface WorldTargets {
  readonly targets: readonly Target[];
  readonly refused: string | null;
}

const HOSTS_MAX = 5;

/**
 * Where mail to somebody else's domain goes: its MX hosts under its MTA-STS policy. No target and no refusal: the domain
 * takes no mail. Rejects when the MX look-up fails.
 */
export async function worldTargets(
  deps: { readonly resolver: Resolver; readonly sts: StsPolicies; readonly port: number },
  domain: string,
): Promise<WorldTargets> {
  const names = (await resolveMx(deps.resolver, domain)) ?? [];
  if (names.length === 0) return { targets: [], refused: null };
  const policy = await deps.sts.policyFor(domain);
  const usable = names.filter((host) => policy?.mode !== 'enforce' || isStsHost(policy, host));
  const unlisted = names.find((host) => !usable.includes(host));
  const refused =
    unlisted === undefined ? null : `4.7.5 MTA-STS: the policy of ${domain} does not allow its mail host ${unlisted}`;
  return { targets: usable.slice(0, HOSTS_MAX).map((host) => target(host, deps.port, policy)), refused };
}

function target(host: string, port: number, policy: LivePolicy | null): Target {
  if (policy === null) return { host, port, tls: 'opportunistic' };
  if (policy.mode === 'enforce') return { host, port, tls: 'required', policy: 'mta-sts enforce' };
  // Testing never fails mail; whether enforcing would have is recorded with the attempt.
  return { host, port, tls: 'opportunistic', policy: 'mta-sts testing', isListed: isStsHost(policy, host) };
}
