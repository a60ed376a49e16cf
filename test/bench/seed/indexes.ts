import type pg from 'pg';

/** Drops the indexes of tables, so that millions of rows go in faster, and answers with the statements that make them again. */
export async function dropIndexes(
  owner: pg.Client,
  tables: readonly string[],
  primaryKeys: 'kept' | 'dropped',
): Promise<readonly string[]> {
  const remake: string[] = [];
  const plain = await owner.query<{ name: string; definition: string }>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
     where i.indrelid = any($1::regclass[]) and not exists (select from pg_constraint k where k.conindid = i.indexrelid)`,
    [tables],
  );
  for (const { name, definition } of plain.rows) {
    await owner.query(`drop index ${name}`);
    // `ON ONLY` is how an index of a partitioned table is written down; made again it is wanted on the partitions too.
    remake.push(definition.replace(' ON ONLY ', ' ON '));
  }
  if (primaryKeys === 'kept') return remake;
  const keys = await owner.query<{ table: string; name: string; definition: string }>(
    `select k.conrelid::regclass::text as table, k.conname as name, pg_get_constraintdef(k.oid) as definition
     from pg_constraint k where k.conrelid = any($1::regclass[]) and k.contype = 'p'`,
    [tables],
  );
  for (const { table, name, definition } of keys.rows) {
    await owner.query(`alter table ${table} drop constraint ${name}`);
    remake.push(`alter table ${table} add constraint ${name} ${definition}`);
  }
  return remake;
}
