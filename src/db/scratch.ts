import pg from 'pg';
import { withDatabase } from './embedded.ts';

/**
 * Makes a new empty database beside the others and removes older ones of the same prefix, sessions of a killed process
 * included: for the demo, which begins from nothing at every run. Answers with its connection string.
 */
export async function scratchDatabase(ownerUrl: string, prefix: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: withDatabase(ownerUrl, 'postgres') });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ datname: string }>(
      'select datname from pg_database where starts_with(datname, $1)',
      [prefix],
    );
    for (const row of rows) await client.query(`drop database ${client.escapeIdentifier(row.datname)} with (force)`);
    await client.query(`create database ${client.escapeIdentifier(name)}`);
    return withDatabase(ownerUrl, name);
  } finally {
    await client.end();
  }
}
