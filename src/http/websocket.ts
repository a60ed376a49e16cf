import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import { authenticateKey } from '../accounts/keys.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { subscriberOf } from '../core/networks.ts';
import type { SystemDb } from '../db/db.ts';
import type { Engine } from '../graphql/engine.ts';
import { type LiveSocket, makeProtocol } from '../graphql/live/protocol.ts';
import { Throttle } from '../graphql/throttle.ts';
import { bearerOf, readParts } from './graphql.ts';
import { STREAMS, type Streams } from './streams.ts';

const PROTOCOL = 'graphql-transport-ws';
/** Bytes of one message from a client. */
const MESSAGE_MAX = 100 * 1024;
/** Messages that a socket may send in a second. */
const MESSAGES_PER_SECOND = 50;
/** Bytes that may wait for a socket's reader: one answer per operation, and what it asked for with pings. */
const UNREAD_MAX = 16 * 1024 * 1024;
/** Milliseconds between two pings; a socket that has not answered the one before is cut off. */
const PING_MS = 20_000;
/** Sockets that one network address may open without a live key at once, and how many more each second. */
const STRANGERS = { capacity: 60, perSecond: 1 };

const GOING_AWAY = 1001;
const UNAUTHORIZED = 4401;
const TOO_MANY_MESSAGES = 4429;

export interface SocketDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly engine: Engine;
  readonly streams: Streams;
  /** Where browsers find this server, if that is not the host they name: `https://tollgate.example`. */
  publicUrl?(): string;
  /** See PING_MS. */
  readonly pingMs?: number;
  readonly initMs?: number;
}

/**
 * `graphql-transport-ws` on /graphql. Keys come in connection_init or in the Authorization header, never in a cookie; a page of
 * another site is refused all the same, by its Origin.
 */
export function acceptSockets(app: FastifyInstance, deps: SocketDeps): void {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_MAX,
    perMessageDeflate: false,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(PROTOCOL) ? PROTOCOL : false),
  });
  const protocol = makeProtocol({
    engine: deps.engine,
    logger: deps.logger,
    initMs: deps.initMs,
    readParts: (payload) => readParts('POST', payload, payload['variables'], payload['extensions']),
  });
  const strangers = new Throttle(STRANGERS);

  const refusal = (request: IncomingMessage): string | null => {
    const path = (request.url ?? '').split('?')[0];
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return '400 Bad Request';
    if (path !== '/graphql' || request.method !== 'GET') return '404 Not Found';
    if (!isOwnOrigin(request, deps.publicUrl?.())) return '403 Forbidden';
    if (!(request.headers['sec-websocket-protocol'] ?? '').split(',').some((one) => one.trim() === PROTOCOL)) {
      return '400 Bad Request';
    }
    if (deps.streams.isClosing || server.clients.size >= STREAMS.perNode) return '503 Service Unavailable';
    try {
      strangers.take(subscriberOf(request.socket.remoteAddress ?? ''), 1, deps.clock.now());
    } catch {
      return '429 Too Many Requests';
    }
    return null;
  };

  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const status = refusal(request);
    if (status !== null) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    // A live key gives back what its socket took: many who come from one address are strangers no more.
    const known = () => strangers.give(subscriberOf(request.socket.remoteAddress ?? ''), 1);
    server.handleUpgrade(request, socket, head, (ws) => openSocket(ws, request, deps, protocol, known));
  });
  // Those that have not said who they are are in no count of streams.
  app.addHook('preClose', async () => {
    for (const ws of server.clients) ws.close(GOING_AWAY, 'The server is closing');
  });
  app.addHook('onClose', async () => {
    for (const ws of server.clients) ws.terminate();
  });
}

/** Whether a browser's page is one of this server's own. Programs that are no browsers send no Origin. */
function isOwnOrigin({ headers }: IncomingMessage, publicUrl: string | undefined): boolean {
  const { origin } = headers;
  if (origin === undefined) return true;
  if (!URL.canParse(origin)) return false;
  const { host } = new URL(origin);
  return (
    host === headers.host || (publicUrl !== undefined && URL.canParse(publicUrl) && host === new URL(publicUrl).host)
  );
}

function openSocket(
  ws: WebSocket,
  request: IncomingMessage,
  deps: SocketDeps,
  protocol: ReturnType<typeof makeProtocol>,
  onKnown: () => void,
): void {
  let isAnswering = true;
  let release: () => void = () => undefined;
  const close = (code: number, reason: string) => ws.close(code, reason);
  const ping = setInterval(() => {
    if (!isAnswering) return ws.terminate();
    isAnswering = false;
    ws.ping();
  }, deps.pingMs ?? PING_MS).unref();
  ws.on('pong', () => {
    isAnswering = true;
  });
  // A frame that is malformed or too large closes the socket with its own code; there is nothing more to be done.
  ws.on('error', (error) => deps.logger.debug({ err: error }, 'a socket broke'));

  const socket: LiveSocket = {
    requestId: randomUUID(),
    caller: null,
    begun: new Set(),
    close,
    async enter(authorization) {
      const token = bearerOf(authorization) ?? bearerOf(request.headers.authorization);
      const caller = token === undefined ? null : await authenticateKey(deps.db, token, deps.clock.now());
      if (caller === null) return null;
      onKnown();
      try {
        release = deps.streams.add(caller, {
          end(reason) {
            if (reason === 'revoked') close(UNAUTHORIZED, 'The key is not live any more');
            else close(GOING_AWAY, 'The server is closing');
          },
          isStuck: () => ws.bufferedAmount > UNREAD_MAX,
          destroy: () => ws.terminate(),
        });
      } catch {
        return 'busy';
      }
      // It may have gone while the key was looked up.
      if (ws.readyState !== ws.OPEN) release();
      return caller;
    },
  };
  const closed = protocol.opened(
    {
      protocol: ws.protocol,
      send: (data) =>
        new Promise<void>((resolve, reject) => {
          if (ws.readyState !== ws.OPEN) return resolve();
          ws.send(data, (error) => (error ? reject(error) : resolve()));
        }),
      close,
      onMessage: (handle) => {
        const budget = countPerSecond(MESSAGES_PER_SECOND);
        ws.on('message', (data, isBinary) => {
          // Who was told to go, as with a revoked key, may still send until the socket is closed on both sides.
          if (ws.readyState !== ws.OPEN) return;
          if (isBinary) return close(4400, 'Messages are text');
          if (!budget()) return close(TOO_MANY_MESSAGES, 'Too many messages');
          if (ws.bufferedAmount > UNREAD_MAX) return ws.terminate();
          handle(String(data)).catch((error: unknown) => {
            if (ws.readyState !== ws.OPEN) return;
            deps.logger.error({ requestId: socket.requestId, err: error }, 'a message of a socket was not worked on');
            close(4500, 'Internal error');
          });
        });
      },
    },
    socket,
  );
  ws.on('close', (code, reason) => {
    clearInterval(ping);
    release();
    void closed(code, String(reason)).catch(() => undefined);
    for (const one of socket.begun) one.answers?.stop();
  });
}

/** Answers whether one more is within the number of one second. */
function countPerSecond(max: number): () => boolean {
  let since = performance.now();
  let count = 0;
  return () => {
    const now = performance.now();
    if (now - since >= 1_000) {
      since = now;
      count = 0;
    }
    count += 1;
    return count <= max;
  };
}
