import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { startLoop } from '../../src/jobs/loop.ts';

test('a round that has more to do is followed at once, another one after the pause', async () => {
  let rounds = 0;
  let caughtUp: () => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    caughtUp = resolve;
  });
  // An hour between rounds: what follows within the test follows at once.
  const loop = startLoop(
    'test',
    3_600_000,
    async () => {
      rounds += 1;
      if (rounds < 4) return true;
      caughtUp();
      return false;
    },
    silentLogger,
  );
  await done;
  await loop.stop();
  assert.equal(rounds, 4);
});

test('a loop that is stopped ends after its round, however much there is to do', async () => {
  let rounds = 0;
  let begun: () => void = () => undefined;
  const isBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const loop = startLoop(
    'test',
    1,
    async () => {
      rounds += 1;
      begun();
      await new Promise((resolve) => setImmediate(resolve));
      return true;
    },
    silentLogger,
  );
  await isBegun;
  await loop.stop();
  const seen = rounds;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(rounds, seen);
});
