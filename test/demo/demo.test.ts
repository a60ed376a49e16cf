import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Checks } from '../../src/demo/checks.ts';
import { loadCorpus } from '../../src/demo/corpus.ts';
import { renderProgress } from '../../src/demo/progress.ts';
import { renderTable } from '../../src/demo/table.ts';
import { planTraffic } from '../../src/demo/traffic.ts';
import { addressOf, CLIENT_PLANS } from '../../src/demo/world.ts';
import { HARVEST } from '../../src/gateway/edge.ts';

test('the progress bar says how much, how fast and how long', () => {
  assert.equal(
    renderProgress('sent', 500, 2000, 5000),
    '  sent ████████░░░░░░░░░░░░░░░░░░░░░░ 500/2,000  100/s  15 s left',
  );
  assert.match(renderProgress('sent', 0, 0, 0), /0\/0/);
});

test('a table keeps columns in line and shows the unknown as a dash', () => {
  const seen = renderTable(
    ['client', 'messages', 'ok'],
    [
      ['Acme', 1234, true],
      ['Bé', null, false],
    ],
  );
  assert.equal(
    seen,
    ['  client  messages  ok', '  ──────  ────────  ───', '  Acme       1,234  yes', '  Bé             —  no'].join(
      '\n',
    ),
  );
});

test('a check that differs is counted', () => {
  const checks = new Checks();
  checks.equal('same', { a: 1 }, { a: 1 });
  checks.equal('other', 1, 2);
  assert.equal(checks.failed, 1);
  assert.match(checks.render(), /✗ +other +1 +2/);
});

test('the traffic is the same at every run and reaches every kind of recipient', async () => {
  const clients = CLIENT_PLANS.map((plan) => ({
    id: plan.domain,
    name: plan.name,
    zone: plan.zone,
    domain: plan.domain,
    psa: plan.psa,
    mailboxes: plan.people.map((person) => addressOf(person, plan.domain)),
    alias: `info@${plan.domain}`,
    group: `all@${plan.domain}`,
    companyId: '1',
    contractId: '2',
    lineId: '3',
  }));
  const mails = await loadCorpus(400);
  const planned = planTraffic(mails, clients);
  assert.deepEqual(planned, planTraffic(await loadCorpus(400), clients));
  const has = (fits: (recipients: readonly string[]) => boolean) => planned.some((one) => fits(one.recipients));
  const unknown = planned.flatMap((one) => one.recipients).filter((address) => address.startsWith('nobody-'));
  assert.ok(unknown.length > 0);
  assert.ok(new Set(unknown).size < HARVEST.slowFrom, 'the sender is not taken for a directory harvest');
  assert.ok(has((to) => new Set(to.map((address) => address.split('@')[1])).size === 2));
  assert.ok(
    has((to) => to.some((address) => address.startsWith('all@'))) &&
      has((to) => to.some((address) => address.startsWith('info@'))),
  );
  assert.ok(planned.every((one) => one.recipients.some((address) => !address.startsWith('nobody-'))));
  assert.ok(
    mails.some((mail) => mail.label.startsWith('spam')) && mails.some((mail) => mail.label.startsWith('easy-ham')),
  );
  assert.ok(
    mails.every(
      (mail) =>
        !mail.raw.toString('latin1', 0, 5).startsWith('From ') &&
        !/^X-Spam/im.test(mail.raw.toString('latin1').split('\n\n')[0] ?? ''),
    ),
  );
});
