import { Child } from './process.ts';
import { type HttpRequest, load } from './read/load.ts';
import { monthByDay, overview, trace } from './read/questions.ts';
import { type Bench, percentile, type Row } from './row.ts';
import { PARTNER_ID, seedOf } from './seed/parameters.ts';
import { openSeeded, type Seeded } from './seed/seeded.ts';

/** Requests of each question, one after the other, each with other values. */
const ASKED = 60;
const WARM_UP = 20;
/** Clients of the databases of the curve; ten thousand take some 230 GB and hours to make. */
const SIZES = (process.env['GROWTH_CLIENTS'] ?? '100,1000').split(',').map(Number);
const DAY_MS = 86_400_000;

interface Latency {
  readonly question: string;
  readonly p50: number;
  readonly p99: number;
}

/** The partner's overview over all clients for 90 days. `bench` of the goal: p99 below 150 ms over 1,000 clients. */
export const benchOverview: Bench = async ({ clients }) => {
  const [found] = await ask(clients, (seeded) => [{ question: 'overview', requests: overviews(seeded) }]);
  if (found === undefined) return [];
  const measured = `overview of ${clients} clients, 90 days, p99 (p50 ${Math.round(found.p50)} ms)`;
  return [{ bench: 'overview', measured, unit: 'ms', ours: found.p99, peers: [] }];
};

/** The same questions of databases of several sizes: p99 of each, beside that of the smallest. */
export const benchGrowth: Bench = async () => {
  const first = new Map<string, number>();
  const rows: Row[] = [];
  for (const clients of SIZES) {
    const found = await ask(clients, async (seeded) => {
      const ids = await someClients(seeded);
      return [
        { question: 'month by day of a client', requests: ids.map((id) => monthByDay(seeded.apiKey, id)) },
        { question: 'overview of all clients, 90 days', requests: overviews(seeded) },
        { question: 'trace, newest first', requests: ids.map(() => trace(seeded.apiKey, {})) },
        { question: 'trace of a client', requests: ids.map((id) => trace(seeded.apiKey, { clientId: id })) },
      ];
    });
    for (const { question, p50, p99 } of found) {
      if (!first.has(question)) first.set(question, p99);
      rows.push({
        bench: 'growth',
        measured: `${question}, ${clients} clients, p99 (p50 ${Math.round(p50)} ms)`,
        unit: 'ms',
        ours: p99,
        peers: [{ name: `${SIZES[0]} clients`, value: first.get(question) ?? null }],
      });
    }
  }
  return rows;
};

type Question = { readonly question: string; readonly requests: readonly HttpRequest[] };

async function ask(
  clients: number,
  questions: (seeded: Seeded) => readonly Question[] | Promise<readonly Question[]>,
): Promise<Latency[]> {
  const seeded = await openSeeded(seedOf(clients), (text) => process.stderr.write(`seed: ${text}\n`));
  try {
    const { child, ports } = await Child.start('api', { ownerUrl: seeded.store.ownerUrl });
    try {
      const found: Latency[] = [];
      for (const { question, requests } of await questions(seeded)) {
        const options = { connections: 1, count: WARM_UP };
        const isAnswer = (body: string) => !body.includes('"errors"');
        await load(ports[0] ?? 0, requests, options, isAnswer);
        const { latencies } = await load(ports[0] ?? 0, requests, { ...options, count: ASKED }, isAnswer);
        found.push({ question, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) });
      }
      return found;
    } finally {
      await child.stop();
    }
  } finally {
    await seeded.close();
  }
}

/** Ninety days that end on another day each. */
function overviews({ apiKey }: Seeded): HttpRequest[] {
  const day = (at: number) => new Date(at).toISOString().slice(0, 10);
  return Array.from({ length: ASKED }, (_, n) => {
    const to = Date.parse('2026-10-30') - n * DAY_MS;
    return overview(apiKey, { from: day(to - 89 * DAY_MS), to: day(to) });
  });
}

async function someClients({ owner }: Seeded): Promise<string[]> {
  const { rows } = await owner.query<{ id: string }>(
    'select id from clients where partner_id = $1 order by md5(id::text) limit $2',
    [PARTNER_ID, ASKED],
  );
  return rows.map((row) => row.id);
}
