import { acceptRate, type Load, loader } from './load.ts';
import { Child } from './process.ts';
import { type Bench, median, type PeerFigure } from './row.ts';
import { openHaraka, openPostfix, type Server } from './servers.ts';

const KEPT = { sessions: 10, kept: true };
const LOADS: readonly { readonly name: string; readonly load: Load }[] = [
  { name: '2 KB, 10 kept connections', load: { ...KEPT, bytes: 2_000, messages: 1_500 } },
  { name: '10 KB, 10 kept connections', load: { ...KEPT, bytes: 10_000, messages: 1_500 } },
  { name: '100 KB, 10 kept connections', load: { ...KEPT, bytes: 100_000, messages: 500 } },
  {
    name: '10 KB, a new connection per message, 200 at once',
    load: { sessions: 200, kept: false, bytes: 10_000, messages: 1_500 },
  },
];

const PEERS: readonly { readonly name: string; open(): Promise<Server | string> }[] = [
  { name: 'bare smtp-server, file + fsync', open: () => ofChild('bare') },
  { name: 'bare smtp-server, group commit', open: () => ofChild('group') },
  { name: 'Haraka, queue/discard (not durable)', open: openHaraka },
  { name: 'Postfix, accept to queue, HOLD', open: openPostfix },
];

async function ofChild(kind: string): Promise<Server> {
  const { child, ports } = await Child.start(kind);
  return { port: ports[0] ?? 0, close: () => child.stop() };
}

/** Messages answered 250 per second, durable, filter costing nothing: the gateway, then each peer, by the same load. */
export const benchAccept: Bench = async ({ runs }) => {
  const measure = async (server: Server) => {
    const rates: number[] = [];
    for (const { load } of LOADS) {
      // As long as a run: code that is compiled while it runs is not what is measured.
      await acceptRate(server.port, load);
      const values: number[] = [];
      for (let run = 0; run < runs; run += 1) values.push(await acceptRate(server.port, load));
      rates.push(median(values));
    }
    await server.close();
    return rates;
  };
  const ours = await measure(await ofChild('accept'));
  const peers: { name: string; rates: readonly number[] | null; skipped?: string }[] = [];
  for (const { name, open } of PEERS) {
    const server = await open();
    if (typeof server === 'string') peers.push({ name, rates: null, skipped: server });
    else peers.push({ name, rates: await measure(server) });
  }
  return LOADS.map(({ name }, index) => ({
    bench: 'accept',
    measured: `accept, ${name} (load: ${loader})`,
    unit: 'msg/s',
    ours: ours[index] ?? 0,
    peers: peers.map(
      ({ name: peer, rates, skipped }): PeerFigure => ({
        name: peer,
        value: rates?.[index] ?? null,
        ...(skipped === undefined ? {} : { skipped }),
      }),
    ),
  }));
};
