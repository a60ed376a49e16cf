import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { configured } from '../../integrations/settings.ts';

test('credentials: what is missing and what is not known are told apart, without values', () => {
  const shape = z.strictObject({ companyId: z.string(), publicKey: z.string() });
  assert.throws(() => configured(shape, { companyId: 'x', nope: 'secret' }, 'ConnectWise credentials'), {
    message: 'ConnectWise credentials: publicKey missing or not valid; nope not known',
  });
});
