import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { connectPsa } from '../../integrations/index.ts';
import { startAutotaskSandbox, startConnectWiseSandbox } from '../../integrations/sandbox/index.ts';
import type { ManualClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Psa, PsaKind } from '../../src/core/psa.ts';

/** A PSA as a server on the loopback, and the real connector to it, both on the test's clock. */
export async function openPsa(t: TestContext, clock: ManualClock, kind: PsaKind) {
  const options = { clock, wait: async () => undefined, autoCallbacks: false };
  const sandbox = kind === 'connectwise' ? await startConnectWiseSandbox(options) : await startAutotaskSandbox(options);
  t.after(() => sandbox.close());
  const connection = {
    id: randomUUID(),
    partnerId: randomUUID(),
    kind,
    url: sandbox.url,
    credentials: sandbox.credentials,
    settings: sandbox.settings,
  };
  const psa: Psa = connectPsa(connection, {
    clock,
    logger: silentLogger,
    allowPrivateHosts: ['127.0.0.1'],
    sleep: async (ms) => clock.advance(ms),
  });
  return { sandbox, psa };
}
