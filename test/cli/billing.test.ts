import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { LineCounts } from '../../src/billing/read.ts';
import { outcomeOf, outcomeWords } from '../../src/cli/billing-words.ts';
import { runChecked } from '../../src/cli/check.ts';
import type { CommandContext, Values } from '../../src/cli/command.ts';
import { forPeopleText } from '../../src/cli/print.ts';
import { COMMANDS } from '../../src/cli.ts';
import { readConfig } from '../../src/config/config.ts';
import { silentLogger } from '../../src/core/log.ts';
import { PSA_KINDS, type PsaKind } from '../../src/core/psa.ts';
import type { Store } from '../../src/db/store.ts';
import { openDatabase } from '../support/db.ts';
import { openPsa } from '../support/psa-rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function openBilling(t: TestContext, kind: PsaKind) {
  const { db, clock } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const { sandbox } = await openPsa(t, clock, kind);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-billing-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = async (name: string, content: unknown) => {
    await writeFile(path.join(folder, name), JSON.stringify(content));
    return path.join(folder, name);
  };
  const key = Buffer.alloc(32, 1);
  const context: CommandContext = {
    config: readConfig({ TOLLGATE_ALLOW_PRIVATE_HOSTS: '127.0.0.1', TOLLGATE_HOME: folder }),
    secrets: { sealKey: key, appPassword: '', systemPassword: '', signKey: key, srsKey: key },
    clock,
    logger: silentLogger,
    store: { db, migrated: [] } as unknown as Store,
  };
  const run = (name: string, values: Values = {}) =>
    runChecked(COMMANDS.find((one) => one.name === name) ?? assert.fail(name), context, values, []);
  const connect = async () =>
    run('psa connect', {
      ...{ partner, kind, url: sandbox.url, credentials: await file('psa.json', sandbox.credentials) },
      settings: await file('settings.json', sandbox.settings),
    });
  return { db, partner, sandbox, run, connect };
}

for (const kind of PSA_KINDS) {
  test(`${kind}: billing on the command line tells applied, unchanged, held and failed apart, with reasons`, async (t) => {
    const { db, partner, sandbox, run, connect } = await openBilling(t, kind);
    const linked = await seedClient(db, partner, {
      mailboxes: ['ann', 'bob', 'cy'],
      name: 'Acme',
      domain: 'acme.example',
    });
    await seedClient(db, partner, { mailboxes: ['dee'], name: 'Bolt', domain: 'bolt.example' });
    const company = sandbox.state.addCompany('Acme', { active: true }).id;
    const ref = sandbox.state.addSubscription(company, { quantity: 1, startDate: '2026-01-01' });
    const connection = String((await connect()).output['id']);
    await run('psa map', { client: linked, connection, company: String(company) });
    await run('billing link', { client: linked, contract: ref.contractId, line: ref.lineId });
    await run('billing snapshot');

    const only = (output: Readonly<Record<string, unknown>>) => {
      const plans = output['plans'] as {
        id: string;
        state: string;
        counts: LineCounts;
        lines: { client: string; state: string; before: number; after: number; reason: string; why: string }[];
      }[];
      assert.equal(plans.length, 1);
      return plans[0] ?? assert.fail();
    };
    const planned = await run('billing plan', { partner });
    assert.deepEqual(only(planned.output).counts, { applied: 0, unchanged: 0, held: 1, failed: 0, waiting: 1 });
    assert.match(planned.words?.[0] ?? '', /^Nothing was written/);

    const applied = await run('billing apply', { partner });
    const { id, state, counts, lines } = only(applied.output);
    assert.deepEqual([state, applied.exitCode], ['applied_in_part', 0]);
    assert.deepEqual(counts, { applied: 1, unchanged: 0, held: 1, failed: 0, waiting: 0 });
    assert.deepEqual(lines.map((line) => [line.client, line.state, line.before, line.after, line.reason]).toSorted(), [
      ['Acme', 'verified', 1, 3, null],
      ['Bolt', 'held', null, null, 'no_subscription'],
    ]);
    const text = forPeopleText(applied.forPeople ?? {});
    assert.match(text, /1 applied and read back, 1 held/);
    assert.match(text, /Bolt .*held +linked to no line of the PSA: billing link/);
    assert.ok(
      text.split('\n').every((line) => [...line].length <= 120),
      text,
    );

    // Planned again nothing is left to write: held is still not applied.
    await run('billing plan', { partner });
    const again = only((await run('billing apply', { partner })).output);
    assert.equal(again.state, 'nothing_applied');
    const list = (await run('billing list', { partner })).output['plans'] as { state: string; counts: LineCounts }[];
    assert.deepEqual(
      list.map((one) => [one.state, one.counts.applied, one.counts.held]),
      [
        ['nothing_applied', 0, 1],
        ['applied_in_part', 1, 1],
      ],
    );
    const shown = (await run('billing show', { partner, plan: id })).output;
    assert.deepEqual([shown['state'], shown['counts']], ['applied_in_part', counts]);
  });
}

test('a line that fails fails the command and says what the PSA said', async (t) => {
  const { db, partner, sandbox, run, connect } = await openBilling(t, 'connectwise');
  const client = await seedClient(db, partner, { mailboxes: ['ann', 'bob'] });
  const company = sandbox.state.addCompany('Acme', { active: true }).id;
  const ref = sandbox.state.addSubscription(company, { quantity: 1, startDate: '2026-01-01' });
  const connection = String((await connect()).output['id']);
  await run('psa map', { client, connection, company: String(company) });
  await run('billing link', { client, contract: ref.contractId, line: ref.lineId });
  await run('billing snapshot');
  await run('billing plan', { partner });
  sandbox.faults.arm('forbidden', { method: 'PATCH' });
  const failed = await run('billing apply', { partner });
  const [plan] = failed.output['plans'] as { state: string; counts: LineCounts; lines: { why: string | null }[] }[];
  assert.deepEqual([failed.exitCode, plan?.state, plan?.counts.failed], [1, 'failed', 1]);
  assert.ok((plan?.lines[0]?.why ?? '') !== '');
});

test('the word for a plan and its numbers', () => {
  const none: LineCounts = { applied: 0, unchanged: 0, held: 0, failed: 0, waiting: 0 };
  assert.equal(outcomeOf('applied', { ...none, applied: 2 }), 'applied');
  assert.equal(outcomeOf('applied', { ...none, unchanged: 2 }), 'applied');
  assert.equal(outcomeOf('applied', { ...none, unchanged: 2, held: 1 }), 'nothing_applied');
  assert.equal(outcomeOf('failed', { ...none, failed: 2, held: 1 }), 'failed');
  assert.match(outcomeWords(none), /^no lines/);
});
