import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { packageRoot } from '../../src/config/root.ts';
import { startEmbedded, withDatabase } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';

export const TEMPLATE = 'tollgate_template';
export const TEST_PASSWORDS = { app: 'test-app', system: 'test-system' };

export interface TestCluster extends AsyncDisposable {
  readonly ownerUrl: string;
}

/** A PostgreSQL of its own in a temporary folder, with a migrated database to clone from. */
export async function startTestCluster(): Promise<TestCluster> {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-test-'));
  const embedded = await startEmbedded(home);
  const client = new pg.Client({ connectionString: withDatabase(embedded.ownerUrl, 'postgres') });
  await client.connect();
  // Tests need PostgreSQL's rules, not its durability; the crash tests start a cluster of their own.
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    await client.query(`alter system set ${setting} = off`);
  }
  await client.query('select pg_reload_conf()');
  await client.query(`create database ${TEMPLATE}`);
  await client.end();
  await migrate(withDatabase(embedded.ownerUrl, TEMPLATE), path.join(packageRoot(), 'migrations'), TEST_PASSWORDS);
  return {
    ownerUrl: embedded.ownerUrl,
    async [Symbol.asyncDispose]() {
      await embedded.stop({ force: true });
      // A server that had to be ended the hard way may still let go of its last files.
      await rm(home, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
    },
  };
}
