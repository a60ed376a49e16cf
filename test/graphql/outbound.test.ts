import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { globalId } from '../../src/graphql/ids.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { outboundCommands } from '../../src/wiring-outbound.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { seedWorld } from '../support/world.ts';

type Data = Record<string, Record<string, unknown>>;

async function openApi(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const commands = {
    ...NO_COMMANDS,
    ...outboundCommands({
      config: {
        spfInclude: 'spf.gate.example',
        reportDomain: 'reports.gate.example',
        hostName: 'gate.example',
        arc: null,
      },
      secrets: { sealKey: Buffer.alloc(32) },
      store: { db },
      resolver: zoneResolver({ 'acme.example': { TXT: ['v=spf1 mx -all'] } }),
    }),
  };
  const server = await openServer(t, { db, clock, commands });
  const ask = async (query: string, variables: object = {}) => {
    const answer = await server.ask(world.apiKey, query, variables);
    assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body.errors));
    return answer.body.data as unknown as Data;
  };
  const ids = { client: globalId('Client', world.ids.Client), mailbox: globalId('Mailbox', world.ids.Mailbox) };
  return { db, owner, world, server, ask, ids };
}

test('logins and networks: made, listed, revoked', async (t) => {
  const { ask, ids } = await openApi(t);
  const made = await ask(
    `mutation ($client: ID!, $mailbox: ID!) { createSubmissionCredential(input: {clientId: $client, mailboxId: $mailbox, username: "ann-1"})
      { password credential { id username mailbox { address } revokedAt } userErrors { code } } }`,
    ids,
  );
  const { credential, password } = made['createSubmissionCredential'] as {
    credential: { id: string };
    password: string;
  };
  assert.match(password, /^[\w-]{24}$/);
  assert.deepEqual(credential, {
    id: credential.id,
    username: 'ann-1',
    mailbox: { address: 'ann@acme.example' },
    revokedAt: null,
  });
  const revoke = `mutation ($id: ID!) { revokeSubmissionCredential(input: {id: $id}) { revoked credential { revokedAt } userErrors { code } } }`;
  assert.equal((await ask(revoke, { id: credential.id }))['revokeSubmissionCredential']?.['revoked'], true);
  assert.equal((await ask(revoke, { id: credential.id }))['revokeSubmissionCredential']?.['revoked'], false);

  const allow = `mutation ($client: ID!, $network: String!) { allowSubmissionNetwork(input: {clientId: $client, network: $network})
    { network { id network } userErrors { code field message } } }`;
  const allowed = await ask(allow, { client: ids.client, network: '203.0.113.0/28' });
  const network = allowed['allowSubmissionNetwork']?.['network'] as { id: string; network: string };
  assert.equal(network.network, '203.0.113.0/28');
  for (const [text, code] of [
    ['203.0.113.1', 'CONFLICT'],
    ['0.0.0.0/0', 'BAD_USER_INPUT'],
  ]) {
    const { userErrors } = (await ask(allow, { client: ids.client, network: text }))['allowSubmissionNetwork'] as {
      userErrors: { code: string; field: string }[];
    };
    assert.deepEqual([userErrors[0]?.code, userErrors[0]?.field], [code, 'network']);
  }
  const list = `query ($client: ID!) { client(id: $client) { submissionCredentials(first: 1) { nodes { username } pageInfo { hasNextPage } }
    submissionNetworks { nodes { network } } } }`;
  interface Listed {
    readonly submissionCredentials: { readonly pageInfo: { readonly hasNextPage: boolean } };
    readonly submissionNetworks: { readonly nodes: readonly { readonly network: string }[] };
  }
  const client = async () => (await ask(list, { client: ids.client }))['client'] as unknown as Listed;
  const listed = await client();
  assert.equal(listed.submissionCredentials.pageInfo.hasNextPage, true);
  assert.equal(listed.submissionNetworks.nodes.length, 2);
  await ask(
    'mutation ($id: ID!) { removeSubmissionNetwork(input: {id: $id}) { removedId userErrors { code } } }',
    network,
  );
  assert.equal((await client()).submissionNetworks.nodes.length, 1);
});

test('limits and policy: what is absent stays, null is the default again', async (t) => {
  const { ask, ids } = await openApi(t);
  const set = (input: object) =>
    ask(
      `mutation ($input: SetRecipientLimitsInput!) { setRecipientLimits(input: $input) {
         limits { recipientsPerHour firstTimeRecipientsPerDay } userErrors { code field } } }`,
      { input },
    );
  assert.deepEqual((await set({ clientId: ids.client, recipientsPerHour: 7 }))['setRecipientLimits'], {
    limits: { recipientsPerHour: 7, firstTimeRecipientsPerDay: 1000 },
    userErrors: [],
  });
  assert.deepEqual(
    (await set({ clientId: ids.client, firstTimeRecipientsPerDay: 0 }))['setRecipientLimits']?.['limits'],
    {
      recipientsPerHour: 7,
      firstTimeRecipientsPerDay: 0,
    },
  );
  assert.deepEqual((await set({ clientId: ids.client, recipientsPerHour: null }))['setRecipientLimits']?.['limits'], {
    recipientsPerHour: 5000,
    firstTimeRecipientsPerDay: 0,
  });
  assert.deepEqual((await set({ recipientsPerHour: -1 }))['setRecipientLimits'], {
    limits: null,
    userErrors: [{ code: 'BAD_USER_INPUT', field: 'recipientsPerHour' }],
  });
  await set({ recipientsPerHour: 9 });
  await set({ clientId: ids.client, mailboxId: ids.mailbox, recipientsPerHour: 3 });
  const policy = await ask(
    `mutation ($client: ID!) { setOutboundPolicy(input: {clientId: $client, spamAction: REJECT}) { policy { spamScore spamAction malwareAction } userErrors { code } } }`,
    { client: ids.client },
  );
  assert.deepEqual(policy['setOutboundPolicy']?.['policy'], {
    spamScore: 8,
    spamAction: 'REJECT',
    malwareAction: 'QUARANTINE',
  });
  const all = await ask(
    `query ($client: ID!) { viewer { partner { recipientLimits { recipientsPerHour } } } client(id: $client) { outboundPolicy { spamAction }
      recipientLimits { recipientsPerHour } mailboxes { nodes { recipientLimits { recipientsPerHour } } } } }`,
    { client: ids.client },
  );
  assert.deepEqual(all, {
    viewer: { partner: { recipientLimits: { recipientsPerHour: 9 } } },
    client: {
      outboundPolicy: { spamAction: 'REJECT' },
      recipientLimits: { recipientsPerHour: 5000 },
      mailboxes: { nodes: [{ recipientLimits: { recipientsPerHour: 3 } }] },
    },
  });
});

test('held mail: seen, let go once, and only by administrators', async (t) => {
  const { db, owner, ask, ids, world, server } = await openApi(t);
  const held = await ask(
    'query ($client: ID!) { heldMail(clientId: $client) { nodes { reason recipient delivery { id } } } }',
    { client: ids.client },
  );
  const [one] = (held['heldMail'] as { nodes: { reason: string; delivery: { id: string } }[] }).nodes;
  assert.equal(one?.reason, 'hold.policy');
  const release = 'mutation ($id: ID!) { releaseHeld(input: {ids: [$id]}) { released userErrors { code } } }';
  const token = await keyWith(db, world.partner, ['read', 'write', 'quarantine']);
  const refused = await server.ask(token, release, { id: one?.delivery.id });
  assert.equal(refused.body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
  assert.equal((await ask(release, { id: one?.delivery.id }))['releaseHeld']?.['released'], 1);
  assert.equal((await ask(release, { id: one?.delivery.id }))['releaseHeld']?.['released'], 0);
  await owner.query(`update queue set held_at = now(), held_reason = 'hold.policy'`);
  const purge = 'mutation ($client: ID!) { purgeHeld(input: {clientId: $client}) { purged userErrors { code } } }';
  assert.equal((await ask(purge, { client: ids.client }))['purgeHeld']?.['purged'], 1);
  const nothing = await ask('mutation { purgeHeld(input: {}) { purged userErrors { code field } } }');
  assert.deepEqual(nothing['purgeHeld'], { purged: 0, userErrors: [{ code: 'BAD_USER_INPUT', field: 'ids' }] });
});

test('a domain tells what it publishes, and its keys are made and activated', async (t) => {
  const { ask } = await openApi(t);
  const made = await ask(
    'mutation { createDkimKey(input: {domain: "acme.example", selector: "s1", algorithm: ED}) { key { id recordName record recordState algorithm } userErrors { code } } }',
  );
  const key = made['createDkimKey']?.['key'] as { id: string; record: string };
  assert.match(key.record, /^v=DKIM1; k=ed25519; p=[\w+/]{43}=$/);
  assert.deepEqual(
    { ...key, id: '', record: '' },
    {
      id: '',
      record: '',
      recordName: 's1._domainkey.acme.example',
      recordState: 'MISSING',
      algorithm: 'ED',
    },
  );
  const activate = (force: boolean) =>
    ask(
      'mutation ($id: ID!, $force: Boolean) { activateDkimKey(input: {id: $id, force: $force}) { key { activatedAt } userErrors { code } } }',
      { id: key.id, force },
    );
  assert.deepEqual((await activate(false))['activateDkimKey'], { key: null, userErrors: [{ code: 'CONFLICT' }] });
  const active = await activate(true);
  assert.match(JSON.stringify(active['activateDkimKey']), /"activatedAt":"20/);
  const retired = await ask(
    'mutation ($id: ID!) { retireDkimKey(input: {id: $id}) { key { retiredAt } userErrors { code } } }',
    { id: key.id },
  );
  assert.match(JSON.stringify(retired['retireDkimKey']), /"retiredAt":"20/);
  const found = await ask(
    '{ domain(name: "ACME.example") { name client { name } spfAdvice { record problems { code } suggestion } dmarcAdvice { problems { code } } dkimKeys { selector } } }',
  );
  assert.deepEqual(found['domain'], {
    name: 'acme.example',
    client: { name: 'acme client' },
    spfAdvice: {
      record: 'v=spf1 mx -all',
      problems: [{ code: 'missing_include' }],
      suggestion: 'v=spf1 include:spf.gate.example mx -all',
    },
    dmarcAdvice: { problems: [{ code: 'none' }] },
    dkimKeys: [{ selector: 's1' }, { selector: 'acme-selector' }],
  });
  assert.equal((await ask('{ domain(name: "other.example") { name } }'))['domain'], null);
});

test('forwarding is set and ended', async (t) => {
  const { ask, ids } = await openApi(t);
  const set = (to: string | null) =>
    ask(
      'mutation ($mailbox: ID!, $to: String) { setMailboxForward(input: {mailboxId: $mailbox, to: $to, keep: false}) { mailbox { forwardTo forwardKeep } userErrors { field } } }',
      { mailbox: ids.mailbox, to },
    );
  assert.deepEqual((await set('ann@far.example'))['setMailboxForward']?.['mailbox'], {
    forwardTo: 'ann@far.example',
    forwardKeep: false,
  });
  assert.deepEqual((await set('bob@acme.example'))['setMailboxForward'], {
    mailbox: null,
    userErrors: [{ field: 'to' }],
  });
  assert.deepEqual((await set(null))['setMailboxForward']?.['mailbox'], { forwardTo: null, forwardKeep: true });
});
