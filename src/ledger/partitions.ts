import { bucketStart } from '../core/period.ts';

const DAY_MS = 86_400_000;

/** Runs a statement that changes structure, as the owner. */
export type RunAsOwner = (statement: string) => Promise<void>;

/**
 * Makes the ledger's daily partitions (UTC) from yesterday to `daysAhead` days from now. Repeating it changes nothing, and
 * nodes may do it at the same time. A day whose events already lie in the default partition has them moved.
 */
export async function ensurePartitions(run: RunAsOwner, now: Date, daysAhead: number): Promise<void> {
  const today = Math.floor(bucketStart(now).getTime() / DAY_MS) * DAY_MS;
  for (let day = -1; day <= daysAhead; day += 1) {
    await run(partitionStatement(new Date(today + day * DAY_MS), new Date(today + (day + 1) * DAY_MS)));
  }
}

/** Dates come from numbers, never from input, so they may stand in the text: DDL takes no parameters. */
function partitionStatement(from: Date, to: Date): string {
  const name = `ledger_${from.toISOString().slice(0, 10).replaceAll('-', '')}`;
  const [start, end] = [from.toISOString(), to.toISOString()];
  return `do $$
    begin
      perform pg_advisory_xact_lock(7461002);
      if to_regclass('public.${name}') is not null then return; end if;
      create table ${name} (like ledger including defaults including constraints);
      alter table ${name} enable row level security;
      alter table ${name} force row level security;
      -- The owner is under the forced security too; a superuser is not, so both kinds of owner pass this policy.
      execute format('create policy owner_moves on ${name} to %I using (true) with check (true)', current_user);
      execute format('create policy owner_moves on ledger_default to %I using (true) with check (true)', current_user);
      with moved as (
        delete from ledger_default where occurred_at >= '${start}' and occurred_at < '${end}' returning *)
      insert into ${name} select * from moved;
      drop policy owner_moves on ${name};
      drop policy owner_moves on ledger_default;
      alter table ledger attach partition ${name} for values from ('${start}') to ('${end}');
    end $$`;
}
