import type { Clock } from '../core/clock.ts';
import type { SystemDb, SystemTx, TxObserver } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/**
 * How far a node has told all: every event of this node that happened before `flushed_through` is committed.
 *
 * The node marks each writing transaction with the time its events carry (`open` before, `close` after its end; the database
 * does it by itself through `observe`); what is flushed ends just before the oldest open mark. `beat` writes it in a
 * transaction that begins after the flushed ones have ended, so its transaction id is higher than theirs: the roller believes
 * a heartbeat once that id is below its horizon. A node must beat once before it accepts anything.
 */
export class NodeWatermark implements TxObserver {
  readonly #db: SystemDb;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #role: string;
  readonly #open = new Map<symbol, number>();
  readonly #startedAt: Date;
  /** Heartbeats go one after the other, so that the last word is the last one written. */
  #last: Promise<void> = Promise.resolve();
  #stopped = false;

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
    // A loop: as many marks as there are transactions are too many for the arguments of one call under a flood.
    let through = this.#clock.now().getTime();
    // One millisecond before the oldest mark: its own events carry the mark's very time.
    for (const at of this.#open.values()) through = Math.min(through, at - 1);
    return new Date(through);
  }

  /** Tells. Wanted every second or so; a node that is silent holds its period incomplete (rule 4). Nothing after `stop`. */
  beat(): Promise<void> {
    return this.#stopped ? this.#last : this.#queue(() => this.#tell('alive'));
  }

  /**
   * The last word of a node that ends in order: it has told all, and holds nothing back from here on. To be called when
   * nothing of the node writes any more. If a transaction is open all the same its end is unknown, so that the node is left
   * as one that fell silent: it holds until it returns or is retired.
   */
  stop(): Promise<void> {
    if (this.#stopped) return this.#last;
    this.#stopped = true;
    return this.#queue(() => this.#tell(this.#open.size === 0 ? 'stopped' : 'alive'));
  }

  #queue(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work, work);
    return this.#last;
  }

  async #tell(state: 'alive' | 'stopped'): Promise<void> {
    // Before the transaction begins: what ended until now has a lower transaction id than it.
    const flushedThrough = this.flushedThrough();
    const beat = { id: this.#node, role: this.#role, startedAt: this.#startedAt, flushedThrough, state };
    await this.#db.system((tx) => writeBeat(tx, beat));
  }
}

interface Beat {
  readonly id: string;
  readonly role: string;
  readonly startedAt: Date;
  readonly flushedThrough: Date;
  readonly state: 'alive' | 'stopped';
}

async function writeBeat(tx: SystemTx, beat: Beat): Promise<void> {
  // A clock that was set back never takes back what was said.
  await tx.run(sql`
    insert into nodes as n (id, role, started_at, heartbeat_at, flushed_through, state)
    values (${beat.id}, ${beat.role}, ${beat.startedAt}, ${tx.now}, ${beat.flushedThrough}, ${beat.state})
    on conflict (id) do update set role = excluded.role, started_at = excluded.started_at,
      heartbeat_at = excluded.heartbeat_at, flushed_through = greatest(n.flushed_through, excluded.flushed_through),
      state = excluded.state`);
  await tx.run(sql`
    insert into node_beats (node, heartbeat_at, flushed_through, state)
    values (${beat.id}, ${tx.now}, ${beat.flushedThrough}, ${beat.state})`);
}

/**
 * Takes a dead node out of the account: what it may still have held is given up, and the periods it held open become
 * complete without it. An administrator's decision, recorded by the caller. Answers whether there was such a node.
 */
export async function retireNode(tx: SystemTx, node: string): Promise<boolean> {
  const rows = await tx.run(sql`
    with retired as (
      update nodes set state = 'retired' where id = ${node} and state <> 'retired' returning id, flushed_through)
    insert into node_beats (node, heartbeat_at, flushed_through, state)
    select r.id, ${tx.now}, r.flushed_through, 'retired' from retired r`);
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
