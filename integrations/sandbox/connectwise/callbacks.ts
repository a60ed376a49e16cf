import { createHash, createHmac, randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Clock } from '../../../src/core/clock.ts';
import { type CallbackQueue, postCallback } from '../server.ts';
import { accept, idOf, list, notFound, refuse } from './lists.ts';
import type { ConnectWiseState } from './state.ts';

const LEVELS: Readonly<Record<string, readonly string[]>> = {
  ticket: ['owner'],
  company: ['owner', 'status', 'type', 'territory', 'company', 'integratortag'],
  contact: ['owner'],
  agreement: ['owner', 'type', 'company', 'agreement'],
};
const callbackSchema = z.strictObject({
  description: z.string().max(100).optional(),
  url: z.url(),
  objectId: z.number().int(),
  type: z.enum(['ticket', 'company', 'contact', 'agreement']),
  level: z.string(),
  payloadVersion: z.string().optional(),
  inactiveFlag: z.boolean().optional(),
  isSelfSuppressedFlag: z.boolean().optional(),
});

export interface CwCallback {
  id: number;
  url: string;
  objectId: number;
  type: string;
  level: string;
  inactiveFlag: boolean;
  isSelfSuppressedFlag: boolean;
}

/** Statuses upon which ConnectWise tries twice more; every other failure is final (developer guide). */
const RETRIED = new Set([404, 409, 419, 429]);
const PAUSES_MS = [2_000, 4_000];
const FAILING_DAYS = 3;

/**
 * /system/callbacks and their delivery: record id and action appended to the URL, body signed with HMAC-SHA256 whose key
 * is the SHA-256 of the signing key, disabled after three failing days in a row.
 */
export class Callbacks {
  readonly registered = new Map<number, CwCallback>();
  readonly signingKey = randomUUID();
  readonly #failingDays = new Map<number, Set<string>>();
  readonly #state: ConnectWiseState;
  readonly #queue: CallbackQueue;
  readonly #clock: Clock;
  readonly #wait: (ms: number) => Promise<unknown>;
  readonly #site: () => string;

  constructor(options: {
    state: ConnectWiseState;
    queue: CallbackQueue;
    clock: Clock;
    wait: (ms: number) => Promise<unknown>;
    site: () => string;
  }) {
    this.#state = options.state;
    this.#queue = options.queue;
    this.#clock = options.clock;
    this.#wait = options.wait;
    this.#site = options.site;
    options.state.changed = (type, id, action, entity, byApi) => this.#changed(type, id, action, entity, byApi);
  }

  routes(app: FastifyInstance): void {
    app.get('/system/callbacks', (request, reply) =>
      list(request, reply, this.registered.values(), ['id', 'type', 'level', 'url', 'inactiveFlag']),
    );
    app.post('/system/callbacks', (request, reply) => {
      const input = accept(callbackSchema, request.body, 'callback');
      if (!LEVELS[input.type]?.includes(input.level.toLowerCase())) {
        throw refuse(400, 'InvalidObject', `Unrecognized level for type ${input.type}: ${input.level}`);
      }
      const same = [...this.registered.values()].some(
        (c) => c.url === input.url && c.type === input.type && c.level === input.level,
      );
      if (same) {
        const message = 'A matching callback entry already exists';
        throw refuse(400, 'InvalidObject', 'callback object is invalid', [
          { code: 'ObjectExists', message, resource: 'callback', field: 'url' },
        ]);
      }
      const callback: CwCallback = {
        id: this.#state.nextId(),
        url: input.url,
        objectId: input.objectId === 0 ? 1 : input.objectId,
        type: input.type,
        level: input.level,
        inactiveFlag: input.inactiveFlag ?? false,
        isSelfSuppressedFlag: input.isSelfSuppressedFlag ?? false,
      };
      this.registered.set(callback.id, callback);
      return reply.code(201).send(callback);
    });
    app.delete('/system/callbacks/:id', (request, reply) => {
      if (!this.registered.delete(idOf(request))) throw notFound('Callback', idOf(request));
      return reply.code(204).send();
    });
  }

  sign(body: string): string {
    const key = createHash('sha256').update(this.signingKey).digest();
    return createHmac('sha256', key).update(body).digest('base64');
  }

  #changed(type: string, id: number, action: string, entity: unknown, byApi: boolean): void {
    for (const callback of this.registered.values()) {
      if (callback.type !== type || callback.inactiveFlag || (byApi && callback.isSelfSuppressedFlag)) continue;
      const body = JSON.stringify({
        MessageId: randomUUID(),
        FromUrl: new URL(this.#site()).host,
        CompanyId: 'sandbox',
        MemberId: byApi ? 'api' : 'person',
        Action: action,
        Type: type,
        ID: id,
        Entity: entity === null ? null : JSON.stringify(entity),
        Metadata: { key_url: `${this.#site()}/v2025_1//system/callbackkey/index.rails?companyName=sandbox&id=1` },
        CallbackObjectRecId: callback.id,
      });
      this.#queue.add(() => this.#deliver(callback, `${callback.url}${id}&action=${action}`, body));
    }
  }

  async #deliver(callback: CwCallback, url: string, body: string): Promise<void> {
    const headers = { 'x-content-signature': this.sign(body) };
    let status = await postCallback(url, body, headers, 5_000);
    for (const pause of PAUSES_MS) {
      if (!RETRIED.has(status)) break;
      await this.#wait(pause);
      status = await postCallback(url, body, headers, 5_000);
    }
    const days = this.#failingDays.get(callback.id) ?? new Set<string>();
    if (status >= 200 && status < 300) days.clear();
    else days.add(this.#clock.now().toISOString().slice(0, 10));
    this.#failingDays.set(callback.id, days);
    if (days.size >= FAILING_DAYS) callback.inactiveFlag = true;
  }
}
