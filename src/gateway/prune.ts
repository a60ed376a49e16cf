import { pruneChanges } from '../accounts/cache.ts';
import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { REPEAT_MS } from './digests.ts';
import { GREYLIST } from './greylist.ts';
import { REPUTATION } from './reputation.ts';

const HARVEST_KEPT_MS = 7 * 86_400_000;

/** Removes what gateways have no use for any more: old digests, triplets, networks and notes of changes. Answers how many rows. */
export async function pruneEdge(db: SystemDb): Promise<number> {
  const rows = await db.system(async (tx) => {
    const before = (ms: number) => new Date(tx.now.getTime() - ms);
    return (
      (await tx.run(sql`delete from accepted_digests where accepted_at < ${before(2 * REPEAT_MS)}`)) +
      (await tx.run(sql`
        delete from greylist where last_seen_at < ${before(GREYLIST.window)}
          and (passed_at is null or last_seen_at < ${before(GREYLIST.memory)})`)) +
      // Ten half-lives leave a thousandth.
      (await tx.run(sql`delete from network_reputation where updated_at < ${before(10 * REPUTATION.halfLifeMs)}`)) +
      (await tx.run(sql`delete from harvest_windows where window_at < ${before(HARVEST_KEPT_MS)}`))
    );
  });
  return rows + (await pruneChanges(db));
}
