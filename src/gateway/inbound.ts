import type { DirectoryCache } from '../accounts/cache.ts';
import { type KnownRecipient, outboundContexts } from '../accounts/directory.ts';
import { clientsByTag, type ReturnClient } from '../accounts/forwarding.ts';
import { domainOf } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { Envelope, Pipeline, PipelineResult } from '../core/message.ts';
import type { Decision } from '../core/verdict.ts';
import type { SystemDb } from '../db/db.ts';
import { isSrs, type SrsSettings, srsClient, srsOriginal } from '../mail/srs.ts';
import type { Committer } from './commit.ts';
import { decide } from './decision.ts';
import type { Edge, Refused } from './edge.ts';
import { withForwards } from './forward.ts';
import type { Refusal } from './refusals.ts';
import { Reply } from './replies.ts';
import { type ReportBox, type ReportPort, storeReport } from './report-mail.ts';
import type { Reputation } from './reputation.ts';
import type { Port } from './server.ts';
import type { Spool } from './spool.ts';

export interface InboundDeps {
  readonly db: SystemDb;
  readonly directory: DirectoryCache;
  readonly edge: Edge;
  readonly reputation: Reputation;
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
  /** Addresses that take reports of other receivers; null: there are none. */
  readonly reports: ReportPort | null;
}

/** A notification about forwarded mail, on its way back to the sender of that mail. */
interface Return extends ReturnClient {
  readonly sender: string;
}

interface Owner {
  readonly partnerId: string;
  readonly clientId: string;
  readonly domain: string;
}

/** The port that the world delivers to: recipients are checked against the directory, mail is decided before 250. */
export function inboundPort(deps: InboundDeps): Port {
  const { directory, edge, reputation } = deps;
  const recipients = new WeakMap<object, Map<string, KnownRecipient>>();
  const returns = new WeakMap<object, Return>();
  const boxes = new WeakMap<object, ReportBox>();

  const refuse = async (owner: Owner, recipient: string, sender: string, reason: Refusal, reply: Reply) => {
    const { partnerId, clientId, domain } = owner;
    await deps.committer.refuse({ partnerId, clientId, domain, recipient, sender, reason });
    throw reply;
  };
  const refuseAs = async (refused: Refused, owner: Owner, recipient: string, sender: string) => {
    if (refused.reason === null) throw refused.reply;
    await refuse(owner, recipient, sender, refused.reason, refused.reply);
  };

  return {
    direction: 'inbound',
    connect: (session) => edge.connect(session.remoteAddress),
    sender: (_sender, session) => edge.transaction(session.remoteAddress),

    async recipient(recipient, sender, session, transaction, signal) {
      const { remoteAddress } = session;
      if (domainOf(recipient) === deps.srs.domain && isSrs(recipient)) {
        if (sender !== '') throw new Reply(550, '5.7.1', 'Only notifications are returned through this address');
        if (recipients.has(transaction) || returns.has(transaction) || boxes.has(transaction))
          throw new Reply(452, '4.5.3', 'One at a time');
        const back = await returnFor(deps, recipient);
        signal.throwIfAborted();
        returns.set(transaction, back);
        return;
      }
      if (returns.has(transaction) || boxes.has(transaction)) throw new Reply(452, '4.5.3', 'One at a time');
      await edge.beforeRecipient(remoteAddress);
      if (deps.reports !== null && domainOf(recipient) === deps.reports.intake.domain) {
        // A report is counted by no client, other mail is: they are not one transaction.
        if (recipients.has(transaction)) throw new Reply(452, '4.5.3', 'One at a time');
        const box = await deps.reports.intake.find(recipient);
        if (box === null) throw new Reply(550, '5.1.1', 'No such mailbox here');
        if (box === 'full') throw new Reply(452, '4.2.2', 'Too many reports for this address today');
        signal.throwIfAborted();
        boxes.set(transaction, box);
        return;
      }
      const found = await directory.recipient(recipient, deps.graceSeconds);
      if (found.kind === 'not_local') throw new Reply(550, '5.7.1', 'Relaying denied');
      const owner: Owner = found.kind === 'known' ? found.recipient : found;
      const view = await directory.view(owner);
      // Before it is said whether the address exists: who is not to send here is not to learn that.
      const refused = await edge.refusalOf(view, remoteAddress);
      if (refused !== null) await refuseAs(refused, owner, recipient, sender);
      if (found.kind === 'unknown') {
        if (found.recent) throw new Reply(451, '4.1.1', 'The directory of this domain changed a moment ago, try again');
        reputation.noteUnknown(remoteAddress, owner, recipient);
        await refuse(owner, recipient, sender, 'recipient.unknown', new Reply(550, '5.1.1', 'No such mailbox here'));
        return;
      }
      reputation.noteKnown(remoteAddress, found.recipient.mailboxId);
      if (found.recipient.suspended) throw new Reply(450, '4.2.1', 'The mailbox does not take mail at present');
      const helo = String(session.hostNameAppearsAs || '').slice(0, 255);
      const wait = await edge.greylist(view, found.recipient, sender, { remoteAddress, helo });
      if (wait !== null) await refuseAs(wait, owner, recipient, sender);
      // Who was told 451 meanwhile sends to this recipient again.
      signal.throwIfAborted();
      const known = recipients.get(transaction) ?? new Map<string, KnownRecipient>();
      // The same address given twice is one delivery.
      known.set(recipient, found.recipient);
      recipients.set(transaction, known);
    },

    async accept(content, envelope, transaction, signal, peer) {
      const box = boxes.get(transaction);
      if (box !== undefined && deps.reports !== null) {
        return storeReport(
          { ...deps.reports, spool: deps.spool, hostName: deps.hostName },
          box,
          content,
          envelope,
          signal,
        );
      }
      const back = returns.get(transaction);
      if (back !== undefined) {
        const to = [{ recipient: back.sender, domain: back.domain }];
        const contexts = outboundContexts(await directory.view(back), null, to);
        return decide(deps, content, envelope, contexts, signal, {
          peer,
          expand: async (messages) =>
            messages.map((one) => ({ ...one, kind: 'return', envelope: { ...one.envelope, direction: 'outbound' } })),
        });
      }
      const known = recipients.get(transaction) ?? new Map<string, KnownRecipient>();
      const contexts = await directory.contexts([...known.values()], envelope.remoteAddress);
      const connection = await edge.factsOf(envelope.remoteAddress);
      const whole: Envelope = connection === null ? envelope : { ...envelope, connection };
      return decide({ ...deps, pipeline: observed(deps.pipeline, reputation) }, content, whole, contexts, signal, {
        peer,
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

const UNWANTED: ReadonlySet<string> = new Set(['spam', 'phish', 'spoof', 'malware']);

/** The filter, with its verdicts told to the reputation of the network: one sign a message, the worst for any recipient. */
function observed(pipeline: Pipeline, reputation: Reputation): Pipeline {
  return {
    async run(input, signal) {
      const result = await pipeline.run(input, signal);
      const sign = signOf(result);
      if (sign !== null) reputation.note(input.envelope.remoteAddress, sign);
      return result;
    },
    close: () => pipeline.close(),
  };
}

function signOf({ decisions, deferred }: PipelineResult): 'ham' | 'spam' | null {
  if (deferred !== undefined) return null;
  // A block list says what one client does not want, which is nothing for the others to go by.
  const blocked = (one: Decision) => one.reasons.some((reason) => reason.code === 'list.block');
  if (decisions.some((one) => UNWANTED.has(one.verdict) && !blocked(one))) return 'spam';
  return decisions.some((one) => one.verdict === 'clean') ? 'ham' : null;
}
