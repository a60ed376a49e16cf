import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { sql } from '../../src/db/sql.ts';
import { Batcher } from '../../src/gateway/batch.ts';
import { createDelivery, createGateway, Spool } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { createPipeline } from '../../src/pipeline/create.ts';
import { byLocalPart, CONFIG } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openHome } from './home.ts';
import { apiServer, bareServer } from './read/servers.ts';

/**
 * `child.js KIND OPTIONS`: a server to be measured, or the sink of one, as a process of its own. Tells its ports when it
 * listens, answers questions, ends on `stop`.
 */
interface Part {
  readonly ports: readonly number[];
  /** `cpu`, `queued` (rows of the queue) of a gateway; `taken`, `delays` of a sink. */
  ask?(question: string): unknown;
  close(): Promise<void>;
}

interface Options {
  /** Of the sink: how many ports. */
  readonly ports?: number;
  /** Of the whole gateway: where it delivers to. */
  readonly relayPort?: number;
  readonly maxMessageBytes?: number;
  /** Of what answers questions: the seeded database. */
  readonly ownerUrl?: string;
}

const LARGE = {
  ...CONFIG,
  maxConnections: 2_000,
  maxConnectionsPerIp: 2_000,
  maxMessageBytes: 50_000_000,
  maxRecipients: 100,
};

async function gateway(whole: boolean, options: Options): Promise<Part> {
  const home = await openHome();
  const partner = await seedPartner(home.store.db);
  const relays = [{ host: '127.0.0.1', port: options.relayPort ?? 9 }];
  await seedClient(home.store.db, partner.id, { relays });
  const spool = await Spool.open(path.join(home.folder, 'spool'));
  const deps = { db: home.store.db, clock: systemClock, logger: silentLogger, spool };
  const resolver = zoneResolver({});
  const pipeline = whole
    ? createPipeline({ threads: 2, resolver, hostName: CONFIG.hostName, logger: silentLogger })
    : byLocalPart;
  const server = createGateway({ ...deps, pipeline, config: LARGE });
  const { smtp } = await server.start();
  const config = { nodeId: CONFIG.nodeId, hostName: CONFIG.hostName, allowPrivateHosts: ['127.0.0.1'] };
  const delivery = whole ? createDelivery({ ...deps, resolver, config }) : null;
  await delivery?.start();
  return {
    ports: [Number(smtp.split(':').at(-1))],
    async ask(question) {
      if (question === 'cpu') return process.cpuUsage();
      const { n } = await home.store.db.system((tx) => tx.one<{ n: number }>(sql`select count(*) as n from queue`));
      return n;
    },
    async close() {
      await server.stop(1000);
      await delivery?.stop();
      await pipeline.close();
      await home.close();
    },
  };
}

/** smtp-server and nothing else, with the same promise: the file is on the disk before 250. */
async function bare(write: (folder: string, message: Readable) => Promise<void>): Promise<Part> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-bare-'));
  await mkdir(path.join(folder, 'tmp'));
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData: (stream, _session, done) => {
      write(folder, stream).then(() => done(null, 'stored'), done);
    },
  });
  server.on('error', () => undefined);
  return {
    ports: [await listening(server)],
    async close() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function fileEach(folder: string, message: Readable): Promise<void> {
  const name = randomBytes(12).toString('hex');
  const handle = await open(path.join(folder, 'tmp', name), 'wx');
  for await (const piece of message as AsyncIterable<Buffer>) await handle.write(piece);
  await handle.sync();
  await handle.close();
  await rename(path.join(folder, 'tmp', name), path.join(folder, name));
  const parent = await open(folder, 'r');
  await parent.sync();
  await parent.close();
}

/** Messages that end together are appended to one file and share one fdatasync. */
function groupCommit() {
  let segment: Awaited<ReturnType<typeof open>> | null = null;
  const batcher = new Batcher<Buffer, undefined>(async (messages) => {
    await segment?.write(Buffer.concat(messages));
    await segment?.datasync();
    return messages.map(() => undefined);
  });
  return async (folder: string, message: Readable) => {
    segment ??= await open(path.join(folder, 'segment'), 'a');
    await batcher.add(await buffer(message));
  };
}

/** Takes mail on many ports. `t<ms>@` in the recipient is when the message was queued: the delays, in ms, by port. */
async function sink(options: Options): Promise<Part> {
  const ports: number[] = [];
  const servers: SMTPServer[] = [];
  let delays: { port: number; ms: number }[] = [];
  let taken = 0;
  for (let n = 0; n < (options.ports ?? 1); n += 1) {
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      logger: false,
      onData(stream, session, done) {
        stream.resume();
        stream.on('end', () => {
          for (const { address } of session.envelope.rcptTo) {
            taken += 1;
            const queued = /^t(\d+)\D/.exec(address)?.[1];
            if (queued !== undefined) delays.push({ port: ports[n] ?? 0, ms: Date.now() - Number(queued) });
          }
          done(null, 'taken');
        });
      },
    });
    server.on('error', () => undefined);
    ports.push(await listening(server));
    servers.push(server);
  }
  return {
    ports,
    ask(question) {
      if (question === 'taken') return taken;
      const answer = delays;
      delays = [];
      return answer;
    },
    async close() {
      await Promise.all(servers.map((one) => new Promise<void>((resolve) => one.close(() => resolve()))));
    },
  };
}

async function listening(server: SMTPServer): Promise<number> {
  const inner = server.listen(0, '127.0.0.1');
  await new Promise<void>((resolve) => inner.once('listening', () => resolve()));
  return (inner.address() as AddressInfo).port;
}

const PARTS: Readonly<Record<string, (options: Options) => Promise<Part>>> = {
  accept: (options) => gateway(false, options),
  whole: (options) => gateway(true, options),
  bare: () => bare(fileEach),
  group: () => bare(groupCommit()),
  sink,
  api: apiServer,
  bare_read: bareServer,
};

const [kind = '', given = '{}'] = process.argv.slice(2);
const start = PARTS[kind];
if (start === undefined) throw new Error(`there is no part ${kind}`);
const part = await start(JSON.parse(given) as Options);
process.on('message', (question: string) => {
  if (question !== 'stop') void Promise.resolve(part.ask?.(question)).then((answer) => process.send?.(answer ?? null));
  else void part.close().finally(() => process.exit(0));
});
process.on('disconnect', () => process.exit(1));
process.send?.({ ports: part.ports });
