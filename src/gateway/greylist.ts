import { createHash } from 'node:crypto';
import { networkOf } from '../core/networks.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Milliseconds. A first try is deferred for `delay`; a second one counts within `window`; what passed is kept for `memory`. */
export const GREYLIST = Object.freeze({ delay: 240_000, window: 2 * 86_400_000, memory: 35 * 86_400_000 });

export interface GreylistTry {
  readonly partnerId: string;
  readonly clientId: string;
  readonly remoteAddress: string;
  readonly sender: string;
  readonly recipient: string;
}

/** `first`: this try began the wait; later ones within it do not. `waitMs`: how long it still lasts. */
export type GreylistAnswer =
  | { readonly pass: true }
  | { readonly pass: false; readonly first: boolean; readonly waitMs: number };

interface GreylistRow {
  key: Buffer;
  first_seen_at: Date;
  last_seen_at: Date;
  passed_at: Date | null;
}

const PASS: GreylistAnswer = { pass: true };
const REFRESH_MS = 86_400_000;

/**
 * Asks, and remembers, whether mail of this sender from this network for this recipient has waited. Passes when the network,
 * the sender to this client, or the triplet has passed in the last 35 days. One table for all nodes; when two nodes see the
 * first try at once, one of them writes and both defer.
 */
export async function askGreylist(db: SystemDb, attempt: GreylistTry): Promise<GreylistAnswer> {
  const { partnerId } = attempt;
  const keys = keysOf(attempt);
  const known = await db.system((tx) => readKeys(tx, partnerId, [keys.network, keys.sender, keys.triplet]), {
    readOnly: true,
    perStatement: true,
  });
  return db.system(async (tx) => {
    const now = tx.now.getTime();
    const passed = known.find((row) => row.passed_at !== null && now - row.last_seen_at.getTime() < GREYLIST.memory);
    if (passed !== undefined) {
      if (now - passed.last_seen_at.getTime() > REFRESH_MS) await touch(tx, partnerId, passed.key);
      return PASS;
    }
    const before = known.find((row) => row.key.equals(keys.triplet));
    const { inserted, first_seen_at } = await see(tx, partnerId, keys.triplet);
    const waited = now - first_seen_at.getTime();
    const fresh = inserted || (before !== undefined && before.first_seen_at < first_seen_at);
    if (fresh || waited < GREYLIST.delay) return { pass: false, first: fresh, waitMs: GREYLIST.delay - waited };
    await pass(tx, partnerId, [keys.network, keys.sender, keys.triplet]);
    return PASS;
  });
}

function keysOf(attempt: GreylistTry): { network: Buffer; sender: Buffer; triplet: Buffer } {
  const network = networkOf(attempt.remoteAddress);
  const { clientId, sender, recipient } = attempt;
  return {
    network: hash('network', clientId, network),
    // The null sender is everybody's: that one bounce came says nothing of the next.
    sender: sender === '' ? hash('null', clientId, network) : hash('sender', clientId, sender),
    triplet: hash('triplet', network, sender, recipient),
  };
}

function hash(...parts: readonly string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest();
}

function readKeys(tx: SystemTx, partnerId: string, keys: readonly Buffer[]): Promise<GreylistRow[]> {
  return tx.rows<GreylistRow>(sql`
    select key, first_seen_at, last_seen_at, passed_at from greylist
    where partner_id = ${partnerId} and key = any(${[...keys]}::bytea[])`);
}

/** Notes a try of a triplet that has not passed; its wait begins, or begins anew after the window. */
function see(tx: SystemTx, partnerId: string, key: Buffer): Promise<{ inserted: boolean; first_seen_at: Date }> {
  const expired = new Date(tx.now.getTime() - GREYLIST.window);
  return tx.one<{ inserted: boolean; first_seen_at: Date }>(sql`
    insert into greylist as g (partner_id, key, first_seen_at, last_seen_at)
    values (${partnerId}, ${key}, ${tx.now}, ${tx.now})
    on conflict (partner_id, key) do update set
      first_seen_at = case when g.first_seen_at < ${expired} then excluded.first_seen_at else g.first_seen_at end,
      passed_at = null,
      last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at)
    returning g.xmax = 0 as inserted, g.first_seen_at`);
}

function pass(tx: SystemTx, partnerId: string, keys: readonly Buffer[]): Promise<number> {
  // In one order on all nodes: two that pass at once must not wait for each other.
  const sorted = keys.toSorted(Buffer.compare);
  return tx.run(sql`
    insert into greylist as g (partner_id, key, first_seen_at, last_seen_at, passed_at)
    select ${partnerId}, k.key, ${tx.now}, ${tx.now}, ${tx.now} from unnest(${sorted}::bytea[]) as k (key)
    on conflict (partner_id, key) do update set passed_at = excluded.passed_at, last_seen_at = excluded.last_seen_at`);
}

function touch(tx: SystemTx, partnerId: string, key: Buffer): Promise<number> {
  return tx.run(sql`update greylist set last_seen_at = ${tx.now} where partner_id = ${partnerId} and key = ${key}`);
}
