import { isStsHost } from '../mail/mta-sts.ts';
import type { Job } from './queue.ts';
import { type Hop, isToClient, type Way } from './routes.ts';
import type { StsPolicies } from './sts.ts';

/**
 * The way of a delivery under the MTA-STS policy of the domain that it goes to (RFC 8461 section 5), which mail hosts of the
 * world are held to; a client's own servers are not. Where the policy is enforced, hosts that it does not name are left out,
 * and when no other is left the mail waits.
 */
export async function underPolicy(sts: StsPolicies, way: Way, job: Job): Promise<Way> {
  if (isToClient(job) || way.hops.length === 0) return way;
  const policy = await sts.policyFor(job.domain);
  if (policy === null) return way;
  if (policy.mode === 'testing') {
    // Testing never fails mail; whether enforcing would have is recorded with the attempt.
    const hops = way.hops.map(
      (hop): Hop => ({ ...hop, policy: 'mta-sts testing', isListed: isStsHost(policy, hop.host) }),
    );
    return { ...way, hops };
  }
  const unlisted = way.hops.find((hop) => !isStsHost(policy, hop.host));
  const listed = way.hops.filter((hop) => isStsHost(policy, hop.host));
  const hops = listed.map((hop): Hop => ({ ...hop, tls: 'required', policy: 'mta-sts enforce' }));
  if (unlisted === undefined) return { ...way, hops };
  const text = `451 4.7.5 MTA-STS: the policy of ${job.domain} does not allow its mail host ${unlisted.host}`;
  return { ...way, hops, none: { code: 451, text } };
}
