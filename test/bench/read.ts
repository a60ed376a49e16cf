import { Child } from './process.ts';
import { askOnce, type HttpRequest, load } from './read/load.ts';
import { openPostgraphile, postgraphileMonth } from './read/postgraphile.ts';
import { bareMonth, monthByDay } from './read/questions.ts';
import { type Bench, median, type PeerFigure, percentile, type Row } from './row.ts';
import { PARTNER_ID, seedOf } from './seed/parameters.ts';
import { openSeeded, type Seeded } from './seed/seeded.ts';

const CONNECTIONS = [10, 100];
const CLIENTS = 50;
const WARM_UP = 300;

interface Subject {
  readonly name: string;
  readonly port: number;
  readonly requests: readonly HttpRequest[];
  cpu(): Promise<NodeJS.CpuUsage>;
  close(): Promise<void>;
}

interface Figures {
  readonly perSecond: number;
  readonly p99: number;
  readonly cpuMs: number;
}

/**
 * The month of one client by day, 50 clients in turn: Tollgate's GraphQL, the same bytes from bare fastify and pg, the same numbers
 * from PostGraphile. The runs of the three take turns, so that what else the machine does falls on all.
 */
export const benchRead: Bench = async ({ runs, seconds, clients }) => {
  const seeded = await openSeeded(seedOf(clients), (text) => process.stderr.write(`seed: ${text}\n`));
  try {
    return await measure(seeded, runs, seconds);
  } finally {
    await seeded.close();
  }
};

/** Clients of all sizes, the same at every run. */
async function someClients(seeded: Seeded): Promise<{ id: string; zone: string }[]> {
  const { rows } = await seeded.owner.query<{ id: string; zone: string }>(
    `select id, time_zone as zone from clients where partner_id = $1 order by md5(id::text) limit $2`,
    [PARTNER_ID, CLIENTS],
  );
  return rows;
}

async function measure(seeded: Seeded, runs: number, seconds: number): Promise<Row[]> {
  const clients = await someClients(seeded);
  const ownerUrl = seeded.store.ownerUrl;
  const part = async (kind: string, name: string, requests: readonly HttpRequest[]): Promise<Subject> => {
    const { child, ports } = await Child.start(kind, { ownerUrl });
    return {
      name,
      port: ports[0] ?? 0,
      requests,
      cpu: async () => (await child.ask('cpu')) as NodeJS.CpuUsage,
      close: () => child.stop(),
    };
  };
  const ours = await part(
    'api',
    'Tollgate',
    clients.map((client) => monthByDay(seeded.apiKey, client.id)),
  );
  const bare = await part(
    'bare_read',
    'bare fastify + pg, same bytes',
    clients.map((client) => bareMonth(client.id)),
  );
  const postgraphile = await openPostgraphile(seeded.owner, ownerUrl);
  const subjects = [ours, bare];
  if (typeof postgraphile !== 'string') {
    const requests = clients.map((client) => postgraphileMonth(client.id));
    subjects.push({ ...postgraphile, name: 'PostGraphile 4.14.1', requests });
  }
  try {
    await sameBytes(ours, bare);
    for (const subject of subjects)
      await load(subject.port, subject.requests, { connections: 10, count: WARM_UP }, isAnswer);
    const rows: Row[] = [];
    for (const connections of CONNECTIONS) {
      const figures = new Map<string, Figures[]>(subjects.map((subject) => [subject.name, []]));
      for (let run = 0; run < runs; run += 1) {
        for (const subject of subjects) {
          figures.get(subject.name)?.push(await one(subject, connections, Math.max(1, seconds / 5)));
        }
      }
      const middle = (name: string, pick: (from: Figures) => number) => median((figures.get(name) ?? []).map(pick));
      const row = (measured: string, unit: string, pick: (from: Figures) => number): Row => ({
        bench: 'read',
        measured: `month by day, ${connections} connections, ${measured}`,
        unit,
        ours: middle('Tollgate', pick),
        peers: [
          { name: bare.name, value: middle(bare.name, pick) },
          ...(typeof postgraphile === 'string'
            ? [{ name: 'PostGraphile 4.14.1', value: null, skipped: postgraphile } satisfies PeerFigure]
            : [{ name: 'PostGraphile 4.14.1', value: middle('PostGraphile 4.14.1', pick) }]),
        ],
      });
      rows.push(
        row('CPU of the server', 'ms/request', (from) => from.cpuMs),
        row('requests', 'per second', (from) => from.perSecond),
        row('p99', 'ms', (from) => from.p99),
      );
    }
    return rows;
  } finally {
    for (const subject of subjects) await subject.close();
  }
}

const isAnswer = (body: string) => !body.startsWith('{"errors"');

async function one(subject: Subject, connections: number, seconds: number): Promise<Figures> {
  const before = await subject.cpu();
  const { requests, perSecond, latencies } = await load(
    subject.port,
    subject.requests,
    { connections, seconds },
    isAnswer,
  );
  const after = await subject.cpu();
  const cpu = after.user + after.system - before.user - before.system;
  return { perSecond, p99: percentile(latencies, 0.99), cpuMs: cpu / 1_000 / requests };
}

/** The bare server must say what ours says, or the comparison is worth nothing. */
async function sameBytes(ours: Subject, bare: Subject): Promise<void> {
  for (const [index, request] of ours.requests.entries()) {
    const wanted = await askOnce(ours.port, request);
    const other = bare.requests[index];
    const given = other === undefined ? null : await askOnce(bare.port, other);
    const data = (body: string) => JSON.stringify((JSON.parse(body) as { data?: unknown }).data);
    if (given === null || wanted.status !== 200 || data(wanted.body) !== data(given.body)) {
      throw new Error(`the bare server answers otherwise:\n${wanted.body.slice(0, 600)}\n${given?.body.slice(0, 600)}`);
    }
  }
}
