import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createPsaFactory } from '../integrations/index.ts';
import { getConnection } from './accounts/connections.ts';
import { createIntake } from './aggregates/mails.ts';
import { readCertificate } from './config/certificate.ts';
import type { Config } from './config/config.ts';
import { packageRoot } from './config/root.ts';
import type { Secrets } from './config/secrets.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { type Logger, silentLogger } from './core/log.ts';
import type { Pipeline } from './core/message.ts';
import type { Psa } from './core/psa.ts';
import { openStore, type Store } from './db/store.ts';
import { LinkSigner } from './digest/links.ts';
import type { DigestDeps } from './digest/send.ts';
import { requestDigest } from './digest/sweep.ts';
import {
  correspondentHistory,
  createDelivery,
  createGateway,
  type Delivery,
  type Gateway,
  noteKilled,
  OwnPost,
  Spool,
  serverProbe,
  watchCertificate,
} from './gateway/index.ts';
import { createHttp, type Http } from './http/server.ts';
import { type JobHandlers, type JobName, runJob } from './jobs/handlers.ts';
import { installJobs } from './jobs/install.ts';
import { type Loop, startLoop } from './jobs/loop.ts';
import { type JobQueue, openQueue } from './jobs/queues.ts';
import { startSchedule } from './jobs/schedule.ts';
import { ensurePartitions } from './ledger/partitions.ts';
import { NodeWatermark } from './ledger/watermark.ts';
import { cachingResolver, type Resolver, systemResolver } from './mail/resolver.ts';
import { createPipeline } from './pipeline/create.ts';
import { LinkList } from './pipeline/link-list.ts';
import { createFeatureReader } from './pipeline/reader.ts';
import { createPreviewer } from './quarantine/preview.ts';
import { rollOnce } from './rollups/build.ts';
import { createScanners } from './scanners/index.ts';
import { hookPort, makeCommands, makeHandlers, makeMetrics, rollupsHeld } from './wiring.ts';
import { makeSigning } from './wiring-outbound.ts';

/** What a test or the demo puts in the place of a part. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly resolver?: Resolver;
}

/** The service. `start` opens what the roles of the configuration ask for; `stop` ends it in order. */
export interface App {
  readonly config: Config;
  readonly store: Store;
  readonly reportFolder: string;
  /** A connector; all of this process share the accounts' limits. */
  psaFor(connectionId: string, partnerId: string): Promise<Psa>;
  start(): Promise<Ready>;
  /** Runs a job of the schedule now, in this process. */
  runNow(job: JobName, data?: { partnerId?: string; id?: string }): Promise<void>;
  stop(): Promise<void>;
}

/** Addresses of what listens; absent for roles that this process does not have. */
export interface Ready {
  readonly http?: string;
  readonly smtp?: string;
  readonly submission?: string;
}

const ROLL_MS = 500;
const BEAT_MS = 500;
const REVIVE_MS = 500;
const JOB_CONCURRENCY = 4;
const GRACE_MS = 2_000;
const PARTITION_DAYS = 7;

export function migrationsFolder(): string {
  return path.join(packageRoot(), 'migrations');
}

/** Opens the store and joins the parts. Nothing listens before `start`. */
export async function createApp(config: Config, secrets: Secrets, overrides: AppOverrides = {}): Promise<App> {
  const clock = overrides.clock ?? systemClock;
  const logger = overrides.logger ?? silentLogger;
  const store = await openStore({
    databaseUrl: config.databaseUrl,
    home: config.home,
    migrationsFolder: migrationsFolder(),
    passwords: { app: secrets.appPassword, system: secrets.systemPassword },
    clock,
    logger,
    serves: true,
  });
  const { db } = store;
  const factory = createPsaFactory({ clock, logger, allowPrivateHosts: config.allowPrivateHosts });
  const psaFor = async (connectionId: string, partnerId: string): Promise<Psa> =>
    factory(await db.system((tx) => getConnection(tx, partnerId, connectionId, secrets.sealKey), { readOnly: true }));
  const reportFolder = path.join(config.contentDir, 'reports');
  const parts = new Parts();
  const watermark = new NodeWatermark(db, clock, config.nodeId, config.roles.join(','));
  let handlers: JobHandlers | null = null;

  const start = async (): Promise<Ready> => {
    await mkdir(reportFolder, { recursive: true, mode: 0o700 });
    const revive = async () => {
      if (await store.revive()) logger.error({}, 'the embedded PostgreSQL had ended and was started again');
    };
    parts.loop('database', REVIVE_MS, revive, logger);
    await ensurePartitions(store.runAsOwner, clock.now(), PARTITION_DAYS);
    db.observe(watermark);
    if (config.roles.includes('gateway')) await noteKilled(db, config.nodeId);
    await watermark.beat();
    parts.add(async () => watermark.stop());
    parts.loop('watermark', BEAT_MS, () => watermark.beat(), logger);

    const spool = await Spool.open(config.contentDir);
    const queue = await openJobs(store, config, logger);
    parts.add(() => queue.close());
    let publicUrl = config.publicUrl ?? `http://${config.bindHost}:${config.httpPort}`;
    const digest: DigestDeps = {
      db,
      post: new OwnPost(spool, config),
      signer: new LinkSigner(secrets.signKey),
      publicUrl: () => publicUrl,
      hostName: config.hostName,
    };
    const previewer = createPreviewer({ store: spool, logger });
    parts.add(() => previewer.close());
    const reader = createFeatureReader({ logger });
    parts.add(() => reader.close());
    const dns = config.dns === null ? {} : { server: `${config.dns.host}:${config.dns.port}` };
    const resolver = overrides.resolver ?? cachingResolver(systemResolver(dns));
    const linkList = config.linkList === null ? null : await LinkList.open({ file: config.linkList, logger });
    parts.add(async () => linkList?.close());
    // Of a process without the gateway's role it is started by the first answer that is sent from here.
    let pipeline: Pipeline | null = null;
    const filter = () => {
      pipeline ??= createPipeline({
        ...{ threads: config.scanThreads, resolver, hostName: config.hostName, logger },
        scanners: createScanners(config.scanners, logger),
        scannerDown: config.scanners.down,
        history: correspondentHistory(db),
        ...(linkList === null ? {} : { linkList }),
        limits: { scannerMs: config.scanners.timeoutMs },
      });
      return pipeline;
    };
    parts.add(async () => pipeline?.close());
    const probe = serverProbe({ resolver, hostName: config.hostName, allowPrivateHosts: config.allowPrivateHosts });
    const parted = { probe, secrets, resolver, digest };
    const wired = {
      config,
      store,
      clock,
      logger,
      spool,
      queue,
      previewer,
      reader,
      filter,
      psaFor,
      reportFolder,
      ...parted,
    };
    handlers = makeHandlers(wired);
    const ready: { http?: string; smtp?: string; submission?: string } = {};

    if (config.roles.includes('gateway')) {
      const signing = await makeSigning(wired);
      const srs = { domain: config.srsDomain, key: secrets.srsKey };
      const delivery: Delivery = createDelivery({ db, clock, logger, spool, resolver, config, signing, srs });
      await delivery.start();
      parts.add(() => delivery.stop());
      const { certificate } = config;
      const tls = certificate === null ? null : readCertificate(certificate);
      const gateway: Gateway = createGateway({
        db,
        clock,
        logger,
        spool,
        pipeline: filter(),
        resolver,
        config: { ...config, tls },
        srs,
        reports: config.reportDomain === null ? null : createIntake(db, config.reportDomain),
      });
      Object.assign(ready, await gateway.start());
      parts.add(() => gateway.stop(GRACE_MS));
      if (certificate !== null) {
        const files = [certificate.certFile, certificate.keyFile];
        const use = gateway.useCertificate.bind(gateway);
        const stopWatch = watchCertificate({ files, read: () => readCertificate(certificate), use, logger });
        parts.add(async () => stopWatch());
      }
    }
    if (config.roles.includes('worker')) {
      const run = handlers;
      await queue.work((name, data) => runJob(run, name, data), JOB_CONCURRENCY);
      parts.loop('rollups', ROLL_MS, async () => (await rollOnce(db)).behind, logger);
      parts.add(startSchedule({ queue, logger }));
    }
    if (config.roles.includes('api')) {
      const http: Http = await createHttp({
        host: config.bindHost,
        port: config.httpPort,
        db,
        clock,
        logger,
        commands: makeCommands(wired),
        hooks: hookPort(db),
        pages: {
          signer: digest.signer,
          preview: (contentId) => previewer.preview(contentId),
          request: (address) => requestDigest(digest, address),
        },
        checks: [
          { name: 'database', run: () => db.system(async () => true, { readOnly: true }) },
          { name: 'rollups', run: () => db.system(rollupsHeld, { readOnly: true }) },
        ],
        metrics: () => makeMetrics(wired),
        publicUrl: () => publicUrl,
      });
      ready.http = await http.listen();
      publicUrl = config.publicUrl ?? ready.http;
      parts.add(() => http.close(GRACE_MS));
    }
    return ready;
  };

  return {
    config,
    store,
    reportFolder,
    psaFor,
    async start() {
      try {
        return await start();
      } catch (error) {
        await parts.stop(logger);
        throw error;
      }
    },
    async runNow(job, data = {}) {
      if (handlers === null) throw new Error('the app has not started');
      await handlers[job](data);
    },
    async stop() {
      await parts.stop(logger);
      await store.close({ takeOver: true });
    },
  };
}

async function openJobs(store: Store, config: Config, logger: Logger): Promise<JobQueue> {
  if (config.queueUrl === null) await installJobs(store.ownerUrl, store.runAsOwner);
  return openQueue({ queueUrl: config.queueUrl, postgresUrl: store.systemUrl, logger });
}

/** What was started, in order; it is ended in the opposite order, so that nothing loses what it stands on. */
class Parts {
  #stops: (() => Promise<unknown>)[] = [];

  add(stop: () => Promise<unknown>): void {
    this.#stops.push(stop);
  }

  loop(name: string, everyMs: number, round: () => Promise<unknown>, logger: Logger): void {
    const loop: Loop = startLoop(name, everyMs, round, logger);
    this.add(() => loop.stop());
  }

  async stop(logger: Logger): Promise<void> {
    const stops = this.#stops.reverse();
    this.#stops = [];
    for (const stop of stops) {
      try {
        await stop();
      } catch (error) {
        // One part that can't end must not keep the others from ending.
        logger.warn({ err: error }, 'a part did not end in order');
      }
    }
  }
}
