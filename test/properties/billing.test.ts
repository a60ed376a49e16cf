import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type LineInput, planLine } from '../../src/billing/line.ts';
import {
  type ApplyLine,
  advanceLine,
  type LineDeps,
  type LineEnd,
  type LineStore,
  SETTLE_MS,
} from '../../src/billing/protocol.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/log.ts';
import { localDate } from '../../src/core/period.ts';
import type { PsaKind } from '../../src/core/psa.ts';
import { type ModelLine, ModelPsa, type WriteFault } from '../support/model-psa.ts';

class Crash extends Error {}

/** The billing protocol with its line in memory: the same functions that run on PostgreSQL. */
class World {
  readonly clock = new ManualClock('2026-10-14T09:30:00Z');
  readonly psa: ModelPsa;
  readonly line: ModelLine;
  /** What is counted here; null: no snapshot of the day. */
  counted: number | null;
  row: ApplyLine | null = null;
  end: LineEnd | null = null;
  crashAt: number | null = null;
  /** Quantities between which the PSA's must stay until a person edits it. */
  low: number;
  high: number;
  readonly #deps: LineDeps;

  constructor(kind: PsaKind, billed: number, counted: number) {
    this.psa = new ModelPsa(this.clock, kind);
    this.line = this.psa.addLine('l1', billed);
    this.counted = counted;
    this.low = Math.min(billed, counted);
    this.high = Math.max(billed, counted);
    const matches = (given: ApplyLine) =>
      this.row !== null && this.row.state === given.state && this.row.sentAt?.getTime() === given.sentAt?.getTime();
    const store: LineStore = {
      now: () => this.clock.now(),
      intend: async (given, effectiveDate, sentAt) => {
        if (this.row?.state !== 'planned') return false;
        this.row = { ...given, state: 'sending', sentAt, effectiveDate };
        return true;
      },
      confirm: async (given) => {
        if (!matches(given)) return false;
        this.row = { ...given, state: 'sent' };
        return true;
      },
      takeBack: async (given) => {
        if (!matches(given)) return false;
        this.row = { ...given, state: 'planned', sentAt: null };
        return true;
      },
      end: async (given, end) => {
        if (!matches(given)) return false;
        this.row = null;
        this.end = end;
        return true;
      },
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

  #input(): LineInput {
    return {
      clientId: 'client',
      product: 'mailbox-protection',
      clientStatus: 'active',
      timeZone: 'UTC',
      quantity: this.counted,
      subscription: { connectionId: 'psa', ...this.line.ref },
      mapping: { connectionId: 'psa', companyId: '1', state: 'ok' },
    };
  }

  /** A new plan: only when the one before has ended, as createPlan refuses it otherwise. */
  async plan(): Promise<'unchanged' | 'planned' | 'held' | 'busy'> {
    if (this.row !== null && this.row.state !== 'planned') return 'busy';
    const day = localDate(this.clock.now(), 'UTC');
    const input = this.#input();
    const read = await this.psa.readSubscription(this.line.ref).then(
      (subscription) =>
        subscription === null
          ? ({ kind: 'missing' } as const)
          : ({ kind: 'read', subscription, effectiveDate: day } as const),
      () => ({ kind: 'failed' }) as const,
    );
    const planned = planLine(input, read, null);
    if (read.kind === 'failed') assert.equal(planned.before, null, 'a failed read became a number');
    if (this.counted === null) assert.equal(planned.state, 'held');
    this.row = null;
    if (planned.state !== 'planned' || planned.before === null || planned.target === null) return planned.state;
    this.row = {
      clientId: 'client',
      product: 'mailbox-protection',
      connectionId: 'psa',
      ref: this.line.ref,
      before: planned.before,
      target: planned.target,
      effectiveDate: day,
      state: 'planned',
      sentAt: null,
    };
    return 'planned';
  }

  /** Any number of workers at once. */
  async apply(workers: number): Promise<void> {
    const row = this.row;
    if (row === null) return;
    const results = await Promise.allSettled(
      Array.from({ length: workers }, () => advanceLine(this.#deps, this.psa, row, '1')),
    );
    for (const result of results)
      if (result.status === 'rejected') assert.ok(result.reason instanceof Crash, String(result.reason));
  }

  /** Lets everything come to rest: no faults, enough time, plans and applications. Answers with the last plan's state. */
  async drain(): Promise<string> {
    this.psa.writeFaults = [];
    this.psa.readFault = 'ok';
    this.crashAt = null;
    for (let round = 0; round < 12; round += 1) {
      await this.apply(1);
      this.clock.advance(SETTLE_MS / 2);
      this.psa.tick();
      if (this.row === null && (await this.plan()) === 'unchanged') return 'unchanged';
    }
    return 'restless';
  }

  check(): void {
    const worst = this.line.history.filter((quantity) => quantity < this.low || quantity > this.high);
    assert.deepEqual(worst, [], `outside ${this.low}..${this.high}: ${this.line.history.join(', ')}`);
  }
}

type Step =
  | { readonly do: 'plan' }
  | { readonly do: 'apply'; readonly workers: number }
  | { readonly do: 'write-fault'; readonly fault: WriteFault }
  | { readonly do: 'read-fault'; readonly down: boolean }
  | { readonly do: 'crash'; readonly after: number }
  | { readonly do: 'wait'; readonly seconds: number }
  | { readonly do: 'count'; readonly quantity: number | null }
  | { readonly do: 'edit'; readonly quantity: number };

const quantity = fc.integer({ min: 0, max: 40 });
const steps = (edits: boolean) =>
  fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constant<Step>({ do: 'plan' }) },
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 3 }).map((workers): Step => ({ do: 'apply', workers })) },
      {
        weight: 4,
        arbitrary: fc
          .constantFrom<WriteFault>('lost', 'late', 'vanished', 'busy', 'refused', 'ok')
          .map((fault): Step => ({ do: 'write-fault', fault })),
      },
      { weight: 2, arbitrary: fc.boolean().map((down): Step => ({ do: 'read-fault', down })) },
      { weight: 3, arbitrary: fc.integer({ min: 0, max: 6 }).map((after): Step => ({ do: 'crash', after })) },
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 200 }).map((seconds): Step => ({ do: 'wait', seconds })) },
      { weight: 1, arbitrary: fc.option(quantity).map((counted): Step => ({ do: 'count', quantity: counted })) },
      ...(edits ? [{ weight: 2, arbitrary: quantity.map((edited): Step => ({ do: 'edit', quantity: edited })) }] : []),
    ),
    { maxLength: 30 },
  );

async function take(world: World, step: Step): Promise<void> {
  switch (step.do) {
    case 'plan':
      await world.plan();
      return;
    case 'apply':
      return world.apply(step.workers);
    case 'write-fault':
      world.psa.writeFaults.push(step.fault);
      return;
    case 'read-fault':
      world.psa.readFault = step.down ? 'down' : 'ok';
      return;
    case 'crash':
      world.crashAt = step.after;
      return;
    case 'wait':
      world.clock.advance(step.seconds * 1_000);
      return;
    case 'count':
      world.counted = step.quantity;
      if (step.quantity !== null) {
        world.low = Math.min(world.low, step.quantity);
        world.high = Math.max(world.high, step.quantity);
      }
      return;
    case 'edit':
      world.line.quantity = step.quantity;
      world.line.history.push(step.quantity);
  }
}

for (const kind of ['autotask', 'connectwise'] as const) {
  test(`${kind}: whatever fails, the PSA never bills beyond old and new, and ends at the counted units`, async () => {
    await fc.assert(
      fc.asyncProperty(quantity, quantity, steps(false), async (billed, counted, sequence) => {
        const world = new World(kind, billed, counted);
        for (const step of sequence) {
          await take(world, step);
          world.check();
        }
        world.counted ??= counted;
        assert.equal(await world.drain(), 'unchanged');
        world.check();
        assert.equal(world.line.quantity, world.counted);
        const writes = world.psa.writes;
        assert.equal(await world.plan(), 'unchanged');
        await world.apply(2);
        assert.equal(world.psa.writes, writes, 'a second synchronisation wrote');
      }),
      { numRuns: 1_500 },
    );
  });
}

test('whoever edits the PSA meanwhile, it converges, and an ended line that was verified held its target', async () => {
  await fc.assert(
    fc.asyncProperty(quantity, quantity, steps(true), async (billed, counted, sequence) => {
      const world = new World('autotask', billed, counted);
      for (const step of sequence) await take(world, step);
      world.counted ??= counted;
      assert.equal(await world.drain(), 'unchanged');
      assert.equal(world.line.quantity, world.counted);
    }),
    { numRuns: 1_000 },
  );
});

test('without the settle window the same model finds the double write: it can tell', async () => {
  const naive = async (billed: number, counted: number) => {
    const world = new World('autotask', billed, counted);
    world.psa.writeFaults = ['late'];
    // Reads before it writes, and writes again at once when the answer does not come.
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const read = await world.psa.readSubscription(world.line.ref);
      if (read === null || read.quantity === counted) continue;
      const change = { before: read.quantity, target: counted, effectiveDate: '2026-10-14' };
      await world.psa.writeQuantity(world.line.ref, change).catch(() => undefined);
    }
    world.clock.advance(SETTLE_MS);
    world.psa.tick();
    world.check();
  };
  await assert.rejects(naive(1, 2), /outside 1\.\.2: 1, 2, 3/);
});
