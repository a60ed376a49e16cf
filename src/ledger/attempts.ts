import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** One connection that was tried for a delivery; src/gateway/attempts.ts says what the fields mean. */
export interface AttemptRow {
  readonly deliveryId: string;
  readonly at: Date;
  readonly node: string;
  readonly nodeRegion: string | null;
  readonly host: string;
  readonly address: string | null;
  readonly port: number;
  readonly region: string | null;
  readonly tlsVersion: string | null;
  readonly tlsCipher: string | null;
  readonly tlsVerified: boolean | null;
  readonly code: number;
  readonly reply: string;
  readonly durationMs: number;
  readonly path: 'direct' | 'second_chance';
}

/** What was tried for deliveries, oldest first. */
export async function deliveryAttempts(tx: TenantTx, deliveryIds: readonly string[]): Promise<AttemptRow[]> {
  return tx.rows<AttemptRow>(sql`
    select a.delivery_id as "deliveryId", a.at, a.node, a.node_region as "nodeRegion", a.host, a.address, a.port, a.region,
           a.tls_version as "tlsVersion", a.tls_cipher as "tlsCipher", a.tls_verified as "tlsVerified", a.code, a.reply,
           a.duration_ms as "durationMs", a.path
    from delivery_attempts a
    where a.partner_id = ${tx.partnerId} and a.delivery_id = any(${[...deliveryIds]}::uuid[]) order by a.at, a.id`);
}
