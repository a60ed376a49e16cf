import type { ContentStore } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { partnerId } from '../core/tenant.ts';
import type { SystemDb, SystemTx, TenantDb, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { fileDigest, type PackedFile } from './packed.ts';
import { createReportReader, type ReportReader } from './read-thread.ts';
import { standingOf } from './standing.ts';
import { type Outcome, refuseFile, STANDING, takeReport } from './store.ts';

export interface TakeDeps {
  readonly db: TenantDb & SystemDb;
  readonly content: Pick<ContentStore, 'path'>;
  readonly logger: Logger;
}

interface Waiting {
  readonly partnerId: string;
  readonly id: string;
  readonly clientId: string;
  readonly contentId: string;
  readonly authenticatedDomain: string | null;
  readonly tries: number;
}

const ROUND = 200;
const LEASE_MS = 600_000;
/** A mail that is not through by then is refused as `internal`: it may be what stops us. */
const TRIES = 5;

/**
 * Takes in the mails that wait, each in a transaction of its own; a mail that fails for a fault of ours waits ten minutes and
 * holds up no other. The same mail taken twice changes nothing. Answers how many ended.
 */
export async function takeMails(deps: TakeDeps): Promise<number> {
  const reader = createReportReader(deps.logger);
  try {
    return await takeRound(deps, reader);
  } finally {
    await reader.close();
  }
}

async function takeRound(deps: TakeDeps, reader: ReportReader): Promise<number> {
  let ended = 0;
  for (let count = 0; count < ROUND; count += 1) {
    const mail = await deps.db.system(claim);
    if (mail === null) return ended;
    try {
      await takeMail(deps, reader, mail);
      ended += 1;
    } catch (error) {
      deps.logger.error({ err: error, mail: mail.id }, 'a report could not be taken in');
    }
  }
  return ended;
}

/** The lease is written before the mail is read: one that ends the process is not read for ever. */
async function claim(tx: SystemTx): Promise<Waiting | null> {
  return tx.maybe<Waiting>(sql`
    update aggregate_mails m set tries = m.tries + 1, due_at = ${new Date(tx.now.getTime() + LEASE_MS)}
    from (select partner_id, id from aggregate_mails where state = 'waiting' and due_at <= ${tx.now}
          order by due_at, id limit 1 for update skip locked) as w
    where m.partner_id = w.partner_id and m.id = w.id
    returning m.partner_id as "partnerId", m.id, m.client_id as "clientId", m.content_id as "contentId",
              m.authenticated_domain as "authenticatedDomain", m.tries`);
}

async function takeMail({ db, content }: TakeDeps, reader: ReportReader, mail: Waiting): Promise<void> {
  const of = partnerId(mail.partnerId);
  const end = (reason: string | null, outcomes: (tx: TenantTx) => Promise<unknown> = async () => null) =>
    db.tenant(of, async (tx) => {
      await outcomes(tx);
      await tx.run(sql`
        update aggregate_mails set state = ${reason === null ? 'taken' : 'refused'}, reason = ${reason}, ended_at = ${tx.now}
        where partner_id = ${tx.partnerId} and id = ${mail.id} and state = 'waiting'`);
    });
  // What holds no report is in the list of reports too, so that nothing that came is missing from it.
  const origin = { source: 'mail', mailId: mail.id, fileName: '', standing: STANDING.anybody } as const;
  const refused = (reason: string) =>
    end(reason, (tx) => refuseFile(tx, fileDigest(Buffer.from(`mail ${mail.id}`)), reason, origin, mail.clientId));
  if (mail.tries > TRIES) return refused('internal');
  const place = await content.path(mail.contentId).catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  });
  if (place === null) return refused('gone');
  const now = await db.system(async (tx) => tx.now, { readOnly: true });
  const files = await reader.read({ path: place, now });
  if (files === null) return refused('size');
  if (files.length === 0) return refused('none');
  const isRead = files.some((file) => 'reports' in file.result);
  await end(isRead ? null : 'unreadable', async (tx) => {
    for (const file of files) await takeFile(tx, mail, file);
  });
}

async function takeFile(tx: TenantTx, mail: Waiting, file: PackedFile): Promise<Outcome[]> {
  const origin = { source: 'mail', mailId: mail.id, fileName: file.name.slice(0, 255) } as const;
  if ('fault' in file.result) {
    const standing = STANDING.anybody;
    return [await refuseFile(tx, file.digest, file.result.fault, { ...origin, standing }, mail.clientId)];
  }
  const outcomes: Outcome[] = [];
  for (const report of file.result.reports) {
    const standing = standingOf(mail.authenticatedDomain, report.org, report.contact);
    outcomes.push(await takeReport(tx, report, { ...origin, standing }));
  }
  return outcomes;
}
