import type { ApiCaller, Scope } from '../accounts/keys.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { TenantDb, TenantTx } from '../db/db.ts';
import type { Commands } from './commands.ts';
import type { LiveHub } from './live/hub.ts';
import { createLoaders, type Loaders } from './records.ts';
import { Snapshot } from './snapshot.ts';

/** Milliseconds that one request may take before no further statement is started for it. */
const REQUEST_MS = 20_000;

export interface ContextDeps {
  readonly db: TenantDb;
  readonly clock: Clock;
  readonly commands: Commands;
  readonly live: LiveHub;
  /** What is wrong with a document, for people; null when it may be run. */
  faultOf(document: string): string | null;
}

/** What the resolvers of one request share. */
export class Context {
  readonly caller: ApiCaller;
  readonly commands: Commands;
  readonly live: LiveHub;
  readonly faultOf: (document: string) => string | null;
  readonly #db: TenantDb;
  readonly #snapshot: Snapshot;
  #loaders: Loaders;

  constructor(deps: ContextDeps, caller: ApiCaller) {
    this.caller = caller;
    this.commands = deps.commands;
    this.live = deps.live;
    this.faultOf = (document) => deps.faultOf(document);
    this.#db = deps.db;
    const deadline = deps.clock.now().getTime() + REQUEST_MS;
    this.#snapshot = new Snapshot(deps.db, caller.partnerId, () => deps.clock.now().getTime() > deadline);
    this.#loaders = createLoaders((work) => this.read(work));
  }

  get loaders(): Loaders {
    return this.#loaders;
  }

  /** Reads in the request's one consistent, read-only transaction. */
  read<T>(work: (tx: TenantTx) => Promise<T>): Promise<T> {
    return this.#snapshot.read(work);
  }

  /** Does one mutation in a transaction of its own. What is read afterwards sees it: nothing read before is kept. */
  async write<T>(work: (tx: TenantTx) => Promise<T>): Promise<T> {
    await this.forget();
    return this.#db.tenant(this.caller.partnerId, work);
  }

  /** Ends the reading transaction and drops what was loaded in it. */
  async forget(): Promise<void> {
    await this.#snapshot.close();
    this.#loaders = createLoaders((work) => this.read(work));
  }

  has(scope: Scope): boolean {
    return this.caller.scopes.includes(scope) || this.caller.scopes.includes('admin');
  }

  /** Throws `forbidden` when the key lacks the scope. */
  require(scope: Scope): void {
    if (!this.has(scope)) throw new AppError('forbidden', `the key lacks the scope ${scope.toUpperCase()}`);
  }

  /** Ends the request. */
  async close(): Promise<void> {
    await this.#snapshot.end();
  }
}
