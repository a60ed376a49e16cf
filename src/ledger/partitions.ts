const DAY_MS = 86_400_000;

/** Runs a statement that changes structure, as the owner. */
export type RunAsOwner = (statement: string) => Promise<void>;

/**
 * Makes the ledger ready: takes over one that was restored from another cluster, and makes the daily partitions (UTC) from
 * yesterday to `daysAhead` days from now. Repeating it changes nothing, and nodes may do it at the same time. A day whose
 * events already lie in the default partition has them moved. Fails when it can't get its locks within five seconds, rather
 * than hold up the mail behind it; the next run tries again.
 */
export async function ensurePartitions(run: RunAsOwner, now: Date, daysAhead: number): Promise<void> {
  await run(TAKE_OVER);
  const today = startOfUtcDay(now);
  for (let day = -1; day <= daysAhead; day += 1) {
    await run(partitionStatement(new Date(today + day * DAY_MS), new Date(today + (day + 1) * DAY_MS)));
  }
}

function startOfUtcDay(at: Date): number {
  return Math.floor(at.getTime() / DAY_MS) * DAY_MS;
}

function partitionName(day: Date): string {
  return `ledger_${day.toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/** Dates come from numbers, never from input, so they may stand in the text: DDL takes no parameters. */
function partitionStatement(from: Date, to: Date): string {
  const name = partitionName(from);
  const [start, end] = [from.toISOString(), to.toISOString()];
  return `do $$
    begin
      perform set_config('lock_timeout', '5s', true);
      perform pg_advisory_xact_lock(7461002);
      if to_regclass('public.${name}') is not null then return; end if;
      create table ${name} (like ledger including defaults including constraints);
      alter table ${name} enable row level security;
      alter table ${name} force row level security;
      -- The owner is under the forced security too; a superuser is not, so both kinds of owner pass this policy. Making it
      -- locks the default partition, so that no event slips in between the move and the attachment.
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

/**
 * After a dump and restore into another cluster the transaction ids of events and heartbeats mean nothing, and most are higher
 * than any that the new cluster will give for years: they would not be counted. All that are there now are committed, so they
 * get the lowest id there is (3; 1 and 2 are PostgreSQL's own), and the cursor goes to 0: the next round of the roller counts
 * everything anew.
 */
const TAKE_OVER = `do $$
  declare
    here constant bigint := (select system_identifier from pg_control_system());
  begin
    if not exists (select from rollup_state where cluster <> here) then return; end if;
    -- The roller's lock: no round runs meanwhile, so none can miss what gets another id here.
    perform pg_advisory_xact_lock(7461003);
    if not exists (select from rollup_state where cluster <> here) then return; end if;
    -- Heartbeats first: what they vouch for is committed, and so within sight of the next statement.
    delete from node_beats b using node_beats later
      where later.node = b.node and (later.heartbeat_at, later.xid) > (b.heartbeat_at, b.xid);
    update node_beats set xid = '3';
    execute format('create policy owner_takes_over on ledger to %I using (true) with check (true)', current_user);
    update ledger set xid = '3' where xid <> '3';
    drop policy owner_takes_over on ledger;
    update rollup_state set cluster = here, cursor = '0', mark = pg_current_xact_id();
  end $$`;

/**
 * Retention: drops the days (UTC) that ended before `before`, as the owner, and notes that the ledger is whole from then on
 * only; their rollups stay. Fails, and drops nothing, while the roller has not yet taken in all events of those days.
 */
export async function dropPartitions(run: RunAsOwner, before: Date): Promise<void> {
  const floor = new Date(startOfUtcDay(before)).toISOString();
  await run(`do $$
    declare
      old record;
    begin
      perform set_config('lock_timeout', '5s', true);
      perform pg_advisory_xact_lock(7461002);
      -- The roller's lock, then the ledger: no round and no late writer is between the look and the act.
      perform pg_advisory_xact_lock(7461003);
      lock table ledger in access exclusive mode;
      execute format('create policy owner_drops on ledger to %I using (true) with check (true)', current_user);
      execute format('create policy owner_drops on ledger_default to %I using (true) with check (true)', current_user);
      if exists (select from ledger where occurred_at < '${floor}'
                 and xid >= coalesce((select cursor from rollup_state), '0')) then
        raise exception 'events before ${floor} are not yet counted';
      end if;
      insert into retention_floor as f (whole_from) values ('${floor}')
        on conflict (only_row) do update set whole_from = greatest(f.whole_from, excluded.whole_from);
      for old in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'ledger'::regclass and c.relname ~ '^ledger_[0-9]{8}$'
          and c.relname < '${partitionName(new Date(floor))}'
      loop
        execute format('drop table %I', old.relname);
      end loop;
      delete from ledger_default where occurred_at < '${floor}';
      drop policy owner_drops on ledger;
      drop policy owner_drops on ledger_default;
    end $$`);
}
