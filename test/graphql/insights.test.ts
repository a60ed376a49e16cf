import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createKey } from '../../src/accounts/keys.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { openDatabase } from '../support/db.ts';
import { HISTORY_DAY, seedHistory } from '../support/history.ts';
import { openServer } from '../support/http.ts';
import { seedClient } from '../support/seed.ts';
import { seedWorld } from '../support/world.ts';

async function rig(t: Parameters<typeof openDatabase>[0]) {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  await seedHistory(owner, world, 'acme');
  const server = await openServer(t, { db, clock });
  const client = globalId('Client', world.ids.Client);
  const ask = async (fields: string, on = `client(id: "${client}")`) => {
    const answer = await server.ask(world.apiKey, `{ ${on} { ${fields} } }`);
    assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body.errors));
    return answer.body.data as never;
  };
  return { db, owner, world, server, ask };
}

const OF_DAY = `insights(from: "${HISTORY_DAY}", to: "${HISTORY_DAY}")`;

test('insights: an unusual day names its verdict, sender and mailbox, and the days before are usual', async (t) => {
  const { ask } = await rig(t);
  const { client } = (await ask(
    `insights(from: "2026-10-01", to: "${HISTORY_DAY}") {
       complete days(metric: UNWANTED) { date judgement }
       anomalies { metric date judgement actual expected causes { kind verdict sender mailbox { address } actual expected share } } }`,
  )) as {
    client: {
      insights: {
        complete: boolean;
        days: { judgement: string }[];
        anomalies: {
          metric: string;
          date: string;
          judgement: string;
          actual: number;
          expected: number;
          causes: Record<string, unknown>[];
        }[];
      };
    };
  };
  const { insights } = client;
  assert.equal(insights.complete, true);
  assert.deepEqual(
    insights.days.map((day) => day.judgement),
    [...Array(13).fill('USUAL'), 'HIGH'],
  );
  assert.deepEqual(
    insights.anomalies.map(({ metric, date, judgement, actual }) => ({ metric, date, judgement, actual })),
    [
      { metric: 'UNWANTED', date: HISTORY_DAY, judgement: 'HIGH', actual: 200 },
      { metric: 'DELIVERIES', date: HISTORY_DAY, judgement: 'HIGH', actual: 300 },
    ],
  );
  const [unwanted] = insights.anomalies;
  assert.deepEqual(
    unwanted?.causes.map((cause) => [
      cause['kind'],
      cause['verdict'] ?? cause['sender'] ?? cause['mailbox'],
      cause['actual'],
      cause['expected'],
    ]),
    [
      ['VERDICT', 'PHISH', 200, 40],
      ['SENDER', 'phish@acme.test', 200, 40],
      ['MAILBOX', { address: 'ann@acme.example' }, 200, 40],
    ],
  );
});

test('insights: changes, forecast, value, health, delivery and people of a complete day', async (t) => {
  const { ask } = await rig(t);
  const { client } = (await ask(
    `${OF_DAY} { changes { metric value previous { reference ratio unknown } lastYear { reference unknown } }
       forecast(metric: UNWANTED, days: 2) { state days { date expected low95 high95 } }
       protection { deliveries secondsSaved } health { score components { part points } }
       delivery { delivered failedShare availability availabilityKnown servers { host availability } }
       targetedPeople { mailbox { address } unwanted share previousUnwanted } }`,
  )) as { client: { insights: Record<string, never> } };
  const seen = client.insights as never as {
    changes: { metric: string }[];
    forecast: { state: string; days: { date: string; expected: number }[] };
    protection: unknown;
    health: { score: number; components: { part: string; points: number | null }[] };
    delivery: unknown;
    targetedPeople: unknown;
  };
  assert.deepEqual(
    seen.changes.find((one) => one.metric === 'UNWANTED'),
    {
      metric: 'UNWANTED',
      value: 200,
      previous: { reference: 40, ratio: 4, unknown: null },
      lastYear: { reference: null, unknown: 'NOT_COUNTED' },
    },
  );
  assert.deepEqual([seen.forecast.state, seen.forecast.days[0]?.date], ['JUDGED', '2026-10-15']);
  assert.ok(Math.abs((seen.forecast.days[0]?.expected ?? 0) - 40) < 2);
  assert.deepEqual(seen.protection, { deliveries: 200, secondsSaved: 4_000 });
  // The day began at 23:00 UTC: of the ten and a half hours so far seven are known, and of those six were good.
  assert.deepEqual(seen.delivery, {
    delivered: 100,
    failedShare: 0,
    availability: 6 / 7,
    availabilityKnown: 7 / 10.5,
    servers: [{ host: 'mail.acme.example', availability: 6 / 7 }],
  });
  assert.deepEqual(seen.targetedPeople, [
    { mailbox: { address: 'ann@acme.example' }, unwanted: 200, share: 1, previousUnwanted: 40 },
  ]);
  const points = Object.fromEntries(seen.health.components.map(({ part, points: own }) => [part, own]));
  assert.equal(points['DELIVERY'], 25);
  assert.equal(points['AVAILABILITY'], 0);
  assert.equal(points['STEADINESS'], 0);
});

test('insights rule 4: of a period that nobody counted yet nothing is a zero', async (t) => {
  const { ask } = await rig(t);
  const { client } = (await ask(
    `insights(from: "2026-11-01", to: "2026-11-02") { complete changes { value previous { ratio unknown } } days { judgement actual }
       anomalies { date } protection { deliveries } benchmarks { hidden own } delivery { failedShare availability } health { score components { points } } }`,
  )) as { client: { insights: Record<string, never> } };
  const seen = client.insights as never as {
    complete: boolean;
    changes: { value: null; previous: { unknown: string } }[];
    days: { judgement: string; actual: null }[];
    anomalies: unknown[];
    protection: null;
    benchmarks: { hidden: string; own: null }[];
    delivery: { failedShare: null; availability: null };
  };
  assert.equal(seen.complete, false);
  assert.ok(seen.changes.every(({ value, previous }) => value === null && previous.unknown !== null));
  assert.ok(seen.days.every(({ judgement, actual }) => judgement === 'UNKNOWN' && actual === null));
  assert.deepEqual(
    [seen.anomalies, seen.protection, seen.delivery],
    [[], null, { failedShare: null, availability: null }],
  );
  assert.ok(seen.benchmarks.every(({ hidden, own }) => hidden === 'TOO_FEW_CLIENTS' && own === null));
});

test('campaigns: one payload in several mailboxes, what got through, and nothing of other clients on a client', async (t) => {
  const { db, owner, world, ask } = await rig(t);
  const other = await seedClient(db, world.partner, { name: 'other', domain: 'other.example' });
  await owner.query(
    `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
     select d.partner_id, $1, gen_random_uuid(), d.message_id, 'x@other.example', 'other.example', 'inbound', 'phish', 'delivered', 9, d.accepted_at
     from deliveries d join threat_traits t on t.partner_id = d.partner_id and t.message_id = d.message_id and t.kind = 'payload' limit 1`,
    [other],
  );
  const fields =
    'nodes { deliveries delivered mailboxes clients { name } verdicts { verdict deliveries } topSender traits { kind label messages } } complete';
  const args = `from: "${HISTORY_DAY}", to: "${HISTORY_DAY}"`;
  const all = (await ask(fields, `campaigns(${args})`)) as {
    campaigns: { complete: boolean; nodes: Record<string, unknown>[] };
  };
  assert.equal(all.campaigns.nodes.length, 1);
  const [campaign] = all.campaigns.nodes;
  assert.deepEqual([campaign?.['deliveries'], campaign?.['delivered'], campaign?.['mailboxes']], [4, 2, 4]);
  assert.deepEqual(campaign?.['traits'], [{ kind: 'PAYLOAD', label: 'acme payload', messages: 3 }]);
  assert.deepEqual(campaign?.['clients'], [{ name: 'acme client' }, { name: 'other' }]);
  assert.equal(all.campaigns.complete, true);
  const own = (await ask(`campaigns(${args}) { ${fields} }`)) as {
    client: { campaigns: { nodes: Record<string, unknown>[] } };
  };
  assert.deepEqual(
    own.client.campaigns.nodes.map((one) => [one['deliveries'], one['delivered'], one['clients']]),
    [[3, 1, [{ name: 'acme client' }]]],
  );
});

test('setProtectionValue and setAnomalyAlerts: what was given is changed, the rest stays, wrong values are user errors', async (t) => {
  const { world, server, ask } = await rig(t);
  const mutate = async (text: string) =>
    ((await server.ask(world.apiKey, `mutation { ${text} { partner { anomalyAlerts } userErrors { code field } } }`))
      .body.data ?? {}) as Record<string, unknown>;
  assert.deepEqual(await mutate('setProtectionValue(input: { seconds: [{ verdict: PHISH, seconds: 300 }] })'), {
    setProtectionValue: { partner: { anomalyAlerts: 'INCIDENT' }, userErrors: [] },
  });
  for (const wrong of ['{ verdict: CLEAN, seconds: 1 }', '{ verdict: SPAM, seconds: 3601 }', '']) {
    assert.deepEqual(await mutate(`setProtectionValue(input: { seconds: [${wrong}] })`), {
      setProtectionValue: { partner: null, userErrors: [{ code: 'BAD_USER_INPUT', field: 'seconds' }] },
    });
  }
  assert.deepEqual(await mutate('setAnomalyAlerts(input: { alerts: TICKET })'), {
    setAnomalyAlerts: { partner: { anomalyAlerts: 'TICKET' }, userErrors: [] },
  });
  const { client } = (await ask(
    `${OF_DAY} { protection { secondsSaved byVerdict { verdict secondsPerMessage } } }`,
  )) as {
    client: {
      insights: { protection: { secondsSaved: number; byVerdict: { verdict: string; secondsPerMessage: number }[] } };
    };
  };
  const { protection } = client.insights;
  assert.equal(protection.secondsSaved, 60_000);
  assert.deepEqual(
    protection.byVerdict
      .filter((one) => one.verdict === 'PHISH' || one.verdict === 'SPAM')
      .map((one) => one.secondsPerMessage),
    [20, 300],
  );
});

test('insights: a key without BILLING sees all but the licences, and periods have a limit', async (t) => {
  const { db, world, server } = await rig(t);
  const client = globalId('Client', world.ids.Client);
  const key = await db.tenant(world.partner, (tx) =>
    createKey(tx, { partnerId: world.partner, label: 'reader', scopes: ['read'], actor: 'test' }),
  );
  const look = async (fields: string) =>
    JSON.stringify((await server.ask(key.token, `{ client(id: "${client}") { ${OF_DAY} { ${fields} } } }`)).body);
  assert.match(await look('licences { product }'), /the key lacks the scope BILLING/);
  assert.doesNotMatch(await look('health { score } protection { deliveries }'), /errors/);
  const refused = await server.ask(
    key.token,
    'mutation { setAnomalyAlerts(input: { alerts: OFF }) { userErrors { code } } }',
  );
  assert.match(JSON.stringify(refused.body), /the key lacks the scope ADMIN/);
  const long = await server.ask(
    world.apiKey,
    `{ client(id: "${client}") { insights(from: "2024-01-01", to: "2026-01-01") { complete } } }`,
  );
  assert.match(JSON.stringify(long.body.errors), /at most 366/);
  const ahead = await server.ask(
    world.apiKey,
    `{ client(id: "${client}") { ${OF_DAY} { forecast(days: 93) { state } } } }`,
  );
  assert.match(JSON.stringify(ahead.body.errors), /days is 1 to 92/);
});
