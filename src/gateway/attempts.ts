import { newId } from '../core/id.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { together } from '../db/together.ts';

/** One connection that was tried for a delivery, and what came of it. */
export interface Attempt {
  readonly at: Date;
  /** As configured, or as the DNS names it. */
  readonly host: string;
  /** Null: the host has no address that mail may be sent to. */
  readonly address: string | null;
  readonly port: number;
  /** Of the relay; null: it has none, as every server that the DNS names. */
  readonly region: string | null;
  /** `TLSv1.3` and the like; null or absent: the connection was not encrypted, or there was none. */
  readonly tlsVersion?: string | null;
  readonly tlsCipher?: string | null;
  /** Whether the certificate was checked and is the host's; null or absent: nobody looked. */
  readonly tlsVerified?: boolean | null;
  /** Of the SMTP reply to this recipient; 0: there was none. */
  readonly code: number;
  readonly reply: string;
  readonly durationMs: number;
  /** `direct` when absent. */
  readonly path?: AttemptPath;
}

export type AttemptPath = 'direct' | 'second_chance';

/** Attempts of one delivery. */
export interface Attempted {
  readonly partnerId: string;
  readonly deliveryId: string;
  readonly attempts: readonly Attempt[];
  /** Whether there may be attempts of earlier tries. */
  readonly isAgain: boolean;
}

/** Kept per delivery and path: how it began and how it went of late. */
const FIRST = 5;
const LAST = 20;
const REPLY_MAX = 1000;

/** Writes attempts in the transaction of their outcome, and drops those of the middle that are too many. */
export async function recordAttempts(
  tx: SystemTx,
  node: { readonly id: string; readonly region: string | null },
  tried: readonly Attempted[],
): Promise<void> {
  const rows = tried.flatMap(({ partnerId, deliveryId, attempts }) =>
    attempts.map((attempt) => ({ partnerId, deliveryId, attempt, id: newId() })),
  );
  if (rows.length === 0) return;
  const pick = <T>(value: (attempt: Attempt) => T) => rows.map((row) => value(row.attempt));
  const written = tx.run(sql`
    insert into delivery_attempts (partner_id, delivery_id, id, at, node, node_region, host, address, port, region, tls_version,
                                   tls_cipher, tls_verified, code, reply, duration_ms, path)
    select a.partner_id, a.delivery_id, a.id, a.at, ${node.id}, ${node.region}, a.host, a.address, a.port, a.region,
           a.tls_version, a.tls_cipher, a.tls_verified, a.code, a.reply, a.duration_ms, a.path
    from unnest(${rows.map((row) => row.partnerId)}::uuid[], ${rows.map((row) => row.deliveryId)}::uuid[],
                ${rows.map((row) => row.id)}::uuid[], ${pick((one) => one.at)}::timestamptz[], ${pick((one) => one.host)}::text[],
                ${pick((one) => one.address)}::text[], ${pick((one) => one.port)}::integer[],
                ${pick((one) => one.region)}::text[], ${pick((one) => one.tlsVersion ?? null)}::text[],
                ${pick((one) => one.tlsCipher ?? null)}::text[], ${pick((one) => one.tlsVerified ?? null)}::boolean[],
                ${pick((one) => one.code)}::integer[], ${pick((one) => storable(one.reply))}::text[],
                ${pick((one) => Math.max(0, Math.round(one.durationMs)))}::integer[],
                ${pick((one) => one.path ?? 'direct')}::text[])
      as a (partner_id, delivery_id, id, at, host, address, port, region, tls_version, tls_cipher, tls_verified, code, reply,
            duration_ms, path)`);
  const many = tried.filter((one) => one.isAgain || one.attempts.length > FIRST + LAST);
  const trimmed = many.length === 0 ? 0 : trim(tx, many);
  await together([written, trimmed]);
}

function trim(tx: SystemTx, tried: readonly Attempted[]): Promise<number> {
  return tx.run(sql`
    with placed as (
      select a.partner_id, a.delivery_id, a.id,
             row_number() over (partition by a.partner_id, a.delivery_id, a.path order by a.at, a.id) as first,
             row_number() over (partition by a.partner_id, a.delivery_id, a.path order by a.at desc, a.id desc) as last
      from delivery_attempts a
      join (select distinct partner_id, delivery_id
            from unnest(${tried.map((one) => one.partnerId)}::uuid[], ${tried.map((one) => one.deliveryId)}::uuid[])
              as t (partner_id, delivery_id)) t
        on t.partner_id = a.partner_id and t.delivery_id = a.delivery_id)
    delete from delivery_attempts a using placed p
    where a.partner_id = p.partner_id and a.delivery_id = p.delivery_id and a.id = p.id
      and p.first > ${FIRST} and p.last > ${LAST}`);
}

/** What PostgreSQL can store of a server's reply, bounded. */
function storable(reply: string): string {
  return reply.slice(0, REPLY_MAX).replaceAll('\0', '\ufffd').toWellFormed();
}
