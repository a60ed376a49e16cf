import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { aggregateCommands } from '../../src/cli/aggregate.ts';
import type { CommandContext } from '../../src/cli/command.ts';
import { dmarcXml, gzipped, mailOf, tlsJson } from '../aggregates/support/reports.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('aggregate import takes files of all kinds once, and aggregate list shows what became of them', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-aggregate-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const put = async (name: string, content: string | Buffer) => {
    await writeFile(path.join(folder, name), content);
    return path.join(folder, name);
  };
  const context = { store: { db }, clock } as unknown as CommandContext;
  const run = async (name: string, options: Record<string, string>, files: readonly string[] = []) => {
    const command = aggregateCommands.find((one) => one.name === name) ?? assert.fail();
    return command.run(context, { partner: partner.id, ...options }, files);
  };
  const files = [
    await put('a.xml', dmarcXml()),
    await put('b.xml.gz', gzipSync(dmarcXml({ id: 'b' }))),
    await put('c.json', tlsJson()),
    await put('d.eml', mailOf([gzipped('r.xml', dmarcXml())])),
  ];
  const states = ({ output }: Awaited<ReturnType<typeof run>>) =>
    (output['files'] as { state: string; reason: string | null }[]).map((one) => one.state);
  const first = await run('aggregate import', {}, files);
  assert.deepEqual([states(first), first.exitCode], [['taken', 'taken', 'taken', 'duplicate'], 0]);
  const again = await run('aggregate import', {}, files);
  assert.deepEqual([states(again), again.exitCode], [['duplicate', 'duplicate', 'duplicate', 'duplicate'], 0]);
  const broken = await run('aggregate import', {}, [
    await put('e.xml', '<feedback>'),
    await put('f.xml', dmarcXml({ domain: 'x.example' })),
  ]);
  assert.deepEqual([states(broken), broken.exitCode], [['refused', 'refused'], 1]);
  await assert.rejects(run('aggregate import', {}, [path.join(folder, 'none.xml')]), /can't be read/);
  const listed = (await run('aggregate list', { state: 'refused' })).output['reports'] as { reason: string }[];
  assert.deepEqual(listed.map((one) => one.reason).sort(), ['domain.foreign', 'xml.unclosed']);
  await assert.rejects(run('aggregate list', { state: 'lost' }), /--state is/);
});
