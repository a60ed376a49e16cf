import type { DirectoryCache } from '../accounts/cache.ts';
import { type Submitter, verifySubmission } from '../accounts/credentials.ts';
import { outboundContexts } from '../accounts/directory.ts';
import { domainOf } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { SystemDb } from '../db/db.ts';
import { type DecisionDeps, decide } from './decision.ts';
import { Reply } from './replies.ts';
import type { Reputation } from './reputation.ts';
import type { Port } from './server.ts';

export interface SubmissionDeps extends DecisionDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly directory: DirectoryCache;
  readonly reputation: Reputation;
}

const TRIES_PER_CONNECTION = 3;
const TRIES_PER_ADDRESS = 20;
const WINDOW_MS = 600_000;

interface Outgoing {
  readonly submitter: Submitter;
  readonly sender: string;
  readonly recipients: Set<string>;
}

/** The port for the clients' own mail: a login, a sender of the client's own domains, then the same pipeline. */
export function submissionPort(deps: SubmissionDeps): Port {
  const outgoing = new WeakMap<object, Outgoing>();
  const bySession = new Map<string, number>();
  const byAddress = new Map<string, { failures: number; since: number }>();

  const failuresOf = (ip: string) => {
    const known = byAddress.get(ip);
    if (known !== undefined && deps.clock.now().getTime() - known.since <= WINDOW_MS) return known;
    return { failures: 0, since: deps.clock.now().getTime() };
  };

  return {
    direction: 'outbound',

    async auth(username, password, session) {
      const address = failuresOf(session.remoteAddress);
      if (address.failures >= TRIES_PER_ADDRESS) throw new Reply(421, '4.7.0', 'Too many failed logins, try later');
      const submitter = await verifySubmission(deps.db, username.slice(0, 256), password.slice(0, 1024));
      if (submitter !== null) {
        bySession.delete(session.id);
        return { user: submitter };
      }
      deps.reputation.note(session.remoteAddress, 'authFailures');
      const tries = (bySession.get(session.id) ?? 0) + 1;
      bySession.set(session.id, tries);
      byAddress.set(session.remoteAddress, { ...address, failures: address.failures + 1 });
      bound(bySession);
      bound(byAddress);
      if (tries >= TRIES_PER_CONNECTION) throw new Reply(421, '4.7.0', 'Too many failed logins');
      throw new Reply(535, '5.7.8', 'The user name or the password is wrong');
    },

    sender(sender, session) {
      const submitter = submitterOf(session);
      if (sender === '' || !submitter.domains.includes(domainOf(sender))) {
        throw new Reply(553, '5.7.1', 'You may not send as this address');
      }
    },

    async recipient(recipient, sender, session, transaction) {
      const known = outgoing.get(transaction) ?? { submitter: submitterOf(session), sender, recipients: new Set() };
      known.recipients.add(recipient);
      outgoing.set(transaction, known);
    },

    async accept(content, envelope, transaction, signal) {
      const known = outgoing.get(transaction);
      if (known === undefined) throw new Reply(503, '5.5.1', 'There is no recipient');
      const domain = domainOf(known.sender);
      const view = await deps.directory.view(known.submitter);
      const recipients = [...known.recipients].map((recipient) => ({ recipient, domain }));
      const contexts = outboundContexts(view, known.submitter.mailboxId, recipients);
      return decide(deps, content, envelope, contexts, signal);
    },
  };
}

function submitterOf(session: { user?: unknown }): Submitter {
  const user = session.user as Submitter | undefined;
  if (user === undefined) throw new Reply(530, '5.7.0', 'Authentication is required');
  return user;
}

/** Forgets the oldest: a flood of addresses must not fill the memory. */
function bound(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= 10_000) return;
    map.delete(oldest);
  }
}
