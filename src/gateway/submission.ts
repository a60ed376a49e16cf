import type { DirectoryCache } from '../accounts/cache.ts';
import { holdsLogin, type Submitter, verifySubmission } from '../accounts/credentials.ts';
import { mailboxOfSender, outboundContexts } from '../accounts/directory.ts';
import { networkSubmitter } from '../accounts/networks.ts';
import { domainOf, plainAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { subscriberOf } from '../core/networks.ts';
import type { SystemDb } from '../db/db.ts';
import { hasSeveralAuthors } from '../mail/claims.ts';
import { type DecisionDeps, decide } from './decision.ts';
import { readHeader } from './header.ts';
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

/**
 * The port for the clients' own mail: a login or an allowed network, a sender of the client's own (of the mailbox's own, when
 * the login is a mailbox's), then the same pipeline.
 */
export function submissionPort(deps: SubmissionDeps): Port {
  const outgoing = new WeakMap<object, Outgoing>();
  const byNetwork = new WeakMap<object, Submitter>();
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
      const ip = subscriberOf(session.remoteAddress);
      if (failuresOf(ip).failures >= TRIES_PER_ADDRESS)
        throw new Reply(421, '4.7.0', 'Too many failed logins, try later');
      const submitter = await verifySubmission(deps.db, username.slice(0, 256), password.slice(0, 1024));
      if (submitter !== null) {
        bySession.delete(session.id);
        return { user: submitter };
      }
      deps.reputation.note(session.remoteAddress, 'authFailures');
      const tries = (bySession.get(session.id) ?? 0) + 1;
      bySession.set(session.id, tries);
      // Read again: others of the same address failed meanwhile.
      const before = failuresOf(ip);
      byAddress.set(ip, { ...before, failures: before.failures + 1 });
      bound(bySession);
      bound(byAddress);
      if (tries >= TRIES_PER_CONNECTION) throw new Reply(421, '4.7.0', 'Too many failed logins');
      throw new Reply(535, '5.7.8', 'The user name or the password is wrong');
    },

    async sender(sender, session) {
      let submitter = session.user as unknown as Submitter | undefined;
      if (submitter === undefined) {
        // Asked for at every message: a network that was removed is refused from the next one on.
        const found = await networkSubmitter(deps.db, session.remoteAddress);
        if (found === null) throw new Reply(530, '5.7.0', 'Authentication is required');
        byNetwork.set(session, found);
        submitter = found;
      } else if (!(await holdsLogin(deps.db, submitter))) {
        throw new Reply(530, '5.7.0', 'Your login was revoked');
      }
      if (!mayUse(submitter, sender)) throw new Reply(553, '5.7.1', 'You may not send as this address');
    },

    async recipient(recipient, sender, session, transaction) {
      const submitter = (session.user as unknown as Submitter | undefined) ?? byNetwork.get(session);
      if (submitter === undefined) throw new Reply(530, '5.7.0', 'Authentication is required');
      const known = outgoing.get(transaction) ?? { submitter, sender, recipients: new Set() };
      known.recipients.add(recipient);
      outgoing.set(transaction, known);
    },

    async accept(content, envelope, transaction, signal, peer) {
      const known = outgoing.get(transaction);
      if (known === undefined) throw new Reply(503, '5.5.1', 'There is no recipient');
      const { submitter, sender } = known;
      const domain = sender === '' ? (submitter.domains[0] ?? '') : domainOf(sender);
      // Counted by mailbox and limited by mailbox, also where one server sends for all of them.
      const mailboxId =
        submitter.mailboxId ??
        (await deps.db.system((tx) => mailboxOfSender(tx, submitter, sender), { readOnly: true, perStatement: true }));
      const recipients = [...known.recipients].map((recipient) => ({ recipient, domain }));
      const contexts = outboundContexts(await deps.directory.view(submitter), mailboxId, recipients);
      return decide(deps, content, envelope, contexts, signal, {
        peer,
        check: async ({ facts }) => {
          checkFrom(known, facts.fromAddress);
          const isProof = submitter.addresses !== null || sender === '';
          if (isProof && hasSeveralAuthors(await readHeader(deps.spool, content.id)))
            throw new Reply(550, '5.7.1', 'The message names more than one author');
        },
      });
    },
  };
}

/** Whether the envelope sender is the submitter's own. */
function mayUse({ domains, addresses, isNetwork }: Submitter, sender: string): boolean {
  // A client's server hands on notifications and automatic replies, which have no sender (RFC 5321 section 4.5.5).
  if (sender === '') return isNetwork;
  if (!domains.includes(domainOf(sender))) return false;
  return addresses === null || addresses.includes(sender) || addresses.includes(plainAddress(sender));
}

/**
 * What the reader sees must be the submitter's own where the envelope says nothing (null sender), and where a mailbox logs in:
 * one person's password must not write in another's name. A client's servers may forward mail as it came.
 */
function checkFrom({ submitter, sender }: Outgoing, from: string): void {
  if (submitter.addresses === null && sender !== '') return;
  if (from === '' && sender !== '') return;
  if (!mayUse({ ...submitter, isNetwork: false }, from)) {
    throw new Reply(550, '5.7.1', 'The From field names an address that you may not send as');
  }
}

/** Forgets the oldest: a flood of addresses must not fill the memory. */
function bound(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= 10_000) return;
    map.delete(oldest);
  }
}
