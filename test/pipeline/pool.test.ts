import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Later } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { WorkerPool } from '../../src/pipeline/pool.ts';
import { Limits } from '../support/limits.ts';

const file = new URL('../support/hostile-worker.js', import.meta.url);
const never = new AbortController().signal;

function open(
  t: TestContext,
  over: { taskMs?: number; later?: Later; file?: URL; threads?: number } = {},
): WorkerPool<string, string> {
  const pool = new WorkerPool<string, string>({
    file,
    threads: 2,
    taskMs: 300_000,
    limits: { maxOldGenerationSizeMb: 24 },
    logger: silentLogger,
    ...over,
  });
  t.after(() => pool.close());
  return pool;
}

test('tasks come back with their own results', async (t) => {
  const pool = open(t);
  const tasks = Array.from({ length: 50 }, (_, index) => `task ${index}`);
  const outcomes = await Promise.all(tasks.map((task) => pool.run(task, never)));
  assert.deepEqual(
    outcomes,
    tasks.map((task) => ({ result: task.toUpperCase() })),
  );
});

test('a thread that loops, exits, throws or eats memory is replaced, and the others lose nothing', async (t) => {
  const limits = new Limits();
  const pool = open(t, { later: limits.later });
  const bad = ['loop', 'memory', 'exit', 'throw', 'silent', 'refuse'];
  const tasks = bad.flatMap((task) => [task, `after ${task}`]);
  const running = tasks.map((task) => pool.run(task, never));
  // All before the silent one but the loop come to their end: the two threads hold those that never will.
  await Promise.all(running.filter((_, at) => at > 0 && at < tasks.indexOf('silent')));
  while (limits.begun.length < tasks.indexOf('silent') + 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(limits.running.length, 2);
  limits.end();
  const outcomes = await Promise.all(running);
  const failed = outcomes.map((outcome) => ('failed' in outcome ? outcome.failed : outcome.result));
  assert.deepEqual(failed, [
    ...['scan.timeout', 'AFTER LOOP', 'scan.memory', 'AFTER MEMORY', 'scan.crashed', 'AFTER EXIT'],
    ...['scan.crashed', 'AFTER THROW', 'scan.timeout', 'AFTER SILENT', 'scan.unparsable', 'AFTER REFUSE'],
  ]);
});

test('an abort ends a running task and takes a waiting one out of the queue', async (t) => {
  const pool = open(t, { threads: 1 });
  assert.deepEqual(await pool.run('warm', never), { result: 'WARM' });
  const first = new AbortController();
  const second = new AbortController();
  const running = pool.run('silent', first.signal);
  const waiting = pool.run('waiting', second.signal);
  const later = pool.run('later', never);
  second.abort();
  assert.equal('failed' in (await waiting) && 'scan.aborted', 'scan.aborted');
  first.abort();
  assert.deepEqual(await running, { failed: 'scan.aborted', detail: '' });
  assert.deepEqual(await later, { result: 'LATER' });
  assert.deepEqual(await pool.run('x', AbortSignal.abort()), { failed: 'scan.aborted', detail: '' });
});

test('a program that does not start fails each message and does not spin', async (t) => {
  const pool = open(t, { file: new URL('../support/no-such-worker.js', import.meta.url) });
  const outcomes = await Promise.all(['a', 'b', 'c'].map((task) => pool.run(task, never)));
  for (const outcome of outcomes) assert.ok('failed' in outcome && outcome.failed === 'scan.unavailable');
});

test('close fails what is under way and ends the threads', async (t) => {
  const pool = open(t);
  const running = pool.run('silent', never);
  await pool.close();
  assert.deepEqual(await running, { failed: 'scan.unavailable', detail: 'closed' });
  assert.deepEqual(await pool.run('x', never), { failed: 'scan.unavailable', detail: 'closed' });
});
