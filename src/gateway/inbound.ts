import { type KnownRecipient, outboundContexts, recipientContexts, resolveRecipient } from '../accounts/directory.ts';
import { clientsByTag, type ReturnClient } from '../accounts/forwarding.ts';
import { domainOf } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { Pipeline } from '../core/message.ts';
import type { SystemDb } from '../db/db.ts';
import { isSrs, type SrsSettings, srsClient, srsOriginal } from '../mail/srs.ts';
import type { Committer } from './commit.ts';
import { decide } from './decision.ts';
import { withForwards } from './forward.ts';
import { Reply } from './replies.ts';
import type { Port } from './server.ts';
import type { Spool } from './spool.ts';

export interface InboundDeps {
  readonly db: SystemDb;
  readonly spool: Spool;
  readonly pipeline: Pipeline;
  readonly committer: Committer;
  /** Seconds, config `directoryGraceSeconds`. */
  readonly graceSeconds: number;
  /** Milliseconds in which the pipeline must decide. */
  readonly scanMs: number;
  readonly clock: Clock;
  readonly hostName: string;
  readonly srs: SrsSettings;
}

/** A notification about forwarded mail, on its way back to the sender of that mail. */
interface Return extends ReturnClient {
  readonly sender: string;
}

/** The port that the world delivers to: recipients are checked against the directory, mail is decided before 250. */
export function inboundPort(deps: InboundDeps): Port {
  const recipients = new WeakMap<object, Map<string, KnownRecipient>>();
  const returns = new WeakMap<object, Return>();
  return {
    direction: 'inbound',

    async recipient(recipient, sender, _session, transaction) {
      if (domainOf(recipient) === deps.srs.domain && isSrs(recipient)) {
        if (sender !== '') throw new Reply(550, '5.7.1', 'Only notifications are returned through this address');
        if (recipients.has(transaction) || returns.has(transaction)) throw new Reply(452, '4.5.3', 'One at a time');
        returns.set(transaction, await returnFor(deps, recipient));
        return;
      }
      if (returns.has(transaction)) throw new Reply(452, '4.5.3', 'One at a time');
      const found = await deps.db.system((tx) => resolveRecipient(tx, recipient, deps.graceSeconds), {
        readOnly: true,
        perStatement: true,
      });
      if (found.kind === 'not_local') throw new Reply(550, '5.7.1', 'Relaying denied');
      if (found.kind === 'unknown') {
        if (found.recent) throw new Reply(451, '4.1.1', 'The directory of this domain changed a moment ago, try again');
        const { partnerId, clientId, domain } = found;
        await deps.committer.refuse({ partnerId, clientId, domain, recipient, sender, reason: 'recipient.unknown' });
        throw new Reply(550, '5.1.1', 'No such mailbox here');
      }
      if (found.recipient.suspended) throw new Reply(450, '4.2.1', 'The mailbox does not take mail at present');
      const known = recipients.get(transaction) ?? new Map<string, KnownRecipient>();
      // The same address given twice is one delivery.
      known.set(recipient, found.recipient);
      recipients.set(transaction, known);
    },

    async accept(content, envelope, transaction, signal) {
      const back = returns.get(transaction);
      if (back !== undefined) {
        const to = [{ recipient: back.sender, domain: back.domain }];
        const contexts = await deps.db.system((tx) => outboundContexts(tx, { ...back, mailboxId: null }, to), {
          readOnly: true,
          perStatement: true,
        });
        return decide(deps, content, envelope, contexts, signal, {
          expand: async (messages) =>
            messages.map((one) => ({ ...one, kind: 'return', envelope: { ...one.envelope, direction: 'outbound' } })),
        });
      }
      const known = recipients.get(transaction) ?? new Map<string, KnownRecipient>();
      const contexts = await deps.db.system((tx) => recipientContexts(tx, [...known.values()]), {
        readOnly: true,
        perStatement: true,
      });
      return decide(deps, content, envelope, contexts, signal, {
        expand: (messages) =>
          withForwards(deps, messages, (recipient) => known.get(recipient)?.forward ?? null, deps.clock.now()),
      });
    },
  };
}

/** Throws Reply 550 for an address that we did not make, or made too long ago. */
async function returnFor(deps: InboundDeps, recipient: string): Promise<Return> {
  const tag = srsClient(recipient, deps.srs);
  const clients =
    tag === null ? [] : await deps.db.system((tx) => clientsByTag(tx, tag), { readOnly: true, perStatement: true });
  for (const client of clients) {
    const original = srsOriginal(recipient, client.clientId, deps.srs, deps.clock.now());
    if (original === 'expired') throw new Reply(550, '5.7.1', 'This address is too old');
    if (original !== 'forged') return { ...client, sender: original.sender };
  }
  throw new Reply(550, '5.7.1', 'This address was not made here');
}
