import { randomBytes } from 'node:crypto';
import { type CacheDb, DirectoryCache } from '../accounts/cache.ts';
import type { Clock, Later } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Pipeline } from '../core/message.ts';
import { DnsLists, type DnsListZone } from '../mail/dns-lists.ts';
import { cachingResolver, type Resolver, systemResolver } from '../mail/resolver.ts';
import type { SrsSettings } from '../mail/srs.ts';
import { Committer } from './commit.ts';
import { Edge } from './edge.ts';
import { inboundPort } from './inbound.ts';
import type { ReportIntake } from './report-mail.ts';
import { Reputation } from './reputation.ts';
import { GatewayServer, type ServerSettings } from './server.ts';
import type { Spool } from './spool.ts';
import { submissionPort } from './submission.ts';
import { RelayAddresses, relayTurn, submitterTurn } from './turn.ts';

export { watchCertificate } from './certificate.ts';
export { createDelivery, type Delivery } from './deliver.ts';
export { noteKilled } from './digests.ts';
export { flushClient } from './flush.ts';
export { correspondentHistory, pruneHistory } from './history.ts';
export { faultOfHost } from './hosts.ts';
export { forgetOldCounts } from './outbound-counts.ts';
export type { Signing } from './outgoing.ts';
export { OwnPost } from './own.ts';
export { serverProbe } from './probe.ts';
export { pruneEdge } from './prune.ts';
export { replyToDelivery } from './reply.ts';
export { Spool } from './spool.ts';

export interface GatewayConfig extends ServerSettings {
  readonly nodeId: string;
  readonly smtpPort: number;
  readonly submissionPort: number;
  readonly directoryGraceSeconds: number;
  /** Milliseconds for the pipeline; later than that the client is told to come back. */
  readonly scanMs?: number;
  /** DNS lists that connections are looked up in. */
  readonly dnsLists?: readonly DnsListZone[];
}

export interface GatewayDeps {
  readonly db: CacheDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spool: Spool;
  readonly pipeline: Pipeline;
  readonly config: GatewayConfig;
  /** For forwarded mail and its notifications. Absent: under the host name, with a key that no other node knows. */
  readonly srs?: SrsSettings;
  /** For SPF before greylisting and for DNS lists (absent: without both), and for relays that say ETRN (absent: the system's). */
  readonly resolver?: Resolver;
  /** Addresses that take reports; absent, or without `resolver`: there are none. */
  readonly reports?: ReportIntake | null;
  /** How slow answers wait, milliseconds. */
  readonly delay?: (ms: number) => Promise<void>;
  /** How deadlines are waited for; absent: by timers. */
  readonly later?: Later | undefined;
  /** Milliseconds of a clock that never goes back, for how long a client takes; absent: the machine's. */
  readonly monotonic?: (() => number) | undefined;
}

export interface Gateway {
  /** Listens on both ports; answers `host:port` of each. */
  start(): Promise<{ smtp: string; submission: string }>;
  /** PEM, in the place of `config.tls`, for connections from now on. Nothing happens when there was none at the start. */
  useCertificate(certificate: { readonly key: string; readonly cert: string }): void;
  /** Takes no more connections, lets pending messages end for `graceMs`, then closes the rest. */
  stop(graceMs: number): Promise<void>;
}

/** The SMTP side: takes mail, decides, commits, answers. Delivery is apart (createDelivery). */
export function createGateway(deps: GatewayDeps): Gateway {
  const { config, db, spool, pipeline, clock, logger } = deps;
  const committer = new Committer(db, config.nodeId);
  const srs = deps.srs ?? { domain: config.hostName, key: randomBytes(32) };
  const turn = { db, clock, logger, resolver: deps.resolver ?? cachingResolver(systemResolver()) };
  const relays = new RelayAddresses(turn);
  const directory = new DirectoryCache(db, { logger });
  const reputation = new Reputation(db, clock, logger);
  const resolver = deps.resolver ?? null;
  const zones = config.dnsLists ?? [];
  const dnsLists = resolver === null || zones.length === 0 ? null : new DnsLists(zones, resolver, { logger });
  const { hostName, directoryGraceSeconds: graceSeconds } = config;
  const edge = new Edge({
    ...{ db, clock, directory, reputation, dnsLists, resolver, hostName },
    ...(deps.delay === undefined ? {} : { delay: deps.delay }),
  });
  const intake = deps.reports ?? null;
  const reports = intake === null || resolver === null ? null : { intake, resolver };
  const common = { db, spool, pipeline, committer, clock, directory, reputation, scanMs: config.scanMs ?? 60_000 };
  const onProtocolError = (address: string) => reputation.note(address, 'protocolErrors');
  const { later, monotonic } = deps;
  const server = { spool, clock, logger, settings: config, onProtocolError, later, monotonic };
  const inbound = new GatewayServer(
    { ...inboundPort({ ...common, edge, graceSeconds, hostName, srs, reports }), etrn: relayTurn(turn, relays) },
    server,
  );
  const submission = new GatewayServer({ ...submissionPort(common), etrn: submitterTurn(turn) }, server);
  return {
    async start() {
      await directory.start();
      reputation.start();
      try {
        const smtp = await inbound.listen(config.smtpPort);
        return { smtp, submission: await submission.listen(config.submissionPort) };
      } catch (error) {
        await Promise.all([inbound.close(0), submission.close(0)]);
        await reputation.stop();
        await directory.stop();
        throw error;
      }
    },
    useCertificate(certificate) {
      if (config.tls === undefined || config.tls === null) return;
      for (const one of [inbound, submission]) one.useCertificate(certificate);
    },
    async stop(graceMs) {
      await Promise.all([inbound.close(graceMs), submission.close(graceMs)]);
      await committer.idle();
      await relays.idle();
      await reputation.stop();
      await directory.stop();
    },
  };
}
