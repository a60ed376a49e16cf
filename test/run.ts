import { readdirSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startTestCluster } from './support/cluster.ts';

/**
 * Runs the compiled tests: `node dist/test/run.js [part-of-a-path ...]`. One PostgreSQL with a migrated template database
 * serves them all. Ends with a line that counts, and fails when nothing ran.
 */
const here = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort()
  .map((name) => path.join(here, name));

const counts = { passed: 0, failed: 0, skipped: 0 };
{
  await using cluster = await startTestCluster();
  process.env['TOLLGATE_TEST_OWNER_URL'] = cluster.ownerUrl;
  const preloaded = ['deny-network', 'same-seed'].map(
    (name) => pathToFileURL(path.join(here, `support/${name}.js`)).href,
  );
  const options = [process.env['NODE_OPTIONS'] ?? '', ...preloaded.map((url) => `--import=${url}`)];
  process.env['NODE_OPTIONS'] = options.join(' ').trim();

  const stream = run({ files, concurrency: 2, timeout: 600_000 });
  // A test file reports itself as a test around its tests: only the tests inside count.
  const isFile = (name: string) => files.some((file) => name.endsWith(path.basename(file)));
  stream.on('test:pass', (event) => {
    if (event.details.type === 'suite' || isFile(event.name)) return;
    if (event.skip !== undefined) counts.skipped += 1;
    else counts.passed += 1;
  });
  stream.on('test:fail', (event) => {
    if (event.details.type !== 'suite') counts.failed += 1;
  });
  const ended = new Promise<void>((resolve) => stream.once('end', () => resolve()));
  stream.compose(new spec()).pipe(process.stdout);
  await ended;
}

process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
