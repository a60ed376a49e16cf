import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import { createGateway } from '../../src/gateway/index.ts';
import { byLocalPart, CONFIG, openRig } from './support/rig.ts';

test('a port that is taken is said in words, and nothing stays half open', async (t) => {
  const rig = await openRig(t);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const config = { ...CONFIG, smtpPort: 0, submissionPort: port };
  const gateway = createGateway({
    db: rig.db,
    clock: rig.clock,
    logger: silentLogger,
    spool: rig.spool,
    pipeline: byLocalPart,
    config,
  });
  await assert.rejects(
    gateway.start(),
    (error: unknown) =>
      error instanceof AppError &&
      error.code === 'config_invalid' &&
      /^SUBMISSION_PORT: SMTP can't listen on 127.0.0.1:\d+: another program uses it; set SUBMISSION_PORT/.test(
        error.message,
      ),
  );
});
