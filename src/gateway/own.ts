import { Readable } from 'node:stream';
import { resolvePolicy } from '../accounts/policy.ts';
import { domainOf } from '../core/address.ts';
import type { StoredContent } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Envelope } from '../core/message.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { acceptanceOf } from './acceptance.ts';
import { writeMessages } from './commit.ts';
import type { Spool } from './spool.ts';

/** A message that the product itself writes to people, such as a digest. */
export interface OwnMail {
  readonly partnerId: string;
  /** Whom it is about, and whose mail it counts as unless it goes to another client of the partner. */
  readonly clientId: string;
  readonly to: string;
  readonly fromAddress: string;
  readonly fromName: string;
  readonly subject: string;
  /** With brackets. */
  readonly messageId: string;
  readonly content: StoredContent;
}

/**
 * How mail of our own goes out: by the queue, unfiltered, with the null sender, so that nothing answers it and it is never
 * bounced. It is one outbound message of a client with one delivery and counts as that, as a delivery notification does.
 */
export class OwnPost {
  readonly #spool: Spool;
  readonly #hostName: string;
  readonly #node: string;

  constructor(spool: Spool, config: { readonly hostName: string; readonly nodeId: string }) {
    this.#spool = spool;
    this.#hostName = config.hostName;
    this.#node = config.nodeId;
  }

  /** Stores the bytes; without a row they are swept away. */
  store(message: Buffer): Promise<StoredContent> {
    return this.#spool.write(Readable.from([message]));
  }

  discard(content: StoredContent): Promise<void> {
    return this.#spool.remove(content.id);
  }

  /** Queues a stored message in the caller's transaction; answers with the message's id. */
  async queue(tx: SystemTx, mail: OwnMail): Promise<string> {
    const domain = domainOf(mail.to);
    // To a domain of the partner's it goes as its client's mail does: by MX it would come back to us and be filtered.
    const owner = await tx.maybe<{ clientId: string }>(sql`
      select d.client_id as "clientId" from domains d where d.partner_id = ${mail.partnerId} and d.name = ${domain}`);
    const clientId = owner?.clientId ?? mail.clientId;
    const first = await tx.maybe<{ name: string }>(sql`
      select d.name from domains d where d.partner_id = ${mail.partnerId} and d.client_id = ${clientId}
      order by (d.name = ${domain}) desc, d.name limit 1`);
    const own = first?.name ?? domain;
    const envelope: Envelope = {
      sender: '',
      remoteAddress: '127.0.0.1',
      remoteName: null,
      helo: this.#hostName,
      tls: false,
      direction: 'outbound',
      authenticatedAs: null,
      receivedAt: tx.now,
    };
    const context = {
      recipient: mail.to,
      domain: own,
      partnerId: mail.partnerId,
      clientId,
      mailboxId: null,
      policy: resolvePolicy({}),
      lists: [],
      ownDomains: [own],
    };
    const { messageId, fromAddress, fromName, subject } = mail;
    const facts = { messageId, fromAddress, fromName, subject, attachments: [] };
    const decisions = [{ verdict: 'clean' as const, action: 'deliver' as const, score: 0, reasons: [] }];
    const kind = owner === null ? 'mail' : 'dsn';
    const made = acceptanceOf(
      mail.content,
      envelope,
      [context],
      { decisions, facts, authenticationResults: null },
      kind,
    );
    await writeMessages(tx, made.messages, this.#node);
    const message = made.messages[0];
    if (message === undefined) throw new AppError('internal', 'a message of our own became none');
    return message.id;
  }
}
