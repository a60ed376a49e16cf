import { domainOf } from '../core/address.ts';
import { DIRECTORY_CHANNEL } from '../core/channels.ts';
import type { Logger } from '../core/log.ts';
import type { RecipientContext } from '../core/message.ts';
import { networkRule } from '../core/networks.ts';
import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import {
  type ClientView,
  contextOf,
  type KnownRecipient,
  loadClientViews,
  loadMasterView,
  type MasterView,
  type RecipientLookup,
  requireView,
  resolveRecipient,
} from './directory.ts';

/** `db.listen` of src/db; optional: without it changes are found by looking. */
export interface CacheDb extends SystemDb {
  listen?(channel: string, onMessage: () => void): Promise<() => Promise<void>>;
}

export interface CacheOptions {
  /** How long what is remembered may be used after the last look for changes, milliseconds. */
  readonly maxAgeMs?: number;
  /** How often it looks by itself, milliseconds. */
  readonly everyMs?: number;
  /** Recipients, and clients, that are remembered. */
  readonly maxEntries?: number;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic?: () => number;
  readonly logger?: Logger;
}

interface Domain {
  readonly partnerId: string;
  readonly clientId: string;
  readonly recipients: Map<string, KnownRecipient>;
}

/**
 * The directory, the policies and the lists as gateways use them: from memory while that is surely no older than
 * `maxAgeMs` (5 s), else from the database. Only what is known is remembered: an unknown recipient is looked up every time,
 * so that a new mailbox is taken at once and no 550 comes from memory.
 *
 * Every change leaves a row in directory_changes, visible at its commit. `check` asks for the rows whose transaction was not
 * visible at the check before, so that none is missed; NOTIFY calls it at once, a timer every `everyMs` whether or not NOTIFY
 * arrives. When checks fail for longer than `maxAgeMs`, memory is not used.
 */
export class DirectoryCache {
  readonly #db: CacheDb;
  readonly #maxAge: number;
  readonly #every: number;
  readonly #max: number;
  readonly #now: () => number;
  readonly #logger: Logger | undefined;
  readonly #domains = new Map<string, Domain>();
  readonly #views = new Map<string, ClientView>();
  #master: MasterView | null = null;
  #size = 0;
  #snapshot: string | null = null;
  #checkedAt = Number.NEGATIVE_INFINITY;
  /** Grows with every invalidation: what was read before must not be stored after. */
  #generation = 0;
  #checking: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #unlisten: (() => Promise<void>) | null = null;

  constructor(db: CacheDb, options: CacheOptions = {}) {
    this.#db = db;
    this.#maxAge = options.maxAgeMs ?? 5_000;
    this.#every = options.everyMs ?? 2_000;
    this.#max = options.maxEntries ?? 50_000;
    this.#now = options.monotonic ?? (() => performance.now());
    this.#logger = options.logger;
  }

  /** Looks for changes from now on. Before, and when the database is away, everything is read from the database. */
  async start(): Promise<void> {
    this.#timer ??= setInterval(() => this.#wake(), this.#every);
    this.#timer.unref();
    try {
      this.#unlisten = (await this.#db.listen?.(DIRECTORY_CHANNEL, () => this.#wake())) ?? null;
    } catch (error) {
      this.#logger?.warn({ err: error }, 'changes of the directory are found by looking only');
    }
    await this.check();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#unlisten?.();
    this.#unlisten = null;
    await this.#checking;
  }

  /** See resolveRecipient. */
  async recipient(address: string, graceSeconds: number): Promise<RecipientLookup> {
    const known = this.#isFresh() ? this.#domains.get(domainOf(address))?.recipients.get(address) : undefined;
    if (known !== undefined) return { kind: 'known', recipient: known };
    const generation = this.#generation;
    const found = await this.#db.system((tx) => resolveRecipient(tx, address, graceSeconds), LOOK);
    if (found.kind === 'known' && !found.recipient.suspended && this.#mayStore(generation)) this.#keep(found.recipient);
    return found;
  }

  /** See recipientContexts; for mail from `remoteAddress`, when it is given. */
  async contexts(known: readonly KnownRecipient[], remoteAddress?: string): Promise<RecipientContext[]> {
    const views = await this.#viewsOf(known);
    const master = await this.master();
    return known.map((one) => {
      const view = requireView(views.get(one.clientId));
      const context = contextOf(one, view, master);
      const allowed = remoteAddress !== undefined && networkRule(view.networks, remoteAddress) === 'allow';
      return allowed ? { ...context, networkAllowed: true } : context;
    });
  }

  /** Throws `unavailable` when there is no such client any more. */
  async view(client: { readonly partnerId: string; readonly clientId: string }): Promise<ClientView> {
    return requireView((await this.#viewsOf([client])).get(client.clientId));
  }

  async master(): Promise<MasterView> {
    if (this.#master !== null && this.#isFresh()) return this.#master;
    const generation = this.#generation;
    const read = await this.#db.system((tx) => loadMasterView(tx), LOOK);
    if (this.#mayStore(generation)) this.#master = read;
    return read;
  }

  /** Looks for changes now, and once more when it was asked for while a look was under way. Never rejects. */
  check(): Promise<void> {
    if (this.#checking !== null) {
      this.#again = true;
      return this.#checking;
    }
    this.#checking = (async () => {
      do {
        this.#again = false;
        await this.#look();
      } while (this.#again);
      this.#checking = null;
    })();
    return this.#checking;
  }

  #wake(): void {
    void this.check();
  }

  async #look(): Promise<void> {
    const startedAt = this.#now();
    const before = this.#snapshot;
    try {
      const { snapshot, changes } = await this.#db.system((tx) => readChanges(tx, before), LOOK);
      // After a pause longer than rows are kept, rows may be gone: nothing of what is remembered is sure.
      if (before === null || startedAt - this.#checkedAt > this.#maxAge || changes.length > CHANGES_MAX)
        this.#forgetAll();
      else for (const change of changes) this.#forget(change);
      this.#snapshot = snapshot;
      this.#checkedAt = startedAt;
    } catch (error) {
      this.#logger?.warn({ err: error }, 'changes of the directory could not be looked for');
    }
  }

  #isFresh(): boolean {
    return this.#now() - this.#checkedAt <= this.#maxAge;
  }

  #mayStore(generation: number): boolean {
    return generation === this.#generation && this.#isFresh();
  }

  #keep(recipient: KnownRecipient): void {
    if (this.#size >= this.#max) this.#forgetOldest();
    const { partnerId, clientId, domain } = recipient;
    const kept = this.#domains.get(domain) ?? { partnerId, clientId, recipients: new Map<string, KnownRecipient>() };
    if (!kept.recipients.has(recipient.recipient)) this.#size += 1;
    kept.recipients.set(recipient.recipient, recipient);
    this.#domains.set(domain, kept);
  }

  #forgetOldest(): void {
    for (const [name, domain] of this.#domains) {
      this.#size -= domain.recipients.size;
      this.#domains.delete(name);
      if (this.#size < this.#max) return;
    }
  }

  async #viewsOf(clients: readonly { partnerId: string; clientId: string }[]): Promise<Map<string, ClientView>> {
    const views = new Map<string, ClientView>();
    const fresh = this.#isFresh();
    for (const { clientId } of clients) {
      const view = fresh ? this.#views.get(clientId) : undefined;
      if (view !== undefined) views.set(clientId, view);
    }
    const missing = clients.filter((one) => !views.has(one.clientId));
    if (missing.length === 0) return views;
    const generation = this.#generation;
    const read = await this.#db.system((tx) => loadClientViews(tx, missing), LOOK);
    for (const [id, view] of read) {
      views.set(id, view);
      if (!this.#mayStore(generation)) continue;
      for (const oldest of this.#views.keys()) {
        if (this.#views.size < CLIENTS_MAX) break;
        this.#views.delete(oldest);
      }
      this.#views.set(id, view);
    }
    return views;
  }

  #forget({ partner, client }: Change): void {
    this.#generation += 1;
    if (partner === null) {
      this.#master = null;
      return;
    }
    const concerns = (one: { partnerId: string; clientId: string }) =>
      one.partnerId === partner && (client === null || one.clientId === client);
    for (const [name, domain] of this.#domains) {
      if (!concerns(domain)) continue;
      this.#size -= domain.recipients.size;
      this.#domains.delete(name);
    }
    for (const [id, view] of this.#views) if (concerns(view)) this.#views.delete(id);
  }

  #forgetAll(): void {
    this.#generation += 1;
    this.#domains.clear();
    this.#views.clear();
    this.#master = null;
    this.#size = 0;
  }
}

const LOOK = { readOnly: true, perStatement: true } as const;
const CLIENTS_MAX = 5_000;
/** Changes that are looked at one by one; after more of them everything is forgotten. */
const CHANGES_MAX = 1_000;

interface Change {
  readonly partner: string | null;
  readonly client: string | null;
}

/** Changes whose transactions have become visible since `snapshot` (a pg_snapshot; null: none yet), and the snapshot of now. */
async function readChanges(
  tx: Parameters<Parameters<SystemDb['system']>[0]>[0],
  snapshot: string | null,
): Promise<{ snapshot: string; changes: Change[] }> {
  const since = snapshot ?? '1:1:';
  return tx.one<{ snapshot: string; changes: Change[] }>(sql`
    select pg_current_snapshot()::text as snapshot,
           coalesce((select jsonb_agg(jsonb_build_object('partner', n.partner, 'client', n.client)) from (
             select distinct c.partner, c.client from directory_changes c
             where ${snapshot !== null} and c.xid >= pg_snapshot_xmin(${since}::pg_snapshot)
               and not pg_visible_in_snapshot(c.xid, ${since}::pg_snapshot)
             limit ${CHANGES_MAX + 1}) n), '[]') as changes`);
}

/** Removes rows that every gateway has seen long ago. For a job. */
export async function pruneChanges(db: SystemDb): Promise<number> {
  // Rows have no time; what is behind the oldest running transaction by this many is older than any check.
  return db.system((tx) =>
    tx.run(sql`
      delete from directory_changes c
      where c.xid::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint - ${PRUNE_BEHIND}`),
  );
}

const PRUNE_BEHIND = 1_000_000;
