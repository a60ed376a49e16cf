import assert from 'node:assert/strict';
import { mkdtemp, rm, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Logger } from '../../src/core/log.ts';
import { LinkList, type LinkListLimits } from '../../src/pipeline/link-list.ts';
import { decideFor } from '../../src/pipeline/pipeline.ts';
import { recipientInput } from '../support/pipeline.ts';

async function openList(t: TestContext, text: string, limits: Partial<LinkListLimits> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'links-'));
  const file = path.join(folder, 'hosts.txt');
  const warnings: string[] = [];
  const logger: Logger = { debug() {}, info() {}, error() {}, warn: (_, message) => warnings.push(message) };
  let stamp = 0;
  /** Writes with a time of its own, so that a file system with coarse times sees the change. */
  const write = async (now: string) => {
    await writeFile(file, now);
    stamp += 1;
    await utimes(file, stamp, stamp);
  };
  await write(text);
  const list = await LinkList.open({ file, logger, limits });
  t.after(async () => {
    await list.close();
    await rm(folder, { recursive: true });
  });
  return { list, file, write, warnings };
}

test('hosts, all below a host, comments, U-labels and addresses', async (t) => {
  const text =
    '# bad hosts\nEvil.example # since Monday\n.spread.example\r\n\nbücher.example\n192.0.2.7\nno host here\n';
  const { list, warnings } = await openList(t, text);
  const hosts = [
    'evil.example',
    'www.evil.example',
    'spread.example',
    'a.b.spread.example',
    'xspread.example',
    'x.example',
  ];
  assert.deepEqual(list.listed(hosts), ['evil.example', 'spread.example', 'a.b.spread.example']);
  assert.deepEqual(list.listed(['xn--bcher-kva.example', '192.0.2.7', 'EVIL.example.', '']), [
    'xn--bcher-kva.example',
    '192.0.2.7',
    'EVIL.example.',
  ]);
  const disguised = ['bücher.example', '%65vil.example', '3221225991', '0xc0.0.2.7'];
  assert.deepEqual(list.listed([...disguised, '[bad', 'a b']), disguised);
  assert.equal(warnings.length, 1, 'a line that names no host is told');
});

test('a changed file is read again; one that is missing or too large leaves the last list, and says so once', async (t) => {
  const { list, file, write, warnings } = await openList(t, 'one.example\n', { bytes: 60, entries: 3 });
  await write('two.example\n');
  await list.look();
  assert.deepEqual(list.listed(['one.example', 'two.example']), ['two.example']);
  await write('a.example\nb.example\nc.example\nd.example\n');
  await list.look();
  await list.look();
  assert.equal(warnings.length, 1);
  await write('x'.repeat(100));
  await list.look();
  await unlink(file);
  await list.look();
  assert.equal(warnings.length, 3);
  assert.deepEqual(list.listed(['two.example']), ['two.example']);
  await write('three.example\n');
  await list.look();
  assert.deepEqual(list.listed(['two.example', 'three.example']), ['three.example']);
});

test('no list to begin with stops the start', async () => {
  const logger: Logger = { debug() {}, info() {}, error() {}, warn() {} };
  await assert.rejects(LinkList.open({ file: '/nowhere/hosts.txt', logger }), /TOLLGATE_LINK_LIST can't be read/);
  await assert.rejects(LinkList.open({ file: tmpdir(), logger }), /TOLLGATE_LINK_LIST/);
});

test('a listed host is a strong sign, once, with its name', () => {
  const plain = decideFor(recipientInput());
  const decision = decideFor(recipientInput({ listedHosts: ['evil.example', 'worse.example'] }));
  assert.ok(Math.abs(decision.score - plain.score - 5) < 0.01);
  assert.deepEqual(
    decision.reasons.filter((one) => one.code === 'links.listed'),
    [{ code: 'links.listed', detail: 'evil.example, worse.example' }],
  );
});
