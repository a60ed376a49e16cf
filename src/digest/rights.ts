import type { Reason, Verdict } from '../core/verdict.ts';
import type { LinkScope } from './links.ts';

export type LinkRole = 'user' | 'client_admin' | 'technician';

/** Who the holder of a link is: the mail's own recipient, the client's administrator, the partner's people. */
export const ROLES: Readonly<Record<LinkScope, LinkRole>> = {
  mailbox: 'user',
  client: 'client_admin',
  partner: 'technician',
};

/** Whether the holder of a link may let such mail out. Malware never leaves by a link. */
export function mayRelease(
  _role: LinkRole,
  held: { readonly verdict: Verdict; readonly reasons: readonly Reason[] },
): boolean {
  return held.verdict !== 'malware';
}
