import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../src/config/root.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { openStore, type Store } from '../../src/db/store.ts';

export interface Home {
  readonly folder: string;
  readonly store: Store;
  close(): Promise<void>;
}

/** A fresh folder with an embedded PostgreSQL of its own, as durable as in service. */
export async function openHome(): Promise<Home> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-bench-'));
  const store = await openStore({
    databaseUrl: null,
    home: folder,
    migrationsFolder: path.join(packageRoot(), 'migrations'),
    passwords: { app: 'bench-app', system: 'bench-system' },
    clock: systemClock,
    logger: silentLogger,
  });
  return {
    folder,
    store,
    async close() {
      await store.close({ takeOver: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}
