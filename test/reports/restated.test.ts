import assert from 'node:assert/strict';
import { test } from 'node:test';
import { issuedFormat, renderReport } from '../../reports/catalog.ts';
import { requestRun, sweepRuns } from '../../reports/runs.ts';
import { silentLogger } from '../../src/core/log.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { openServer } from '../support/http.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DAY = { from: '2026-10-14', to: '2026-10-14' };

test('rule 5: a late event gives its period a new version; what was issued keeps its numbers and says that there is a newer one', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const node = new NodeWatermark(db, clock, 'gateway-1', 'gateway');
  const write = async () => {
    const occurredAt = new Date('2026-10-14T09:00:00Z');
    await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt })]));
    await rollAll(db);
  };
  await write();
  clock.set('2026-10-17T06:00:00Z');
  await node.beat();
  await rollAll(db);
  const contents: string[] = [];
  const issue = async () => {
    await db.tenant(partner.id, (tx) =>
      requestRun(tx, { ...DAY, clientId, report: 'traffic-by-day', waitSeconds: 0, attach: false }),
    );
    await sweepRuns({
      db,
      clock,
      logger: silentLogger,
      putContent: async (bytes) => ({ id: String(contents.push(bytes.toString()) - 1) }),
      render: (tx, run) =>
        renderReport({ incidents: async () => [], usage: async () => [] }, tx, {
          ...run,
          period: { from: run.from, to: run.to, zone: run.timeZone },
          format: issuedFormat(run.report),
          now: clock.now(),
        }),
    });
  };
  const server = await openServer(t, { db, clock });
  const query = `{
    client(id: "${globalId('Client', clientId)}") {
      statistics(from: "2026-10-14", to: "2026-10-14") { complete restatedAt totals { deliveries } }
    }
    reportRuns(first: 5) { nodes { version newestVersion restatedAt sha256 } } }`;
  interface Seen {
    readonly client: {
      readonly statistics: { readonly restatedAt: string | null; readonly totals: { deliveries: number } };
    };
    readonly reportRuns: { readonly nodes: readonly Record<string, unknown>[] };
  }
  const look = async () => {
    const answer = await server.ask(partner.apiKey, query);
    assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body.errors));
    return answer.body.data as unknown as Seen;
  };
  await issue();
  const first = await look();
  assert.deepEqual([first.client.statistics.restatedAt, first.client.statistics.totals.deliveries], [null, 1]);
  const sha256 = first.reportRuns.nodes[0]?.['sha256'];
  assert.deepEqual(first.reportRuns.nodes, [{ version: 1, newestVersion: 1, restatedAt: null, sha256 }]);

  clock.advance(60_000);
  const noticed = clock.now().toISOString();
  await write();
  const restated = await look();
  assert.deepEqual([restated.client.statistics.restatedAt, restated.client.statistics.totals.deliveries], [noticed, 2]);
  assert.deepEqual(
    restated.reportRuns.nodes,
    [{ version: 1, newestVersion: 1, restatedAt: noticed, sha256 }],
    'what was issued is what it was, and says that more is known',
  );

  clock.advance(60_000);
  await issue();
  const second = await look();
  assert.deepEqual(
    second.reportRuns.nodes.map((run) => [run['version'], run['newestVersion'], run['restatedAt']]),
    [
      [2, 2, null],
      [1, 2, noticed],
    ],
  );
  assert.equal(second.reportRuns.nodes[1]?.['sha256'], sha256);
  assert.equal(contents.length, 2);
  assert.notEqual(contents[0], contents[1]);
});
