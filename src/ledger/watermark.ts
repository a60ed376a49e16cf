import type { Clock } from '../core/clock.ts';
import type { SystemDb, SystemTx, TxObserver } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/**
 * How far a node has told all: every event of this node that happened at or before `flushed_through` is committed.
 *
 * The node marks each writing transaction with the time its events carry (`open` before, `close` after its end); what is
 * flushed ends just before the oldest open mark. `beat` writes it in a transaction that begins after the flushed ones have
 * committed, so its transaction id is higher than theirs: the roller believes a heartbeat once that id is below its horizon.
 */
export class NodeWatermark implements TxObserver {
  readonly #db: SystemDb;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #role: string;
  readonly #open = new Map<symbol, number>();
  readonly #startedAt: Date;

  constructor(db: SystemDb, clock: Clock, node: string, role: string) {
    this.#db = db;
    this.#clock = clock;
    this.#node = node;
    this.#role = role;
    this.#startedAt = clock.now();
  }

  /** Before a transaction whose events carry the time `at`. */
  open(at: Date): symbol {
    const mark = Symbol(at.toISOString());
    this.#open.set(mark, at.getTime());
    return mark;
  }

  /** After the transaction has ended, however it ended. */
  close(mark: unknown): void {
    if (typeof mark === 'symbol') this.#open.delete(mark);
  }

  /** The moment before which nothing of this node is still on its way. */
  flushedThrough(): Date {
    const now = this.#clock.now().getTime();
    // One millisecond before the oldest mark: its own events carry the mark's very time.
    return new Date(Math.min(now, ...[...this.#open.values()].map((at) => at - 1)));
  }

  /** Tells. Wanted every second or so; a node that is silent holds its period incomplete (rule 4). */
  async beat(): Promise<void> {
    const through = this.flushedThrough();
    await this.#db.system((tx) => writeBeat(tx, this.#row(through, 'alive')));
  }

  /** The last word of a node that ends in order: it has told all, and holds nothing back from here on. */
  async stop(): Promise<void> {
    const through = this.flushedThrough();
    await this.#db.system((tx) => writeBeat(tx, this.#row(through, 'stopped')));
  }

  #row(flushedThrough: Date, state: 'alive' | 'stopped'): BeatRow {
    return { id: this.#node, role: this.#role, startedAt: this.#startedAt, flushedThrough, state };
  }
}

interface BeatRow {
  readonly id: string;
  readonly role: string;
  readonly startedAt: Date;
  readonly flushedThrough: Date;
  readonly state: 'alive' | 'stopped';
}

async function writeBeat(tx: SystemTx, row: BeatRow): Promise<void> {
  // A clock that was set back never takes back what was said.
  await tx.run(sql`
    insert into nodes as n (id, role, started_at, heartbeat_at, flushed_through, state)
    values (${row.id}, ${row.role}, ${row.startedAt}, ${tx.now}, ${row.flushedThrough}, ${row.state})
    on conflict (id) do update set role = excluded.role, started_at = excluded.started_at,
      heartbeat_at = excluded.heartbeat_at, flushed_through = greatest(n.flushed_through, excluded.flushed_through),
      state = excluded.state, xid = pg_current_xact_id()`);
}

/**
 * Takes a dead node out of the account: what it may still have held is given up, and the periods it held open become
 * complete without it. An administrator's decision, recorded by the caller. Answers whether there was such a node.
 */
export async function retireNode(tx: SystemTx, node: string): Promise<boolean> {
  const rows = await tx.run(sql`
    update nodes set state = 'retired', xid = pg_current_xact_id() where id = ${node} and state <> 'retired'`);
  return rows > 0;
}

export interface NodeState {
  readonly id: string;
  readonly role: string;
  readonly state: 'alive' | 'stopped' | 'retired';
  readonly heartbeatAt: Date;
  readonly flushedThrough: Date;
}

export async function listNodes(tx: SystemTx): Promise<NodeState[]> {
  return tx.rows<NodeState>(sql`
    select id, role, state, heartbeat_at as "heartbeatAt", flushed_through as "flushedThrough" from nodes order by id`);
}
