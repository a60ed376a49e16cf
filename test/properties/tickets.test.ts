import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { ticketKey } from '../../src/tickets/key.ts';
import { advance, type Filing, LostLease, type TicketDeps, type TicketStore } from '../../src/tickets/protocol.ts';
import {
  LEASE_MS,
  NOTE_EVERY_MS,
  patched,
  SETTLE_MS,
  type TicketPatch,
  type TicketWork,
} from '../../src/tickets/state.ts';
import { ModelPsa, type ModelTicket, type WriteFault } from '../support/model-psa.ts';

class Crash extends Error {}

interface Row {
  work: TicketWork;
  nextAt: Date | null;
  leaseUntil: Date | null;
}

/** The ticket protocol with its incidents in memory: the same functions that run on PostgreSQL, one matter, one PSA. */
class World {
  readonly clock = new ManualClock('2026-10-14T09:30:00Z');
  readonly psa = new ModelPsa(this.clock);
  readonly rows: Row[] = [];
  mapped = true;
  occurrences = 0;
  crashAt: number | null = null;
  /** Ids of tickets that were closed by a person, with the notes that they had then. */
  readonly closedByPerson = new Map<string, number>();
  deletions = 0;
  #ids = 0;
  readonly #deps: TicketDeps;

  constructor() {
    const finish = async (work: TicketWork, patch: TicketPatch) => {
      this.#write(work, patch, false);
    };
    const store: TicketStore = {
      now: () => this.clock.now(),
      announce: async (work, patch) => this.#write(work, patch, true),
      finish,
      hold: (work) => finish(work, { ticketState: 'held', connectionId: null, intentAt: null }),
      closedByTechnician: async (work, patch) => {
        const row = this.#row(work);
        await finish(work, patch);
        if (row.work.state !== 'open') return;
        row.work = { ...row.work, state: 'resolved', resolution: 'closed in the PSA' };
        const untold = row.work.occurrences - row.work.notedOccurrences;
        if (untold > 0) this.#insert(untold);
      },
      earlierNumber: async (work) =>
        this.rows.findLast((row) => row.work.id !== work.id && row.work.ticketNumber !== null)?.work.ticketNumber ??
        null,
    };
    this.#deps = {
      store,
      logger: silentLogger,
      fault: () => {
        if (this.crashAt === null) return;
        this.crashAt -= 1;
        if (this.crashAt < 0) {
          this.crashAt = null;
          throw new Crash();
        }
      },
    };
  }

  #row(work: TicketWork): Row {
    const row = this.rows.find((one) => one.work.id === work.id && one.work.epoch === work.epoch);
    if (row === undefined) throw new LostLease('fenced off');
    return row;
  }

  #write(given: TicketWork, patch: TicketPatch, keepLease: boolean): TicketWork {
    const row = this.#row(given);
    const now = this.clock.now();
    const { work, nextAt } = patched(row.work, patch, now);
    row.work = work;
    row.nextAt = nextAt;
    row.leaseUntil = keepLease ? new Date(now.getTime() + LEASE_MS) : null;
    return work;
  }

  #insert(occurrences: number): void {
    this.#ids += 1;
    const now = this.clock.now();
    const subject = { partnerId: 'p', clientId: 'c', rule: 'r', subject: 's' };
    const work: TicketWork = {
      ...subject,
      id: String(this.#ids),
      state: 'open',
      severity: 'high',
      title: 'title',
      description: 'description',
      resolution: null,
      occurrences,
      openedAt: now,
      lastSeenAt: now,
      ticketState: 'wanted',
      ticketKey: ticketKey(subject, String(this.#ids)),
      ticketId: null,
      ticketNumber: null,
      connectionId: null,
      attempts: 0,
      intentAt: null,
      note: null,
      notedOccurrences: occurrences,
      epoch: 0,
    };
    this.rows.push({ work, nextAt: now, leaseUntil: null });
  }

  /** openIncident */
  open(): void {
    this.occurrences += 1;
    const row = this.rows.find((one) => one.work.state === 'open');
    if (row === undefined) {
      this.#insert(1);
      return;
    }
    row.work = { ...row.work, occurrences: row.work.occurrences + 1, lastSeenAt: this.clock.now() };
    if (row.work.ticketState === 'open') {
      const due = Math.max(this.clock.now().getTime(), (row.work.intentAt?.getTime() ?? 0) + NOTE_EVERY_MS);
      row.nextAt = new Date(Math.min(row.nextAt?.getTime() ?? due, due));
    }
  }

  /** resolveIncident */
  resolve(): void {
    const row = this.rows.find((one) => one.work.state === 'open');
    if (row === undefined) return;
    const { ticketState } = row.work;
    const next = ticketState === 'open' ? 'resolving' : ticketState === 'held' ? 'none' : ticketState;
    row.work = { ...row.work, state: 'resolved', resolution: 'over', ticketState: next };
    if (ticketState === 'open') row.nextAt = this.clock.now();
  }

  map(mapped: boolean): void {
    this.mapped = mapped;
    if (!mapped) return;
    for (const row of this.rows.filter((one) => one.work.ticketState === 'held')) {
      row.work = { ...row.work, ticketState: 'wanted' };
      row.nextAt = this.clock.now();
    }
  }

  /** One worker's pass over what is due. */
  async sync(): Promise<number> {
    const filing: Filing | null = this.mapped ? { connectionId: 'psa', companyId: '1' } : null;
    for (let steps = 0; steps < 50; steps += 1) {
      const now = this.clock.now();
      const row = this.rows.find(
        (one) => one.nextAt !== null && one.nextAt <= now && (one.leaseUntil === null || one.leaseUntil <= now),
      );
      if (row === undefined) return steps;
      row.work = { ...row.work, epoch: row.work.epoch + 1 };
      row.leaseUntil = new Date(now.getTime() + LEASE_MS);
      try {
        if ((await advance(this.#deps, this.psa, row.work, filing)) === 'unreachable') return steps + 1;
      } catch (error) {
        if (error instanceof Crash) return steps + 1;
        if (!(error instanceof LostLease)) throw error;
      }
    }
    return assert.fail('the work never ends');
  }

  person(act: 'close' | 'delete' | 'merge'): void {
    const ticket = this.psa.tickets.findLast(
      (one) => one.open && !one.deleted && one.mergedInto === null && one.key !== '',
    );
    if (ticket === undefined) return;
    if (act === 'close') {
      ticket.open = false;
      this.closedByPerson.set(ticket.id, ticket.notes.length);
    } else if (act === 'delete') {
      ticket.deleted = true;
      this.deletions += 1;
    } else {
      const into: ModelTicket = { ...ticket, id: `m${ticket.id}`, key: '', notes: [], mergedInto: null };
      this.psa.tickets.push(into);
      ticket.mergedInto = into;
    }
  }

  async drain(): Promise<void> {
    this.psa.writeFaults = [];
    this.psa.readFault = 'ok';
    this.crashAt = null;
    this.map(true);
    for (let round = 0; round < 12; round += 1) {
      this.clock.advance(SETTLE_MS + 60 * 60_000);
      this.psa.tick();
      await this.sync();
    }
  }

  /** True at any moment. */
  check(): void {
    const open = this.rows.filter((row) => row.work.state === 'open');
    assert.ok(open.length <= 1, 'two open incidents of one matter');
    const counted = this.rows.reduce((sum, row) => sum + row.work.occurrences, 0);
    // What a technician's closing left untold is counted in both incidents.
    assert.ok(counted >= this.occurrences, 'an occurrence was lost');
    const alive = new Map<string, number>();
    for (const ticket of this.psa.tickets.filter((one) => !one.deleted && one.key !== '')) {
      alive.set(ticket.key, (alive.get(ticket.key) ?? 0) + 1);
      assert.ok((alive.get(ticket.key) ?? 0) <= 1, `two tickets for ${ticket.key}`);
      assert.equal(ticket.companyId, '1');
    }
    for (const [id, notes] of this.closedByPerson) {
      const ticket = this.psa.tickets.find((one) => one.id === id);
      assert.equal(ticket?.open, false, 'a closed ticket was opened again');
      assert.ok((ticket?.notes.length ?? 0) <= notes + 1, 'notes go to a closed ticket');
    }
  }
}

type Step =
  | { readonly do: 'open' | 'resolve' }
  | { readonly do: 'sync'; readonly workers: number }
  | { readonly do: 'write-fault'; readonly fault: WriteFault }
  | { readonly do: 'read-fault'; readonly down: boolean }
  | { readonly do: 'crash'; readonly after: number }
  | { readonly do: 'wait'; readonly seconds: number }
  | { readonly do: 'map'; readonly mapped: boolean }
  | { readonly do: 'person'; readonly act: 'close' | 'delete' | 'merge' };

const step = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Step>({ do: 'open' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'resolve' }) },
  { weight: 7, arbitrary: fc.integer({ min: 1, max: 3 }).map((workers): Step => ({ do: 'sync', workers })) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom<WriteFault>('late', 'late', 'late', 'lost', 'vanished', 'busy', 'refused', 'ok')
      .map((fault): Step => ({ do: 'write-fault', fault })),
  },
  { weight: 1, arbitrary: fc.boolean().map((down): Step => ({ do: 'read-fault', down })) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 4 }).map((after): Step => ({ do: 'crash', after })) },
  {
    weight: 5,
    arbitrary: fc
      .oneof(fc.constantFrom(31, 45), fc.integer({ min: 1, max: 130 }), fc.integer({ min: 1, max: 1_800 }))
      .map((seconds): Step => ({ do: 'wait', seconds })),
  },
  { weight: 1, arbitrary: fc.boolean().map((mapped): Step => ({ do: 'map', mapped })) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('close' as const, 'delete' as const, 'merge' as const)
      .map((act): Step => ({ do: 'person', act })),
  },
);

async function take(world: World, one: Step): Promise<void> {
  switch (one.do) {
    case 'open':
      return world.open();
    case 'resolve':
      return world.resolve();
    case 'sync':
      await Promise.all(Array.from({ length: one.workers }, () => world.sync()));
      return;
    case 'write-fault':
      world.psa.writeFaults.push(one.fault);
      return;
    case 'read-fault':
      world.psa.readFault = one.down ? 'down' : 'ok';
      return;
    case 'crash':
      world.crashAt = one.after;
      return;
    case 'wait':
      world.clock.advance(one.seconds * 1_000);
      return;
    case 'map':
      return world.map(one.mapped);
    case 'person':
      return world.person(one.act);
  }
}

test('whatever fails, one ticket per incident; closed stays closed; every incident is told in the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (sequence) => {
      const world = new World();
      for (const one of sequence) {
        await take(world, one);
        world.check();
      }
      await world.drain();
      world.check();
      const created = world.psa.tickets.filter((ticket) => ticket.key !== '').length;
      assert.ok(created <= world.rows.length + world.deletions, 'a ticket too many');
      for (const { work } of world.rows) {
        if (work.ticketState === 'none') continue;
        assert.ok(work.ticketNumber !== null, `incident ${work.id} was never told: ${work.ticketState}`);
        assert.equal(work.ticketState, work.state === 'open' ? 'open' : 'resolved');
        if (work.state === 'open')
          assert.equal(work.notedOccurrences, work.occurrences, 'an occurrence was never told');
      }
      for (const ticket of world.psa.tickets) {
        if (ticket.deleted || ticket.mergedInto !== null || ticket.key === '') continue;
        const row = world.rows.find(({ work }) => work.ticketKey === ticket.key);
        assert.equal(
          ticket.open,
          row?.work.state === 'open',
          'a ticket is open and its incident is not, or the reverse',
        );
      }
      const writes = world.psa.writes;
      world.clock.advance(2 * 60 * 60_000);
      await world.sync();
      assert.equal(world.psa.writes, writes, 'a second synchronisation wrote');
    }),
    { numRuns: 5_000 },
  );
});

test('a key fits every PSA, is stable, and differs for every incident and every matter', () => {
  const text = fc.string({ maxLength: 30 });
  const subject = fc.record({ partnerId: text, clientId: text, rule: text, subject: text });
  fc.assert(
    fc.property(subject, subject, text, text, (a, b, first, second) => {
      const key = ticketKey(a, first);
      assert.match(key, /^tg-[0-9a-f]{16}-[0-9a-f]{24}$/);
      assert.equal(key, ticketKey({ ...a }, first));
      if (first !== second) assert.notEqual(key, ticketKey(a, second));
      if (JSON.stringify(Object.values(a)) !== JSON.stringify(Object.values(b))) {
        assert.notEqual(key.slice(0, 19), ticketKey(b, first).slice(0, 19));
      }
    }),
    { numRuns: 1_000 },
  );
});
