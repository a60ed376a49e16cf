import type pg from 'pg';
import { END, OTHER_PARTNER_ID, PARTNER_ID, type SeedParameters, times } from './parameters.ts';
import { quarterQuantiles, WORDS } from './words.ts';

/**
 * Functions from a number and a salt to values that look random and are the same at every run, and the tables that the other
 * steps draw from: `bench.client`, `bench.mailbox`. PostgreSQL's own `random()` would depend on the order of execution.
 */
export async function makeTools(owner: pg.Client): Promise<void> {
  const text = (values: readonly string[]) => `array[${values.map((value) => `'${value}'`).join(',')}]`;
  await owner.query(`
    drop schema if exists bench cascade;
    create schema bench;
    -- 0 to 1, the 1 left out.
    create function bench.h(n bigint, salt bigint) returns double precision language sql immutable parallel safe
      as $$ select (hashint8extended(n, salt) & 9007199254740991)::double precision / 9007199254740992.0 $$;
    -- Ordered by time as the product's own (UUID version 7).
    create function bench.uid(at timestamptz, n bigint, salt bigint) returns uuid language sql stable parallel safe
      as $$ select overlay(overlay(md5(n || ':' || salt)
                placing lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' from 1 for 13)
                placing '8' from 17 for 1)::uuid $$;
    create function bench.quarter(u double precision) returns integer language sql immutable parallel safe
      as $$ select (array[${quarterQuantiles().join(',')}])[1 + floor(u * 1024)::integer] $$;
    create function bench.word(u double precision) returns text language sql immutable parallel safe
      as $$ select (${text(WORDS)})[1 + floor(power(u, 3) * ${WORDS.length})::integer] $$;
    create function bench.workload(day date) returns double precision language sql immutable parallel safe
      as $$ select case extract(isodow from day) when 6 then 0.25 when 7 then 0.18 else 1 end $$`);
}

/** Partners, clients in several zones (three of them off the hour), domains, mailboxes and addresses. */
export async function makeDirectory(owner: pg.Client, parameters: SeedParameters): Promise<void> {
  const { start } = times(parameters);
  await owner.query(
    `create table bench.client as
     with drawn as (
       select n, exp(1.1 * sqrt(-2 * ln(bench.h(n, 1) + 1e-12)) * cos(2 * pi() * bench.h(n, 2))) as weight,
              (array['Europe/London', 'Europe/London', 'Europe/Berlin', 'Europe/Berlin', 'America/New_York', 'America/Chicago',
                     'America/Los_Angeles', 'America/St_Johns', 'Asia/Kolkata', 'Asia/Kathmandu', 'Australia/Adelaide',
                     'Asia/Tokyo'])[1 + floor(bench.h(n, 3) * 12)::integer] as zone
       from generate_series(1, $1::integer) as n),
     sized as (
       select n, zone, greatest(1, round(weight / sum(weight) over () * $2))::integer as mailboxes from drawn)
     select n, bench.uid($3, n, 10) as id, 'Client ' || lpad(n::text, 5, '0') as name, 'c' || n || '.example' as domain, zone,
            mailboxes, (sum(mailboxes) over (order by n) - mailboxes)::integer as first_mailbox,
            extract(epoch from ($4::timestamptz at time zone zone) - ($4::timestamptz at time zone 'UTC'))::integer as utc_offset
     from sized`,
    [parameters.clients, parameters.mailboxes, start, END],
  );
  await owner.query(
    `create table bench.mailbox as
     select (c.first_mailbox + k)::integer as n, c.n as client, bench.uid($1, c.first_mailbox + k, 11) as id,
            'user' || k || '@' || c.domain as address
     from bench.client c cross join generate_series(1, c.mailboxes) as k order by 1`,
    [start],
  );
  await owner.query('alter table bench.client add primary key (n); alter table bench.mailbox add primary key (n)');
  await owner.query('analyze bench.client; analyze bench.mailbox');
  await owner.query(`insert into partners (id, name, created_at) values ($1, 'Northwind IT', $3), ($2, 'Other', $3)`, [
    PARTNER_ID,
    OTHER_PARTNER_ID,
    start,
  ]);
  await owner.query(
    `insert into clients (partner_id, id, name, time_zone, created_at)
     select $1::uuid, id, name, zone, $3::timestamptz from bench.client union all select $2::uuid, bench.uid($3, 0, 10), 'Other client', 'Europe/London', $3`,
    [PARTNER_ID, OTHER_PARTNER_ID, start],
  );
  await owner.query(
    `insert into domains (partner_id, client_id, name, created_at) select $1, id, domain, $2 from bench.client`,
    [PARTNER_ID, start],
  );
  await owner.query(
    `insert into mailboxes (partner_id, client_id, id, address, name, kind, created_at, updated_at)
     select $1, c.id, m.id, m.address, 'User ' || m.n, 'user', $2, $2
     from bench.mailbox m join bench.client c on c.n = m.client`,
    [PARTNER_ID, start],
  );
  await owner.query(
    `insert into addresses (partner_id, client_id, address, mailbox_id, kind, created_at)
     select $1, c.id, m.address, m.id, 'primary', $2 from bench.mailbox m join bench.client c on c.n = m.client`,
    [PARTNER_ID, start],
  );
}
