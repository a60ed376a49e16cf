import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pipeline } from '../../src/core/message.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, Talker } from './support/rig.ts';

test('rule 1: a message that waits for a scanner is answered 451 and leaves nothing; the next try is taken', async (t) => {
  let isDown = true;
  const pipeline: Pipeline = {
    async run(input, signal) {
      const result = await byLocalPart.run(input, signal);
      return isDown ? { ...result, deferred: 'the scanner clamav does not answer' } : result;
    },
    async close() {},
  };
  const rig = await openRig(t, { pipeline });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  const talker = await Talker.open(rig.smtp);
  const replies = await talker.send('bob@sender.example', ['ann@acme.example']);
  assert.match(replies.at(-1) ?? '', /^451 /);
  const count = async () => (await rig.owner.query('select count(*)::int as n from messages')).rows[0].n;
  assert.equal(await count(), 0);
  isDown = false;
  assert.match((await talker.send('bob@sender.example', ['ann@acme.example'])).at(-1) ?? '', /^250 /);
  assert.equal(await count(), 1);
  talker.close();
});
