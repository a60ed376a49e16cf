import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { Talker } from './support/rig.ts';

const CHILD = fileURLToPath(new URL('../support/gateway-child.js', import.meta.url));
/** A mount of its own, which ends with the process. */
const UNSHARE = userInfo().uid === 0 ? ['--mount'] : ['--mount', '--user', '--map-root-user'];
const MOUNT = 'mount -t tmpfs -o size=6m tmpfs "$1" && shift';

function whyNot(folder: string): string | false {
  const tried = spawnSync('unshare', [...UNSHARE, 'sh', '-c', `${MOUNT} && true`, 'sh', folder], { encoding: 'utf8' });
  return tried.status === 0
    ? false
    : `no file system can be mounted here: ${(tried.stderr ?? String(tried.error)).trim()}`;
}

test('a disk that is full for real: 452, nothing half done stays, and it goes on when there is room again', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-full-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const reason = whyNot(folder);
  if (reason !== false) {
    t.skip(reason);
    return;
  }
  let child: ChildProcess | null = null;
  // Before the database's own hook, which looks for connections that were left open.
  t.after(async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const { db, owner, ownerUrl } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { relays: [{ host: '127.0.0.1', port: 1 }] });
  child = spawn(
    'unshare',
    [...UNSHARE, 'sh', '-c', `mount=$1; ${MOUNT}; exec "$@" "$mount"`, 'sh', folder, process.execPath, CHILD, ownerUrl],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  assert.ok(child.stdout !== null);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { smtp } = JSON.parse(line.toString()) as { smtp: string };
  const inside = path.join('/proc', String(child.pid), 'root', folder);
  const ballast = path.join(inside, 'ballast');
  const stored = async () => {
    const names = await readdir(inside, { recursive: true });
    return names.filter((name) => name.endsWith('.eml') || name.startsWith('tmp/'));
  };
  const client = await Talker.open(Number(smtp.split(':').at(-1)));
  t.after(() => client.close());
  const big = `Subject: big\r\n\r\n${`${'y'.repeat(70)}\r\n`.repeat(12_000)}`;

  // Little room at MAIL: said at once.
  await writeFile(ballast, Buffer.alloc(5_000_000));
  assert.match(await client.say('MAIL FROM:<eve@far.example>'), /^452 4\.3\.1/);

  // Room at MAIL, none when the message is written.
  await rm(ballast);
  assert.match(await client.say('MAIL FROM:<eve@far.example>'), /^250/);
  assert.match(await client.say('RCPT TO:<ann@acme.example>'), /^250/);
  await writeFile(ballast, Buffer.alloc(5_800_000));
  assert.match(await client.say('DATA'), /^354/);
  assert.match(await client.say(`${big}.`), /^45[12] 4\.3\.[01]/);
  assert.deepEqual(await stored(), []);
  assert.equal((await owner.query('select from messages')).rowCount, 0);

  // Room again: the same session goes on.
  await rm(ballast);
  const replies = await client.send('eve@far.example', ['ann@acme.example'], big);
  assert.match(replies.at(-1) ?? '', /^250 2\.0\.0/);
  assert.equal((await stored()).length, 1);
  assert.equal((await owner.query('select from messages')).rowCount, 1);
});
