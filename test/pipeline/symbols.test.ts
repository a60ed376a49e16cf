import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/config/root.ts';
import { STAGE_NAMES, SYMBOLS } from '../../src/pipeline/symbols.ts';
import { symbolTable } from '../support/symbol-table.ts';

test('docs/filtering.md holds the table of reason codes as the code has it', () => {
  const text = readFileSync(path.join(packageRoot(), 'docs/filtering.md'), 'utf8');
  const table = text.slice(text.indexOf('<!-- symbols -->') + 16, text.indexOf('<!-- /symbols -->')).trim();
  const rows = new Set(table.split('\n'));
  const wanted = symbolTable().split('\n');
  const missing = wanted.filter((line) => !rows.has(line));
  assert.deepEqual(missing, [], 'run: node scripts/symbol-table.mjs');
  assert.equal(rows.size, wanted.length, 'the table holds rows that the code does not: node scripts/symbol-table.mjs');
});

test('codes are lower-case words with one dot, weights are finite and stages are known', () => {
  for (const [code, { stage, weight, words }] of Object.entries(SYMBOLS)) {
    assert.match(code, /^[a-z]+\.[a-z_0-9]+$/);
    assert.ok(Number.isFinite(weight) && Math.abs(weight) <= 6, code);
    assert.ok(STAGE_NAMES.includes(stage) && words.length > 10, code);
  }
});

test('every symbol is given by some stage', () => {
  const folder = path.join(packageRoot(), 'src/pipeline');
  const sources = [
    'create.ts',
    'decide.ts',
    'pool.ts',
    'worker.ts',
    'stages/recipient.ts',
    'stages/authentication.ts',
    'stages/lists.ts',
    'stages/connection.ts',
    'stages/learning.ts',
    'stages/history.ts',
    'stages/links.ts',
  ]
    .concat([
      'stages/attachments.ts',
      'stages/rules.ts',
      'stages/content.ts',
      'rules/headers.ts',
      'rules/links.ts',
      'rules/body.ts',
    ])
    .concat([
      'rules/phrases.ts',
      'rules/phrases-world.ts',
      'rules/structure.ts',
      'rules/modern.ts',
      'rules/phrases-recent.ts',
    ])
    .concat(['../scanners/clamd.ts', '../scanners/rspamd.ts'])
    .map((name) => readFileSync(path.join(folder, name), 'utf8'))
    .join('\n');
  const unused = Object.keys(SYMBOLS).filter(
    (code) =>
      !sources.includes(`'${code}'`) && !/^attachment\.(executable|macro|\w+_archive|html_smuggling)$/.test(code),
  );
  assert.deepEqual(unused, []);
});
