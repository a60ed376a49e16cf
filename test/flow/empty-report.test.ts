import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attachDue } from '../../reports/attach.ts';
import { renderReport } from '../../reports/catalog.ts';
import { requestRun, sweepRuns } from '../../reports/runs.ts';
import { silentLogger } from '../../src/core/log.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const NO_OTHERS = { incidents: async () => [], usage: async () => [] };

interface Run {
  readonly version: number;
  readonly state: string;
  readonly complete: boolean | null;
  readonly complete_through: Date | null;
  readonly bytes: number | null;
  readonly document_state: string;
}

test('the empty report: late statistics make it wait, then say that they are missing, then make a second version', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const node = new NodeWatermark(db, clock, 'gateway-1', 'gateway');
  const contents = new Map<string, Buffer>();
  const deps = {
    db,
    clock,
    logger: silentLogger,
    putContent: async (bytes: Buffer) => {
      const id = `content-${contents.size + 1}`;
      contents.set(id, bytes);
      return { id };
    },
    render: (
      tx: Parameters<typeof renderReport>[1],
      run: { report: string; clientId: string; from: string; to: string; timeZone: string; version: number },
    ) =>
      renderReport(NO_OTHERS, tx, {
        report: run.report,
        clientId: run.clientId,
        period: { from: run.from, to: run.to, zone: run.timeZone },
        format: 'pdf',
        version: run.version,
        now: clock.now(),
      }),
  };
  const day = { clientId, report: 'executive-summary', from: '2026-10-14', to: '2026-10-14' };
  const request = () => db.tenant(partner.id, (tx) => requestRun(tx, { ...day, waitSeconds: 3_600, attach: true }));
  const runs = async () =>
    (
      await owner.query<Run>(
        'select version, state, complete, complete_through, bytes, document_state from report_runs order by version',
      )
    ).rows;

  // The gateway tells through 09:30 and is then cut off; the day ends without a word from it.
  await node.beat();
  const heldBack = clock.now();
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  await rollAll(db);
  clock.set('2026-10-15T00:05:00Z');
  const first = await request();
  assert.deepEqual(await request(), first, 'asked twice, there is one');
  assert.equal(await sweepRuns(deps), 1);
  assert.deepEqual(
    (await runs()).map((run) => run.state),
    ['waiting'],
    'no report is made of statistics that are late',
  );

  // The hour of grace is over: what is known goes out, and says what it is.
  clock.set('2026-10-15T01:06:00Z');
  assert.deepEqual(
    (await Promise.all([sweepRuns(deps), sweepRuns(deps)])).sort(),
    [0, 1],
    'of two sweepers one issues',
  );
  const [issued] = await runs();
  assert.deepEqual([issued?.state, issued?.complete, issued?.complete_through], ['issued', false, heldBack]);
  const before = contents.get('content-1');
  assert.deepEqual(await request(), first, 'nothing more is known yet, so nothing new is made');

  // The gateway returns with what it had held back; asked again, there is a second version, and the first keeps its number.
  await db.system((tx) =>
    appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date('2026-10-14T20:00:00Z') })]),
  );
  await node.beat();
  await rollAll(db);
  clock.advance(1_000);
  const second = await request();
  assert.notDeepEqual(second, first);
  await sweepRuns(deps);
  const both = await runs();
  assert.deepEqual(
    both.map((run) => [run.version, run.state, run.complete]),
    [
      [1, 'issued', false],
      [2, 'issued', true],
    ],
  );
  assert.equal(contents.get('content-1'), before);
  assert.deepEqual(await request(), second);

  // Copies wait while nobody has said which company the client is: they are filed nowhere else (rule 8).
  const asked: string[] = [];
  await attachDue({
    db,
    clock,
    logger: silentLogger,
    mappingOf: async () => null,
    psaFor: async (connection) => {
      asked.push(connection);
      throw new Error('never asked');
    },
    readContent: async (id) => contents.get(id) ?? Buffer.alloc(0),
  });
  assert.deepEqual(asked, []);
  assert.deepEqual(
    (await runs()).map((run) => run.document_state),
    ['sending', 'sending'],
  );
});

test('a renderer that fails leaves the report waiting with the reason, and another tenant does not see it', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const [one, two] = [await seedPartner(db, 'One'), await seedPartner(db, 'Two')];
  const clientId = await seedClient(db, one.id);
  const wanted = {
    clientId,
    report: 'executive-summary',
    from: '2026-10-01',
    to: '2026-10-02',
    waitSeconds: 0,
    attach: false,
  };
  await db.tenant(one.id, (tx) => requestRun(tx, wanted));
  await assert.rejects(
    db.tenant(two.id, (tx) => requestRun(tx, wanted)),
    /not found/,
  );
  await assert.rejects(
    db.tenant(one.id, (tx) => requestRun(tx, { ...wanted, report: 'secrets' })),
    /there is no report/,
  );
  const deps = { db, clock, logger: silentLogger, putContent: async () => ({ id: 'x' }) };
  await sweepRuns({
    ...deps,
    render: async () => {
      throw new TypeError('boom at /secret/path');
    },
  });
  const { rows } = await owner.query<{ state: string; error: string }>('select state, error from report_runs');
  assert.deepEqual(rows, [{ state: 'waiting', error: 'Internal error' }]);
});
