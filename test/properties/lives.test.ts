import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import type { EventKind } from '../../src/core/event.ts';
import { newId } from '../../src/core/id.ts';
import type { RecipientContext } from '../../src/core/message.ts';
import { ACTIONS, type Action, type Disposition, VERDICTS, type Verdict } from '../../src/core/verdict.ts';
import type { Database, SystemTx } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { acceptanceOf } from '../../src/gateway/acceptance.ts';
import { writeMessages } from '../../src/gateway/commit.ts';
import {
  ANY,
  claim,
  type Job,
  type Outcome,
  postpone,
  removeEnded,
  updateDeliveries,
  wakeDue,
} from '../../src/gateway/queue.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { deliveryBalance, recount } from '../../src/ledger/read.ts';
import { discardDelivery, releaseDelivery } from '../../src/quarantine/decide.ts';
import { readStatistics } from '../../src/rollups/read.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { type SeededPartner, seedClient, seedPartner } from '../support/seed.ts';

/**
 * Rule 2 over the gateway's own writes: acceptance, queue and quarantine are the real ones, what the receiving servers
 * answer is chosen by fast-check, and so is which two things happen at the same time.
 */
interface Recipient {
  readonly client: number;
  readonly action: Action;
  readonly verdict: Verdict;
}

type Step =
  | { readonly does: 'accept'; readonly to: readonly Recipient[]; readonly commits: boolean }
  | { readonly does: 'refuse'; readonly client: number }
  | {
      readonly does: 'try';
      readonly owner: number;
      readonly ends: readonly Outcome['end'][];
      readonly commits: boolean;
    }
  | { readonly does: 'release' | 'discard'; readonly pick: number };

const recipient = fc.record({
  client: fc.integer({ min: 0, max: 2 }),
  action: fc.constantFrom(...ACTIONS),
  verdict: fc.constantFrom(...VERDICTS),
});
// Nine in ten are carried through; the others fail at the very end, as when the database goes away.
const commits = fc.integer({ min: 0, max: 9 }).map((dice) => dice > 0);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('accept' as const),
      to: fc.array(recipient, { minLength: 1, maxLength: 5 }),
      commits,
    }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('refuse' as const), client: fc.integer({ min: 0, max: 2 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('try' as const),
      owner: fc.integer({ min: 0, max: 1 }),
      ends: fc.array(fc.constantFrom<Outcome['end']>('delivered', 'delivered', 'deferred', 'bounced', 'expired'), {
        minLength: 1,
        maxLength: 4,
      }),
      commits,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constantFrom('release' as const, 'discard' as const), pick: fc.nat({ max: 20 }) }),
  },
);

interface Client {
  readonly partner: SeededPartner;
  readonly id: string;
  readonly domain: string;
}

class Abort extends Error {}

async function unlessAborted(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!(error instanceof Abort)) throw error;
  });
}

async function accept(tx: SystemTx, clients: readonly Client[], to: readonly Recipient[]): Promise<void> {
  const known = to.flatMap((one) => {
    const client = clients[one.client];
    return client === undefined ? [] : [{ ...one, client }];
  });
  const contexts = known.map(
    ({ client }, index): RecipientContext => ({
      recipient: `r${index}@${client.domain}`,
      domain: client.domain,
      partnerId: client.partner.id,
      clientId: client.id,
      mailboxId: null,
      policy: DEFAULT_POLICY,
      lists: [],
      ownDomains: [client.domain],
    }),
  );
  const envelope = {
    sender: 'bob@sender.example',
    remoteAddress: '192.0.2.1',
    remoteName: null,
    helo: 'sender.example',
    tls: true,
    direction: 'inbound' as const,
    authenticatedAs: null,
    receivedAt: tx.now,
  };
  const acceptance = acceptanceOf({ id: newId(), bytes: 1_000, sha256: '00' }, envelope, contexts, {
    decisions: known.map(({ action, verdict }) => ({ verdict, action, score: 0, reasons: [] })),
    facts: { messageId: '', fromAddress: '', fromName: '', subject: '', attachments: [] },
    authenticationResults: null,
  });
  await writeMessages(tx, acceptance.messages, 'one');
}

const DELIVERED = { none: 'delivered', tag: 'tagged', strip: 'stripped' } as const;

function outcomeOf(job: Job, end: Outcome['end'], now: Date): Outcome {
  const delivered = job.kind === 'release' ? 'released' : DELIVERED[job.transform];
  return {
    job,
    end,
    disposition: end === 'delivered' ? delivered : end,
    reply: '',
    dueAt: end === 'deferred' ? now : null,
  };
}

/** What the delivery worker writes after a try (gateway/deliver.ts). */
async function settle(tx: SystemTx, owner: string, outcomes: readonly Outcome[]): Promise<void> {
  const ended = await removeEnded(
    tx,
    owner,
    outcomes.filter((one) => one.end !== 'deferred'),
  );
  const waiting = await postpone(
    tx,
    owner,
    outcomes.filter((one) => one.end === 'deferred'),
  );
  const ours = outcomes.filter(({ job }) => ended.has(job.deliveryId) || waiting.has(job.deliveryId));
  await updateDeliveries(tx, ours);
  const told = ours.filter(
    ({ end, job }) => end !== 'deferred' || (job.disposition !== 'deferred' && job.kind !== 'release'),
  );
  await appendEvents(
    tx,
    told.map(({ job, end, disposition }) =>
      makeEvent({
        partnerId: job.partnerId,
        clientId: job.clientId,
        occurredAt: tx.now,
        kind: end,
        messageId: job.messageId,
        deliveryId: job.deliveryId,
        domain: job.ownDomain,
        verdict: job.verdict as Verdict,
        disposition: disposition as Disposition,
        leads: 0,
      }),
    ),
  );
}

async function play(db: Database, clients: readonly Client[], one: Step): Promise<void> {
  if (one.does === 'accept') {
    const work = db.system(async (tx) => {
      await accept(tx, clients, one.to);
      if (!one.commits) throw new Abort();
    });
    await unlessAborted(work);
  } else if (one.does === 'refuse') {
    const client = clients[one.client];
    if (client === undefined) return;
    const common = { partnerId: client.partner.id, clientId: client.id, kind: 'refused' as const, leads: 0 };
    const nothing = { messageId: null, deliveryId: null, verdict: null, disposition: null };
    await db.system((tx) => appendEvents(tx, [makeEvent({ ...common, ...nothing, occurredAt: tx.now })]));
  } else if (one.does === 'try') {
    const owner = `owner ${one.owner}`;
    const { jobs } = await db.system(async (tx) => {
      await wakeDue(tx, 1_000);
      return claim(tx, owner, { ...ANY, lanes: one.ends.length, domains: 1, rows: 1 });
    });
    const work = db.system(async (tx) => {
      await settle(
        tx,
        owner,
        jobs.map((job, index) => outcomeOf(job, one.ends[index] ?? 'deferred', tx.now)),
      );
      if (!one.commits) throw new Abort();
    });
    await unlessAborted(work);
  } else {
    const client = clients[one.pick % clients.length];
    if (client === undefined) return;
    await db.tenant(client.partner.id, async (tx) => {
      const held = await tx.rows<{ id: string }>(
        sql`select id from deliveries where disposition = 'quarantined' order by id for update`,
      );
      const id = held[one.pick % Math.max(1, held.length)]?.id;
      if (id === undefined) return;
      if (one.does === 'release') await releaseDelivery(tx, id, 'test', 'admin');
      else await discardDelivery(tx, id, 'test');
    });
  }
}

async function checkBalance(db: Database, clients: readonly Client[]): Promise<void> {
  for (const { id, partner } of clients) {
    const balance = await db.tenant(partner.id, (tx) => deliveryBalance(tx, partner.id, id), { readOnly: true });
    const by = (of: Disposition) => balance.byDisposition.get(of) ?? 0;
    const sum = [...balance.byDisposition.values()].reduce((total, n) => total + n, 0);
    assert.equal(
      balance.accepted,
      sum,
      'accepted = delivered + quarantined + bounced + expired + discarded + still queued',
    );
    assert.equal(balance.queued, by('queued') + by('deferred'), 'what has not ended is in the queue, and nothing else');
  }
}

test('rule 2: every delivery ends once; the equation holds at any moment, for every client', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const [north, south] = [await seedPartner(db, 'North'), await seedPartner(db, 'South')];
  const clients: Client[] = [];
  for (const [partner, domain] of [
    [north, 'a.example'],
    [north, 'b.example'],
    [south, 'c.example'],
  ] as const) {
    clients.push({ partner, id: await seedClient(db, partner.id, { domain }), domain });
  }

  const property = fc.asyncProperty(
    fc.array(fc.tuple(step, step), { minLength: 8, maxLength: 16, size: 'max' }),
    async (pairs) => {
      for (const pair of pairs) {
        clock.advance(60_000);
        await Promise.all([...pair.map((one) => play(db, clients, one)), checkBalance(db, clients)]);
        await checkBalance(db, clients);
      }
      // What an aborted try had leased is free again after the lease.
      clock.advance(3_600_000);
    },
  );
  await fc.assert(property, { numRuns: 12, endOnFailure: true });

  const lives = await owner.query<{ kinds: EventKind[]; disposition: Disposition; queued: boolean }>(`
    select array_agg(e.kind order by e.id) as kinds, d.disposition, exists (select from queue q where q.delivery_id = d.id) as queued
    from ledger e join deliveries d on d.partner_id = e.partner_id and d.id = e.delivery_id
    group by d.partner_id, d.id, d.disposition`);
  assert.ok(lives.rows.length > 50, 'enough was played');
  const seen = new Set<string>();
  for (const { kinds, queued } of lives.rows) {
    const life = kinds.map((kind) => LETTERS[kind] ?? '?').join('');
    assert.match(life, queued ? UNDER_WAY : ENDED);
    seen.add(life);
  }
  assert.ok(seen.size >= 5, `lives of many kinds: ${[...seen].join(' ')}`);

  await rollAll(db);
  assert.deepEqual((await verify(db)).differences, []);
  const period = { from: '2026-10-01', to: '2026-11-30', zone: 'UTC' };
  const range = { start: new Date('2026-10-01T00:00:00Z'), end: new Date('2026-12-01T00:00:00Z') };
  for (const { id, partner } of clients) {
    await db.tenant(partner.id, async (tx) => {
      const { totals } = await readStatistics(tx, { clientId: id, period, granularity: 'DAY' });
      assert.deepEqual(totals, await recount(tx, partner.id, id, range));
      const balance = await deliveryBalance(tx, partner.id, id);
      assert.equal(totals.deliveries, balance.accepted);
      assert.equal(
        [...totals.byVerdict.values()].reduce((sum, n) => sum + n, 0),
        totals.deliveries,
      );
    });
  }
});

const LETTERS: Readonly<Partial<Record<EventKind, string>>> = {
  accepted: 'a',
  rejected: 'x',
  deferred: 'w',
  quarantined: 'q',
  discarded: 'g',
  delivered: 'd',
  bounced: 'b',
  expired: 'e',
  release_requested: 'r',
};
/** The legal lives. A release starts a second way to an end, which is then the only one that counts. */
const ENDED = /^(x|a(w?[dbe]|g|q(g|r[dbe])?))$/;
const UNDER_WAY = /^(aw?|aqr)$/;
