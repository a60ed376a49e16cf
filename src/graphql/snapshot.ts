import { AppError } from '../core/errors.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { TenantDb, TenantTx } from '../db/db.ts';
import { isStatementTimeout, translateError } from '../db/errors.ts';

/** Milliseconds that one statement of a request may take. */
const STATEMENT_MS = 10_000;

/**
 * The one read-only transaction of a request, so that all its numbers are of one moment. It opens with the first
 * statement: a request that is refused or reads the schema only costs no connection.
 */
export class Snapshot {
  readonly #db: TenantDb;
  readonly #partner: PartnerId;
  readonly #expired: () => boolean;
  #tx: Promise<TenantTx> | null = null;
  #isOver = false;
  #ended: Promise<void> = Promise.resolve();
  #release: () => void = () => undefined;

  /** `expired` says when the request has had its time: no statement starts after that. */
  constructor(db: TenantDb, partner: PartnerId, expired: () => boolean) {
    this.#db = db;
    this.#partner = partner;
    this.#expired = expired;
  }

  async read<T>(work: (tx: TenantTx) => Promise<T>): Promise<T> {
    // graphql-js answers with the first failure and lets the other fields go on: a transaction for them would stay open for ever.
    if (this.#isOver) throw new Error('the request has ended');
    this.#tx ??= this.#open();
    return work(await this.#tx);
  }

  /** Ends the transaction; the next `read` sees what was written since. */
  async close(): Promise<void> {
    this.#release();
    this.#release = () => undefined;
    this.#tx = null;
    await this.#ended;
  }

  /** Ends the transaction and the request: nothing is read any more. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.close();
  }

  #open(): Promise<TenantTx> {
    return new Promise((resolve, reject) => {
      const released = new Promise<void>((done) => {
        this.#release = done;
      });
      this.#ended = this.#db
        .tenant(
          this.#partner,
          (tx) => {
            resolve(sideBySide(tx, this.#expired));
            return released;
          },
          { readOnly: true, repeatableRead: true, statementMs: STATEMENT_MS },
        )
        .catch(reject);
    });
  }
}

/**
 * Resolvers that run side by side share round trips: their statements are sent without waiting for each other. After a statement
 * that failed PostgreSQL takes no other in the same transaction: those that follow fail with the error that came first.
 */
function sideBySide(tx: TenantTx, expired: () => boolean): TenantTx {
  let failure: { readonly error: unknown } | null = null;
  const ask = async <T>(run: () => Promise<T>): Promise<T> => {
    if (failure !== null) throw failure.error;
    if (expired()) throw tooLong();
    try {
      return await run();
    } catch (error) {
      // "Not found" is an answer of the database, not a failure of it.
      if (error instanceof AppError) throw error;
      failure ??= { error: isStatementTimeout(error) ? tooLong(error) : translateError(error) };
      throw failure.error;
    }
  };
  return {
    scope: tx.scope,
    partnerId: tx.partnerId,
    now: tx.now,
    rows: (statement) => ask(() => tx.rows(statement)),
    one: (statement) => ask(() => tx.one(statement)),
    maybe: (statement) => ask(() => tx.maybe(statement)),
    run: (statement) => ask(() => tx.run(statement)),
  };
}

function tooLong(cause?: unknown): AppError {
  return new AppError(
    'limit_exceeded',
    'the query took too long; ask for less at once',
    cause === undefined ? {} : { cause },
  );
}
