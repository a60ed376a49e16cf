import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { LiveAnswers } from '../../src/graphql/live/answers.ts';
import { type LiveDb, LiveHub } from '../../src/graphql/live/hub.ts';
import { Pending } from '../../src/graphql/live/pending.ts';
import { openDatabase } from '../support/db.ts';
import { gate } from '../support/gate.ts';

test('whatever comes while nobody reads: each key once, with its latest value, and never more than the bound', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer())), async (pushes) => {
      let ends = 0;
      const pending = new Pending<number>(20, () => (ends += 1));
      const latest = new Map<number, number>();
      let overflow = false;
      for (const [key, value] of pushes) {
        overflow ||= !latest.has(key) && latest.size >= 20;
        if (!overflow) latest.set(key, value);
        pending.push(String(key), value);
        assert.ok(pending.size <= 20);
      }
      if (overflow) {
        await assert.rejects(pending.next(), { code: 'limit_exceeded' });
        assert.equal(ends, 1);
        return;
      }
      const read: number[] = [];
      while (pending.size > 0) read.push((await pending.next()) ?? assert.fail());
      assert.deepEqual(read, [...latest.values()]);
      pending.end();
      assert.equal(await pending.next(), null);
    }),
  );
});

test('answers: waits for points, tells why it was dropped, ends at once when told to', async (t) => {
  // Waiting for points keeps no process alive by itself.
  const hold = setInterval(() => undefined, 1_000);
  t.after(() => clearInterval(hold));
  const make = (events: (string | AppError)[], pay: () => void = () => undefined) => {
    const pending = new Pending<string>(10, () => undefined);
    for (const event of events) {
      if (event instanceof AppError) pending.end(event);
      else pending.push(event, event);
    }
    return new LiveAnswers({
      next: async () => {
        const event = await pending.next();
        return event === null ? null : async () => (event === 'gone' ? null : { data: event });
      },
      pay,
      refusal: (error) => ({ errors: [{ message: (error as Error).message, extensions: {} }] }),
      end: () => pending.end(),
    });
  };
  let poor = 2;
  const answers = make(['a', 'gone', 'b'], () => {
    poor -= 1;
    if (poor >= 0) throw new AppError('limit_exceeded', 'later', { retryAfter: 0.001 });
  });
  assert.deepEqual((await answers.next()).value, { data: 'a' });
  assert.deepEqual((await answers.next()).value, { data: 'b' }, 'what is gone is passed over');
  const waiting = answers.next();
  answers.stop(new AppError('unauthenticated', 'revoked'));
  assert.match(JSON.stringify((await waiting).value), /revoked/);
  assert.equal((await answers.next()).done, true);
  const dropped = make([new AppError('limit_exceeded', 'too slow')]);
  assert.match(JSON.stringify((await dropped.next()).value), /too slow/);
  assert.equal((await dropped.next()).done, true);
  const left = make([]);
  const never = left.next();
  await left.return();
  assert.equal((await never).done, true);
  const broke = make(['a'], () => {
    throw new AppError('limit_exceeded', 'later', { retryAfter: 3_600 });
  });
  const poorNext = broke.next();
  broke.stop();
  assert.equal((await poorNext).done, true, 'who waits for points can be ended too');
});

test('a watch that begins while the node closes is ended with it', async (t) => {
  const { db, before } = await openDatabase(t);
  const listening = gate();
  const slow: LiveDb = {
    system: db.system.bind(db),
    tenant: db.tenant.bind(db),
    listen: async () => {
      await listening.passed;
      return async () => undefined;
    },
  };
  const hub = new LiveHub(slow, silentLogger);
  before(() => hub.stop());
  const beginning = hub.changes(partnerId(newId()), 'incident', null);
  const stopped = hub.stop();
  listening.open();
  const pending = await beginning;
  await stopped;
  assert.equal(hub.watching, 0);
  assert.equal(await pending.next(), null);
});
