import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../src/config/root.ts';

const root = packageRoot();
const pages = ['.', 'docs', 'src', 'reports', 'integrations', 'test']
  .flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: folder !== '.', encoding: 'utf8' }).map((name) =>
      path.join(folder, name),
    ),
  )
  .filter((name) => name.endsWith('.md'));

test('every link in the docs to a file of the project leads somewhere', () => {
  assert.ok(pages.length > 10, 'the test finds the pages');
  const broken: string[] = [];
  for (const page of pages) {
    const text = readFileSync(path.join(root, page), 'utf8').replace(/```[\s\S]*?```/g, '');
    for (const match of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const target = match[1] ?? '';
      if (/^[a-z]+:/.test(target)) continue;
      if (!existsSync(path.join(root, path.dirname(page), target))) broken.push(`${page} -> ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every folder of the design has its README', () => {
  const folders = readdirSync(path.join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !['cli', 'demo', 'config'].includes(entry.name))
    .map((entry) => `src/${entry.name}`);
  const missing = [...folders, 'reports', 'integrations'].filter(
    (folder) => !existsSync(path.join(root, folder, 'README.md')),
  );
  assert.deepEqual(missing, []);
});

test('the README shows the two commands that package.json and CI run', () => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8');
  const ci = readFileSync(path.join(root, '.ci/run'), 'utf8');
  for (const command of ['npm ci && npm run demo', 'npm ci && npm test']) {
    assert.ok(readme.includes(command), `README: ${command}`);
    assert.ok(ci.includes(command), `.ci/run: ${command}`);
  }
});
