import { readFileSync } from 'node:fs';

/**
 * Preloaded into every test process: properties are tried on the same values at every run, so that a red test means a change and not
 * an unlucky draw. `TEST_SEED=random` draws anew, to look further; a number is the seed that fast-check has named.
 */
const SEED = 20_261_014;

const asked = process.env['TEST_SEED'] ?? '';
const file = process.argv[1] ?? '';
if (asked !== 'random' && file.endsWith('.test.js') && readFileSync(file, 'utf8').includes("from 'fast-check'")) {
  const { configureGlobal } = await import('fast-check');
  configureGlobal({ seed: asked === '' ? SEED : Number(asked) });
}
