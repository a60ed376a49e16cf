import http from 'node:http';
import https from 'node:https';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleepFor } from 'node:timers/promises';
import axios, { type AxiosInstance } from 'axios';
import type { z } from 'zod';
import { later as byTimer, type Clock, type Later } from '../src/core/clock.ts';
import { AppError } from '../src/core/errors.ts';
import type { Logger } from '../src/core/log.ts';
import { backoffMs, retryAfterMs } from './backoff.ts';
import type { Gate } from './gate.ts';
import { checkUrl, type GuardOptions, guardedLookup } from './guard.ts';
import { oneLine, type Redact } from './redact.ts';

/** What the outside world gives a connector. */
export interface PsaDeps extends GuardOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Waits between repetitions; tests hand in one that does not wait. */
  readonly sleep?: (ms: number) => Promise<unknown>;
  readonly timing?: Partial<HttpTiming>;
  /** How the time for one answer is waited for; absent: by timers. */
  readonly later?: Later;
}

export interface HttpTiming {
  /** Milliseconds for a connection to stand. */
  readonly connectMs: number;
  /** Milliseconds for one answer. */
  readonly answerMs: number;
  /** Milliseconds for a call with all its repetitions and waits. */
  readonly budgetMs: number;
}

const TIMING: HttpTiming = { connectMs: 5_000, answerMs: 30_000, budgetMs: 90_000 };
const MAX_ATTEMPTS = 4;
/** Milliseconds of rest when the PSA throttles without saying how long. */
const THROTTLED_MS = 10_000;
const MAX_ANSWER_BYTES = 20_000_000;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** `read` may be repeated; `write` is sent once, whatever happens. A POST that queries is a read. */
  readonly effect: 'read' | 'write';
  /** What the concurrency limit counts by, `Tickets`. */
  readonly endpoint: string;
  readonly json?: unknown;
  readonly form?: FormData;
  /** Leaves by then or not at all. */
  readonly sendBy?: Date | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly header: (name: string) => string | undefined;
}

/** What an answer means, in the vendor's own rules. `unclear`: it may or may not have been carried out. */
export type Meaning = 'ok' | 'not_found' | 'rejected' | 'throttled' | 'unauthenticated' | 'forbidden' | 'unclear';

export interface Vendor {
  readonly name: string;
  /** Body is parsed JSON, or null when it was not JSON. */
  meaning(status: number, body: unknown): Meaning;
  /** The vendor's words about a refusal; empty when the body holds none. */
  words(body: unknown): string;
}

/** A write to a record or an address that is not there: refused for certain. */
export class NotThere extends AppError {
  constructor(message: string) {
    super('upstream_rejected', message);
  }
}

interface Outcome {
  readonly meaning: Exclude<Meaning, 'ok'> | 'unsent' | 'too_large';
  readonly text: string;
  readonly waitMs: number | null;
}

const UNSENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPRIVATE',
  'ECONNECT',
  'EPROTO',
]);
const isUnsent = (code: string) => UNSENT.has(code) || /CERT|^ERR_TLS|^ERR_SSL|SELF_SIGNED|UNABLE_TO/.test(code);

/**
 * Requests to one PSA account under one policy: a bounded time, reads repeated with back-off, writes sent once, every
 * failure an AppError as src/core/psa.ts lists them, no secret in any text.
 */
export class PsaHttp {
  readonly #deps: PsaDeps;
  readonly #gate: Gate;
  readonly #vendor: Vendor;
  readonly #redact: Redact;
  readonly #timing: HttpTiming;
  readonly #axios: AxiosInstance;
  readonly #agents: { read: AgentPair; write: AgentPair };

  constructor(deps: PsaDeps, gate: Gate, vendor: Vendor, redact: Redact) {
    this.#deps = deps;
    this.#gate = gate;
    this.#vendor = vendor;
    this.#redact = redact;
    this.#timing = { ...TIMING, ...deps.timing };
    // A write never uses a kept connection: the PSA may be closing it just then, and a lost write is ambiguous.
    const lookup = guardedLookup(deps);
    this.#agents = {
      read: agentPair({ lookup, keepAlive: true, timeout: this.#timing.connectMs }),
      write: agentPair({ lookup, keepAlive: false, timeout: this.#timing.connectMs }),
    };
    this.#axios = axios.create({
      adapter: 'http',
      proxy: false,
      maxRedirects: 0,
      maxContentLength: MAX_ANSWER_BYTES,
      maxBodyLength: 20_000_000,
      responseType: 'arraybuffer',
      validateStatus: () => true,
      transitional: { clarifyTimeoutError: true },
    });
  }

  get gate(): Gate {
    return this.#gate;
  }

  /**
   * One call. Null: the vendor says that the thing is not there (reads only; a write to a missing thing is refused).
   * Throws as the head of src/core/psa.ts says.
   */
  async call(request: HttpRequest): Promise<HttpAnswer | null> {
    checkUrl(request.url, this.#deps);
    let spent = 0;
    const wait = async (ms: number) => {
      spent += ms;
      if (ms > 0) await (this.#deps.sleep ?? sleepFor)(ms);
    };
    for (let attempt = 1; ; attempt += 1) {
      if (attempt === 1) this.#gate.check();
      await wait(this.#gate.pauseMs());
      const started = performance.now();
      const outcome = await this.#attempt(request, this.#timing.budgetMs - spent);
      spent += performance.now() - started;
      if (!('meaning' in outcome)) return outcome;
      if (outcome.meaning === 'not_found' && request.effect === 'read') return null;
      const repeatable =
        request.effect === 'read' && (['unclear', 'unsent', 'throttled'] as string[]).includes(outcome.meaning);
      const pause = outcome.waitMs ?? (outcome.meaning === 'throttled' ? THROTTLED_MS : backoffMs(attempt));
      if (!repeatable || attempt >= MAX_ATTEMPTS || spent + pause >= this.#timing.budgetMs) {
        throw this.#error(request, outcome);
      }
      // Waits out what the PSA asked for; other callers meet the closed gate meanwhile.
      await wait(pause);
    }
  }

  async #attempt(request: HttpRequest, leftMs: number): Promise<HttpAnswer | Outcome> {
    const leave = await this.#gate.enter(request.endpoint);
    const started = performance.now();
    try {
      if (request.sendBy !== undefined && this.#deps.clock.now() > request.sendBy) {
        throw new AppError('unavailable', `${this.#vendor.name} could not be asked in time; nothing was sent`);
      }
      const answer = await this.#send(request, Math.max(1, Math.min(this.#timing.answerMs, leftMs)));
      if ('text' in answer) {
        if (answer.meaning === 'too_large') this.#gate.succeeded();
        else this.#gate.failed();
        this.#note(request, answer.text, started);
        return answer;
      }
      this.#note(request, String(answer.status), started, answer.header('x-cw-request-id'));
      return this.#judge(answer);
    } catch (error) {
      this.#gate.failed();
      throw error;
    } finally {
      leave();
    }
  }

  async #send(request: HttpRequest, answerMs: number): Promise<HttpAnswer | Outcome> {
    const agents = this.#agents[request.effect];
    const abort = new AbortController();
    const cancel = (this.#deps.later ?? byTimer)(Math.ceil(answerMs), () => abort.abort());
    try {
      const response = await this.#axios.request<Buffer>({
        method: request.method,
        url: request.url,
        headers: {
          ...request.headers,
          ...(request.json === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
        },
        data: request.form ?? (request.json === undefined ? undefined : Buffer.from(JSON.stringify(request.json))),
        timeout: answerMs,
        signal: abort.signal,
        ...agents,
      });
      const headers = response.headers;
      return {
        status: response.status,
        body: parse(response.data),
        header: (name) => {
          const value: unknown = headers[name];
          return typeof value === 'string' ? value : undefined;
        },
      };
    } catch (error) {
      if (!axios.isAxiosError(error)) throw error;
      const code = error.code ?? 'ERR_UNKNOWN';
      if (/maxContentLength/.test(error.message)) return { meaning: 'too_large', text: 'too large', waitMs: null };
      return { meaning: isUnsent(code) ? 'unsent' : 'unclear', text: code, waitMs: null };
    } finally {
      cancel();
    }
  }

  #judge(answer: HttpAnswer): HttpAnswer | Outcome {
    const success = answer.status >= 200 && answer.status < 300;
    // A page of HTML with status 200 is a proxy or a login form speaking, not the PSA.
    const meaning =
      success && answer.body === undefined && answer.status !== 204
        ? 'unclear'
        : this.#vendor.meaning(answer.status, answer.body);
    const waitMs = retryAfterMs(answer.header('retry-after'), this.#deps.clock.now());
    if (meaning === 'throttled') this.#gate.throttled(waitMs ?? THROTTLED_MS);
    else if (meaning === 'unclear') this.#gate.failed();
    else this.#gate.succeeded();
    if (meaning === 'ok') return answer;
    const words = oneLine(this.#vendor.words(answer.body), this.#redact);
    return { meaning, text: words === '' ? `status ${answer.status}` : words, waitMs };
  }

  #error(request: HttpRequest, outcome: Outcome): AppError {
    const { name } = this.#vendor;
    const seconds = outcome.waitMs === null ? undefined : Math.ceil(outcome.waitMs / 1000);
    switch (outcome.meaning) {
      case 'rejected':
        return new AppError('upstream_rejected', `${name} refused: ${outcome.text}`);
      case 'not_found':
        return new NotThere(`${name} has no such record: ${outcome.text}`);
      case 'unauthenticated':
        return new AppError('unauthenticated', `${name} does not accept the credentials: ${outcome.text}`);
      case 'forbidden':
        return new AppError('forbidden', `${name} denies the right to do this: ${outcome.text}`);
      case 'throttled':
        return new AppError('unavailable', `${name} asks to wait: ${outcome.text}`, { retryAfter: seconds ?? 10 });
      case 'unsent':
        return new AppError('unavailable', `${name} cannot be reached (${outcome.text})`, { retryAfter: 60 });
      case 'too_large':
        return request.effect === 'read'
          ? new AppError('upstream_rejected', `${name} answered with more than ${MAX_ANSWER_BYTES} bytes`)
          : new AppError('upstream_ambiguous', `${name} may have carried this out; its answer was too large`);
      case 'unclear':
        return request.effect === 'read'
          ? new AppError('unavailable', `${name} gives no usable answer (${outcome.text})`, { retryAfter: 60 })
          : new AppError('upstream_ambiguous', `${name} may or may not have carried this out (${outcome.text})`);
    }
  }

  /** Path only: a query holds names and keys. */
  #note(request: HttpRequest, result: string, started: number, requestId?: string): void {
    this.#deps.logger.debug(
      {
        vendor: this.#vendor.name,
        method: request.method,
        path: this.#redact(new URL(request.url).pathname),
        result,
        ms: Math.round(performance.now() - started),
        ...(requestId === undefined ? {} : { requestId }),
      },
      'psa request',
    );
  }
}

interface AgentPair {
  readonly httpAgent: http.Agent;
  readonly httpsAgent: https.Agent;
}

function agentPair(options: http.AgentOptions & { lookup: ReturnType<typeof guardedLookup> }): AgentPair {
  const { timeout, ...rest } = options;
  return {
    httpAgent: bounded(new http.Agent({ ...rest, maxSockets: 8 }), timeout),
    httpsAgent: bounded(new https.Agent({ ...rest, maxSockets: 8, minVersion: 'TLSv1.2' }), timeout),
  };
}

/** Ends a connection that does not stand in time with a code of its own: nothing was sent, so nothing is ambiguous. */
function bounded<A extends http.Agent>(agent: A, ms = TIMING.connectMs): A {
  const inner = agent as unknown as { createConnection(...args: unknown[]): import('node:net').Socket };
  const create = inner.createConnection.bind(agent);
  inner.createConnection = (...args) => {
    const socket = create(...args);
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connection not established in time'), { code: 'ECONNECT' }));
    }, ms);
    const done = () => clearTimeout(timer);
    socket.once(agent instanceof https.Agent ? 'secureConnect' : 'connect', done);
    socket.once('close', done);
    return socket;
  };
  return agent;
}

/** Parsed JSON; undefined when the body is not JSON; null for an empty body. */
function parse(bytes: Buffer): unknown {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The answer's body by the shape that is read from it. A success that does not look like one is as unclear as none:
 * `unavailable` for a read, `upstream_ambiguous` for a write.
 */
export function shaped<T>(schema: z.ZodType<T>, body: unknown, effect: 'read' | 'write', vendor: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path.join('.') ?? '';
  throw new AppError(
    effect === 'read' ? 'unavailable' : 'upstream_ambiguous',
    `${vendor} answered in a shape that is not known (at ${at === '' ? 'the top' : at})`,
  );
}
