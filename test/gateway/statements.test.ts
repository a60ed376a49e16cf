import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DirectoryCache } from '../../src/accounts/cache.ts';
import { countingSystem } from '../support/counting.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('what a message of known recipients asks before its commit: four statements the first time, none after', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  const counted = countingSystem(db);
  const cache = new DirectoryCache(counted.db, { monotonic: () => 0 });
  await cache.check();
  const message = async (...to: string[]) => {
    counted.statements.length = 0;
    const known = [];
    for (const one of to) {
      const found = await cache.recipient(one, 0);
      assert.ok(found.kind === 'known');
      known.push(found.recipient);
    }
    await cache.contexts(known);
    return counted.statements.length;
  };
  assert.equal(await message('ann@acme.example'), 4);
  assert.equal(await message('ann@acme.example'), 0);
  assert.equal(await message('ann@acme.example', 'bob@acme.example'), 1);
  assert.equal(await message('ann@acme.example', 'bob@acme.example'), 0);
});
