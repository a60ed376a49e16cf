import pg from 'pg';
import type { Database } from '../../src/db/db.ts';
import { ensurePartitions } from '../../src/ledger/partitions.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openHome } from './home.ts';
import { type Bench, median, type Row } from './row.ts';

/** Rows of the ledger at which the cost of an event is taken; `ROLLUP_ROWS=100000,1000000` makes it smaller. */
const ROWS = (process.env['ROLLUP_ROWS'] ?? '1000000,10000000').split(',').map(Number);
const CLIENTS = 200;
/** How dense the mail is: so many events make a day. */
const EVENTS_PER_DAY = 1_000_000;
const BATCH = 500;
const FRESH = 100_000;
const ARRIVING_PER_SECOND = 500;
const DAY_MS = 86_400_000;

/**
 * The roller: events a second taken from a backlog while 500 a second arrive, what an event costs with a ledger of one and of ten
 * million rows, and a full rebuild. 200 clients, a million events a day, transactions of 500 events each.
 */
export const benchRollup: Bench = async ({ runs }) => {
  const home = await openHome();
  const owner = new pg.Client({ connectionString: home.store.ownerUrl });
  await owner.connect();
  try {
    const { db } = home.store;
    const partner = await seedPartner(db);
    for (let n = 0; n < CLIENTS; n += 1) await seedClient(db, partner.id, { domain: `c${n}.example`, mailboxes: [] });
    const now = Math.floor(Date.now() / 1000) * 1000;
    const most = Math.max(...ROWS);
    const begin = now - Math.ceil(most / EVENTS_PER_DAY) * DAY_MS;
    for (let at = begin; at < now + DAY_MS; at += DAY_MS)
      await ensurePartitions(home.store.runAsOwner, new Date(at), 1);
    const writer = new Writer(owner, begin);
    await rollOnce(db);

    const rows: Row[] = [];
    const costs: { readonly size: number; readonly us: number }[] = [];
    for (const size of ROWS) {
      await writer.fill(size);
      await owner.query('vacuum analyze ledger');
      const backlog = await rolling(db, home.store.ownerUrl, begin);
      rows.push(row(`backlog up to ${size} rows, ${ARRIVING_PER_SECOND} a second arriving`, 'events/s', backlog));
      const taken: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        await writer.fill(writer.written + FRESH);
        const start = performance.now();
        const events = await rollAway(db);
        taken.push(((performance.now() - start) * 1000) / events);
      }
      costs.push({ size, us: median(taken) });
    }
    for (const { size, us } of costs) {
      const [first] = costs;
      const peers = first === undefined || first.size === size ? [] : [{ name: `${first.size} rows`, value: first.us }];
      rows.push({ ...row(`cost of an event, ledger of ${size} rows`, 'us', us), peers });
    }
    const kept = await timed(() => rebuild(db));
    rows.push(row(`full rebuild of ${writer.written} events, nothing to mend`, 's', kept));
    await owner.query(
      'truncate rollup_traffic, rollup_mailboxes, rollup_senders, rollup_reasons, rollup_days, rollup_months',
    );
    const whole = await timed(() => rebuild(db));
    rows.push(row(`full rebuild of ${writer.written} events, from nothing`, 's', whole));
    const differences = (await verify(db, { from: new Date(now - DAY_MS) })).differences.length;
    rows.push(row('numbers of the last day that verify finds wrong afterwards', '', differences));
    return rows;
  } finally {
    await owner.end();
    await home.close();
  }
};

const row = (measured: string, unit: string, ours: number): Row => ({
  bench: 'rollup',
  measured,
  unit,
  ours,
  peers: [],
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Rolls until nothing is left; answers how many events that were. */
async function rollAway(db: Database): Promise<number> {
  let events = 0;
  for (let more = true; more; ) {
    const round = await rollOnce(db);
    events += round.events;
    more = round.behind;
  }
  return events;
}

/** The same while events arrive; answers how many were taken a second. */
async function rolling(db: Database, url: string, begin: number): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const arriving = new Writer(client, begin);
  let isOver = false;
  const arrive = (async () => {
    const start = performance.now();
    while (!isOver) {
      const due = Math.floor(((performance.now() - start) / 1000) * ARRIVING_PER_SECOND);
      if (due - arriving.written >= 25) await arriving.insert(25, new Date());
      else await new Promise((resolve) => setTimeout(resolve, 10));
    }
  })();
  const start = performance.now();
  const events = await rollAway(db);
  const seconds = (performance.now() - start) / 1000;
  isOver = true;
  await arrive;
  await client.end();
  return events / seconds;
}

/** Writes events as gateways would: an acceptance and an end for each delivery, a few thousand senders, 50 mailboxes a client. */
class Writer {
  written = 0;
  readonly #client: pg.Client;
  readonly #begin: number;

  constructor(client: pg.Client, begin: number) {
    this.#client = client;
    this.#begin = begin;
  }

  /** Up to so many in all, at the density of the bench. */
  async fill(rows: number): Promise<void> {
    while (this.written < rows) {
      await this.insert(BATCH, new Date(this.#begin + (this.written / EVENTS_PER_DAY) * DAY_MS));
    }
  }

  async insert(events: number, at: Date): Promise<void> {
    await this.#client.query({
      name: 'write',
      text: `
        with made as (
          select g.n, c.partner_id, c.id as client_id, r.a, r.b, r.c, gen_random_uuid() as delivery
          from generate_series(1, $1::int / 2) as g (n)
          cross join lateral (select random() as a, random() as b, random() as c, g.n) as r
          join (select partner_id, id, row_number() over (order by id) - 1 as rank, count(*) over () as all_of from clients) as c
            on c.rank = floor(r.a * r.a * c.all_of)),
        both_of as (
          select m.*, e.kind from made m cross join (values ('accepted'), ('ended')) as e (kind))
        insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, message_id, delivery_id, mailbox_id, recipient,
                            domain, sender, verdict, disposition, reasons, bytes, leads, latency_ms, node)
        select b.partner_id, gen_random_uuid(), b.client_id, $2::timestamptz + b.b * interval '20 seconds',
               case when b.kind = 'accepted' then 'accepted' when b.c < 0.8 then 'delivered' else 'quarantined' end, 'inbound',
               b.delivery, b.delivery,
               md5(b.client_id::text || floor(b.b * 50)::text)::uuid, 'someone@' || b.client_id || '.example',
               b.client_id || '.example', 'sender' || floor(b.c * b.b * 5000) || '@somewhere.example',
               case when b.c < 0.8 then 'clean' when b.c < 0.95 then 'spam' else 'phish' end,
               case when b.kind = 'accepted' then 'queued' when b.c < 0.8 then 'delivered' else 'quarantined' end,
               case when b.c < 0.8 then '{}'::text[] else array['link.listed', 'auth.dmarc_fail'] end,
               2000 + floor(b.b * 50000)::bigint, case when b.kind = 'accepted' then 15 else 0 end, null, 'bench'
        from both_of b`,
      values: [events, at],
    });
    this.written += events;
  }
}
