import { type KnownRecipient, recipientContexts, resolveRecipient } from '../accounts/directory.ts';
import type { Pipeline } from '../core/message.ts';
import type { SystemDb } from '../db/db.ts';
import type { Committer } from './commit.ts';
import { decide } from './decision.ts';
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
}

/** The port that the world delivers to: recipients are checked against the directory, mail is decided before 250. */
export function inboundPort(deps: InboundDeps): Port {
  const recipients = new WeakMap<object, Map<string, KnownRecipient>>();
  return {
    direction: 'inbound',

    async recipient(recipient, sender, _session, transaction) {
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
      const known = [...(recipients.get(transaction)?.values() ?? [])];
      const contexts = await deps.db.system((tx) => recipientContexts(tx, known), {
        readOnly: true,
        perStatement: true,
      });
      return decide(deps, content, envelope, contexts, signal);
    },
  };
}
