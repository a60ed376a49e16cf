import type { Clock } from '../src/core/clock.ts';
import { errorCode, publicMessage } from '../src/core/errors.ts';
import type { Logger } from '../src/core/log.ts';
import type { Psa } from '../src/core/psa.ts';
import type { SystemDb, SystemTx, Tx } from '../src/db/db.ts';
import { sql } from '../src/db/sql.ts';
import { fileNameOf } from './catalog.ts';

export interface AttachDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The company that the client is; null while nobody has said so. */
  mappingOf(
    tx: Tx,
    partnerId: string,
    clientId: string,
  ): Promise<{ connectionId: string; companyId: string; state: 'ok' | 'needs_attention' } | null>;
  psaFor(connectionId: string, partnerId: string): Promise<Psa>;
  readContent(id: string): Promise<Buffer>;
}

interface Wanted {
  readonly partnerId: string;
  readonly id: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly report: string;
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  readonly version: number;
  readonly contentId: string;
}

const LEASE_MS = 5 * 60_000;
const HELD_MS = 5 * 60_000;
const BATCH = 20;

/**
 * Puts copies of issued reports at the clients' companies in the PSA, each once: the intent is committed, then the company's
 * documents are looked through for the file's name, which is unique per version, and only then is it sent. When the answer of a
 * sending is lost, the next round finds the document by its name. A client that is not mapped waits.
 */
export async function attachDue(deps: AttachDeps): Promise<number> {
  const wanted = await deps.db.system((tx) => takeWanted(tx));
  for (const run of wanted) {
    try {
      await attach(deps, run);
    } catch (error) {
      const rejected = errorCode(error) === 'upstream_rejected';
      deps.logger.warn({ run: run.id, err: error }, 'a report could not be attached');
      await write(deps, run, {
        state: rejected ? 'failed' : 'sending',
        documentId: null,
        error: publicMessage(error),
        nextMs: HELD_MS,
      });
    }
  }
  return wanted.length;
}

/** `due_at` of an issued run is when its copy is to be looked at next. */
function takeWanted(tx: SystemTx): Promise<Wanted[]> {
  return tx.rows<Wanted>(sql`
    update report_runs r set document_state = 'sending', due_at = ${new Date(tx.now.getTime() + LEASE_MS)}
    from (select w.partner_id, w.id from report_runs w
          where w.state = 'issued' and w.content_id is not null
            and (w.document_state = 'wanted' or (w.document_state = 'sending' and w.due_at <= ${tx.now}))
          order by w.due_at limit ${BATCH} for update skip locked) as d,
         clients c
    where r.partner_id = d.partner_id and r.id = d.id and c.partner_id = r.partner_id and c.id = r.client_id
    returning r.partner_id as "partnerId", r.id, r.client_id as "clientId", c.name as "clientName", r.report,
              r.period_from as "from", r.period_to as "to", r.time_zone as "timeZone", r.version, r.content_id as "contentId"`);
}

async function attach(deps: AttachDeps, run: Wanted): Promise<void> {
  const mapping = await deps.db.system((tx) => deps.mappingOf(tx, run.partnerId, run.clientId), { readOnly: true });
  if (mapping === null || mapping.state !== 'ok') {
    return write(deps, run, {
      state: 'sending',
      documentId: null,
      error: 'the client is not mapped to a company of the PSA',
      nextMs: HELD_MS,
    });
  }
  const psa = await deps.psaFor(mapping.connectionId, run.partnerId);
  const period = { from: run.from, to: run.to, zone: run.timeZone };
  const fileName = fileNameOf(run.clientName, run.report, { period, version: run.version, format: 'pdf' });
  const [existing] = (await psa.listCompanyDocuments(mapping.companyId)).filter(
    (one) => one.fileName === fileName || one.title === fileName,
  );
  const document =
    existing ??
    (await psa.attachToCompany(mapping.companyId, {
      title: fileName,
      fileName,
      contentType: 'application/pdf',
      data: await deps.readContent(run.contentId),
    }));
  await write(deps, run, { state: 'sent', documentId: document.id, error: null, nextMs: 0 });
}

interface Written {
  readonly state: 'sending' | 'sent' | 'failed';
  readonly documentId: string | null;
  readonly error: string | null;
  readonly nextMs: number;
}

async function write(deps: AttachDeps, run: Wanted, to: Written): Promise<void> {
  await deps.db.system((tx) =>
    tx.run(sql`
      update report_runs set document_state = ${to.state}, document_id = ${to.documentId}, error = ${to.error},
             due_at = ${new Date(tx.now.getTime() + to.nextMs)}
      where partner_id = ${run.partnerId} and id = ${run.id} and document_state = 'sending'`),
  );
}
