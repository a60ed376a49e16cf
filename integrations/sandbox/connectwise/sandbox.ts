import { timingSafeEqual } from 'node:crypto';
import { setTimeout as sleepFor } from 'node:timers/promises';
import multipart from '@fastify/multipart';
import { systemClock } from '../../../src/core/clock.ts';
import type { Faults } from '../faults.ts';
import { CallbackQueue, type SandboxOptions, type SeenRequest, sandboxServer } from '../server.ts';
import { Callbacks } from './callbacks.ts';
import { documentRoutes, financeRoutes } from './finance.ts';
import { refuse } from './lists.ts';
import { serviceRoutes } from './service.ts';
import { ConnectWiseState } from './state.ts';

export interface ConnectWiseSandbox extends AsyncDisposable {
  readonly kind: 'connectwise';
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly state: ConnectWiseState;
  readonly faults: Faults;
  readonly requests: readonly SeenRequest[];
  readonly callbacks: Callbacks;
  readonly callbackQueue: CallbackQueue;
  close(): Promise<void>;
}

const CREDENTIALS = {
  companyId: 'sandbox',
  publicKey: 'public-key-of-the-sandbox',
  privateKey: 'private-key-of-the-sandbox',
  clientId: '6f3b0f9c-2d5b-4c79-9a54-0d0c4b6a1e11',
};

/**
 * A ConnectWise PSA on 127.0.0.1 that remembers, and refuses what ConnectWise refuses: for tests and the demo. It keeps
 * nothing on disk and no secret guards it but the published credentials.
 */
export async function startConnectWiseSandbox(options: SandboxOptions = {}): Promise<ConnectWiseSandbox> {
  const clock = options.clock ?? systemClock;
  const state = new ConnectWiseState(clock);
  const queue = new CallbackQueue(options.autoCallbacks ?? true);
  const throttled = { error: 'ConnectWiseAPI', message: 'Too many requests. Please try again in 30 seconds.' };
  const { app, faults, requests } = sandboxServer(clock, throttled, 30_000_000, options.onAnswer);
  let url = '';
  const callbacks = new Callbacks({ state, queue, clock, wait: options.wait ?? sleepFor, site: () => url });

  await app.register(multipart, { limits: { fileSize: 25_000_000, files: 1 } });
  app.setNotFoundHandler((_request, reply) =>
    reply.code(404).send({ code: 'ConnectWiseApi', message: 'The endpoint does not exist.' }),
  );
  app.get('/login/companyinfo/:company', (request, reply) => {
    const { company } = request.params as { company: string };
    if (company !== CREDENTIALS.companyId) return reply.type('application/json').send('null');
    return { CompanyName: 'Sandbox', Codebase: state.codebase, CompanyID: company, IsCloud: true };
  });
  app.get('/v2025_1//system/callbackkey/index.rails', () => ({ signing_key: callbacks.signingKey }));

  await app.register(
    async (api) => {
      api.addHook('onRequest', async (request, reply) => {
        const { codebase } = request.params as { codebase: string };
        if (`${codebase}/` !== state.codebase) {
          throw refuse(404, 'ConnectWiseApi', 'The endpoint does not exist.');
        }
        authorize(request.headers);
        const version = /version=([\d.]+)/.exec(request.headers.accept ?? '')?.[1] ?? '2026.2';
        reply.header('api-current-version', version).header('x-cw-request-id', `sandbox-${requests.length}`);
      });
      api.get('/system/info', () => ({ version: 'v2025.1.1', isCloud: true, serverTimeZone: 'UTC' }));
      serviceRoutes(api, state);
      financeRoutes(api, state);
      documentRoutes(api, state);
      callbacks.routes(api);
    },
    { prefix: '/:codebase/apis/3.0' },
  );

  url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const close = async () => {
    faults.clear();
    await queue.flush();
    await app.close();
  };
  return {
    kind: 'connectwise',
    url,
    credentials: CREDENTIALS,
    settings: { boardId: 2 },
    state,
    faults,
    requests,
    callbacks,
    callbackQueue: queue,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function authorize(headers: Readonly<Record<string, string | string[] | undefined>>): void {
  const { companyId, publicKey, privateKey, clientId } = CREDENTIALS;
  const wanted = Buffer.from(`Basic ${Buffer.from(`${companyId}+${publicKey}:${privateKey}`).toString('base64')}`);
  const given = Buffer.from(String(headers['authorization'] ?? ''));
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
    throw refuse(401, 'Unauthorized', 'The credentials are not valid.');
  }
  if (headers['clientid'] !== clientId) throw refuse(401, 'Unauthorized', 'The clientId is missing or not valid.');
}
