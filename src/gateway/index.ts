import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Pipeline } from '../core/message.ts';
import type { SystemDb } from '../db/db.ts';
import { cachingResolver, type Resolver, systemResolver } from '../mail/resolver.ts';
import type { SrsSettings } from '../mail/srs.ts';
import { Committer } from './commit.ts';
import { inboundPort } from './inbound.ts';
import { GatewayServer, type ServerSettings } from './server.ts';
import type { Spool } from './spool.ts';
import { submissionPort } from './submission.ts';
import { RelayAddresses, relayTurn, submitterTurn } from './turn.ts';

export { watchCertificate } from './certificate.ts';
export { createDelivery, type Delivery } from './deliver.ts';
export { flushClient } from './flush.ts';
export { forgetOldCounts } from './outbound-counts.ts';
export type { Signing } from './outgoing.ts';
export { serverProbe } from './probe.ts';
export { Spool } from './spool.ts';

export interface GatewayConfig extends ServerSettings {
  readonly nodeId: string;
  readonly smtpPort: number;
  readonly submissionPort: number;
  readonly directoryGraceSeconds: number;
  /** Milliseconds for the pipeline; later than that the client is told to come back. */
  readonly scanMs?: number;
}

export interface GatewayDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spool: Spool;
  readonly pipeline: Pipeline;
  /** For the addresses of relays that say ETRN; the system's when absent. */
  readonly resolver?: Resolver;
  readonly config: GatewayConfig;
  /** For forwarded mail and its notifications. Absent: under the host name, with a key that no other node knows. */
  readonly srs?: SrsSettings;
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
  const common = { db, spool, pipeline, committer, clock, scanMs: config.scanMs ?? 60_000 };
  const server = { spool, clock, logger, settings: config };
  const srs = deps.srs ?? { domain: config.hostName, key: randomBytes(32) };
  const { hostName, directoryGraceSeconds: graceSeconds } = config;
  const turn = { db, clock, logger, resolver: deps.resolver ?? cachingResolver(systemResolver()) };
  const relays = new RelayAddresses(turn);
  const inbound = new GatewayServer(
    { ...inboundPort({ ...common, graceSeconds, hostName, srs }), etrn: relayTurn(turn, relays) },
    server,
  );
  const submission = new GatewayServer({ ...submissionPort(common), etrn: submitterTurn(turn) }, server);
  return {
    async start() {
      const smtp = await inbound.listen(config.smtpPort);
      try {
        return { smtp, submission: await submission.listen(config.submissionPort) };
      } catch (error) {
        await inbound.close(0);
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
    },
  };
}
