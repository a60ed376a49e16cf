import { AppError, graphqlCode, publicMessage } from '../../core/errors.ts';
import type { PartnerId } from '../../core/tenant.ts';
import type { TenantDb } from '../../db/db.ts';
import { globalId } from '../../graphql/ids.ts';
import { type ExportedEvent, exportHorizon, exportPage } from '../../ledger/export.ts';
import { detailFrom } from '../../ledger/read.ts';
import { completeThrough } from '../../rollups/read.ts';
import { type ExportPosition, type ExportRange, readCursor, writeCursor } from './cursor.ts';

const DAY_MS = 86_400_000;
const dayOf = (at: Date) => Math.floor(at.getTime() / DAY_MS);
const lastDayOf = (range: ExportRange) => dayOf(new Date(range.to.getTime() - 1));

export interface ExportDeps {
  readonly db: TenantDb;
  /** Events of one page: what is in memory at once. */
  readonly pageRows: number;
  /** Before each page: waits for points, throws when the export must end. */
  admit(): Promise<void>;
  /** An error that the caller is not to see whole. */
  onFault(error: unknown): void;
}

/** Where an export begins, or goes on. Throws `invalid_input` for a cursor of another one, `conflict` for one of another database. */
export async function startExport(
  db: TenantDb,
  partnerId: PartnerId,
  range: ExportRange,
  cursor: string | null,
): Promise<ExportPosition> {
  const given = cursor === null ? null : readCursor(partnerId, range, cursor);
  return db.tenant(
    partnerId,
    async (tx) => {
      // Before the horizon: what was counted then lies below it.
      const through = await completeThrough(tx);
      const { xid, cluster } = await exportHorizon(tx);
      const begin = { cluster, high: xid, completeThrough: through, day: dayOf(range.from), after: null };
      if (given === null) return { ...begin, low: '0' };
      if (given.cluster !== cluster) {
        throw new AppError('conflict', 'the cursor is of another database; begin anew without one', {
          field: 'cursor',
        });
      }
      const isWithin = given.day >= dayOf(range.from) && given.day <= lastDayOf(range);
      if (!isWithin || BigInt(given.high) > BigInt(xid) || BigInt(given.low) > BigInt(given.high)) {
        throw new AppError('invalid_input', 'cursor is not one of this export', { field: 'cursor' });
      }
      // A pass that ended is followed by one over what was written since.
      return given.low === given.high ? { ...begin, low: given.high } : given;
    },
    { readOnly: true },
  );
}

/**
 * The lines of an export, a page at a time, each page in a transaction of its own. The last line says whether the export is whole;
 * one that ends early says so in its last line too, and goes on from any line's cursor.
 */
export async function* exportLines(
  deps: ExportDeps,
  partnerId: PartnerId,
  range: ExportRange,
  start: ExportPosition,
): AsyncGenerator<string> {
  let position = start;
  try {
    for (let day = start.day; day <= lastDayOf(range); day += 1) {
      let after = day === start.day ? start.after : null;
      for (;;) {
        await deps.admit();
        const within = {
          from: new Date(Math.max(day * DAY_MS, range.from.getTime())),
          to: new Date(Math.min((day + 1) * DAY_MS, range.to.getTime())),
          clientId: range.clientId,
        };
        const page = { first: deps.pageRows, after };
        const rows = await deps.db.tenant(partnerId, (tx) => exportPage(tx, within, start, page), { readOnly: true });
        let text = '';
        for (const row of rows) {
          position = { ...start, day, after: row.id };
          text += `${JSON.stringify(lineOf(row, writeCursor(partnerId, range, position)))}\n`;
        }
        if (text !== '') yield text;
        after = rows.at(-1)?.id ?? after;
        if (rows.length < deps.pageRows) break;
      }
    }
    position = { ...start, low: start.high, day: dayOf(range.from), after: null };
    const floor = await deps.db.tenant(partnerId, detailFrom, { readOnly: true });
    const through = start.completeThrough;
    const isTold = through !== null && through.getTime() >= range.to.getTime();
    const isKept = floor === null || range.from.getTime() >= floor.getTime();
    yield `${JSON.stringify({
      end: true,
      cursor: writeCursor(partnerId, range, position),
      complete: isTold && isKept,
      completeThrough: through,
      detailFrom: floor,
    })}\n`;
  } catch (error) {
    const code = graphqlCode(error);
    if (code === 'INTERNAL') deps.onFault(error);
    const cursor = writeCursor(partnerId, range, position);
    yield `${JSON.stringify({ end: false, cursor, complete: false, error: { code, message: publicMessage(error) } })}\n`;
  }
}

/** One event as a line. Words and ids are those of the API. */
function lineOf(row: ExportedEvent, cursor: string): object {
  return {
    id: row.id,
    occurredAt: row.occurredAt,
    kind: row.kind.toUpperCase(),
    direction: row.direction.toUpperCase(),
    clientId: globalId('Client', row.clientId),
    messageId: row.messageId === null ? null : globalId('Message', row.messageId),
    deliveryId: row.deliveryId === null ? null : globalId('Delivery', row.deliveryId),
    mailboxId: row.mailboxId === null ? null : globalId('Mailbox', row.mailboxId),
    recipient: row.recipient,
    domain: row.domain,
    sender: row.sender,
    verdict: row.verdict?.toUpperCase() ?? null,
    disposition: row.disposition?.toUpperCase() ?? null,
    reasons: row.reasons,
    bytes: row.bytes,
    latencyMs: row.latencyMs,
    node: row.node,
    cursor,
  };
}
