import type { SystemDb, SystemTx } from '../db/db.ts';
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
 * Verifies some days of some clients, both drawn by `random` (0 up to 1): over weeks everything is looked at, at a cost that
 * does not grow with the ledger. Days that retention has taken are left out. Which days there are is asked of the data and not of a clock:
 * one that is years ahead or behind would have looked at days of which there is nothing.
 */
export async function verifySample(db: SystemDb, random: () => number): Promise<Sample> {
  const { drawn, days } = await db.system(
    async (tx) => {
      const rows = await tx.rows<{ id: string }>(sql`select z.client_id as id from rollup_zones z order by 1`);
      const clients = draw(
        rows.map((row) => row.id),
        CLIENTS,
        random,
      );
      return { drawn: clients, days: await daysOf(tx, clients) };
    },
    { readOnly: true },
  );
  if (drawn.length === 0 || days.length === 0) return { clients: [], groups: 0, differences: [], exhaustive: true };
  const seen: Verification[] = [];
  for (const day of draw(days, DAYS, random)) {
    const from = new Date(`${day}T00:00:00Z`);
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

/** Days (`YYYY-MM-DD`) of which the clients have numbers, or the ledger a partition: what only one of them knows is drift. */
async function daysOf(tx: SystemTx, clients: readonly string[]): Promise<string[]> {
  const rows = await tx.rows<{ day: string }>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at)
    select k.day::text as day
    from (select d.day
          from rollup_zones z
          join rollup_days d on d.partner_id = z.partner_id and d.client_id = z.client_id
          where z.client_id = any(${[...clients]}::uuid[])
          union
          select right(c.relname, 8)::date
          from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'ledger'::regclass and c.relname ~ '^ledger_[0-9]{8}$') as k
    cross join floor f
    where k.day::timestamp at time zone 'UTC' >= f.at
    order by k.day`);
  return rows.map((row) => row.day);
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
