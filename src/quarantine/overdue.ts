import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A release that was asked for and did not arrive: late, or given up by delivery. */
export interface OverdueRelease {
  readonly partnerId: string;
  readonly clientId: string;
  readonly deliveryId: string;
  readonly recipient: string;
  readonly sender: string;
  readonly subject: string;
  readonly disposition: 'queued' | 'deferred' | 'bounced' | 'expired';
  readonly releasedBy: string;
  readonly releasedAt: Date;
  /** Tries of delivery so far. */
  readonly attempts: number;
  readonly lastReply: string | null;
}

/** How long ago a release may have been given up to be told still. */
const FAILED_WITHIN_MS = 7 * 86_400_000;
const PAGE = 500;

/**
 * Releases that are late and those that failed lately, by id; `after` is the last one's. Whether anybody was told of them is
 * not known here.
 */
export async function overdueReleases(tx: SystemTx, after: string | null = null): Promise<OverdueRelease[]> {
  return tx.rows<OverdueRelease>(sql`
    select d.partner_id as "partnerId", d.client_id as "clientId", d.id as "deliveryId", d.recipient, m.sender, m.subject,
           case d.original_state when 'requested' then 'queued' when 'failed' then 'bounced' else d.disposition end as disposition,
           d.released_by as "releasedBy", d.released_at as "releasedAt", coalesce(q.attempts, 0) as attempts,
           coalesce(q.last_reply, d.remote_reply) as "lastReply"
    from (
      select l.* from deliveries l
      where l.release_due_at <= ${tx.now} and (l.disposition in ('queued', 'deferred') or l.original_state = 'requested')
        and l.released_by is not null
      union all
      select f.* from deliveries f
      where f.released_by is not null and f.disposition in ('bounced', 'expired')
        and f.ended_at >= ${new Date(tx.now.getTime() - FAILED_WITHIN_MS)}
      union all
      select o.* from deliveries o
      where o.original_state = 'failed' and o.original_at >= ${new Date(tx.now.getTime() - FAILED_WITHIN_MS)}) as d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    left join queue q on q.partner_id = d.partner_id and q.delivery_id = d.id
    where ${after}::uuid is null or d.id > ${after}::uuid
    order by d.id limit ${PAGE}`);
}
