// Writes the golden files anew: answers and statements of test/graphql/cases, migrations/schema.sql. Read the difference before you commit it.
import { spawnSync } from 'node:child_process';

const run = (command, ...args) => {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, UPDATE_GOLDEN: '1' } });
  if (status !== 0) process.exit(status ?? 1);
};
run('npm', 'run', 'build', '--silent');
run(process.execPath, 'dist/test/run.js', 'graphql/cases', 'db/migrate');
run('npx', 'biome', 'format', '--write', 'test/graphql/cases');
