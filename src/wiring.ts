import { createHash } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { attachDue } from '../reports/attach.ts';
import { issuedFormat, renderReport } from '../reports/catalog.ts';
import { requestRun, sweepRuns } from '../reports/runs.ts';
import { recordAudit } from './accounts/audit.ts';
import { mappingOf } from './accounts/connections.ts';
import type { ApiCaller } from './accounts/keys.ts';
import { retainAggregates } from './aggregates/retention.ts';
import { takeMails } from './aggregates/take.ts';
import { applyPlan, beginApply, plansBegun } from './billing/apply.ts';
import { approvePlan, createPlan } from './billing/plan.ts';
import { usageOf } from './billing/read.ts';
import { takeSnapshot } from './billing/usage.ts';
import type { Config } from './config/config.ts';
import type { Secrets } from './config/secrets.ts';
import type { Clock } from './core/clock.ts';
import { AppError } from './core/errors.ts';
import { isId, newId } from './core/id.ts';
import type { Logger } from './core/log.ts';
import type { Pipeline } from './core/message.ts';
import type { ServerProbe } from './core/probe.ts';
import type { Psa } from './core/psa.ts';
import type { SystemTx, TenantTx } from './db/db.ts';
import { sql } from './db/sql.ts';
import type { Store } from './db/store.ts';
import type { DigestDeps } from './digest/send.ts';
import { commandDigest, sweepDigests } from './digest/sweep.ts';
import { hurry } from './gateway/flush.ts';
import { type RouteState, recordHealth } from './gateway/health.ts';
import { flushClient, forgetOldCounts, pruneEdge, pruneHistory, replyToDelivery, type Spool } from './gateway/index.ts';
import type { Commands, SeenMessage } from './graphql/commands.ts';
import { pruneLiveChanges } from './graphql/live/changes.ts';
import type { HookPort } from './http/hooks.ts';
import type { Metric } from './http/metrics.ts';
import { watchTraffic } from './insights/watch.ts';
import type { JobHandlers } from './jobs/handlers.ts';
import type { JobQueue } from './jobs/queues.ts';
import { learn } from './learning/learn.ts';
import { ensurePartitions } from './ledger/partitions.ts';
import { retainDetail } from './ledger/retention.ts';
import type { Resolver } from './mail/resolver.ts';
import { watchAggregates } from './monitor/aggregates.ts';
import { clientsWithDrift, watchDrift } from './monitor/drift.ts';
import { watchHarvest } from './monitor/harvest.ts';
import { watchMappings } from './monitor/mappings.ts';
import { watchOutbound } from './monitor/outbound.ts';
import { pruneStates } from './monitor/probe-history.ts';
import { probeServers } from './monitor/probes.ts';
import { watchQueue } from './monitor/queue.ts';
import { watchReleases } from './monitor/releases.ts';
import { watchReleaseRequests } from './monitor/requests.ts';
import { watchServers } from './monitor/servers.ts';
import type { FeatureReader } from './pipeline/reader.ts';
import { release, remove } from './quarantine/actions.ts';
import type { Previewer } from './quarantine/preview.ts';
import { expireHeld, sweepContent } from './quarantine/retention.ts';
import { foldDue } from './rollups/fold.ts';
import { describeHolder, HELD_SECONDS, horizonHolder } from './rollups/holder.ts';
import { verifySample } from './rollups/sample.ts';
import { horizonAgeSeconds } from './rollups/state.ts';
import { type Difference, verify } from './rollups/verify.ts';
import { resolveIncidentById } from './tickets/incidents.ts';
import { incidentsBetween } from './tickets/read.ts';
import { syncTickets } from './tickets/sync.ts';
import { outboundCommands } from './wiring-outbound.ts';

/** What the wiring joins; made by app.ts. */
export interface Wired {
  readonly config: Config;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spool: Spool;
  readonly queue: JobQueue;
  readonly previewer: Previewer;
  readonly reader: FeatureReader;
  /** The filter, started when it is first asked for. */
  filter(): Pipeline;
  readonly reportFolder: string;
  readonly probe: ServerProbe;
  readonly digest: DigestDeps;
  psaFor(connectionId: string, partnerId: string): Promise<Psa>;
  readonly secrets: Secrets;
  readonly resolver: Resolver;
}

const PARTITION_DAYS = 7;
const DRIFT_SHOWN = 10;
/** How often the schedule looks. */
const WATCH_SECONDS = 10;
const QUEUE_STUCK_SECONDS = 3_600;

/** The function behind each job. */
export function makeHandlers(wired: Wired): JobHandlers {
  const { config, store, clock, logger, spool, psaFor } = wired;
  const { db } = store;
  const files = reportFiles(wired.reportFolder);
  let isProbing = false;
  let isTaking = false;
  return {
    'monitor.watch': async () => {
      await watchServers(db, clock, config.serverDownSeconds);
      await watchQueue(db, clock, QUEUE_STUCK_SECONDS);
      await watchReleases(db);
      await watchOutbound(db);
      await watchReleaseRequests(db);
      await watchHarvest(db);
      await watchHorizon(wired);
    },
    // One round at a time: many servers that say nothing must not take the places of other jobs.
    'servers.probe': async () => {
      if (isProbing) return;
      isProbing = true;
      try {
        await probeServers({ db, probe: wired.probe, region: config.region, recordHealth: recordHealthAndWake });
      } finally {
        isProbing = false;
      }
    },
    'mappings.watch': async () => {
      await watchMappings({ db, psaFor, logger });
    },
    'tickets.sync': async () => {
      await syncTickets({ db, psaFor, clock, logger });
    },
    'reports.sweep': async () => {
      await sweepRuns({
        db,
        clock,
        logger,
        putContent: files.put,
        render: (tx, run) =>
          renderReport(reportData, tx, {
            report: run.report,
            clientId: run.clientId,
            period: { from: run.from, to: run.to, zone: run.timeZone },
            format: issuedFormat(run.report),
            version: run.version,
            now: clock.now(),
          }),
      });
      await attachDue({ db, clock, logger, psaFor, mappingOf, readContent: files.read });
    },
    'digests.sweep': async () => {
      await sweepDigests({ ...wired.digest, logger });
    },
    'usage.snapshot': async () => {
      await takeSnapshot(db);
    },
    // Whatever was begun and is not ended, after a crash too; the job that is asked for only makes it sooner.
    'billing.apply': async () => {
      for (const { partnerId, planId } of await db.system(plansBegun, { readOnly: true })) {
        await applyPlan({ db, psaFor, clock, logger }, partnerId, planId);
      }
    },
    'rollups.verify': async () => {
      const sample = await verifySample(db, Math.random);
      await tellDrift(wired, sample.differences, [], true);
      const again = await clientsWithDrift(db);
      if (again.length === 0) return;
      const found = await verify(db, { clients: again });
      await tellDrift(wired, found.differences, again, found.exhaustive);
    },
    'rollups.verify_all': async () => {
      const { differences, groups, exhaustive } = await verify(db);
      await tellDrift(wired, differences, null, exhaustive);
      logger.info({ groups, differences: differences.length }, 'the rollups were compared with the ledger');
    },
    'rollups.fold': async () => {
      const folded = await foldDue(db);
      if (folded > 0) logger.debug({ folded }, 'days were folded to their first senders, types and subjects');
    },
    'spool.sweep': async () => {
      await spool.sweep(db, clock);
    },
    'outbound.sweep': async () => {
      await db.system(forgetOldCounts);
    },
    'ledger.retention': async () => {
      const removed = await retainDetail(db, store.runAsOwner, clock.now(), config.detailDays);
      if (removed > 0) logger.info({ messages: removed }, 'the detail of old mail was removed');
    },
    'quarantine.retention': async () => {
      const expired = await expireHeld(db);
      const bodies = await sweepContent(db, spool);
      if (expired + bodies > 0) logger.info({ expired, bodies }, 'held mail and bodies reached their age');
    },
    'learning.train': async () => {
      await learn({ db, content: spool, reader: wired.reader, logger });
    },
    'history.prune': async () => {
      await pruneHistory(db);
    },
    'traffic.watch': async () => {
      await watchTraffic(db);
      await pruneStates(db);
    },
    // One at a time: reports that are hard to read must not take the places of other jobs.
    'aggregates.take': async () => {
      if (isTaking) return;
      isTaking = true;
      try {
        await takeMails({ db, content: spool, logger });
      } finally {
        isTaking = false;
      }
    },
    'aggregates.watch': async () => {
      await watchAggregates(db);
    },
    'aggregates.retention': async () => {
      await retainAggregates(db, spool);
    },
    'edge.prune': async () => {
      await pruneEdge(db);
      await pruneLiveChanges(db);
    },
    'ledger.partitions': () => ensurePartitions(store.runAsOwner, clock.now(), PARTITION_DAYS),
  };
}

/** A transaction that was forgotten anywhere in the cluster holds the rollups: said once a minute while it does. */
async function watchHorizon({ store, logger, clock }: Wired): Promise<void> {
  const { age, holder } = await store.db.system(
    async (tx) => ({ age: await horizonAgeSeconds(tx), holder: await horizonHolder(tx) }),
    { readOnly: true },
  );
  const isWhole = clock.now().getUTCSeconds() < WATCH_SECONDS;
  if (age <= HELD_SECONDS || !isWhole) return;
  const by = holder === null ? 'no transaction is open: is a worker running?' : describeHolder(holder);
  logger.error({ seconds: Math.round(age), pid: holder?.pid ?? null, by }, 'the rollups are held');
}

/** True, or since when the rollups stand still. By what is in the log and in `tollgate doctor`: this text is open to all. */
export async function rollupsHeld(tx: SystemTx): Promise<true | string> {
  const age = await horizonAgeSeconds(tx);
  return age <= HELD_SECONDS || `the rollups have been held for ${Math.round(age)} s`;
}

/** A number that is wrong is logged as what it is and what it should be, and becomes an incident of its client. */
async function tellDrift(
  { store, logger }: Wired,
  differences: readonly Difference[],
  whole: readonly string[] | null,
  exhaustive: boolean,
): Promise<void> {
  for (const { table, clientId, bucket, measure, rollup, ledger } of differences.slice(0, DRIFT_SHOWN)) {
    logger.error({ table, clientId, bucket, measure, rollup, ledger }, 'a rollup differs from the ledger');
  }
  await watchDrift(store.db, { drift: differences, whole, exhaustive });
}

/** What a probe saw of a server is known to delivery too: mail that waits for it is due when it is back. */
async function recordHealthAndWake(tx: SystemTx, state: RouteState): Promise<void> {
  if (await recordHealth(tx, state)) await hurry(tx, state.clientId);
}

/** What reports take from the domains that they may not import. */
export const reportData = {
  incidents: incidentsBetween,
  usage: (tx: TenantTx, clientId: string, days: { from: string; to: string }) => usageOf(tx, [clientId], days),
};

/** What the API sets off. */
export function makeCommands(wired: Wired): Commands {
  const { config, store, clock, logger, psaFor, queue, spool, previewer } = wired;
  const { db } = store;
  return {
    ...outboundCommands(wired),
    flushQueue: async (tx, clientId, actor) => ({ deliveries: await flushClient(tx, clientId, actor) }),
    releaseDelivery: (tx, id, actor) => release(tx, actor, id),
    discardDelivery: (tx, id, actor) => remove(tx, actor, id),
    async previewMessage(caller, seen) {
      const preview = await previewer.preview(seen.contentId);
      await noteLook(db, caller, 'message.view', seen);
      return preview;
    },
    async messageSource(caller, seen, max) {
      const source = await previewer.source(seen.contentId, max);
      await noteLook(db, caller, 'message.source', seen);
      return source;
    },
    replyToDelivery: (caller, actor, input) =>
      replyToDelivery(
        { db, clock, spool, pipeline: wired.filter(), previewer, config },
        caller.partnerId,
        actor,
        input,
      ),
    resolveIncident: (tx, id, resolution, actor) => resolveIncidentById(tx, id, resolution, actor),
    async requestReport(tx, wanted, actor) {
      const run = await requestRun(tx, { ...wanted, waitSeconds: config.reportWaitSeconds, attach: true });
      await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'report.request', subject: run.id });
      return run;
    },
    sendDigest: (caller, mailboxId) => commandDigest(wired.digest, caller.partnerId, mailboxId, caller.actor),
    createBillingPlan: (caller, usageDay, largeChanges) =>
      createPlan({ db, psaFor, clock, logger }, caller.partnerId, usageDay, {
        actor: caller.actor,
        ...(largeChanges ? { limits: null } : {}),
      }),
    approveBillingPlan: (tx, planId, actor) => approvePlan(tx, planId, actor),
    async applyBillingPlan(caller, planId) {
      await db.tenant(caller.partnerId, (tx) => beginApply(tx, planId, caller.actor));
      await queue.add('billing.apply', `billing.apply-${planId}-${clock.now().getTime()}`, {});
    },
  };
}

/** Other people's mail is not read without a trace. */
function noteLook(db: Store['db'], caller: ApiCaller, action: string, seen: SeenMessage): Promise<void> {
  const { partnerId, actor } = caller;
  const details = { recipient: seen.recipient };
  return db.tenant(partnerId, (tx) => recordAudit(tx, { partnerId, actor, action, subject: seen.id, details }));
}

/** Gauges of this node and of the database, for /metrics. */
export async function makeMetrics({ store, queue, clock }: Wired): Promise<Metric[]> {
  const row = await store.db.system(
    async (tx) => ({
      ...(await tx.one<{
        queued: number;
        oldest: Date | null;
        held: number;
        incidents: number;
        rolled: Date | null;
        tried: number;
        secondChance: number;
      }>(sql`
        select (select count(*) from queue) as queued, (select min(q.queued_at) from queue q where q.held_at is null) as oldest,
               (select count(*) from queue h where h.held_at is not null) as held,
               (select count(*) from incidents i where i.state = 'open') as incidents,
               (select s.rolled_at from rollup_state s) as rolled,
               (select c.value from delivery_counters c where c.name = 'second_chance_tried') as tried,
               (select c.value from delivery_counters c where c.name = 'second_chance_delivered') as "secondChance"`)),
      horizon: await horizonAgeSeconds(tx),
    }),
    { readOnly: true },
  );
  const now = clock.now().getTime();
  const age = (at: Date | null) => (at === null ? 0 : Math.max(0, (now - at.getTime()) / 1000));
  const metric = (type: Metric['type']) => (name: string, help: string, value: number) => ({
    name,
    help,
    type,
    samples: [{ value }],
  });
  const [gauge, counter] = [metric('gauge'), metric('counter')];
  return [
    gauge('tollgate_queue_deliveries', 'Deliveries that wait or are under way', row.queued),
    gauge('tollgate_queue_oldest_seconds', 'Age of the oldest delivery in the queue that is not held', age(row.oldest)),
    gauge('tollgate_held_deliveries', 'Outbound deliveries that wait for a person', row.held),
    gauge('tollgate_incidents_open', 'Open incidents', row.incidents),
    gauge('tollgate_rollup_lag_seconds', 'Time since the rollups were last brought up to date', age(row.rolled)),
    gauge(
      'tollgate_horizon_age_seconds',
      'Age of the oldest writing transaction, which holds the rollups',
      row.horizon,
    ),
    counter('tollgate_second_chance_total', 'Deliveries that only arrived the second way', row.secondChance),
    counter('tollgate_second_chance_tried_total', 'Deliveries that were tried the second way', row.tried),
    gauge('tollgate_jobs_waiting', 'Jobs that wait or run', await queue.depth()),
  ];
}

/**
 * Callbacks of PSAs. Tollgate does not subscribe to them yet, so no connection has a signing secret and every callback is
 * refused; what changes in a PSA is found by reading it.
 */
export function hookPort(db: Store['db']): HookPort {
  return {
    async verify(hook) {
      const known = await db.system(
        (tx) =>
          tx.maybe(sql`select 1 as yes from psa_connections where id = ${hook.connectionId} and kind = ${hook.kind}`),
        { readOnly: true },
      );
      return known === null ? 'unknown' : 'refused';
    },
    async accept() {},
  };
}

/** Rendered reports as files, durable before their row says that they are issued. */
export function reportFiles(folder: string) {
  return {
    async put(bytes: Buffer): Promise<{ id: string; sha256: string }> {
      const id = newId();
      const temporary = path.join(folder, `${id}.tmp`);
      const handle = await open(temporary, 'wx', 0o600);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path.join(folder, id));
      return { id, sha256: createHash('sha256').update(bytes).digest('hex') };
    },
    async read(id: string): Promise<Buffer> {
      if (!isId(id)) throw new AppError('not_found', 'no such report');
      return readFile(path.join(folder, id)).catch((cause: unknown) => {
        throw new AppError('not_found', 'the report is no longer stored', { cause });
      });
    },
  };
}
