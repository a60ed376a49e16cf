import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SMTPServer } from 'smtp-server';
import { packageRoot } from '../../src/config/root.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { openStore } from '../../src/db/store.ts';
import { createGateway, Spool } from '../../src/gateway/index.ts';
import { byLocalPart, CONFIG, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

export interface AcceptRate {
  readonly gatewayPerSecond: number;
  readonly barePerSecond: number;
  readonly ratio: number;
}

const CONNECTIONS = 10;
const BODY = `Subject: bench\r\n\r\n${`${'x'.repeat(76)}\r\n`.repeat(131)}`;

/**
 * Messages per second that are answered 250: 10 KB, 10 kept connections, fsync on. The gateway stores, decides by a filter
 * that costs nothing and commits in PostgreSQL with fsync; bare smtp-server writes the same file with fsync of file and folder.
 */
export async function benchAccept(ms = 5_000): Promise<AcceptRate> {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-'));
  const store = await openStore({
    databaseUrl: null,
    home,
    migrationsFolder: path.join(packageRoot(), 'migrations'),
    passwords: { app: 'bench-app', system: 'bench-system' },
    clock: systemClock,
    logger: silentLogger,
  });
  try {
    const partner = await seedPartner(store.db);
    await seedClient(store.db, partner.id);
    const spool = await Spool.open(path.join(home, 'spool'));
    const deps = { db: store.db, clock: systemClock, logger: silentLogger, spool, pipeline: byLocalPart };
    const gateway = createGateway({ ...deps, config: CONFIG });
    const { smtp } = await gateway.start();
    const gatewayPerSecond = await rate(Number(smtp.split(':').at(-1)), ms);
    await gateway.stop(1000);
    const barePerSecond = await bare(path.join(home, 'bare'), ms);
    return { gatewayPerSecond, barePerSecond, ratio: gatewayPerSecond / barePerSecond };
  } finally {
    await store.close({ takeOver: true });
    await rm(home, { recursive: true, force: true });
  }
}

async function bare(folder: string, ms: number): Promise<number> {
  await Spool.open(folder);
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, done) {
      const name = randomBytes(12).toString('hex');
      const store = async () => {
        const handle = await open(path.join(folder, 'tmp', name), 'wx');
        await pipeline(stream, async (pieces) => {
          for await (const piece of pieces as AsyncIterable<Buffer>) await handle.write(piece);
        });
        await handle.sync();
        await handle.close();
        await rename(path.join(folder, 'tmp', name), path.join(folder, name.slice(-2), name));
        const parent = await open(path.join(folder, name.slice(-2)), 'r');
        await parent.sync();
        await parent.close();
      };
      store().then(() => done(null, 'stored'), done);
    },
  });
  const listening = await new Promise<number>((resolve) => {
    const inner = server.listen(0, '127.0.0.1', () => {
      const bound = inner.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
  const result = await rate(listening, ms);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return result;
}

async function rate(port: number, ms: number): Promise<number> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => Talker.open(port)));
  const start = performance.now();
  let accepted = 0;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() - start < ms) {
        const replies = await client.send('a@b.example', ['ann@acme.example'], BODY);
        if (!replies.at(-1)?.startsWith('250')) throw new Error(`not accepted: ${replies.at(-1)}`);
        accepted += 1;
      }
      client.close();
    }),
  );
  return accepted / ((performance.now() - start) / 1000);
}
