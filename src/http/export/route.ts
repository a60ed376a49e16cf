import { pipeline, Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { constants, createGzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { getClients } from '../../accounts/clients.ts';
import { type ApiCaller, liveKeys } from '../../accounts/keys.ts';
import type { Clock } from '../../core/clock.ts';
import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { parseMoment } from '../../core/period.ts';
import type { SystemDb, TenantDb } from '../../db/db.ts';
import type { Engine } from '../../graphql/engine.ts';
import { uuidOf } from '../../graphql/ids.ts';
import { authenticate } from '../graphql.ts';
import type { EndReason, Streams } from '../streams.ts';
import type { ExportRange } from './cursor.ts';
import { exportLines, startExport } from './events.ts';

/** Limits of exports. docs/api.md publishes them. */
export const EXPORT = {
  /** Days of one export. */
  daysMax: 400,
  /** Exports that one key may have under way. */
  perKey: 2,
  /** Points for beginning one, and for each page of events. */
  startPoints: 50,
  pagePoints: 10,
  /** Events in memory at once. */
  pageRows: 1_000,
} as const;

const DAY_MS = 86_400_000;
const PARAMETERS = ['from', 'to', 'client', 'cursor'];
/** Milliseconds that a reader may leave what was sent unread before it is cut off. */
const STUCK_MS = 60_000;

export interface ExportRouteDeps {
  readonly db: TenantDb & SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly engine: Engine;
  readonly streams: Streams;
  /** See EXPORT.pageRows. */
  readonly pageRows?: number;
  /** Milliseconds of a clock that never goes back; absent: the machine's. */
  readonly monotonic?: (() => number) | undefined;
}

/** GET /export/events: the ledger of a range as NDJSON. */
export function exportRoute(app: FastifyInstance, deps: ExportRouteDeps): void {
  const running = new Map<string, number>();

  /** The lines, as a stream whose end lets go of everything. */
  const begin = async (
    caller: ApiCaller,
    range: ExportRange,
    cursor: string | null,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Readable> => {
    deps.engine.charge(caller, EXPORT.startPoints);
    const start = await startExport(deps.db, caller.partnerId, range, cursor);
    const log = { requestId: request.id, key: caller.keyId };

    const ended = new AbortController();
    let reason: EndReason | null = null;
    let blockedSince: number | null = null;
    const now = deps.monotonic ?? (() => performance.now());
    const lines = exportLines(
      {
        db: deps.db,
        pageRows: deps.pageRows ?? EXPORT.pageRows,
        admit: () => admit(deps, caller, ended.signal, () => reason),
        onFault: (error) => deps.logger.error({ ...log, err: error }, 'an export failed'),
      },
      caller.partnerId,
      range,
      start,
    );
    const source = Readable.from(
      handed(lines, (isHanded) => (blockedSince = isHanded ? now() : null)),
      { objectMode: false, highWaterMark: 1 },
    );
    const release = deps.streams.add(caller, {
      end(why) {
        reason ??= why;
        ended.abort();
      },
      isStuck: () => blockedSince !== null && now() - blockedSince > STUCK_MS,
      destroy: () => source.destroy(),
    });
    source.once('close', release);
    // A caller that went away wants no further page.
    const gone = () => {
      ended.abort();
      source.destroy();
    };
    reply.raw.once('close', gone);
    if (reply.raw.destroyed) gone();
    return source;
  };

  app.get('/export/events', { exposeHeadRoute: false }, async (request, reply) => {
    const caller = await authenticate(deps, request);
    requireRight(caller);
    const { range, cursor } = await readQuery(deps.db, caller, request);
    // Taken before anything is waited for: of many that ask in one moment each would find room.
    const giveBack = takePlace(running, caller.keyId);
    const source = await begin(caller, range, cursor, request, reply).catch((error: unknown) => {
      giveBack();
      throw error;
    });
    if (source.closed) giveBack();
    else source.once('close', giveBack);
    reply.type('application/x-ndjson; charset=utf-8').header('vary', 'accept-encoding');
    if (!takesGzip(request.headers['accept-encoding'])) return reply.send(source);
    // Each page leaves at once: what waits in the compressor would not be with the reader when it is interrupted.
    const zipped = createGzip({ flush: constants.Z_SYNC_FLUSH });
    // The end of either is the end of both: a reader that is cut off must not keep its socket, nor one that left its export.
    return reply.header('content-encoding', 'gzip').send(pipeline(source, zipped, () => undefined));
  });
}

/** Counts an export of a key until the answer is called. Throws `limit_exceeded`. */
function takePlace(running: Map<string, number>, keyId: string): () => void {
  const taken = running.get(keyId) ?? 0;
  if (taken >= EXPORT.perKey) {
    throw new AppError('limit_exceeded', `a key has at most ${EXPORT.perKey} exports under way`, { retryAfter: 10 });
  }
  running.set(keyId, taken + 1);
  return () => {
    const left = (running.get(keyId) ?? 1) - 1;
    if (left === 0) running.delete(keyId);
    else running.set(keyId, left);
  };
}

function requireRight(caller: ApiCaller): void {
  if (caller.documentsOnly === true) throw new AppError('forbidden', 'this key runs registered documents only');
  if (!caller.scopes.includes('read') && !caller.scopes.includes('admin')) {
    throw new AppError('forbidden', 'the key lacks the scope READ');
  }
}

/** Before each page: the key is live, the node goes on, and there are points, which are waited for. */
async function admit(
  deps: ExportRouteDeps,
  caller: ApiCaller,
  signal: AbortSignal,
  reasonOf: () => EndReason | null,
): Promise<void> {
  for (;;) {
    const reason = reasonOf();
    if (reason === 'closing') throw new AppError('unavailable', 'the server is closing');
    const isLive = reason === null && (await liveKeys(deps.db, [caller.keyId], deps.clock.now())).has(caller.keyId);
    if (!isLive) throw new AppError('unauthenticated', 'the key is not live any more');
    try {
      deps.engine.charge(caller, EXPORT.pagePoints);
      return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'limit_exceeded') throw error;
      await pause((error.retryAfter ?? 1) * 1_000, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted && reasonOf() === null) throw new AppError('unavailable', 'the reader has gone');
    }
  }
}

async function* handed(lines: AsyncGenerator<string>, onHanded: (isHanded: boolean) => void): AsyncGenerator<Buffer> {
  for await (const text of lines) {
    onHanded(true);
    yield Buffer.from(text);
    onHanded(false);
  }
}

/** The range of a request. Throws `invalid_input`, and `not_found` for a client that is not the caller's. */
async function readQuery(
  db: TenantDb,
  caller: ApiCaller,
  request: FastifyRequest,
): Promise<{ readonly range: ExportRange; readonly cursor: string | null }> {
  const query = request.query as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(query)) {
    // A misspelt `client` must not export those of all.
    if (!PARAMETERS.includes(name) || typeof value !== 'string') {
      throw new AppError('invalid_input', `${PARAMETERS.join(', ')} are taken, each once`, {
        field: name.slice(0, 40),
      });
    }
  }
  const text = (name: string) => (query[name] as string | undefined) ?? null;
  const moment = (name: string) => {
    const given = text(name);
    if (given === null) throw new AppError('invalid_input', `${name} is missing`, { field: name });
    return parseMoment(given, name);
  };
  const [from, to] = [moment('from'), moment('to')];
  if (from.getTime() >= to.getTime()) throw new AppError('invalid_input', 'to is not after from', { field: 'to' });
  if (to.getTime() - from.getTime() > EXPORT.daysMax * DAY_MS) {
    throw new AppError('invalid_input', `an export is of at most ${EXPORT.daysMax} days`, { field: 'to' });
  }
  const client = text('client');
  return {
    range: { from, to, clientId: client === null ? null : await clientOf(db, caller, client) },
    cursor: text('cursor'),
  };
}

async function clientOf(db: TenantDb, caller: ApiCaller, text: string): Promise<string> {
  const id = uuidOf('Client', text);
  const [client] =
    id === null ? [] : await db.tenant(caller.partnerId, (tx) => getClients(tx, [id]), { readOnly: true });
  if (client === undefined) throw new AppError('not_found', 'no such client', { field: 'client' });
  return client.id;
}

function takesGzip(header: string | undefined): boolean {
  return (header ?? '').split(',').some((part) => {
    const [coding = '', weight = 'q=1'] = part.split(';').map((one) => one.trim().toLowerCase());
    return coding === 'gzip' && !/^q=0(?:\.0*)?$/.test(weight);
  });
}
