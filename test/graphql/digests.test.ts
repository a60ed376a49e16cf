import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const SET = `mutation ($input: SetDigestInput!) { setDigest(input: $input) {
  settings { mode hours days recipient language } userErrors { code field } } }`;
const READ = `query ($id: ID!) { client(id: $id) { digestSettings {
  users { mode hours } admin { recipient } mailboxes { mailbox { address } settings { mode hours } } } } }`;

test('digest settings are set, refined by mailbox, refused when they make no sense, and sent on demand', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const other = await seedPartner(db, 'Other IT');
  const sent: string[] = [];
  const commands = {
    ...NO_COMMANDS,
    sendDigest: async (_caller: unknown, mailboxId: string) => {
      sent.push(mailboxId);
      return { sent: true };
    },
  };
  const server = await openServer(t, { db, clock, commands });
  const set = async (input: object, key = partner.apiKey) => {
    const answer = await server.ask(key, SET, { input });
    return (
      answer.body.data as { setDigest: { settings: object | null; userErrors: { code: string; field: string }[] } }
    ).setDigest;
  };
  const boxes = await server.ask(
    partner.apiKey,
    'query ($id: ID!) { client(id: $id) { mailboxes(first: 9) { nodes { id address } } } }',
    { id: clientId },
  );
  const nodes = (boxes.body.data as { client: { mailboxes: { nodes: { id: string; address: string }[] } } }).client
    .mailboxes.nodes;
  const ann = nodes.find((node) => node.address.startsWith('ann'))?.id ?? '';

  const base = await set({ clientId, mode: 'INTRADAY', hours: ['16:00', '08:30', '16:00'] });
  assert.deepEqual(base, {
    settings: { mode: 'INTRADAY', hours: ['08:30', '16:00'], days: [1, 2, 3, 4, 5], recipient: null, language: 'en' },
    userErrors: [],
  });
  await set({ clientId, mailboxId: ann, mode: 'OFF' });
  await set({ audience: 'ADMIN', clientId, recipient: 'Admin@MSP.example' });
  const { data } = (await server.ask(partner.apiKey, READ, { id: clientId })).body;
  assert.deepEqual(data, {
    client: {
      digestSettings: {
        users: { mode: 'INTRADAY', hours: ['08:30', '16:00'] },
        admin: { recipient: 'admin@msp.example' },
        mailboxes: [{ mailbox: { address: 'ann@acme.example' }, settings: { mode: 'OFF', hours: ['08:30', '16:00'] } }],
      },
    },
  });
  // Nothing of its own any more.
  await set({ clientId, mailboxId: ann });
  const again = await server.ask(partner.apiKey, READ, { id: clientId });
  assert.match(JSON.stringify(again.body.data), /"mailboxes":\[\]/);

  const wrong: [object, string][] = [
    [{ clientId, hours: ['8:00'] }, 'hours'],
    [{ clientId, mode: 'DAILY', hours: ['08:00', '09:00'] }, 'hours'],
    [{ clientId, hours: [] }, 'hours'],
    [{ clientId, days: [0] }, 'days'],
    [{ clientId, days: [] }, 'days'],
    [{ clientId, language: 'tlh' }, 'language'],
    [{ clientId, recipient: 'ann@acme.example' }, 'recipient'],
    [{ clientId, mailboxId: ann, recipient: 'thief@else.example' }, 'recipient'],
    [{ audience: 'ADMIN', clientId }, 'recipient'],
    [{ audience: 'ADMIN', clientId, recipient: 'nobody' }, 'recipient'],
    [{ audience: 'ADMIN', clientId, mailboxId: ann, recipient: 'a@b.example' }, 'mailboxId'],
    [{ mode: 'OFF' }, 'clientId'],
  ];
  for (const [input, field] of wrong) {
    const { settings, userErrors } = await set(input);
    assert.deepEqual([settings, userErrors.map((one) => one.field)], [null, [field]], JSON.stringify(input));
  }
  assert.equal((await set({ clientId, mode: 'OFF' }, other.apiKey)).userErrors[0]?.code, 'NOT_FOUND');

  const send = 'mutation ($id: ID!) { sendDigestNow(input: {mailboxId: $id}) { sent userErrors { code } } }';
  const done = await server.ask(partner.apiKey, send, { id: ann });
  assert.deepEqual(done.body.data, { sendDigestNow: { sent: true, userErrors: [] } });
  const foreign = await server.ask(other.apiKey, send, { id: ann });
  assert.deepEqual(foreign.body.data, { sendDigestNow: { sent: false, userErrors: [{ code: 'NOT_FOUND' }] } });
  const weak = await server.ask(await keyWith(db, partner.id, ['read']), send, { id: ann });
  assert.equal(weak.body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
  assert.equal(sent.length, 1);
});
