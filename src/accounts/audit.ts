import { newId } from '../core/id.ts';
import type { Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

export interface AuditEntry {
  readonly partnerId: string;
  /** `key:<label>`, `cli`, `job:<name>` or a person's address. */
  readonly actor: string;
  /** `noun.verb`, stable: filters and alarms are built on it. */
  readonly action: string;
  readonly subject: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Writes who did what, in the transaction of the act: both happen or neither. */
export async function recordAudit(tx: Tx, entry: AuditEntry): Promise<void> {
  await tx.run(sql`
    insert into audit (partner_id, id, at, actor, action, subject, details)
    values (${entry.partnerId}, ${newId()}, ${tx.now}, ${entry.actor}, ${entry.action}, ${entry.subject},
            ${JSON.stringify(entry.details ?? {})})`);
}
