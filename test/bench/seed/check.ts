import type pg from 'pg';
import type { Database } from '../../../src/db/db.ts';
import { verify } from '../../../src/rollups/verify.ts';
import { DAY_MS, END } from './parameters.ts';

export interface SeedCounts {
  readonly clients: number;
  readonly mailboxes: number;
  readonly messages: number;
  readonly deliveries: number;
  readonly ledger: number;
  readonly traffic: number;
  readonly mailboxRollups: number;
  readonly senderRollups: number;
  readonly gigabytes: number;
}

export async function countTables(owner: pg.Client): Promise<SeedCounts> {
  const { rows } = await owner.query<Record<keyof SeedCounts, string>>(`
    select (select count(*) from clients) as clients, (select count(*) from mailboxes) as mailboxes,
           (select count(*) from messages) as messages, (select count(*) from deliveries) as deliveries,
           (select count(*) from ledger) as ledger, (select count(*) from rollup_traffic) as traffic,
           (select count(*) from rollup_mailboxes) as "mailboxRollups", (select count(*) from rollup_senders) as "senderRollups",
           pg_database_size(current_database()) / 1e9 as gigabytes`);
  const row = rows[0];
  if (row === undefined) throw new Error('no counts');
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])) as unknown as SeedCounts;
}

/**
 * The seed must be what the product would have written: `verify` recounts two hours of the last day, every delivery belongs to a
 * message, and deliveries = accepted and rejected events. Throws when that is not so.
 */
export async function checkSeed(owner: pg.Client, db: Database): Promise<number> {
  const from = new Date(END.getTime() - DAY_MS / 2);
  const { groups, differences } = await verify(db, { from, to: new Date(from.getTime() + DAY_MS / 12) });
  if (groups === 0 || differences.length > 0) {
    throw new Error(
      `the seeded rollups differ from the ledger: ${JSON.stringify(differences.slice(0, 3))}, ${groups} groups`,
    );
  }
  const { rows } = await owner.query<{ orphans: string; balance: string }>(`
    select (select count(*) from deliveries d left join messages m on m.partner_id = d.partner_id and m.id = d.message_id
            where m.id is null) as orphans,
           (select count(*) from deliveries) - (select count(*) from ledger where kind in ('accepted', 'rejected')) as balance`);
  if (Number(rows[0]?.orphans) !== 0 || Number(rows[0]?.balance) !== 0) {
    throw new Error(`the seeded mail does not add up: ${JSON.stringify(rows[0])}`);
  }
  return groups;
}
