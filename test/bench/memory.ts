import { Talker } from '../gateway/support/rig.ts';
import { Child, forgetPeak, memoryOf } from './process.ts';
import type { Bench } from './row.ts';

const CONNECTIONS = 500;
const LARGE = 20;
const LARGE_BYTES = 25_000_000;

interface Measured {
  readonly idle: number;
  readonly connected: number;
  readonly large: number;
}

/** Resident memory of the process that runs the gateway: idle, with 500 sessions, and at most while 20 x 25 MB come at once. */
export const benchMemory: Bench = async () => {
  if (process.platform !== 'linux') throw new Error('the memory of a process is read from /proc: Linux only');
  const sink = await Child.start('sink');
  const gateway = await Child.start('whole', { relayPort: sink.ports[0] });
  const ours = await measure(gateway.child, gateway.ports[0] ?? 0);
  await gateway.child.stop();
  await sink.child.stop();
  const peer = await Child.start('bare');
  const bare = await measure(peer.child, peer.ports[0] ?? 0);
  await peer.child.stop();
  const row = (measured: string, pick: (from: Measured) => number) => ({
    bench: 'memory',
    measured,
    unit: 'MiB',
    ours: pick(ours),
    peers: [{ name: 'bare smtp-server, file + fsync', value: pick(bare) }],
  });
  return [
    row('resident, idle (with two filter threads)', (from) => from.idle),
    row(`resident, ${CONNECTIONS} connections`, (from) => from.connected),
    row(`peak, ${LARGE} messages of 25 MB at once, filtered and delivered`, (from) => from.large),
  ];
};

async function measure(child: Child, port: number): Promise<Measured> {
  const warm = await Talker.open(port);
  await warm.send('a@b.example', ['ann@acme.example']);
  warm.close();
  const idle = memoryOf(child.pid).now;
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => Talker.open(port)));
  await Promise.all(clients.map((client) => client.say('MAIL FROM:<a@b.example>')));
  const connected = memoryOf(child.pid).now;
  for (const client of clients) client.close();

  const line = `${'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3'.slice(0, 76)}\r\n`;
  const header = [
    'Subject: large',
    'MIME-Version: 1.0',
    'Content-Type: application/octet-stream; name="x.bin"',
    'Content-Transfer-Encoding: base64',
    '',
    '',
  ].join('\r\n');
  const body = header + line.repeat(Math.floor(LARGE_BYTES / line.length));
  forgetPeak(child.pid);
  await Promise.all(
    Array.from({ length: LARGE }, async () => {
      const client = await Talker.open(port);
      const last = (await client.send('a@b.example', ['ann@acme.example'], body)).at(-1) ?? '';
      client.close();
      if (!last.startsWith('250')) throw new Error(`a large message was not taken: ${last}`);
    }),
  );
  while ((((await child.ask('queued')) as number | null) ?? 0) > 0)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return { idle, connected, large: memoryOf(child.pid).peak };
}
