import { setTimeout as sleepFor } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { systemClock } from '../../../src/core/clock.ts';
import type { Faults } from '../faults.ts';
import { CallbackQueue, Refusal, type SandboxOptions, type SeenRequest, sandboxServer } from '../server.ts';
import { contractRoutes } from './contracts.ts';
import { queryRoutes } from './queries.ts';
import { AutotaskState } from './state.ts';
import { ticketRoutes } from './tickets.ts';
import { Webhooks } from './webhooks.ts';

export interface AutotaskSandbox extends AsyncDisposable {
  readonly kind: 'autotask';
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly state: AutotaskState;
  readonly faults: Faults;
  readonly requests: readonly SeenRequest[];
  readonly webhooks: Webhooks;
  readonly callbackQueue: CallbackQueue;
  /** Requests that counted in the last hour, others' included. */
  used(): number;
  close(): Promise<void>;
}

const CREDENTIALS = {
  userName: 'api-user@sandbox.example',
  secret: 'secret-of-the-sandbox',
  integrationCode: 'INTEGRATION-CODE-OF-THE-SANDBOX',
};
const HOURLY = 10_000;
const HOUR_MS = 3_600_000;
const THREADS = 3;

/**
 * An Autotask on 127.0.0.1 that remembers, and refuses what Autotask refuses in its words: for tests and the demo. It
 * keeps nothing on disk and no secret guards it but the published credentials.
 */
export async function startAutotaskSandbox(options: SandboxOptions = {}): Promise<AutotaskSandbox> {
  const clock = options.clock ?? systemClock;
  const wait = options.wait ?? sleepFor;
  const state = new AutotaskState(clock);
  const queue = new CallbackQueue(options.autoCallbacks ?? true);
  const { app, faults, requests } = sandboxServer(
    clock,
    { errors: ['Too many requests.'] },
    12_000_000,
    options.onAnswer,
  );
  const webhooks = new Webhooks(state, queue, wait);
  const threads = new Map<string, number>();
  let counted: number[] = [];
  let url = '';

  const used = () => {
    const from = clock.now().getTime() - HOUR_MS;
    counted = counted.filter((at) => at > from);
    return counted.length + state.foreignRequests;
  };
  const base = () => `${url}/zone${state.zone}/ATServicesRest/`;

  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ Message: 'No HTTP resource was found.' }));
  app.get('/ATServicesRest/v1.0/zoneInformation', (request) => {
    const { user } = request.query as { user?: string };
    if (user?.toLowerCase() !== CREDENTIALS.userName) throw new Refusal(500, { Message: 'An error has occurred.' });
    return { zoneName: `Sandbox ${state.zone}`, url: base(), webUrl: 'https://sandbox.example/', ci: state.zone };
  });

  await app.register(
    async (api) => {
      api.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
        authorize(request, state.zone);
        if (used() >= HOURLY)
          throw new Refusal(429, { errors: ['The request threshold of 10000 per hour is exceeded.'] });
        counted.push(clock.now().getTime());
        if (used() > HOURLY / 2) await wait(750);
        const endpoint = endpointOf(request);
        const running = (threads.get(endpoint) ?? 0) + 1;
        threads.set(endpoint, running);
        // Also when the connection is cut: a thread that is never given back would be the sandbox's own fault.
        reply.raw.once('close', () => threads.set(endpoint, Math.max(0, (threads.get(endpoint) ?? 0) - 1)));
        if (running > THREADS) {
          throw new Refusal(429, {
            errors: [`Itgenatr005: Thread Threshold Exceeded. The endpoint has a threshold of ${THREADS} threads.`],
          });
        }
      });
      api.get('/VersionInformation', () => ({ apiVersions: ['V1.0'] }));
      api.get('/ThresholdInformation', () => ({
        externalRequestThreshold: HOURLY,
        requestThresholdTimeframe: 60,
        currentTimeframeRequestCount: used(),
      }));
      ticketRoutes(api, state);
      contractRoutes(api, state);
      webhooks.routes(api);
      queryRoutes(api, state, base);
    },
    { prefix: '/:zone/ATServicesRest/V1.0' },
  );

  url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const close = async () => {
    faults.clear();
    await queue.flush();
    await app.close();
  };
  return {
    kind: 'autotask',
    url,
    credentials: CREDENTIALS,
    settings: { queueId: 29_683_354 },
    state,
    faults,
    requests,
    webhooks,
    callbackQueue: queue,
    used,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Another zone knows nothing of the user, which looks like wrong credentials. */
function authorize(request: FastifyRequest, zone: number): void {
  const { headers } = request;
  const known =
    headers['apiintegrationcode'] === CREDENTIALS.integrationCode &&
    String(headers['username'] ?? '').toLowerCase() === CREDENTIALS.userName &&
    headers['secret'] === CREDENTIALS.secret;
  if (!known || (request.params as { zone: string }).zone !== `zone${zone}`) {
    throw new Refusal(401, { errors: ['Unauthorized'] });
  }
}

/** What threads are counted by: the tracking identifier is one, so the entity is what is left. */
function endpointOf(request: FastifyRequest): string {
  return (request.url.split('?')[0] ?? '')
    .split('/')
    .slice(4)
    .filter((part) => !/^\d+$/.test(part) && !['query', 'next', 'count'].includes(part))
    .join('/');
}
