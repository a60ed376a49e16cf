import { domainOf, normalizeAddress } from '../../core/address.ts';
import { worse } from '../../core/verdict.ts';
import type { AuthenticationResult } from '../../mail/types.ts';
import { brandLabel, isOneEditApart, isWithin, organisation, skeleton } from '../domains.ts';
import { ownerOf } from '../people.ts';
import type { RecipientInput, RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';

/**
 * SPF, DKIM, DMARC and ARC results, and who the message claims to be from where the recipient's own domains are concerned.
 * Submitted mail is authenticated by its login. What could not be looked up is left out, not scored as a failure.
 */
export const authenticationStage: RecipientStage = (input) => {
  if (input.envelope.direction === 'outbound') return voteOf('authentication', []);
  const { authentication } = input;
  const available = authentication?.available === true;
  const hits: Hit[] = available ? resultHits(authentication) : [hit('auth.unavailable')];
  hits.push(...claimHits(input, available));
  const vote = voteOf('authentication', hits);
  const isSpoof = input.recipient.policy.ownerNameAction === 'spoof' && hits.some((one) => one.code === OWNER);
  return isSpoof ? { ...vote, verdict: worse(vote.verdict ?? 'spoof', 'spoof') } : vote;
};

const OWNER = 'auth.display_name_owner';

/** Whether something proves the From domain: the condition of rule 11. */
export function hasAlignedPass(authentication: AuthenticationResult | null): boolean {
  if (authentication === null) return false;
  const { dmarc, spf, dkim } = authentication;
  return (
    dmarc.result === 'pass' ||
    (spf.result === 'pass' && spf.aligned) ||
    dkim.some((signature) => signature.result === 'pass' && signature.aligned)
  );
}

function resultHits(authentication: AuthenticationResult): Hit[] {
  const { spf, dkim, dmarc, arc } = authentication;
  const hits: Hit[] = [];
  if (dmarc.result === 'pass') hits.push(hit('auth.dmarc_pass', dmarc.domain));
  if (arc.result === 'pass') hits.push(hit('auth.arc_pass'));
  if (spf.result === 'none' && dkim.length === 0 && dmarc.result === 'none') hits.push(hit('auth.none'));
  if (spf.result === 'fail') hits.push(hit('auth.spf_fail', spf.domain));
  if (spf.result === 'softfail') hits.push(hit('auth.spf_softfail', spf.domain));
  if (dkim.length > 0 && dkim.every((signature) => signature.result === 'fail')) {
    hits.push(hit('auth.dkim_fail', dkim.map((signature) => signature.domain).join(', ')));
  }
  if (dmarc.result === 'fail') {
    const code =
      dmarc.policy === 'reject'
        ? 'auth.dmarc_reject'
        : dmarc.policy === 'quarantine'
          ? 'auth.dmarc_quarantine'
          : 'auth.dmarc_fail';
    hits.push(hit(code, dmarc.domain));
  }
  if (dmarc.result === 'permerror' && dmarc.domain === '') hits.push(hit('auth.several_from'));
  return hits;
}

function claimHits({ inspected, authentication, envelope, recipient }: RecipientInput, available: boolean): Hit[] {
  const hits: Hit[] = [];
  const own = (domain: string) => recipient.ownDomains.some((name) => isWithin(domain, name));
  const proven = hasAlignedPass(authentication);

  for (const { address, name } of inspected.from.slice(0, 10)) {
    const domain = domainOf(address);
    if (own(domain)) {
      if (available && !proven) hits.push(hit('auth.own_domain_spoof', address));
      continue;
    }
    const shown = ownAddressIn(name, own);
    const isRelayed = inspected.isList && authentication?.dmarc.result === 'pass';
    if (shown !== null) {
      hits.push(hit(isRelayed ? 'auth.display_name_list' : 'auth.display_name_own', `${shown} <${address}>`));
    }
    if (shown === null && !isRelayed && recipient.policy.ownerNameAction !== 'off') {
      const owner = ownerOf(recipient.ownNames ?? [], name, address);
      if (owner !== null) hits.push(hit(OWNER, `${name} <${address}>, not ${owner}`));
    }
    const like = lookalikeOf(domain, recipient.ownDomains);
    if (like !== null)
      hits.push(hit(like.exact ? 'auth.lookalike_own' : 'auth.near_own', `${domain}, like ${like.own}`));
  }
  if (available && envelope.sender !== '' && own(domainOf(envelope.sender)) && authentication?.spf.result !== 'pass') {
    const from = inspected.from[0];
    // From is judged above; this is for a From of another domain.
    if (from === undefined || !own(domainOf(from.address))) hits.push(hit('auth.own_envelope', envelope.sender));
  }
  return hits;
}

function ownAddressIn(name: string, own: (domain: string) => boolean): string | null {
  for (const match of name.slice(0, 1000).matchAll(/[^\s<>"'(),;:]+@[^\s<>"'(),;:]+/g)) {
    const address = normalizeAddress(match[0].replace(/^[['"]+|[\]'".]+$/g, ''));
    if (address !== null && own(domainOf(address))) return address;
  }
  return null;
}

const MIN_LABEL = 5;

function lookalikeOf(domain: string, ownDomains: readonly string[]): { own: string; exact: boolean } | null {
  const label = brandLabel(domain);
  if (label === '') return null;
  for (const own of ownDomains) {
    const ownLabel = brandLabel(own);
    if (organisation(own) === organisation(domain) || ownLabel.length < MIN_LABEL || label === ownLabel) continue;
    if (skeleton(label) === skeleton(ownLabel)) return { own, exact: true };
  }
  for (const own of ownDomains) {
    const ownLabel = brandLabel(own);
    if (organisation(own) === organisation(domain) || ownLabel.length <= MIN_LABEL) continue;
    if (isOneEditApart(label, ownLabel)) return { own, exact: false };
  }
  return null;
}
