import { AppError } from '../core/errors.ts';
import type { Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import {
  blockSender,
  type ListChoice,
  release,
  releaseAndAllow,
  remove,
  reportNotSpam,
  reportSpam,
} from './actions.ts';
import type { QuarantineActor } from './rights.ts';

export const BULK_ACTIONS = [
  'release',
  'release_and_allow',
  'block_sender',
  'delete',
  'report_spam',
  'report_not_spam',
] as const;
export type BulkAction = (typeof BULK_ACTIONS)[number];

/** Deliveries named one by one in one call. */
export const BULK_IDS_MAX = 200;
/** Deliveries that one call by filter acts on. */
export const BULK_FILTER_MAX = 1_000;

export interface BulkResult {
  readonly id: string;
  /** False: it was so before, or `error` says why not. */
  readonly changed: boolean;
  readonly error: AppError | null;
}

/** Runs work in a transaction of its own. */
type Write = <T>(work: (tx: TenantTx) => Promise<T>) => Promise<T>;

const PERFORM: Readonly<
  Record<BulkAction, (tx: TenantTx, actor: QuarantineActor, id: string, choice: ListChoice) => Promise<boolean>>
> = {
  release: async (tx, actor, id) => (await release(tx, actor, id)).released,
  release_and_allow: async (tx, actor, id, choice) => {
    const { released, added } = await releaseAndAllow(tx, actor, id, choice);
    return released || added;
  },
  block_sender: async (tx, actor, id, choice) => (await blockSender(tx, actor, id, choice)).added,
  delete: async (tx, actor, id) => (await remove(tx, actor, id)).discarded,
  report_spam: async (tx, actor, id) => (await reportSpam(tx, actor, id)).recorded,
  report_not_spam: async (tx, actor, id) => (await reportNotSpam(tx, actor, id)).recorded,
};

/**
 * Does one thing to many deliveries, each in a transaction of its own: one that fails stops no other. Results come in the order
 * of the ids, each id once. A failure that is no AppError is a fault of ours and ends it.
 */
export async function actOnAll(
  write: Write,
  actor: QuarantineActor,
  action: BulkAction,
  ids: readonly string[],
  choice: ListChoice = {},
): Promise<BulkResult[]> {
  const results: BulkResult[] = [];
  for (const id of new Set(ids)) {
    try {
      results.push({ id, changed: await write((tx) => PERFORM[action](tx, actor, id, choice)), error: null });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      results.push({ id, changed: false, error });
    }
  }
  return results;
}

export interface BulkFilter {
  readonly clientId: string | null;
  readonly verdicts: readonly Verdict[] | null;
  /** Envelope sender or From address, normalised. */
  readonly sender: string | null;
  /** Accepted before this moment. */
  readonly before: Date | null;
}

/** The oldest `limit` deliveries in quarantine that meet the filter, and how many meet it in all. */
export async function selectHeld(
  tx: TenantTx,
  actor: QuarantineActor,
  filter: BulkFilter,
  limit: number,
): Promise<{ ids: string[]; matched: number }> {
  const rows = await tx.rows<{ id: string; matched: number }>(sql`
    select d.id, count(*) over () as matched
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.disposition = 'quarantined'
      and (${actor.clientId}::uuid is null or d.client_id = ${actor.clientId}::uuid)
      and (${actor.mailboxIds}::uuid[] is null or d.mailbox_id = any(${actor.mailboxIds}::uuid[]))
      and (${filter.clientId}::uuid is null or d.client_id = ${filter.clientId}::uuid)
      and (${filter.verdicts}::text[] is null or d.verdict = any(${filter.verdicts}::text[]))
      and (${filter.sender}::text is null or m.sender = ${filter.sender} or m.from_address = ${filter.sender})
      and (${filter.before}::timestamptz is null or d.accepted_at < ${filter.before}::timestamptz)
    order by d.accepted_at, d.id
    limit ${limit}`);
  return { ids: rows.map((row) => row.id), matched: rows[0]?.matched ?? 0 };
}
