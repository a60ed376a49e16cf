import { setTimeout as pause } from 'node:timers/promises';
import type { Database } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { rollOnce } from '../../src/rollups/build.ts';

/**
 * Rolls until everything that is committed now is taken in. One round may not be enough in tests: transactions of other
 * databases of the same cluster, those of tests that run beside, hold the horizon as well.
 */
export async function rollAll(db: Database): Promise<number> {
  const mark = await db.system((tx) => tx.one<{ xid: string }>(sql`select pg_current_xact_id()::text as xid`));
  let events = 0;
  for (;;) {
    events += (await rollOnce(db)).events;
    const cursor = await db.system((tx) =>
      tx.maybe<{ done: boolean }>(sql`select cursor > ${mark.xid}::xid8 as done from rollup_state`),
    );
    if (cursor?.done === true) return events;
    await pause(5);
  }
}
