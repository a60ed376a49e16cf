import { domainOf } from '../core/address.ts';
import { newId } from '../core/id.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { boxOf, type ReportBox } from './address.ts';

/** Mails of one domain in 24 hours; more wait at their senders. A domain in wide use hears from some 500 receivers a day. */
const MAILS_PER_DAY = 5_000;

/** A mail to an address for reports, stored and synced already. */
export interface ReportMail extends ReportBox {
  readonly contentId: string;
  readonly bytes: number;
  readonly sender: string;
  readonly remoteAddress: string;
  /** The From domain, when SPF or DKIM vouches for it. */
  readonly authenticatedDomain: string | null;
}

/** What the gateway needs to know of addresses for reports. */
export interface ReportIntake {
  readonly domain: string;
  /** `full`: too many came for it today. Null: there is no such address. */
  find(recipient: string): Promise<ReportBox | 'full' | null>;
  /** When it resolves the mail is in the database, and only then may 250 be answered (rule 1). */
  store(mail: ReportMail): Promise<void>;
}

/** `domain`: TOLLGATE_REPORT_DOMAIN. */
export function createIntake(db: SystemDb, domain: string): ReportIntake {
  return {
    domain,
    async find(recipient) {
      if (domainOf(recipient) !== domain) return null;
      return db.system(
        async (tx) => {
          const box = await boxOf(tx, recipient.slice(0, recipient.lastIndexOf('@')));
          if (box === null) return null;
          return (await mailsToday(tx, box)) >= MAILS_PER_DAY ? 'full' : box;
        },
        { readOnly: true },
      );
    },
    store: (mail) => db.system((tx) => insertMail(tx, mail)),
  };
}

async function mailsToday(tx: SystemTx, { partnerId, domain }: ReportBox): Promise<number> {
  const since = new Date(tx.now.getTime() - 86_400_000);
  const row = await tx.one<{ mails: number }>(sql`
    select count(*) as mails from aggregate_mails
    where partner_id = ${partnerId} and domain = ${domain} and received_at > ${since}`);
  return row.mails;
}

async function insertMail(tx: SystemTx, mail: ReportMail): Promise<void> {
  await tx.run(sql`
    insert into aggregate_mails (partner_id, id, client_id, domain, content_id, bytes, sender, remote_address,
                                 authenticated_domain, received_at, state, due_at)
    values (${mail.partnerId}, ${newId()}, ${mail.clientId}, ${mail.domain}, ${mail.contentId}, ${mail.bytes},
            ${mail.sender.replaceAll('\0', '\ufffd').toWellFormed()}, ${mail.remoteAddress}, ${mail.authenticatedDomain},
            ${tx.now}, 'waiting', ${tx.now})`);
}
