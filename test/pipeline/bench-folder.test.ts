import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { createPipeline } from '../../src/pipeline/create.ts';
import { labelled } from '../bench/filter-folder.ts';
import { envelopeOf, scoreFiles } from '../bench/filter-run.ts';
import { summary } from '../bench/filter-score.ts';

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-folder-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(path.join(folder, 'scratch'));
  return folder;
}

const MAIL =
  'From: Anna <anna@partner.example>\nTo: bob@client.example\nSubject: Minutes\nDate: Tue, 24 Nov 2026 09:00:00 +0100\nMessage-ID: <1@partner.example>\n\nThe minutes are attached.\n';

test('a hostile folder: what can be read is scored, the rest is named', async (t) => {
  const folder = folderFor(t);
  const add = (name: string, content: string | Buffer) => writeFileSync(path.join(folder, name), content);
  add('lf.eml', MAIL);
  add('crlf.eml', MAIL.replace(/\n/g, '\r\n'));
  add('a, "b".eml', MAIL);
  add('mbox.eml', `From anna@partner.example Tue Nov 24 09:00:00 2026\n${MAIL}`);
  add('only-mbox.eml', 'From anna@partner.example');
  add('empty.eml', '');
  add('large.eml', Buffer.concat([Buffer.from(MAIL), Buffer.alloc(10 * 1024 * 1024, 'word\n')]));
  add('noise.eml', Buffer.from(Array.from({ length: 4096 }, (_, at) => (at * 7919) % 256)));
  mkdirSync(path.join(folder, 'folder.eml'));
  add('unlabelled.eml', MAIL);
  add(
    'labels.csv',
    '\ufefffile,label\r\n"lf.eml","HAM"\r\ncrlf.eml, Spam \r\n"a, ""b"".eml",ham\r\nmbox.eml,ham\r\nonly-mbox.eml,ham\r\nempty.eml,spam\r\nlarge.eml,ham\r\nnoise.eml,spam\r\n' +
      'gone.eml,ham\r\nfolder.eml,ham\r\nlf.eml,spam\r\nunlabelled.eml,\r\n,ham\r\ncrlf2.eml,maybe\r\n\r\n',
  );
  const { inputs, skipped } = labelled(folder, path.join(folder, 'labels.csv'), path.join(folder, 'scratch'));
  assert.deepEqual(
    inputs.map((one) => one.isSpam),
    [false, true, false, false, false, true, false, true],
  );
  assert.deepEqual(
    skipped.map((one) => one.file),
    ['gone.eml', 'folder.eml', 'lf.eml', 'unlabelled.eml', '', 'crlf2.eml'],
  );
  const pipeline = createPipeline({ threads: 1, resolver: null, hostName: 'bench.example', logger: silentLogger });
  t.after(() => pipeline.close());
  const { scored, messagesPerCpuSecond } = await scoreFiles(pipeline, inputs);
  assert.equal(scored.length, 8);
  assert.ok(scored.every((one) => Number.isFinite(one.score)));
  assert.ok((messagesPerCpuSecond ?? 0) > 0);
  const scores = new Set([0, 2, 3].map((at) => scored[at]?.score));
  assert.equal(scores.size, 1, 'the same mail with and without an mbox line');
});

test('labels without a heading, in other columns, and of nothing', (t) => {
  const folder = folderFor(t);
  writeFileSync(path.join(folder, 'a.eml'), MAIL);
  const labels = path.join(folder, 'labels.csv');
  const read = (text: string) => {
    writeFileSync(labels, text);
    return labelled(folder, labels, folder);
  };
  assert.deepEqual(read('a.eml,spam\n').inputs, [{ file: path.join(folder, 'a.eml'), isSpam: true }]);
  assert.deepEqual(read('id,label,filename\n7,ham,a.eml\n').inputs, [
    { file: path.join(folder, 'a.eml'), isSpam: false },
  ]);
  assert.deepEqual(read(''), { inputs: [], skipped: [] });
  assert.deepEqual(read('file,label\n').inputs, []);
});

test('an empty folder has no figures rather than zeros', () => {
  const { messages, ...figures } = summary([]);
  assert.deepEqual(messages, { ham: 0, spam: 0 });
  assert.deepEqual(figures, {
    auc: null,
    falsePositiveRate: null,
    recall: null,
    recallAtFpr: { '0.001': null, '0.005': null, '0.01': null },
  });
});

test('the envelope is rebuilt from the traces of several programs', () => {
  const hop = (received: string) => {
    const { helo, remoteName, remoteAddress } = envelopeOf(`Received: ${received}\r\nSubject: x\r\n\r\n`);
    return [helo, remoteName, remoteAddress];
  };
  assert.deepEqual(hop('from mail.a.example (mail.a.example [198.51.100.7]) by mx.example; x'), [
    'mail.a.example',
    'mail.a.example',
    '198.51.100.7',
  ]);
  assert.deepEqual(hop('from mail.a.example (mail.a.example. [198.51.100.7]) by mx.google.com with ESMTPS; x'), [
    'mail.a.example',
    'mail.a.example',
    '198.51.100.7',
  ]);
  assert.deepEqual(hop('from [198.51.100.7] (helo=pc) by mx.example with esmtp (Exim 4.96); x'), [
    'pc',
    null,
    '198.51.100.7',
  ]);
  assert.deepEqual(hop('from unknown (HELO pc.a.example) (198.51.100.7) by mx.example with SMTP; x'), [
    'pc.a.example',
    null,
    '198.51.100.7',
  ]);
  assert.deepEqual(
    hop('from mail.a.example (198.51.100.7) by b.prod.outlook.com (10.0.0.1) with Microsoft SMTP Server; x'),
    ['mail.a.example', null, '198.51.100.7'],
  );
});
