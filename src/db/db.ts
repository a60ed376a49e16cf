import pg from 'pg';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { PartnerId } from '../core/tenant.ts';
import { isFollowing, translateError } from './errors.ts';
import { HeardClient } from './heard-client.ts';
import type { Sql } from './sql.ts';

/** One transaction. `now` is its one moment; `occurred_at` and the like are taken from here, not from the server's clock. */
export interface Tx {
  readonly now: Date;
  rows<R>(statement: Sql): Promise<R[]>;
  /** The one row. Throws when there is none or more. */
  one<R>(statement: Sql): Promise<R>;
  maybe<R>(statement: Sql): Promise<R | null>;
  /** Number of rows that were written. */
  run(statement: Sql): Promise<number>;
}

/** Sees one partner's rows, by row-level security. */
export interface TenantTx extends Tx {
  readonly scope: 'tenant';
  readonly partnerId: PartnerId;
}

/** Sees all partners' rows: gateway, roller and jobs. Pages and GraphQL never hold one. */
export interface SystemTx extends Tx {
  readonly scope: 'system';
  /**
   * Sends COMMIT behind what was sent, without waiting for its answers: the last word of a transaction whose statements are all
   * known. A statement that fails makes it a rollback. Nothing may be sent after it.
   */
  seal(): void;
}

export interface TxOptions {
  readonly readOnly?: boolean;
  /** A consistent picture over several statements. */
  readonly repeatableRead?: boolean;
  /**
   * With `readOnly`, system role only: no transaction around the statements, each sees what is committed when it runs. Saves
   * the two round trips of BEGIN and COMMIT. `run` throws.
   */
  readonly perStatement?: boolean;
  /** Tenant role only: milliseconds that each statement may take; PostgreSQL then ends it with `query_canceled`. */
  readonly statementMs?: number;
}

export interface TenantDb {
  tenant<T>(partner: PartnerId, work: (tx: TenantTx) => Promise<T>, options?: TxOptions): Promise<T>;
}

export interface SystemDb {
  system<T>(work: (tx: SystemTx) => Promise<T>, options?: TxOptions): Promise<T>;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

// numeric stays text and dates stay `YYYY-MM-DD`: a Date at the server's midnight would be a wrong day elsewhere (rule 6).
const types = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, safeInteger],
  [pg.types.builtins.DATE, (text) => text],
]);

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`the number ${text} is too large to be exact`);
  return value;
}

/**
 * Hears of every writing transaction from before its first statement until after its end. The watermark of a node is kept by
 * it: what a node has said is complete only up to the oldest transaction that is still open.
 */
export interface TxObserver {
  open(now: Date): unknown;
  close(mark: unknown): void;
}

export interface DatabaseOptions {
  readonly appUrl: string;
  readonly systemUrl: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly maxConnections?: number;
  /** Milliseconds after which a server that does not answer at all counts as gone; longer than any statement may take. */
  readonly silenceMs?: number;
  /** Milliseconds to wait for a connection, a new one or one that comes free. */
  readonly connectMs?: number;
}

/** The pools of the two roles, and the only way to a transaction. */
export class Database implements TenantDb, SystemDb, AsyncDisposable {
  readonly #app: pg.Pool;
  readonly #system: pg.Pool;
  readonly #clock: Clock;
  #observer: TxObserver | null = null;
  readonly systemUrl: string;

  constructor(options: DatabaseOptions) {
    const max = options.maxConnections ?? 10;
    this.#app = createPool(options.appUrl, max, options);
    this.#system = createPool(options.systemUrl, max, options);
    this.#clock = options.clock;
    this.systemUrl = options.systemUrl;
  }

  async tenant<T>(partner: PartnerId, work: (tx: TenantTx) => Promise<T>, options: TxOptions = {}): Promise<T> {
    if (!UUID.test(partner)) throw new AppError('not_found', 'no such partner');
    // The id is a checked UUID, so it may stand in the text; one round trip opens the transaction and names the tenant.
    const limit =
      options.statementMs === undefined ? '' : `, set_config('statement_timeout', '${options.statementMs}', true)`;
    const open = `${begin(options)}; select set_config('app.partner', '${partner}', true)${limit}`;
    return this.#observed(options, (now) =>
      transact(this.#app, open, (base) => work({ ...base, scope: 'tenant', partnerId: partner }), now),
    );
  }

  async system<T>(work: (tx: SystemTx) => Promise<T>, options: TxOptions = {}): Promise<T> {
    if (options.perStatement === true && options.readOnly === true) {
      const now = this.#clock.now();
      return look(this.#system, (base) => work({ ...base, scope: 'system' }), now);
    }
    return this.#observed(options, (now) =>
      transact(this.#system, begin(options), (base) => work({ ...base, scope: 'system' }), now),
    );
  }

  /** From now on `observer` hears of every writing transaction. */
  observe(observer: TxObserver): void {
    this.#observer = observer;
  }

  async #observed<T>(options: TxOptions, run: (now: Date) => Promise<T>): Promise<T> {
    const now = this.#clock.now();
    const observer = options.readOnly === true ? null : this.#observer;
    const mark = observer?.open(now);
    try {
      return await run(now);
    } finally {
      observer?.close(mark);
    }
  }

  /**
   * Hears NOTIFY on a channel until the answer is called. The connection is re-made when it breaks, and `onMessage` is
   * then called with an empty payload, since messages may have been missed.
   */
  async listen(channel: string, onMessage: (payload: string) => void): Promise<() => Promise<void>> {
    const { listenOn } = await import('./listen.ts');
    return listenOn(this.systemUrl, channel, onMessage);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#app.end(), this.#system.end()]);
  }
}

function createPool(
  url: string,
  max: number,
  { logger, silenceMs = 120_000, connectMs = 5_000 }: DatabaseOptions,
): pg.Pool {
  const pool = new pg.Pool({
    Client: HeardClient,
    connectionString: url,
    max,
    // Statements that are not waited for one by one share a round trip.
    pipeline: true,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    statement_timeout: 60_000,
    // A machine that is switched off closes nothing: without these a COMMIT under way would be waited for without end.
    query_timeout: silenceMs,
    keepAlive: true,
    // A forgotten transaction would hold the roller's horizon.
    idle_in_transaction_session_timeout: 60_000,
    types: {
      getTypeParser: ((oid: number, format: 'text' | 'binary') =>
        types.get(oid) ?? pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
    },
  });
  // Writing takes a BEGIN that says so: a statement that was sent behind one that failed writes nothing.
  pool.on('connect', (client) => {
    client.query('set default_transaction_read_only = on').catch(() => client.end());
  });
  // Without a listener a broken idle connection ends the process.
  pool.on('error', (error) => logger.warn({ err: error.message }, 'an idle database connection broke'));
  return pool;
}

function begin(options: TxOptions): string {
  const isolation = options.repeatableRead === true ? ' isolation level repeatable read' : '';
  return `begin${isolation} ${options.readOnly === true ? 'read only' : 'read write'}`;
}

type Base = Tx & Pick<SystemTx, 'seal'>;

interface Life {
  isOver: boolean;
  /** What the first of its statements that failed said, BEGIN included: all others fail because of it. */
  failure: { readonly error: unknown } | null;
}

async function transact<T>(pool: pg.Pool, open: string, work: (tx: Base) => Promise<T>, now: Date): Promise<T> {
  let client: pg.PoolClient;
  try {
    client = await pool.connect();
  } catch (error) {
    throw translateError(error);
  }
  let broken: Error | undefined;
  const life: Life = { isOver: false, failure: null };
  try {
    // BEGIN and the statements that follow it at once share a write.
    if (client instanceof HeardClient) client.gather();
    const opened = client.query(open);
    let ending: Promise<pg.QueryResult> | null = null;
    const seal = () => {
      life.isOver = true;
      ending ??= client.query('commit');
      ending.catch(() => undefined);
    };
    // Sent together with the first statements. Should it alone fail, they find a session that writes nothing (createPool).
    opened.catch((error: unknown) => {
      life.failure ??= { error };
    });
    const result = await work({ ...wrap(client, now, opened, life), seal });
    life.isOver = true;
    await opened;
    const { command } = await (ending ?? client.query('commit'));
    // What a failed transaction answers to COMMIT: a statement failed that nobody waited for.
    if (command === 'ROLLBACK') throw life.failure?.error ?? new Error('a statement of the transaction had failed');
    return result;
  } catch (error) {
    life.isOver = true;
    try {
      await client.query('rollback');
    } catch (rollbackError) {
      // A connection that can't roll back must not go back to the pool with another tenant's open transaction.
      broken = rollbackError as Error;
    }
    throw translateError(isFollowing(error) ? (life.failure?.error ?? error) : error);
  } finally {
    client.release(broken);
  }
}

/** Statements without a transaction, one after the other, on whichever connection is free. */
async function look<T>(pool: pg.Pool, work: (tx: Base) => Promise<T>, now: Date): Promise<T> {
  try {
    return await work({
      ...wrap(pool, now),
      run: () => Promise.reject(new Error('a look without a transaction does not write')),
      seal: () => undefined,
    });
  } catch (error) {
    throw translateError(error);
  }
}

/**
 * `opened`: BEGIN, which was answered before any statement is: where it failed no answer counts. `life`: whether the transaction is
 * over; what somebody still sends then would be part of the next one on its connection, perhaps another tenant's.
 */
function wrap(
  client: Pick<pg.ClientBase, 'query'>,
  now: Date,
  opened: Promise<unknown> | null = null,
  life: Life = { isOver: false, failure: null },
): Tx {
  const query = async ({ name, text, values }: Sql) => {
    if (life.isOver) throw new Error('the transaction has ended');
    // Statements that are sent side by side share a write.
    if (client instanceof HeardClient) client.gather();
    const result = await client.query({ name, text, values: values as unknown[] }).catch((error: unknown) => {
      life.failure ??= { error };
      throw error;
    });
    await opened;
    return result;
  };
  return {
    now,
    async rows<R>(statement: Sql) {
      return (await query(statement)).rows as R[];
    },
    async one<R>(statement: Sql) {
      const { rows } = await query(statement);
      if (rows.length !== 1) throw new AppError('not_found', 'not found');
      return rows[0] as R;
    },
    async maybe<R>(statement: Sql) {
      return ((await query(statement)).rows[0] as R | undefined) ?? null;
    },
    async run(statement: Sql) {
      return (await query(statement)).rowCount ?? 0;
    },
  };
}
