import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createConnection } from 'node:net';
import { type TestContext, test } from 'node:test';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { roleUrl } from '../../src/db/migrate.ts';
import { installJobs } from '../../src/jobs/install.ts';
import { type JobQueue, openQueue } from '../../src/jobs/queues.ts';
import { SCHEDULE, tickId } from '../../src/jobs/schedule.ts';
import { TEST_PASSWORDS } from '../support/cluster.ts';
import { openDatabase } from '../support/db.ts';

async function postgresQueue(t: TestContext): Promise<JobQueue> {
  const { owner, ownerUrl } = await openDatabase(t);
  for (let start = 1; start <= 2; start += 1) {
    await installJobs(ownerUrl, async (statement) => {
      await owner.query(statement);
    });
  }
  const postgresUrl = roleUrl(ownerUrl, 'tollgate_system', TEST_PASSWORDS.system);
  return openQueue({ queueUrl: null, postgresUrl, logger: silentLogger });
}

/** A job id is taken once, and the work is done by a role that owns nothing. */
async function takesAnIdOnce(queue: JobQueue): Promise<void> {
  // A Redis remembers ids of earlier runs.
  const [one, two] = [newId(), newId()];
  const seen: string[] = [];
  const signal = new EventEmitter();
  const last = once(signal, 'last');
  await queue.add('tickets.sync', one, {});
  await queue.add('tickets.sync', one, {});
  await queue.work(async (name, data) => {
    seen.push(`${name} ${data.id ?? ''}`);
    if (data.id === 'last') signal.emit('last');
  }, 1);
  await queue.add('tickets.sync', one, {});
  await queue.add('reports.sweep', two, { id: 'last' });
  await last;
  assert.deepEqual(seen, ['tickets.sync ', 'reports.sweep last']);
}

test('on PostgreSQL a job id is taken once', async (t) => {
  const queue = await postgresQueue(t);
  try {
    await takesAnIdOnce(queue);
  } finally {
    await queue.close();
  }
});

test('on Redis a job id is taken once', async (t) => {
  const url = process.env['TEST_REDIS_URL'] ?? 'redis://127.0.0.1:6379/9';
  if (!(await listens(new URL(url)))) {
    t.skip(`NO REDIS at ${url}: the Redis backend is NOT tested; install redis-server to test it`);
    return;
  }
  const queue = await openQueue({ queueUrl: url, postgresUrl: '', logger: silentLogger });
  try {
    await takesAnIdOnce(queue);
  } finally {
    await queue.close();
  }
});

test('nodes that tick in the same period make the same job, those in the next another', () => {
  for (const entry of SCHEDULE) {
    const at = (ms: number) => tickId(entry, new Date(Date.parse('2026-10-25T00:00:00Z') + ms));
    assert.equal(at(0), at(entry.periodSeconds * 1000 - 1), entry.job);
    assert.notEqual(at(0), at(entry.periodSeconds * 1000), entry.job);
    assert.ok(!at(0).includes(':'));
  }
});

function listens(url: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(Number(url.port), url.hostname);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
