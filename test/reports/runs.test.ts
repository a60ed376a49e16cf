import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type AttachDeps, attachDue } from '../../reports/attach.ts';
import { issuedFormat, renderReport } from '../../reports/catalog.ts';
import { requestRun, type SweepDeps, sweepRuns } from '../../reports/runs.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { DocumentInput, Psa, PsaDocument } from '../../src/core/psa.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const NO_OTHERS = { incidents: async () => [], usage: async () => [] };
const DAY = { from: '2026-10-14', to: '2026-10-14' };

/** A client whose 14 October is over and completely counted. */
async function start(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const node = new NodeWatermark(db, clock, 'gateway-1', 'gateway');
  clock.set('2026-10-17T06:00:00Z');
  await node.beat();
  await rollAll(db);
  const contents: Buffer[] = [];
  const deps: SweepDeps = {
    db,
    clock,
    logger: silentLogger,
    putContent: async (bytes) => ({ id: String(contents.push(bytes) - 1) }),
    render: (tx, run) =>
      renderReport(NO_OTHERS, tx, {
        ...run,
        period: { from: run.from, to: run.to, zone: run.timeZone },
        format: issuedFormat(run.report),
        now: clock.now(),
      }),
  };
  const request = (report: string) =>
    db.tenant(partner.id, (tx) => requestRun(tx, { ...DAY, clientId, report, waitSeconds: 0, attach: true }));
  const states = async () =>
    (
      await owner.query<{ version: number; state: string; document_state: string; document_id: string | null }>(
        'select version, state, document_state, document_id from report_runs order by requested_at, version',
      )
    ).rows;
  /** An event of the day that arrives only now. */
  const late = async () => {
    const occurredAt = new Date('2026-10-14T09:00:00Z');
    await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt })]));
    await rollAll(db);
  };
  return { db, clock, contents, deps, request, states, late };
}

/** The documents of one company; the next `lose` answers of a write are lost after it was carried out. */
function companyOf(options: { lose: number; reject?: boolean }) {
  const documents: (PsaDocument & { contentType: string })[] = [];
  const psa: Pick<Psa, 'attachToCompany' | 'listCompanyDocuments'> = {
    listCompanyDocuments: async () => documents,
    attachToCompany: async (_company: string, input: DocumentInput) => {
      if (options.reject === true) throw new AppError('upstream_rejected', 'no such company');
      const { data, ...rest } = input;
      const made = { ...rest, id: `d${documents.length + 1}`, bytes: data.length };
      documents.push(made);
      if (options.lose > 0) {
        options.lose -= 1;
        throw new AppError('upstream_ambiguous', 'the connection was lost');
      }
      return made;
    },
  };
  return { documents, psa: psa as Psa };
}

const attachDeps = (world: Awaited<ReturnType<typeof start>>, psa: Psa): AttachDeps => ({
  db: world.db,
  clock: world.clock,
  logger: silentLogger,
  mappingOf: async () => ({ connectionId: 'c', companyId: '7', state: 'ok' }),
  psaFor: async () => psa,
  readContent: async (id) => world.contents[Number(id)] ?? Buffer.alloc(0),
});

test('rule 5: what is restated while a report is drawn and kept makes a second version', async (t) => {
  const world = await start(t);
  const first = await world.request('executive-summary');
  await sweepRuns({
    ...world.deps,
    putContent: async (bytes) => {
      world.clock.advance(1_000);
      await world.late();
      world.clock.advance(1_000);
      return world.deps.putContent(bytes);
    },
  });
  const second = await world.request('executive-summary');
  assert.notDeepEqual(second, first, 'the first was read before the late event');
  world.clock.advance(1_000);
  await sweepRuns(world.deps);
  assert.deepEqual(await world.request('executive-summary'), second, 'the second holds it');
  assert.deepEqual(
    (await world.states()).map((run) => [run.version, run.state]),
    [
      [1, 'issued'],
      [2, 'issued'],
    ],
  );
});

test('a report without a PDF is issued and attached as CSV', async (t) => {
  const world = await start(t);
  await world.request('traffic-by-day');
  assert.equal(await sweepRuns(world.deps), 1);
  const { documents, psa } = companyOf({ lose: 0 });
  assert.equal(await attachDue(attachDeps(world, psa)), 1);
  assert.match(documents[0]?.fileName ?? '', /_traffic-by-day_2026-10-14_2026-10-14_v1\.csv$/);
  assert.match(documents[0]?.contentType ?? '', /^text\/csv/);
  assert.match(world.contents[0]?.toString() ?? '', /^\ufeffclient,day,/);
});

test('a copy whose answer was lost is found again by its name, not sent twice', async (t) => {
  const world = await start(t);
  await world.request('executive-summary');
  await sweepRuns(world.deps);
  const { documents, psa } = companyOf({ lose: 1 });
  const deps = attachDeps(world, psa);
  assert.equal(await attachDue(deps), 1);
  assert.deepEqual((await world.states())[0]?.document_state, 'sending');
  assert.equal(await attachDue(deps), 0, 'it is left alone for a while');
  world.clock.advance(6 * 60_000);
  assert.deepEqual((await Promise.all([attachDue(deps), attachDue(deps)])).sort(), [0, 1]);
  assert.equal(documents.length, 1);
  assert.deepEqual(
    (await world.states()).map((run) => [run.document_state, run.document_id]),
    [['sent', 'd1']],
  );
  world.clock.advance(60 * 60_000);
  assert.equal(await attachDue(deps), 0);
});

test('a copy that the PSA refuses is failed, with the reason', async (t) => {
  const world = await start(t);
  await world.request('executive-summary');
  await sweepRuns(world.deps);
  const { psa } = companyOf({ lose: 0, reject: true });
  await attachDue(attachDeps(world, psa));
  assert.equal((await world.states())[0]?.document_state, 'failed');
});
