import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type Extent, type Verification, verify } from './verify.ts';

const DAY_MS = 86_400_000;
/** What one look costs at most: so many closed days of so many clients. */
const DAYS = 2;
const CLIENTS = 10;

/** A look at a part of the rollups. */
export interface Sample extends Verification {
  readonly clients: readonly string[];
}

/**
 * Verifies some closed days of some clients, both drawn by `random` (0 up to 1): over weeks everything is looked at, at a cost
 * that does not grow with the ledger. Days that retention has taken are left out.
 */
export async function verifySample(db: SystemDb, random: () => number): Promise<Sample> {
  const { clients, first, last } = await db.system(
    async (tx) => {
      const rows = await tx.rows<{ id: string }>(sql`select z.client_id as id from rollup_zones z order by 1`);
      const span = await tx.one<{ first: Date | null }>(sql`
        select greatest((select min(d.day) from rollup_days d)::timestamp at time zone 'UTC',
                        (select f.whole_from from retention_floor f)) as first`);
      return { clients: rows.map((row) => row.id), first: span.first, last: startOfUtcDay(tx.now) - DAY_MS };
    },
    { readOnly: true },
  );
  const drawn = draw(clients, CLIENTS, random);
  if (drawn.length === 0 || first === null || first.getTime() > last)
    return { clients: [], groups: 0, differences: [], exhaustive: true };
  const days = Math.floor((last - startOfUtcDay(first)) / DAY_MS) + 1;
  const seen: Verification[] = [];
  const drawnDays = draw(
    Array.from({ length: days }, (_, day) => day),
    DAYS,
    random,
  );
  for (const day of drawnDays) {
    const from = new Date(startOfUtcDay(first) + day * DAY_MS);
    const extent: Extent = { from, to: new Date(from.getTime() + DAY_MS), clients: drawn };
    seen.push(await verify(db, extent));
  }
  return {
    clients: drawn,
    groups: seen.reduce((sum, one) => sum + one.groups, 0),
    differences: seen.flatMap((one) => one.differences),
    exhaustive: seen.every((one) => one.exhaustive),
  };
}

function startOfUtcDay(at: Date): number {
  return Math.floor(at.getTime() / DAY_MS) * DAY_MS;
}

/** Up to `count` of them, none twice. */
function draw<T>(from: readonly T[], count: number, random: () => number): T[] {
  const left = [...from];
  const drawn: T[] = [];
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(Math.floor(random() * left.length), 1));
  }
  return drawn;
}
