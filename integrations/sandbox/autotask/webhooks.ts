import { createHmac, randomUUID } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type CallbackQueue, postCallback } from '../server.ts';
import { refuse } from './filter.ts';
import type { AutotaskState } from './state.ts';
import { accept } from './tickets.ts';

const webhookSchema = z.strictObject({
  name: z.string().max(50),
  webhookUrl: z.url(),
  deactivationUrl: z.url().max(500),
  secretKey: z.string().max(64),
  isActive: z.boolean(),
  isSubscribedToCreateEvents: z.boolean(),
  isSubscribedToUpdateEvents: z.boolean(),
  isSubscribedToDeleteEvents: z.boolean(),
  notificationEmailAddress: z.string().max(150).optional(),
  sendThresholdExceededNotification: z.boolean().optional(),
});
const fieldSchema = z.strictObject({
  fieldID: z.number().int(),
  isSubscribedField: z.boolean(),
  isDisplayAlwaysField: z.boolean(),
});

type Webhook = z.infer<typeof webhookSchema> & {
  id: number;
  isReady: boolean;
  failures: number;
  excluded: Set<number>;
};

const ATTEMPTS = 5;
const PAUSE_MS = 30_000;
const MAX_FAILURES = 25;
/** The id of the API user as a resource. */
export const API_RESOURCE = 4;

/**
 * The text that Autotask signs: what is not plain ASCII, and some marks of HTML, as \uXXXX (seen by n8n-nodes-autotask).
 * What is sent may be the plain form.
 */
export function escapedForm(json: string): string {
  return json.replace(/[^\x20-\x7e]|[&<>'`+]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export function signature(secretKey: string, text: string): string {
  return `sha1=${createHmac('sha1', secretKey).update(text).digest('base64')}`;
}

/**
 * TicketWebhooks and their delivery: 5 tries 30 s apart, then dropped; 25 failures in a row make the webhook inactive and
 * send a `Deactivated` call.
 */
export class Webhooks {
  readonly registered = new Map<number, Webhook>();
  readonly #state: AutotaskState;
  readonly #queue: CallbackQueue;
  readonly #wait: (ms: number) => Promise<unknown>;
  #sequence = 0;

  constructor(state: AutotaskState, queue: CallbackQueue, wait: (ms: number) => Promise<unknown>) {
    this.#state = state;
    this.#queue = queue;
    this.#wait = wait;
    state.changed = (type, id, action, fields, byApi) => this.#changed(type, id, action, fields, byApi);
  }

  routes(app: FastifyInstance): void {
    const hookOf = (params: unknown): Webhook => {
      const hook = this.registered.get(Number((params as { id: string }).id));
      if (hook === undefined) throw refuse('No matching records found');
      return hook;
    };
    app.post('/TicketWebhooks', (request) => {
      const input = accept(webhookSchema, request.body, 'TicketWebhooks');
      const id = this.#state.nextId();
      this.registered.set(id, { ...input, id, isReady: false, failures: 0, excluded: new Set() });
      return { itemId: id };
    });
    app.get('/TicketWebhooks/:id', (request) => {
      const hook = this.registered.get(Number((request.params as { id: string }).id));
      if (hook === undefined) return { item: null };
      const { excluded: _e, failures: _f, secretKey: _s, ...item } = hook;
      return { item };
    });
    app.post('/TicketWebhooks/:id/Fields', (request) => {
      accept(fieldSchema, request.body, 'TicketWebhookFields');
      hookOf(request.params).isReady = true;
      return { itemId: this.#state.nextId() };
    });
    app.post('/TicketWebhooks/:id/ExcludedResources', (request) => {
      const body = accept(z.strictObject({ resourceID: z.number().int() }), request.body, 'ExcludedResources');
      hookOf(request.params).excluded.add(body.resourceID);
      return { itemId: this.#state.nextId() };
    });
  }

  #changed(
    entityType: string,
    id: number,
    action: 'Create' | 'Update' | 'Delete',
    fields: unknown,
    byApi: boolean,
  ): void {
    if (entityType !== 'Ticket') return;
    for (const hook of this.registered.values()) {
      if (!hook.isActive || !hook.isReady || (byApi && hook.excluded.has(API_RESOURCE))) continue;
      if (!hook[`isSubscribedTo${action}Events`]) continue;
      const body = this.#body(action, id, fields, byApi ? API_RESOURCE : 29_682_885);
      this.#queue.add(() => this.#deliver(hook, body));
    }
  }

  #body(action: string, id: number, fields: unknown, person: number): string {
    this.#sequence += 1;
    return JSON.stringify({
      Action: action,
      Guid: randomUUID(),
      EntityType: 'Ticket',
      Id: id,
      Fields: fields,
      EventTime: this.#state.now().toISOString(),
      SequenceNumber: this.#sequence,
      PersonID: person,
    });
  }

  async #deliver(hook: Webhook, body: string): Promise<void> {
    if (!hook.isActive) return;
    const headers = { 'x-hook-signature': signature(hook.secretKey, escapedForm(body)) };
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const status = await postCallback(hook.webhookUrl, body, headers, 10_000);
      if (status >= 200 && status < 300) {
        hook.failures = 0;
        return;
      }
      hook.failures += 1;
      if (hook.failures >= MAX_FAILURES) {
        hook.isActive = false;
        await postCallback(hook.deactivationUrl, this.#body('Deactivated', hook.id, {}, 0), {}, 10_000);
        return;
      }
      if (attempt < ATTEMPTS) await this.#wait(PAUSE_MS);
    }
  }
}
