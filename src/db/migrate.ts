import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { AppError } from '../core/errors.ts';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

/** The steps in a folder, in order. Their numbers start at 1 and have no gap. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}_\w+\.sql$/.test(name)).sort();
  return Promise.all(
    names.map(async (name, index) => {
      const text = await readFile(path.join(folder, name), 'utf8');
      const version = Number(name.slice(0, 4));
      if (version !== index + 1) throw new Error(`migration ${name} is out of order`);
      return { version, name, text, checksum: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

export interface RolePasswords {
  readonly app: string;
  readonly system: string;
}

// Any constant will do; it only has to be ours.
const LOCK = 7_461_001;

/**
 * Brings the database to the newest step and answers with the steps that it carried out. Safe to run from many nodes at
 * once: one works, the others wait. Refuses a database that a newer program has migrated (`schema_newer`) and a step that
 * was edited after it had run (`config_invalid`).
 */
export async function migrate(ownerUrl: string, folder: string, passwords: RolePasswords): Promise<Migration[]> {
  const migrations = await readMigrations(folder);
  const client = new pg.Client({ connectionString: ownerUrl });
  client.on('error', () => undefined);
  await client.connect();
  try {
    // Lock ids are per database but roles are per cluster: "tuple concurrently updated" is answered by one more try.
    await client.query('select pg_advisory_lock($1)', [LOCK]);
    await ensureRoles(client, passwords);
    await client.query(
      `create table if not exists schema_migrations (
         version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())`,
    );
    const done = await client.query<{ version: number; name: string; checksum: string }>(
      'select version, name, checksum from schema_migrations order by version',
    );
    check(done.rows, migrations);
    const open = migrations.slice(done.rows.length);
    for (const step of open) await apply(client, step);
    return open;
  } finally {
    await client.end();
  }
}

function check(
  done: readonly { version: number; name: string; checksum: string }[],
  known: readonly Migration[],
): void {
  for (const row of done) {
    const step = known[row.version - 1];
    if (step === undefined) {
      throw new AppError(
        'schema_newer',
        `the database was migrated by a newer program (${row.name}); update this one first`,
      );
    }
    if (step.checksum !== row.checksum) {
      throw new AppError(
        'config_invalid',
        `migration ${row.name} was changed after it had run; migrations are immutable`,
      );
    }
  }
}

async function apply(client: pg.Client, step: Migration): Promise<void> {
  await client.query('begin');
  try {
    await client.query(step.text);
    await client.query('insert into schema_migrations (version, name, checksum) values ($1, $2, $3)', [
      step.version,
      step.name,
      step.checksum,
    ]);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** Roles belong to the cluster, which may hold several of our databases (as in tests): they are made once and kept. */
async function ensureRoles(client: pg.Client, passwords: RolePasswords): Promise<void> {
  for (const [role, password] of [
    ['tollgate_app', passwords.app],
    ['tollgate_system', passwords.system],
  ] as const) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
        const verb = rowCount === 0 ? 'create' : 'alter';
        await client.query(
          `${verb} role ${role} login nosuperuser nocreatedb nocreaterole password ${client.escapeLiteral(password)}`,
        );
        break;
      } catch (error) {
        if (attempt === 5) throw error;
      }
    }
  }
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  const database = client.escapeIdentifier(rows[0]?.name ?? '');
  await client.query(`grant connect on database ${database} to tollgate_app, tollgate_system`);
}

/** The URL of the same database for one of our two roles. */
export function roleUrl(ownerUrl: string, role: 'tollgate_app' | 'tollgate_system', password: string): string {
  const url = new URL(ownerUrl);
  url.username = role;
  url.password = password;
  return url.toString();
}
