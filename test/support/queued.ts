import type pg from 'pg';
import { newId } from '../../src/core/id.ts';

export interface Queued {
  readonly partnerId: string;
  /** Existing clients; the rows are dealt to them in turn. */
  readonly clientIds: readonly string[];
  readonly rows: number;
  readonly now: Date;
  readonly direction?: 'inbound' | 'outbound';
  /** Recipient domains, dealt in turn. */
  readonly domains?: readonly string[];
  /** Minutes from now over which the rows come due; not given: they are due now and ready. */
  readonly waitMinutes?: number;
  /** A body in the spool. */
  readonly contentId?: string;
}

/** Deliveries with their queue rows, written by the owner in one go: all of one message. */
export async function fillQueue(owner: pg.Client, queued: Queued): Promise<void> {
  const { partnerId, clientIds, rows, now, direction = 'inbound', waitMinutes = null } = queued;
  const domains = queued.domains ?? ['acme.example'];
  const contentId = queued.contentId ?? 'none';
  const messageId = newId();
  await owner.query('begin');
  // No checks of foreign keys for 100,000 rows that are known to be right.
  await owner.query('set local session_replication_role = replica');
  await owner.query(
    `insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
                           from_address, from_name, subject, bytes, sha256, received_at, node)
     values ($1, $2, $3, $4, 'a@b.example', '192.0.2.1', 'b.example', false, '', '', '', '', 1000, '', $5, 'test')`,
    [partnerId, messageId, contentId, direction, now],
  );
  await owner.query(
    `with made as (
       select gen_random_uuid() as id, n, ($2::uuid[])[n % cardinality($2::uuid[]) + 1] as client_id,
              ($3::text[])[n % cardinality($3::text[]) + 1] as domain
       from generate_series(0, $4::int - 1) as n),
     sent as (
       insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score,
                               accepted_at)
       select $1, client_id, id, $5, 'r' || n || '@' || domain, domain, $6, 'clean',
              case when $7::int is null then 'queued' else 'deferred' end, 0, $8 from made)
     insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, direction, waiting,
                        attempts, queued_at, due_at, expires_at)
     select $1, id, client_id, $5, $9, 'a@b.example', 'r' || n || '@' || domain, domain, $6, $7::int is not null,
            case when $7::int is null then 0 else 1 end, $8,
            $8::timestamptz + case when $7::int is null then interval '0'
              else interval '1 second' + n * ($7::int * interval '1 minute') / $4::int end,
            $8::timestamptz + interval '14 days' from made`,
    [partnerId, clientIds, domains, rows, messageId, direction, waitMinutes, now, contentId],
  );
  await owner.query('commit');
  await owner.query('analyze queue, deliveries, messages');
}
