import { fastify } from 'fastify';
import pg from 'pg';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { Database } from '../../../src/db/db.ts';
import { roleUrl } from '../../../src/db/migrate.ts';
import { createHttp } from '../../../src/http/server.ts';
import { NO_COMMANDS, NO_PAGES } from '../../support/http.ts';
import { END, PARTNER_ID } from '../seed/parameters.ts';
import { SEED_PASSWORDS } from '../seed/seeded.ts';
import { type MonthRow, monthAnswer, monthCuts, monthStatement } from './bare-month.ts';

/** Parts of child.ts: servers over the seeded database, each a process of its own so that its CPU is its own. */
export interface ReadServer {
  readonly ports: readonly number[];
  ask(question: string): unknown;
  close(): Promise<void>;
}

const CONNECTIONS = 10;

/** The product's HTTP face, as `tollgate serve --roles api` has it: keys, limits, row-level security, completeness. */
export async function apiServer(options: { readonly ownerUrl?: string }): Promise<ReadServer> {
  const ownerUrl = options.ownerUrl ?? '';
  const clock = new ManualClock(END.toISOString());
  const db = new Database({
    appUrl: roleUrl(ownerUrl, 'tollgate_app', SEED_PASSWORDS.app),
    systemUrl: roleUrl(ownerUrl, 'tollgate_system', SEED_PASSWORDS.system),
    clock,
    logger: silentLogger,
    maxConnections: CONNECTIONS,
  });
  const http = await createHttp({
    host: '127.0.0.1',
    port: 0,
    db,
    clock,
    logger: silentLogger,
    commands: NO_COMMANDS,
    hooks: { verify: async () => 'unknown', accept: async () => undefined },
    pages: NO_PAGES,
    checks: [],
    metrics: async () => [],
    rate: { capacity: 1e9, perSecond: 1e6 },
  });
  const url = await http.listen();
  return {
    ports: [Number(new URL(url).port)],
    ask: () => process.cpuUsage(),
    async close() {
      await http.close(0);
      await db[Symbol.asyncDispose]();
    },
  };
}

/** What somebody who wants nothing but speed would write: fastify, one prepared statement, JSON. No keys, no tenant. */
export async function bareServer(options: { readonly ownerUrl?: string }): Promise<ReadServer> {
  const pool = new pg.Pool({
    connectionString: roleUrl(options.ownerUrl ?? '', 'tollgate_system', SEED_PASSWORDS.system),
    max: CONNECTIONS,
  });
  const zones = new Map<string, string>();
  const { rows } = await pool.query<{ id: string; zone: string }>('select id, time_zone as zone from clients');
  for (const row of rows) zones.set(row.id, row.zone);
  const app = fastify({ logger: false });
  app.post('/month', async (request, reply) => {
    const { id, from, to } = request.body as { id: string; from: string; to: string };
    const cuts = monthCuts({ from, to, zone: zones.get(id) ?? 'UTC' });
    const answer = await pool.query<MonthRow>(monthStatement(PARTNER_ID, id, cuts));
    return reply.type('application/json; charset=utf-8').send(JSON.stringify(monthAnswer(cuts, answer.rows)));
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    ports: [Number(new URL(url).port)],
    ask: () => process.cpuUsage(),
    async close() {
      await app.close();
      await pool.end();
    },
  };
}
