import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Pipeline } from '../core/message.ts';
import type { SystemDb } from '../db/db.ts';
import { Committer } from './commit.ts';
import { inboundPort } from './inbound.ts';
import { GatewayServer, type ServerSettings } from './server.ts';
import type { Spool } from './spool.ts';
import { submissionPort } from './submission.ts';

export { createDelivery, type Delivery } from './deliver.ts';
export { OwnPost } from './own.ts';
export { replyToDelivery } from './reply.ts';
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
  readonly config: GatewayConfig;
}

export interface Gateway {
  /** Listens on both ports; answers `host:port` of each. */
  start(): Promise<{ smtp: string; submission: string }>;
  /** Takes no more connections, lets pending messages end for `graceMs`, then closes the rest. */
  stop(graceMs: number): Promise<void>;
}

/** The SMTP side: takes mail, decides, commits, answers. Delivery is apart (createDelivery). */
export function createGateway(deps: GatewayDeps): Gateway {
  const { config, db, spool, pipeline, clock, logger } = deps;
  const committer = new Committer(db, config.nodeId);
  const common = { db, spool, pipeline, committer, clock, scanMs: config.scanMs ?? 60_000 };
  const server = { spool, clock, logger, settings: config };
  const inbound = new GatewayServer(inboundPort({ ...common, graceSeconds: config.directoryGraceSeconds }), server);
  const submission = new GatewayServer(submissionPort(common), server);
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
    async stop(graceMs) {
      await Promise.all([inbound.close(graceMs), submission.close(graceMs)]);
      await committer.idle();
    },
  };
}
