import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { startEmbedded } from '../../src/db/embedded.ts';

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

test('the embedded server survives kill -9 of itself, a stale lock, and is shared while it runs', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-embedded-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const lockFile = path.join(home, 'postgres/data/postmaster.pid');

  const first = await startEmbedded(home);
  t.after(() => first.stop({ force: true }));
  assert.ok(first.started);
  await query(first.ownerUrl, 'create table kept as select 7 as n');

  const second = await startEmbedded(home);
  assert.equal(second.started, false);
  assert.equal(second.ownerUrl, first.ownerUrl);
  await second.stop();
  assert.deepEqual(await query(first.ownerUrl, 'select n from kept'), [{ n: 7 }], 'a guest does not stop the server');

  const pid = Number((await readFile(lockFile, 'utf8')).split('\n')[0]);
  process.kill(pid, 'SIGKILL');
  const third = await startEmbedded(home);
  assert.deepEqual(await query(third.ownerUrl, 'select n from kept'), [{ n: 7 }]);
  await third.stop({ force: true });

  // Killed, and one of its processes is not gone yet: it is waited for.
  const holder = new pg.Client({ connectionString: (await startEmbedded(home)).ownerUrl });
  holder.on('error', () => undefined);
  await holder.connect();
  const { rows } = await holder.query<{ pid: number }>('select pg_backend_pid() as pid');
  const left = rows[0]?.pid ?? 0;
  process.kill(left, 'SIGSTOP');
  process.kill(Number((await readFile(lockFile, 'utf8')).split('\n')[0]), 'SIGKILL');
  const log = path.join(home, 'postgres/log');
  const refusals = async () => (await readFile(log, 'utf8')).match(/shared memory block/g)?.length ?? 0;
  const before = await refusals();
  const patient = startEmbedded(home);
  while ((await refusals()) < before + 4) await new Promise((resolve) => setImmediate(resolve));
  process.kill(left, 'SIGCONT');
  await (await patient).stop({ force: true });

  // A lock of a process id that is another program's by now, as after a reboot.
  await writeFile(lockFile, `${process.pid}\n${path.dirname(lockFile)}\n0\n1\n\n127.0.0.1\n0 0\nready   \n`);
  const fourth = await startEmbedded(home);
  assert.deepEqual(await query(fourth.ownerUrl, 'select n from kept'), [{ n: 7 }]);
  await fourth.stop({ force: true });
  await assert.rejects(query(fourth.ownerUrl, 'select 1'), 'stopped means stopped');
});
