import pg from 'pg';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { claimFolder, serviceOf } from './claim.ts';
import { Database } from './db.ts';
import { type EmbeddedPostgres, startEmbedded } from './embedded.ts';
import { translateError } from './errors.ts';
import { migrate, type RolePasswords, roleUrl } from './migrate.ts';

export interface StoreOptions {
  /** Null: the embedded PostgreSQL under `home`. */
  readonly databaseUrl: string | null;
  readonly home: string;
  readonly migrationsFolder: string;
  readonly passwords: RolePasswords;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxConnections?: number;
  /** The service: with the embedded PostgreSQL one process at a time, which then stops the database whoever started it. */
  readonly serves?: boolean;
}

/** The migrated database, open. */
export interface Store extends AsyncDisposable {
  readonly db: Database;
  /** The owner's connection string: for migrations and partitions only. */
  readonly ownerUrl: string;
  readonly systemUrl: string;
  /** Names of the migration steps that this start carried out. */
  readonly migrated: readonly string[];
  /** Starts the embedded server again when it has died; answers whether it had. Throws AppError `unavailable`. */
  revive(): Promise<boolean>;
  /** Runs a statement that changes structure, as the owner. */
  runAsOwner(statement: string): Promise<void>;
  /**
   * Closes the pools and stops an embedded server that this process started, unless a service works with it by now.
   * `takeOver`: the service stops it even if an earlier process, killed since, had started it.
   */
  close(options?: { takeOver?: boolean }): Promise<void>;
}

/**
 * Starts or joins the database, migrates it, opens the pools of the two roles. Throws AppError `unavailable`, `schema_newer`,
 * and `config_invalid` when another process serves from the folder.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (options.databaseUrl !== null || options.serves !== true) return open(options, null);
  const giveBack = await claimFolder(options.home);
  try {
    return await open(options, giveBack);
  } catch (error) {
    await giveBack();
    throw error;
  }
}

async function open(options: StoreOptions, giveBack: (() => Promise<void>) | null): Promise<Store> {
  const embedded: EmbeddedPostgres | null = options.databaseUrl === null ? await startEmbedded(options.home) : null;
  // A command may have started the database and a service joined it since: it is the service's now.
  const isLent = async () => giveBack === null && (await serviceOf(options.home)) !== null;
  const ownerUrl = embedded?.ownerUrl ?? options.databaseUrl ?? '';
  let db: Database;
  let migrated: readonly string[];
  const urls = {
    appUrl: roleUrl(ownerUrl, 'tollgate_app', options.passwords.app),
    systemUrl: roleUrl(ownerUrl, 'tollgate_system', options.passwords.system),
  };
  try {
    migrated = (await migrate(ownerUrl, options.migrationsFolder, options.passwords)).map((step) => step.name);
    db = new Database({
      ...urls,
      clock: options.clock,
      logger: options.logger,
      ...(options.maxConnections === undefined ? {} : { maxConnections: options.maxConnections }),
    });
  } catch (error) {
    if (!(await isLent())) await embedded?.stop();
    throw options.databaseUrl === null ? translateError(error) : unreachable(error, options.databaseUrl);
  }
  const close: Store['close'] = async (closing) => {
    await db[Symbol.asyncDispose]();
    if (!(await isLent())) await embedded?.stop({ force: closing?.takeOver === true });
    await giveBack?.();
  };
  return {
    db,
    ownerUrl,
    systemUrl: urls.systemUrl,
    migrated,
    close,
    revive: async () => (await embedded?.revive()) ?? false,
    async runAsOwner(statement) {
      const client = new pg.Client({ connectionString: ownerUrl });
      client.on('error', () => undefined);
      await client.connect();
      try {
        await client.query(statement);
      } finally {
        await client.end();
      }
    },
    [Symbol.asyncDispose]: () => close(),
  };
}

/** Which database can't be used and why, without the password that its URL may hold. */
function unreachable(error: unknown, url: string): unknown {
  const known = translateError(error);
  const { code } = error as { code?: unknown };
  const isDenied = typeof code === 'string' && /^(28|3D)/.test(code);
  if (!isDenied && !(known instanceof AppError && known.code === 'unavailable')) return known;
  const { hostname, port, pathname } = new URL(url);
  const where = `${decodeURIComponent(pathname.slice(1)) || '(none)'} at ${hostname || 'localhost'}:${port || '5432'}`;
  return new AppError('unavailable', `the database ${where} can't be used: ${reasonOf(error)}`, { cause: error });
}

function reasonOf(error: unknown): string {
  // A name with several addresses is tried at all of them: the first one's failure says it.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const inner = first instanceof AppError && first.cause !== undefined ? first.cause : first;
  return inner instanceof Error && inner.message !== '' ? inner.message : String((inner as { code?: unknown }).code);
}
