import { normalizeDomain } from '../core/address.ts';
import { isAligned } from '../mail/authentication.ts';
import { STANDING, type Standing } from './store.ts';

/**
 * Whether the mail that carried a report comes from the organisation that it names. An organisation that is a domain must be
 * the authenticated one's (RFC 7489 section 3.1, relaxed). Of another name ("Yahoo", "Enterprise Outlook") either the contact
 * address or the name itself must be: yahoo.com is Yahoo's.
 */
export function standingOf(authenticatedDomain: string | null, org: string, contact: string): Standing {
  if (authenticatedDomain === null) return STANDING.anybody;
  const named = org.includes('.') ? normalizeDomain(org) : null;
  const isTheirs = (domain: string) => isAligned(domain, authenticatedDomain, false);
  if (named !== null) return isTheirs(named) ? STANDING.authenticated : STANDING.anybody;
  const ofContact = normalizeDomain(contact.slice(contact.lastIndexOf('@') + 1));
  if (ofContact !== null && isTheirs(ofContact)) return STANDING.authenticated;
  const label = org.toLowerCase().replace(/[^a-z0-9-]/g, '');
  const isNamed = authenticatedDomain.split('.').some((_, index, labels) => {
    const domain = labels.slice(index).join('.');
    return labels[index] === label && isAligned(domain, authenticatedDomain, false) && index === labels.length - 2;
  });
  return isNamed ? STANDING.authenticated : STANDING.anybody;
}
