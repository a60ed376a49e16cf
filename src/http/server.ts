import { randomUUID } from 'node:crypto';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Commands } from '../graphql/commands.ts';
import { Engine } from '../graphql/engine.ts';
import type { LiveDb, LivePace } from '../graphql/live/hub.ts';
import { DEFAULT_RATE, type Rate } from '../graphql/throttle.ts';
import { consoleRoutes } from './console.ts';
import { errorAnswer, HttpError } from './errors.ts';
import { exportRoute } from './export/route.ts';
import { graphqlRoutes } from './graphql.ts';
import { type Check, readiness } from './health.ts';
import { type HookPort, hookRoutes } from './hooks.ts';
import { type Metric, RequestCounter, writeMetrics } from './metrics.ts';
import { type PagesDeps, pageRoutes } from './pages/routes.ts';
import { Streams } from './streams.ts';
import { acceptSockets } from './websocket.ts';
import { welcomeRoute } from './welcome.ts';

export interface HttpDeps {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly db: LiveDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly commands: Commands;
  readonly hooks: HookPort;
  /** What the pages of held mail need beyond the rest. */
  readonly pages: Omit<PagesDeps, 'db' | 'clock' | 'logger'>;
  /** What must work before this node takes requests, such as the database and the workers. */
  readonly checks: readonly Check[];
  /** Queue depth, accepted mail, rollup lag, age of the transaction horizon and the like. */
  readonly metrics: () => Promise<readonly Metric[]>;
  /** Points per API key. */
  readonly rate?: Rate;
  /** Where browsers find this server; null or absent: where they say they do. */
  publicUrl?(): string;
  /** How often what is watched is looked at. */
  readonly pace?: LivePace & {
    readonly recheckMs?: number;
    readonly pingMs?: number;
    readonly initMs?: number;
    readonly pageRows?: number;
  };
}

export interface Http {
  readonly app: FastifyInstance;
  /** Answers with the address, `http://127.0.0.1:8080`. Throws `config_invalid` when the port can't be had. */
  listen(): Promise<string>;
  /** Streams that are open, and subscriptions that wait for changes. */
  live(): { readonly streams: number; readonly watching: number };
  /** Answers what is under way, for at most `graceMs` milliseconds, and takes nothing new. */
  close(graceMs?: number): Promise<void>;
}

const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

// A caller's own id is taken when it can't spoil a log line.
const REQUEST_ID = /^[\w.-]{8,64}$/;

/** The HTTP face: GraphQL, its console, the pages of held mail, health, metrics and the callbacks of PSAs. */
export async function createHttp(deps: HttpDeps): Promise<Http> {
  const app = fastify({
    logger: false,
    // Milliseconds until a request must be whole: a slow sender must not hold a connection.
    requestTimeout: 30_000,
    keepAliveTimeout: 10_000,
    // Bytes; a query in an address has at most what Node allows for all headers.
    routerOptions: { maxParamLength: 200 },
    forceCloseConnections: 'idle',
    // An address that can't be decoded never reaches a hook.
    frameworkErrors: (error, request, untyped) => {
      const reply = untyped as FastifyReply;
      const { status, body } = errorAnswer(error);
      return reply.code(status).headers(HEADERS).header('x-request-id', request.id).send(body);
    },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
  });
  const counter = new RequestCounter();

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(HEADERS).header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    const milliseconds = reply.elapsedTime;
    counter.add(route, request.method, reply.statusCode, milliseconds);
    // Neither headers nor query: a key or an address must not reach the log.
    const details = { requestId: request.id, method: request.method, route, status: reply.statusCode };
    deps.logger.debug({ ...details, milliseconds: Math.round(milliseconds) }, 'answered a request');
  });
  app.setErrorHandler(async (error, request, reply) => {
    const { status, headers, body } = errorAnswer(error);
    if (status >= 500) deps.logger.error({ requestId: request.id, err: error }, 'a request failed');
    return reply.code(status).headers(headers).send(body);
  });
  app.setNotFoundHandler(async (request, reply) => {
    const allowed = ['GET', 'POST'].filter((method) => app.hasRoute({ method, url: request.url.split('?')[0] ?? '' }));
    if (allowed.length > 0) reply.header('allow', allowed.join(', '));
    const fault =
      allowed.length > 0 ? new HttpError(405, 'this method is not taken here') : new HttpError(404, 'not found');
    const { status, body } = errorAnswer(fault);
    return reply.code(status).send(body);
  });

  const engine = new Engine({ ...deps, rate: deps.rate ?? DEFAULT_RATE });
  const streams = new Streams({ ...deps, ...deps.pace });
  engine.live.onKeys(() => void streams.check());
  await graphqlRoutes(app, { db: deps.db, clock: deps.clock, engine, streams });
  acceptSockets(app, { ...deps, ...deps.pace, engine, streams });
  exportRoute(app, { ...deps, ...deps.pace, engine, streams });
  welcomeRoute(app);
  await app.register(async (scope) => hookRoutes(scope, deps.hooks));
  await app.register(async (scope) => consoleRoutes(scope));
  const { db, clock, logger } = deps;
  await app.register(async (scope) => pageRoutes(scope, { ...deps.pages, db, clock, logger }));

  app.get('/health/live', async () => ({ status: 'live' }));
  app.get('/health/ready', async (_request, reply) => {
    const state = await readiness(deps.checks, (name, error) => {
      deps.logger.warn({ check: name, err: error }, 'a readiness check failed');
    });
    return reply
      .code(state.ready ? 200 : 503)
      .send({ status: state.ready ? 'ready' : 'not ready', checks: state.checks });
  });
  app.get('/metrics', async (_request, reply) => {
    const open: Metric = {
      name: 'tollgate_streams_open',
      help: 'Sockets, streams of events and exports that are open on this node.',
      type: 'gauge',
      samples: [{ value: streams.size }],
    };
    const metrics = [...(await deps.metrics()), ...counter.metrics(), open];
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(writeMetrics(metrics));
  });
  await app.ready();

  return {
    app,
    live: () => ({ streams: streams.size, watching: engine.live.watching }),
    listen: () => listen(app, deps.host, deps.port),
    async close(graceMs = 3_000) {
      await streams.close(graceMs / 2);
      await engine.stop();
      await close(app, graceMs / 2);
    },
  };
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why: Record<string, string> = {
      EADDRINUSE: 'another program uses it',
      EACCES: 'this user may not open it',
      EADDRNOTAVAIL: 'this machine does not have that address',
    };
    const text = why[code ?? ''];
    if (text === undefined) throw cause;
    throw new AppError(
      'config_invalid',
      `HTTP_PORT: HTTP can't listen on ${host}:${port}: ${text}; set ${code === 'EADDRNOTAVAIL' ? 'BIND_HOST to one that it has' : 'HTTP_PORT to another one'}`,
      { cause },
    );
  }
}

async function close(app: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setTimeout(() => app.server.closeAllConnections(), graceMs);
  try {
    await app.close();
  } finally {
    clearTimeout(timer);
  }
}
