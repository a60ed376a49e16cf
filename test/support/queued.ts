import type pg from 'pg';

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

/** Messages of one delivery each, with their queue rows, written by the owner in one go. */
export async function fillQueue(owner: pg.Client, queued: Queued): Promise<void> {
  const { partnerId, clientIds, rows, now, direction = 'inbound', waitMinutes = null } = queued;
  const domains = queued.domains ?? ['acme.example'];
  const contentId = queued.contentId ?? 'none';
  await owner.query('begin');
  // No checks of foreign keys for 100,000 rows that are known to be right.
  await owner.query('set local session_replication_role = replica');
  await owner.query(
    `with made as materialized (
       select gen_random_uuid() as id, gen_random_uuid() as message_id, n,
              ($2::uuid[])[n % cardinality($2::uuid[]) + 1] as client_id,
              ($3::text[])[n % cardinality($3::text[]) + 1] as domain
       from generate_series(0, $4::int - 1) as n),
     sent as (
       insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
                             from_address, from_name, subject, bytes, sha256, received_at, node)
       select $1, message_id, $8, $5, 'a@b.example', '192.0.2.1', 'b.example', false, '', '', '', '', 1000, '', $7, 'test'
       from made),
     addressed as (
       insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score,
                               accepted_at)
       select $1, client_id, id, message_id, 'r' || n || '@' || domain, domain, $5, 'clean',
              case when $6::int is null then 'queued' else 'deferred' end, 0, $7 from made)
     insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, direction, waiting,
                        attempts, queued_at, due_at, expires_at)
     select $1, id, client_id, message_id, $8, 'a@b.example', 'r' || n || '@' || domain, domain, $5, $6::int is not null,
            case when $6::int is null then 0 else 1 end, $7,
            $7::timestamptz + case when $6::int is null then interval '0'
              else interval '1 second' + n * ($6::int * interval '1 minute') / $4::int end,
            $7::timestamptz + interval '14 days' from made`,
    [partnerId, clientIds, domains, rows, direction, waitMinutes, now, contentId],
  );
  await owner.query('commit');
  await owner.query('analyze queue, deliveries, messages');
}
