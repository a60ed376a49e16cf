import { createReadStream } from 'node:fs';
import { printable } from '../core/address.ts';
import type { CorrespondentHistory, HistoryFacts, HostList, OutsideScanner, ScanTask } from '../core/filter.ts';
import type { Logger } from '../core/log.ts';
import type { Pipeline, PipelineInput, PipelineResult } from '../core/message.ts';
import type { Vote } from '../core/verdict.ts';
import { authenticate } from '../mail/authentication.ts';
import type { Resolver } from '../mail/resolver.ts';
import type { AuthenticationResult } from '../mail/types.ts';
import { decide } from './decide.ts';
import { NO_FACTS } from './inspect.ts';
import { decideFor } from './pipeline.ts';
import { type Failed, WorkerPool } from './pool.ts';
import type { Inspected } from './stage.ts';
import { hit, voteOf } from './votes.ts';
import type { InspectTask } from './worker.ts';

export interface PipelineDeps {
  /** Worker threads, config `scanThreads`. */
  readonly threads: number;
  /** Null: without look-ups; mail is then filtered without authentication. */
  readonly resolver: Resolver | null;
  /** Our authserv-id (RFC 8601). */
  readonly hostName: string;
  readonly logger: Logger;
  readonly scanners?: readonly OutsideScanner[];
  /** What becomes of a message when a scanner does not answer: it is left out, or the sender comes back. */
  readonly scannerDown?: 'accept' | 'defer';
  /** Who has written to whom; absent: nothing is said of it. */
  readonly history?: CorrespondentHistory;
  /** Hosts that the operator warns of. */
  readonly linkList?: HostList;
  readonly limits?: Partial<PipelineLimits>;
}

export interface PipelineLimits {
  /** Milliseconds in which a thread must have read and scored a message. */
  readonly taskMs: number;
  /** Megabytes of heap of one thread. Contents of attachments lie outside of it, bounded by the parser. */
  readonly heapMb: number;
  /** Milliseconds for all look-ups of one message. */
  readonly authenticationMs: number;
  /** Milliseconds for each outside scanner. */
  readonly scannerMs: number;
  /** Milliseconds for the look at earlier correspondence. */
  readonly historyMs: number;
}

const LIMITS: PipelineLimits = {
  taskMs: 20_000,
  heapMb: 384,
  authenticationMs: 10_000,
  scannerMs: 10_000,
  historyMs: 3_000,
};

/**
 * Starts the threads. `run` decides one message: a thread reads it, in memory or by its path, while authentication looks up what
 * it needs in this thread. A message that cannot be read is `unscannable`, with the reason; `run` never rejects.
 */
export function createPipeline(deps: PipelineDeps): Pipeline {
  const limits = { ...LIMITS, ...deps.limits };
  const pool = new WorkerPool<InspectTask, Inspected>({
    file: new URL('./worker.js', import.meta.url),
    threads: deps.threads,
    taskMs: limits.taskMs,
    limits: { maxOldGenerationSizeMb: limits.heapMb, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    logger: deps.logger,
  });
  return {
    async run(input, signal) {
      const [outcome, authentication, scanned] = await Promise.all([
        pool.run({ path: input.path, message: input.message ?? null, envelope: input.envelope }, signal),
        authenticateMessage(deps, input, limits.authenticationMs),
        askScanners(deps, input, signal, limits.scannerMs),
      ]);
      const down = deps.scannerDown === 'defer' ? scanned.find((one) => one.isDown) : undefined;
      const deferred = down === undefined ? {} : { deferred: `the scanner ${down.name} does not answer` };
      const further = scanned.map((one) => one.vote);
      if ('failed' in outcome) return { ...unscannable(outcome, input, authentication, further), ...deferred };
      const inspected = outcome.result;
      const known = await lookBack(deps, input, inspected, limits.historyMs);
      const listedHosts = deps.linkList?.listed(inspected.linkHosts) ?? [];
      return {
        decisions: input.recipients.map((recipient) => {
          const history = known.get(recipient.clientId);
          const common = { inspected, authentication, envelope: input.envelope, recipient, listedHosts };
          return decideFor(history === undefined ? common : { ...common, history }, further);
        }),
        facts: inspected.facts,
        authenticationResults: authentication?.header ?? null,
        ...deferred,
      };
    },
    close: () => pool.close(),
  };
}

function unscannable(
  failed: Failed,
  input: PipelineInput,
  authentication: AuthenticationResult | null,
  scanned: readonly Vote[],
): PipelineResult {
  const vote = voteOf('scan', [hit(failed.failed, failed.detail)]);
  return {
    decisions: input.recipients.map((recipient) => decide([vote, ...scanned], recipient.policy)),
    facts: NO_FACTS,
    authenticationResults: authentication?.header ?? null,
  };
}

/** Null for submitted mail, which its login authenticates, and when the message cannot be read. */
async function authenticateMessage(
  { resolver, hostName, logger }: PipelineDeps,
  { path, message, envelope }: PipelineInput,
  deadlineMs: number,
): Promise<AuthenticationResult | null> {
  if (resolver === null || envelope.direction === 'outbound') return null;
  const source = message ? Buffer.from(message.buffer, message.byteOffset, message.length) : createReadStream(path);
  try {
    const { remoteAddress: ip, helo, sender } = envelope;
    return await authenticate(source, { ip, helo, sender, mta: hostName }, resolver, { deadlineMs });
  } catch (error) {
    logger.warn({ err: error }, 'a message could not be authenticated');
    return null;
  } finally {
    if (!Buffer.isBuffer(source)) source.destroy();
  }
}

const NO_HISTORY: ReadonlyMap<string, HistoryFacts> = new Map();

/** What each client knows of the sender, asked once for all. Left out, not held against anybody, when it can't be looked up. */
async function lookBack(
  { history, logger }: PipelineDeps,
  { envelope, recipients }: PipelineInput,
  { from, inReplyTo }: Inspected,
  ms: number,
): Promise<ReadonlyMap<string, HistoryFacts>> {
  const [sender] = from;
  if (history === undefined || envelope.direction === 'outbound' || from.length !== 1 || sender === undefined) {
    return NO_HISTORY;
  }
  const clients = new Map(recipients.map(({ partnerId, clientId }) => [clientId, { partnerId, clientId }]));
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('the history did not answer in time')), ms);
    });
    return await Promise.race([history.look([...clients.values()], sender.address, inReplyTo), late]);
  } catch (error) {
    logger.warn({ err: error }, 'earlier correspondence could not be looked up');
    return NO_HISTORY;
  } finally {
    clearTimeout(timer);
  }
}

interface Scanned {
  readonly name: string;
  readonly vote: Vote;
  readonly isDown: boolean;
}

async function askScanners(
  { scanners = [] }: PipelineDeps,
  { path, bytes, stored, envelope, recipients }: PipelineInput,
  signal: AbortSignal,
  ms: number,
): Promise<Scanned[]> {
  if (scanners.length === 0) return [];
  // They read the file.
  await stored?.catch(() => undefined);
  const task: ScanTask = { path, bytes, envelope, recipients: recipients.map((one) => one.recipient) };
  return Promise.all(scanners.map((scanner) => askScanner(scanner, task, signal, ms)));
}

/** A scanner that is down or late votes nothing and says so. What it says is cut to bounds that are ours, not its. */
async function askScanner(scanner: OutsideScanner, task: ScanTask, signal: AbortSignal, ms: number): Promise<Scanned> {
  const { name } = scanner;
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  let late: (() => void) | undefined;
  try {
    const ended = new Promise<never>((_, reject) => {
      late = () => reject(deadline.reason);
      deadline.addEventListener('abort', late, { once: true });
    });
    const { verdict, score, reasons } = await Promise.race([scanner.scan(task, deadline), ended]);
    const vote = {
      stage: 'scanners',
      score: Number.isFinite(score) ? Math.max(-SCANNER_POINTS, Math.min(SCANNER_POINTS, score)) : 0,
      reasons: reasons.slice(0, SCANNER_REASONS).map(({ code, detail }) => ({ code, detail: printable(detail, 200) })),
    };
    return { name, vote: verdict === null ? vote : { ...vote, verdict }, isDown: false };
  } catch {
    return { name, vote: voteOf('scanners', [hit('scanner.down', name)]), isDown: true };
  } finally {
    if (late !== undefined) deadline.removeEventListener('abort', late);
  }
}

/** What one scanner can give or take, and say. */
const SCANNER_POINTS = 3;
const SCANNER_REASONS = 10;
