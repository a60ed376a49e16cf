import pg from 'pg';
import type { RunAsOwner } from '../../src/ledger/partitions.ts';

/** Statements that change structure, each on a connection of its own, as the service's store runs them. */
export function asOwner(ownerUrl: string): RunAsOwner {
  return async (statement) => {
    const client = new pg.Client({ connectionString: ownerUrl });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
}
