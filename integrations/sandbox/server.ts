import fastify, { type FastifyInstance } from 'fastify';
import type { Clock } from '../../src/core/clock.ts';
import { type ArmedFault, Faults } from './faults.ts';

/** One request as the sandbox saw it. */
export interface SeenRequest {
  readonly at: Date;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  body: unknown;
  status: number;
}

export interface SandboxOptions {
  readonly clock?: Clock;
  /** 0, or left out: any free port. */
  readonly port?: number;
  /** How the sandbox waits, in milliseconds, between deliveries of callbacks and when it is slow. */
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Callbacks go out by themselves after each change; else with `flushCallbacks`. */
  readonly autoCallbacks?: boolean;
  /** Told of each request when it is answered. */
  readonly onAnswer?: (seen: SeenRequest) => void;
}

declare module 'fastify' {
  interface FastifyRequest {
    fault: ArmedFault | null;
    seen: SeenRequest | null;
  }
}

const HTML = '<!doctype html><html><head><title>Bad gateway</title></head><body>proxy</body></html>';

/** A refusal in the PSA's own shape. */
export class Refusal extends Error {
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, body: unknown) {
    super(`refused with ${status}`);
    this.status = status;
    this.body = body;
  }
}

export interface SandboxServer {
  readonly app: FastifyInstance;
  readonly faults: Faults;
  readonly requests: SeenRequest[];
}

/** The part that both PSAs share: a server on loopback that logs each request and applies the armed faults. */
export function sandboxServer(
  clock: Clock,
  throttledBody: unknown,
  maxBody: number,
  onAnswer: SandboxOptions['onAnswer'],
): SandboxServer {
  const app = fastify({ forceCloseConnections: true, bodyLimit: maxBody, routerOptions: { maxParamLength: 2000 } });
  const faults = new Faults();
  const requests: SeenRequest[] = [];
  app.decorateRequest('fault', null);
  app.decorateRequest('seen', null);

  app.addHook('onRequest', async (request, reply) => {
    const seen: SeenRequest = {
      at: clock.now(),
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: undefined,
      status: 0,
    };
    requests.push(seen);
    request.seen = seen;
    const fault = faults.take(request.method, request.url);
    request.fault = fault;
    switch (fault?.kind) {
      case 'drop_before':
        request.raw.socket.destroy();
        return reply.hijack();
      case 'throttle':
        if (fault.value !== undefined) reply.header('retry-after', fault.value);
        return reply.code(429).send(throttledBody);
      case 'html_502':
        return reply.code(502).type('text/html').send(HTML);
      case 'html_200':
        return reply.code(200).type('text/html').send(HTML);
      case 'error_500':
        return reply.code(500).send({});
      case 'redirect':
        return reply
          .code(302)
          .header('location', fault.value ?? 'http://127.0.0.1:1/')
          .send();
      case 'forbidden':
        return reply.code(403).send({ code: 'Forbidden', message: 'You do not have security permission.', errors: [] });
      default:
        return undefined;
    }
  });
  app.addHook('preHandler', async (request) => {
    if (request.seen !== null) request.seen.body = request.body;
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.seen !== null) {
      request.seen.status = reply.statusCode;
      onAnswer?.(request.seen);
    }
    if (request.fault?.kind === 'slow') await faults.hold();
    if (request.fault?.kind === 'drop_after_commit') {
      request.raw.socket.destroy();
      return payload;
    }
    if (request.fault?.kind === 'truncated' && typeof payload === 'string') {
      const half = payload.slice(0, Math.floor(payload.length / 2));
      reply.header('content-length', Buffer.byteLength(half));
      return half;
    }
    return payload;
  });
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof Refusal) return reply.code(error.status).send(error.body);
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    return reply.code(status).send({ code: 'Sandbox', message: String(error), errors: [] });
  });
  return { app, faults, requests };
}

/** Sends callbacks in order of occurrence, or as a fault switch says. */
export type CallbackOrder = 'in_order' | 'duplicated' | 'reversed';

/** A queue of callbacks; each delivery is one function that retries by its PSA's own rule. */
export class CallbackQueue {
  order: CallbackOrder = 'in_order';
  #waiting: (() => Promise<void>)[] = [];
  #running: Promise<void> = Promise.resolve();
  readonly #auto: boolean;

  constructor(auto: boolean) {
    this.#auto = auto;
  }

  add(deliver: () => Promise<void>): void {
    this.#waiting.push(deliver);
    if (this.#auto) void this.flush();
  }

  /** Resolves when everything that waits now was delivered or given up. */
  flush(): Promise<void> {
    this.#running = this.#running.then(async () => {
      const batch = this.#waiting.splice(0);
      if (this.order === 'reversed') batch.reverse();
      for (const deliver of batch) {
        await deliver();
        if (this.order === 'duplicated') await deliver();
      }
    });
    return this.#running;
  }
}

/** The status of a POST to a callback's receiver on this machine; 0 when nobody answers within `timeoutMs`. */
export async function postCallback(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<number> {
  // The sandbox runs in demos: it must not become a way to make requests anywhere.
  if (!URL.canParse(url) || !['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname)) return 0;
  try {
    const answer = await fetch(url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', ...headers },
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}
