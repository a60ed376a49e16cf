import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { roleUrl } from '../../../src/db/migrate.ts';
import { PARTNER_ID } from '../seed/parameters.ts';
import { SEED_PASSWORDS } from '../seed/seeded.ts';
import type { HttpRequest } from './load.ts';
import { MONTH } from './questions.ts';

/**
 * PostGraphile 4 needs another major version of graphql than we do, so it is no dependency: it is installed into a folder of its own
 * when it is first wanted.
 */
const PACKAGES = ['postgraphile@4.14.1', 'graphql@15.10.1', 'pg@8.23.1'];

const PROGRAM = `
const http = require('node:http');
const { Pool } = require('pg');
const { postgraphile } = require('postgraphile');
const [url, partner] = process.argv.slice(2);
const pool = new Pool({ connectionString: url, max: 10 });
const handler = postgraphile(pool, 'bench_api', {
  dynamicJson: true, simpleCollections: 'only', graphiql: false, disableQueryLog: true, legacyRelations: 'omit',
  pgSettings: { 'app.partner': partner },
});
const server = http.createServer(handler);
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
process.on('message', (question) => question === 'stop' ? process.exit(0) : process.send(process.cpuUsage()));
process.on('disconnect', () => process.exit(1));
`;

export interface Peer {
  readonly port: number;
  cpu(): Promise<NodeJS.CpuUsage>;
  close(): Promise<void>;
}

/** PostGraphile on the seeded tables, under the same row-level security; a text: why it cannot be. */
export async function openPostgraphile(owner: pg.Client, ownerUrl: string): Promise<Peer | string> {
  const folder = path.join(tmpdir(), 'tollgate-bench-peers', 'postgraphile-4.14.1');
  if (!existsSync(path.join(folder, 'node_modules', 'postgraphile', 'package.json'))) {
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'package.json'), '{"private":true}');
    const made = spawnSync('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...PACKAGES], {
      cwd: folder,
      encoding: 'utf8',
    });
    if (made.status !== 0)
      return `postgraphile@4.14.1 could not be installed: ${(made.stderr ?? '').trim().slice(-200)}`;
  }
  await makeFunction(owner);
  await writeFile(path.join(folder, 'server.cjs'), PROGRAM);
  const child = fork(
    path.join(folder, 'server.cjs'),
    [roleUrl(ownerUrl, 'tollgate_app', SEED_PASSWORDS.app), PARTNER_ID],
    {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    },
  );
  const { port } = (await answer(child)) as { port: number };
  return {
    port,
    async cpu() {
      const waiting = answer(child);
      child.send('cpu');
      return (await waiting) as NodeJS.CpuUsage;
    },
    async close() {
      const ended = once(child, 'exit');
      child.send('stop');
      await ended;
    },
  };
}

function answer(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (code: number | null) => reject(new Error(`PostGraphile ended with ${code}`));
    child.once('exit', failed);
    child.once('message', (message) => {
      child.off('exit', failed);
      resolve(message);
    });
  });
}

/** What PostGraphile shows as a query: the same days of the same tables, a row each, with as many numbers. */
async function makeFunction(owner: pg.Client): Promise<void> {
  await owner.query(`
    drop schema if exists bench_api cascade;
    create schema bench_api;
    create type bench_api.day as (
      day date, messages bigint, deliveries bigint, bytes bigint, clean bigint, bulk bigint, spam bigint, phish bigint,
      malware bigint, complete_through timestamptz);
    create function bench_api.month_by_day(client uuid, since date, through date) returns setof bench_api.day
    language sql stable as $$
      select d.day, ${['messages', 'deliveries', 'bytes', ...COLUMNS].map((column) => `sum(d.${column})::bigint`).join(', ')},
             (select min(w.complete_through) from rollup_watermarks w)
      from rollup_days d
      where d.partner_id = current_partner() and d.client_id = client and d.day between since and through
      group by 1 order by 1 $$;
    grant usage on schema bench_api to tollgate_app;
    grant execute on all functions in schema bench_api to tollgate_app`);
}

const COLUMNS = ['clean', 'bulk', 'spam', 'phish', 'malware'].map((verdict) => `verdict_${verdict}`);

export function postgraphileMonth(clientId: string): HttpRequest {
  const query = `query ($client: UUID!, $from: Date!, $to: Date!) {
    monthByDayList(client: $client, since: $from, through: $to) {
      day messages deliveries bytes clean bulk spam phish malware completeThrough } }`;
  return {
    path: '/graphql',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { client: clientId, ...MONTH } }),
  };
}
