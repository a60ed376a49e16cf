import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../src/config/root.ts';

/**
 * The law of imports (rule 12): which folder may import which, and which npm package has its one home where. `own folder`
 * and `core` are always allowed. A file in a folder that is not listed fails the test.
 */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  'src/core': [],
  'src/config': [],
  'src/db': [],
  'src/mail': [],
  'src/scanners': [],
  'src/accounts': ['src/db'],
  'src/ledger': ['src/db'],
  'src/pipeline': ['src/mail', 'src/config'],
  'src/quarantine': [
    'src/db',
    'src/mail',
    'src/ledger',
    'src/accounts/audit.ts',
    'src/accounts/lists.ts',
    'src/accounts/retention.ts',
    'src/pipeline/pool.ts',
    'src/pipeline/symbols.ts',
  ],
  'src/gateway': ['src/db', 'src/mail', 'src/accounts', 'src/pipeline', 'src/ledger', 'src/quarantine'],
  'src/digest': ['src/db', 'src/accounts', 'src/mail/format.ts', 'src/quarantine'],
  'src/learning': ['src/db', 'src/pipeline', 'src/accounts/audit.ts'],
  'src/aggregates': ['src/db', 'src/mail', 'src/pipeline'],
  'src/rollups': ['src/db', 'src/ledger/read.ts', 'src/ledger/watermark.ts'],
  'src/tickets': ['src/db', 'src/accounts', 'src/rollups/read.ts'],
  'src/monitor': ['src/db', 'src/accounts', 'src/rollups/read.ts', 'src/tickets', 'src/quarantine'],
  'src/billing': ['src/db', 'src/accounts', 'src/rollups/read.ts'],
  'src/insights': [
    'src/db',
    'src/accounts',
    'src/rollups/read.ts',
    'src/rollups/flow.ts',
    'src/billing/read.ts',
    'src/tickets',
  ],
  'src/jobs': [
    'src/db',
    'src/accounts',
    'src/ledger',
    'src/rollups',
    'src/tickets',
    'src/monitor',
    'src/billing',
    'src/quarantine',
  ],
  reports: [
    'src/db',
    'src/rollups/read.ts',
    'src/accounts/branding.ts',
    'src/accounts/clients.ts',
    'src/accounts/mailboxes.ts',
    'src/insights',
  ],
  integrations: [],
  'src/graphql': [
    'src/db',
    'src/config',
    'src/accounts',
    'src/ledger',
    'src/rollups/read.ts',
    'src/rollups/read-dimensions.ts',
    'src/rollups/read-mailboxes.ts',
    'src/quarantine',
    'src/mail/preview.ts',
    'src/aggregates/read.ts',
    'src/aggregates/readiness.ts',
    'src/aggregates/tls-read.ts',
    'src/tickets',
    'src/billing',
    'src/monitor/read.ts',
    'src/insights',
    'src/digest',
    'reports',
  ],
  'src/http': [
    'src/db',
    'src/config',
    'src/accounts',
    'src/graphql',
    'src/quarantine',
    'src/digest',
    'src/mail/preview.ts',
    'src/ledger/export.ts',
    'src/ledger/read.ts',
    'src/rollups/read.ts',
  ],
  'src/app.ts': ['*'],
  'src/wiring.ts': ['*'],
  'src/wiring-outbound.ts': ['*'],
  'src/cli.ts': ['*'],
  'src/cli': ['*'],
  'src/demo': ['*'],
  'src/main.ts': ['*'],
};

/** npm package -> the folders that may import it. Packages that are not here may be used everywhere. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  pg: ['src/db'],
  mailauth: ['src/mail'],
  mailparser: ['src/mail'],
  'smtp-server': ['src/gateway', 'src/demo'],
  nodemailer: ['src/gateway', 'src/demo'],
  pdfkit: ['reports'],
  axios: ['integrations'],
  bullmq: ['src/jobs'],
  'node-cron': ['src/jobs'],
  graphql: ['src/graphql'],
  'graphql-ws': ['src/graphql'],
  mercurius: ['src/graphql', 'src/http'],
  ws: ['src/http'],
  fastify: ['src/http', 'integrations'],
  yauzl: ['src/mail'],
  htmlparser2: ['src/mail'],
  'sanitize-html': ['src/mail'],
  'file-type': ['src/mail'],
  '7z-wasm': ['src/mail'],
};

const root = packageRoot();
const files = ['src', 'reports', 'integrations']
  .flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name)),
  )
  .filter((name) => /\.tsx?$/.test(name));

function layerOf(file: string): string {
  const found = Object.keys(LAYERS)
    .filter((layer) => file === layer || file.startsWith(`${layer}/`))
    .sort((a, b) => b.length - a.length)[0];
  assert.ok(found !== undefined, `${file} lies in no folder of the table`);
  return found;
}

function importsOf(file: string): string[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].flatMap((match) => match[1] ?? []);
}

test('rule 12: every import goes the one way of the table', () => {
  assert.ok(files.length > 20, 'the test finds the files');
  const faults: string[] = [];
  for (const file of files) {
    const layer = layerOf(file);
    const allowed = LAYERS[layer] ?? [];
    for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
      const target = path.join(path.dirname(file), specifier);
      const fits = [layer, 'src/core', ...allowed].some(
        (part) => part === '*' || target === part || target.startsWith(`${part}/`),
      );
      if (!fits) faults.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('rule 12: a package is imported in its home only', () => {
  const faults: string[] = [];
  for (const file of files) {
    for (const specifier of importsOf(file).filter((name) => !name.startsWith('.') && !name.startsWith('node:'))) {
      const name = specifier.startsWith('@')
        ? specifier.split('/').slice(0, 2).join('/')
        : (specifier.split('/')[0] ?? '');
      const homes = HOMES[name];
      if (homes !== undefined && !homes.some((home) => file.startsWith(`${home}/`)))
        faults.push(`${file} imports ${name}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('rule 12: one writer of the ledger, one reader of the rollups', () => {
  const writers = files.filter((file) => /insert\s+into\s+ledger\b/i.test(readFileSync(path.join(root, file), 'utf8')));
  assert.deepEqual(
    writers.filter((file) => file !== 'src/ledger/append.ts'),
    [],
  );
  const readers = files.filter((file) =>
    /(from|join)\s+rollup_(traffic|mailboxes|senders|reasons|sketches|items|folds|mailbox_days)\b/i.test(
      readFileSync(path.join(root, file), 'utf8'),
    ),
  );
  assert.deepEqual(
    readers.filter((file) => !file.startsWith('src/rollups/')),
    [],
  );
});

test('files keep to one purpose: none is over 600 lines', () => {
  const long = files.filter((file) => readFileSync(path.join(root, file), 'utf8').split('\n').length > 600);
  assert.deepEqual(long, []);
});
