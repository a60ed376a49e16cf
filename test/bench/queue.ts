import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import pg from 'pg';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Database, SystemDb, SystemTx } from '../../src/db/db.ts';
import { createDelivery, Spool } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { CONFIG } from '../gateway/support/rig.ts';
import { fillQueue } from '../support/queued.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openHome } from './home.ts';
import type { Bench } from './row.ts';

const ROWS = 100_000;
const CLIENTS = 200;

/** Counts the statements that delivery sends. */
class Counted implements SystemDb {
  statements = 0;
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  listen(...args: Parameters<Database['listen']>) {
    return this.#db.listen(...args);
  }

  system<T>(...[work, options]: Parameters<typeof this.one<T>>): Promise<T> {
    return this.one(work, options);
  }

  one<T>(work: (tx: SystemTx) => Promise<T>, options?: Parameters<Database['system']>[1]): Promise<T> {
    const counting = (tx: SystemTx): SystemTx => ({
      ...tx,
      rows: (statement) => this.#count(tx.rows(statement)),
      one: (statement) => this.#count(tx.one(statement)),
      maybe: (statement) => this.#count(tx.maybe(statement)),
      run: (statement) => this.#count(tx.run(statement)),
    });
    return this.#db.system((tx) => work(counting(tx)), options);
  }

  #count<R>(answer: Promise<R>): Promise<R> {
    this.statements += 1;
    return answer;
  }
}

interface Cost {
  readonly statements: number;
  readonly nodeMs: number;
  readonly databaseMs: number;
  readonly rssMb: number;
}

/**
 * What a queue of 100,000 deferred deliveries of 200 clients costs per minute when nothing of it is due, and when all of it is
 * for one server that is down and comes due within four hours. Beside it: an empty queue.
 */
export const benchQueue: Bench = async ({ seconds }) => {
  const home = await openHome();
  const owner = new pg.Client({ connectionString: home.store.ownerUrl });
  await owner.connect();
  try {
    const { db } = home.store;
    const partner = await seedPartner(db);
    const down = await closedPort();
    const clientIds: string[] = [];
    for (let n = 0; n < CLIENTS; n += 1) {
      const relays = [{ host: '127.0.0.1', port: down }];
      clientIds.push(await seedClient(db, partner.id, { domain: `c${n}.example`, mailboxes: [], relays }));
    }
    const spool = await Spool.open(path.join(home.folder, 'spool'));
    const { id: contentId } = await spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]));
    const measure = async (): Promise<Cost> => {
      const counted = new Counted(db);
      const delivery = createDelivery({
        db: counted,
        clock: systemClock,
        logger: silentLogger,
        spool,
        resolver: zoneResolver({}),
        config: { nodeId: CONFIG.nodeId, hostName: CONFIG.hostName, allowPrivateHosts: ['127.0.0.1'] },
      });
      await delivery.start();
      await pause(2_000);
      const before = { statements: counted.statements, cpu: process.cpuUsage(), database: await databaseMs(owner) };
      await pause(seconds * 1_000);
      const used = process.cpuUsage(before.cpu);
      const scale = 60 / seconds;
      const cost = {
        statements: (counted.statements - before.statements) * scale,
        nodeMs: ((used.user + used.system) / 1_000) * scale,
        databaseMs: ((await databaseMs(owner)) - before.database) * scale,
        rssMb: process.memoryUsage().rss / 2 ** 20,
      };
      await delivery.stop();
      return cost;
    };
    const fill = (waitMinutes: number) =>
      fillQueue(owner, { partnerId: partner.id, clientIds, rows: ROWS, now: new Date(), waitMinutes, contentId });
    const empty = await measure();
    await fill(240);
    await owner.query(`update queue set due_at = due_at + interval '1 hour'`);
    await owner.query('vacuum analyze queue');
    const waiting = await measure();
    await owner.query(`update queue set due_at = due_at - interval '1 hour'`);
    await owner.query('vacuum analyze queue');
    const parked = await measure();
    const row = (what: string, cost: Cost, pick: (from: Cost) => number, measured: string, unit: string) => ({
      bench: 'queue',
      measured: `${measured}, 100,000 deferred, ${what}`,
      unit,
      ours: pick(cost),
      peers: [{ name: 'an empty queue', value: pick(empty) }],
    });
    return [
      { what: 'none due', cost: waiting },
      { what: 'their server down, 7 due per second', cost: parked },
    ].flatMap(({ what, cost }) => [
      row(what, cost, (from) => from.statements, 'statements', 'per minute'),
      row(what, cost, (from) => from.nodeMs, 'CPU of the gateway', 'ms per minute'),
      row(what, cost, (from) => from.databaseMs, 'CPU of PostgreSQL', 'ms per minute'),
      row(what, cost, (from) => from.rssMb, 'resident memory', 'MiB'),
    ]);
  } finally {
    await owner.end();
    await home.close();
  }
};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** Processor time of the server processes of the database's sessions, the asking one left out. Linux only. */
export async function databaseMs(owner: pg.Client): Promise<number> {
  const { rows } = await owner.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  return rows.reduce((sum, { pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    // utime and stime, in hundredths of a second.
    return sum + (Number(fields[11]) + Number(fields[12])) * 10;
  }, 0);
}
