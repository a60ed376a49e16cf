import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ArgumentError, parseArguments } from '../src/cli/parse.ts';
import { DESCRIBED } from '../src/cli.ts';
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

test('every command that the docs show is one, with its options and all that it needs', () => {
  const id = '019a0000-0000-7000-8000-000000000000';
  const wrong: string[] = [];
  let seen = 0;
  for (const page of pages) {
    const text = readFileSync(path.join(root, page), 'utf8');
    const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block.replaceAll('\\\n', ' '));
    for (const line of blocks.flatMap((block) => block.split('\n'))) {
      for (const [, shown = ''] of line.replace(/\s#.*$/, '').matchAll(/npx tollgate ([^|&)]*)/g)) {
        const words = [...shown.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
        const args = words.map((word) => (/^(ID|\$[A-Z]+)$/.test(word) ? id : word));
        if (args[0] === 'help') continue;
        const command =
          DESCRIBED.find((one) => one.name === args.slice(0, 2).join(' ')) ??
          DESCRIBED.find((one) => one.name === args[0]);
        seen += 1;
        try {
          if (command === undefined) throw new Error('there is no such command');
          parseArguments(command, args.slice(command.name.split(' ').length));
        } catch (error) {
          // The files of the examples are not here.
          const faults = error instanceof ArgumentError ? error.faults.map((one) => one.message) : [String(error)];
          if (faults.some((one) => !/the file .* can't be read$/.test(one)))
            wrong.push(`${page}: ${shown}: ${faults.join('; ')}`);
        }
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 30, `${seen}`);
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
