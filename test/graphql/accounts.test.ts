import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revokeKey } from '../../src/accounts/keys.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { globalId, parseGlobalId } from '../../src/graphql/ids.ts';
import { counting } from '../support/counting.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const CREATE = `mutation ($input: CreateClientInput!) { createClient(input: $input) {
  client { id name timeZone status domains } userErrors { code field message } } }`;
const input = {
  name: 'Acme',
  timeZone: 'Asia/Kathmandu',
  domains: ['acme.example', 'ACME.test'],
  relays: [{ host: '127.0.0.1', port: 2626 }],
};

interface Created {
  readonly createClient: {
    readonly client: { readonly id: string } | null;
    readonly userErrors: readonly { readonly code: string; readonly field: string | null; readonly message: string }[];
  };
}

test('a client is made, seen by what is read in the same request, and made once', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const first = await server.ask(partner.apiKey, CREATE, { input });
  assert.equal(first.body.errors, undefined);
  const { id, ...rest } = (first.body.data as unknown as Created).createClient.client ?? { id: '' };
  assert.deepEqual(rest, {
    name: 'Acme',
    timeZone: 'Asia/Kathmandu',
    status: 'ACTIVE',
    domains: ['acme.example', 'acme.test'],
  });

  const again = await server.ask(partner.apiKey, CREATE, { input });
  assert.deepEqual((again.body.data as unknown as Created).createClient, {
    client: null,
    userErrors: [{ code: 'CONFLICT', field: 'name', message: 'there is a client named Acme' }],
  });
  const taken = await server.ask(partner.apiKey, CREATE, { input: { ...input, name: 'Other' } });
  assert.equal((taken.body.data as unknown as Created).createClient.userErrors[0]?.field, 'domains');
  const none = await server.ask(partner.apiKey, CREATE, { input: { ...input, name: ' ', domains: ['other.example'] } });
  assert.equal((none.body.data as unknown as Created).createClient.userErrors[0]?.code, 'BAD_USER_INPUT');
  const count = await owner.query(
    'select (select count(*) from clients) as clients, (select count(*) from domains) as domains',
  );
  assert.deepEqual(count.rows, [{ clients: '1', domains: '2' }], 'a refused mutation leaves nothing behind');
  const audit = await owner.query("select actor from audit where action = 'client.create'");
  assert.deepEqual(audit.rows, [{ actor: 'key:first key' }]);
  const found = await server.ask(
    partner.apiKey,
    'query ($id: ID!) { client(id: $id) { name } node(id: $id) { __typename id } }',
    { id },
  );
  assert.deepEqual(found.body.data, { client: { name: 'Acme' }, node: { __typename: 'Client', id } });
  const bare = await server.ask(partner.apiKey, 'query ($id: ID!) { client(id: $id) { id } node(id: $id) { id } }', {
    id: parseGlobalId(id)?.uuid,
  });
  assert.deepEqual(bare.body.data, { client: { id }, node: null }, 'client takes the UUID of the command line');
});

test('mutations run one after the other, each seeing the one before, compiled too', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const client = await seedClient(db, partner.id, { mailboxes: [] });
  const server = await openServer(t, { db, clock });
  const query = `mutation ($id: ID!, $a: [DirectoryRowInput!]!, $b: [DirectoryRowInput!]!) {
    one: importMailboxes(input: {clientId: $id, rows: $a}) { ...Result }
    two: importMailboxes(input: {clientId: $id, rows: $b}) { ...Result }
  }
  fragment Result on ImportMailboxesPayload { created updated unchanged client { mailboxes { nodes { address kind } } } userErrors { message } }`;
  for (let round = 0; round < 3; round += 1) {
    const box = (local: string) => ({ address: `${local}${round}@acme.example`, name: local });
    const answer = await server.ask(partner.apiKey, query, {
      id: client,
      a: [box('a')],
      b: [box('a'), { ...box('b'), kind: 'SHARED' }],
    });
    assert.equal(answer.body.errors, undefined);
    const data = answer.body.data as Record<
      string,
      { created: number; unchanged: number; client: { mailboxes: { nodes: object[] } } }
    >;
    assert.equal(data['one']?.created, 1);
    assert.equal(data['one']?.client.mailboxes.nodes.length, round * 2 + 1);
    assert.deepEqual([data['two']?.created, data['two']?.unchanged], [1, 1]);
    assert.equal(data['two']?.client.mailboxes.nodes.length, round * 2 + 2);
  }
});

test('list entries: added once, found, removed', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const client = await seedClient(db, partner.id);
  const server = await openServer(t, { db, clock });
  const add = async (entry: object) => {
    const answer = await server.ask(
      partner.apiKey,
      'mutation ($input: AddListEntryInput!) { addListEntry(input: $input) { entry { id kind scope pattern } userErrors { code field } } }',
      { input: entry },
    );
    return (answer.body.data as { addListEntry: { entry: { id: string } | null; userErrors: object[] } }).addListEntry;
  };
  const wide = await add({ kind: 'BLOCK', pattern: 'Evil.example' });
  const { id, ...rest } = wide.entry ?? { id: '' };
  assert.deepEqual(rest, { kind: 'BLOCK', scope: 'PARTNER', pattern: 'evil.example' });
  assert.equal((await add({ kind: 'BLOCK', pattern: 'evil.example' })).entry?.id, id);
  const narrow = await add({ kind: 'ALLOW', pattern: 'good.example', clientId: client });
  assert.deepEqual((await add({ kind: 'ALLOW', pattern: 'not a domain' })).userErrors, [
    { code: 'BAD_USER_INPUT', field: 'pattern' },
  ]);
  const lists = await server.ask(
    partner.apiKey,
    'query ($id: ID!) { listEntries { nodes { id } } client(id: $id) { listEntries { nodes { id } } } }',
    { id: client },
  );
  assert.deepEqual(lists.body.data, {
    listEntries: { nodes: [{ id }] },
    client: { listEntries: { nodes: [{ id: narrow.entry?.id }] } },
  });
  const remove = () =>
    server.ask(
      partner.apiKey,
      'mutation ($id: ID!) { removeListEntry(input: {id: $id}) { removedId userErrors { code } } }',
      { id },
    );
  assert.deepEqual((await remove()).body.data, { removeListEntry: { removedId: id, userErrors: [] } });
  assert.deepEqual((await remove()).body.data, {
    removeListEntry: { removedId: null, userErrors: [{ code: 'NOT_FOUND' }] },
  });
});

test('list entries: an import is all or nothing, by scope, and knows mailboxes by address', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const [partner, other] = [await seedPartner(db), await seedPartner(db, 'Other')];
  const client = await seedClient(db, partner.id);
  const server = await openServer(t, { db, clock });
  const bring = async (input: object, apiKey = partner.apiKey) =>
    (
      (
        await server.ask(
          apiKey,
          'mutation ($input: ImportListEntriesInput!) { importListEntries(input: $input) { created unchanged userErrors { code message } } }',
          { input },
        )
      ).body.data as { importListEntries: object }
    ).importListEntries;
  const clientId = globalId('Client', client);
  const rows = [
    { kind: 'ALLOW', pattern: 'Bücher.example' },
    { kind: 'BLOCK', pattern: 'eve@evil.example', mailbox: 'ann@acme.example' },
  ];
  assert.deepEqual(await bring({ clientId, rows }), { created: 2, unchanged: 0, userErrors: [] });
  assert.deepEqual(await bring({ clientId, rows }), { created: 0, unchanged: 2, userErrors: [] });
  const network = [{ kind: 'BLOCK', pattern: '192.0.2.0/24' }];
  assert.deepEqual(await bring({ rows: network }), { created: 1, unchanged: 0, userErrors: [] });
  for (const [input, code, message, apiKey] of [
    [{ clientId, rows: [...rows, ...network] }, 'BAD_USER_INPUT', /line 4: .*network/, partner.apiKey],
    [{ clientId, rows }, 'NOT_FOUND', /no such client/, other.apiKey],
    [{ rows: Array.from({ length: 1001 }, () => rows[0]) }, 'BAD_USER_INPUT', /at most 1000/, partner.apiKey],
  ] as const) {
    const { userErrors } = (await bring(input, apiKey)) as { userErrors: { code: string; message: string }[] };
    assert.equal(userErrors[0]?.code, code);
    assert.match(userErrors[0]?.message ?? '', message);
  }
  const { rows: kept } = await owner.query(
    'select pattern, mailbox_id is not null as narrow from list_entries order by 1',
  );
  assert.deepEqual(
    kept.map((row) => [row.pattern, row.narrow]),
    [
      ['192.0.2.0/24', false],
      ['eve@evil.example', true],
      ['xn--bcher-kva.example', false],
    ],
  );
});

test('a revoked key is refused at once, compiled queries and open connections or not', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const key = await keyWith(db, partner.id, ['read']);
  const server = await openServer(t, { db, clock });
  const query = '{ viewer { scopes } clients { nodes { id } } }';
  for (let time = 0; time < 3; time += 1) assert.equal((await server.ask(key, query)).status, 200);
  const keyId = /^tg_live_([\w-]{22})_/.exec(key)?.[1] ?? '';
  const hex = Buffer.from(keyId, 'base64url').toString('hex');
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  await db.system((tx) => revokeKey(tx, { partnerId: partner.id, keyId: uuid, actor: 'test' }));
  assert.equal((await server.ask(key, query)).status, 401);
  const { status } = await server.ask(partner.apiKey, query);
  assert.equal(status, 200);
});

test('no N+1: statements do not grow with rows, and a request reads in one transaction', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  for (let index = 0; index < 6; index += 1) {
    await seedClient(db, partner.id, { name: `Client ${index}`, domain: `c${index}.example` });
  }
  const counted = counting(db);
  const server = await openServer(t, { db: counted.db, clock });
  const query = `query ($n: Int!) { viewer { partner { id } } clients(first: $n) { nodes { id domains } } }`;
  const run = async (count: number) => {
    counted.statements.length = 0;
    counted.transactions.length = 0;
    const answer = await server.ask(partner.apiKey, query, { n: count });
    assert.equal(answer.body.errors, undefined);
    assert.deepEqual(counted.transactions, ['read']);
    return counted.statements.length;
  };
  assert.deepEqual([await run(1), await run(2), await run(6), await run(100)], [3, 3, 3, 3]);

  const ids = await server.ask(partner.apiKey, '{ clients { nodes { id } } }');
  const list = (ids.body.data as { clients: { nodes: { id: string }[] } }).clients.nodes.map((node) => node.id);
  counted.statements.length = 0;
  const nodes = await server.ask(
    partner.apiKey,
    'query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Client { domains } } }',
    {
      ids: [...list, ...list],
    },
  );
  assert.equal((nodes.body.data as { nodes: object[] }).nodes.length, 12);
  assert.equal(counted.statements.length, 2);

  counted.statements.length = 0;
  counted.transactions.length = 0;
  await server.ask(partner.apiKey, '{ __schema { queryType { name } } viewer { scopes } }');
  assert.deepEqual(counted.transactions, [], 'what needs no rows opens no transaction');
});

test("scopes: a field or mutation outside the key's scopes is refused, also where it is reached another way", async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const client = await seedClient(db, partner.id);
  const server = await openServer(t, { db, clock });
  const codes = async (key: string, query: string) =>
    (await server.ask(key, query, undefined)).body.errors?.map((error) => error.extensions['code']) ?? [];
  const read = await keyWith(db, partner.id, ['read']);
  const write = await keyWith(db, partner.id, ['write']);
  const admin = await keyWith(db, partner.id, ['admin']);
  const clients = '{ clients { nodes { id } } }';
  const add = 'mutation { addListEntry(input: {kind: BLOCK, pattern: "a.example"}) { userErrors { code } } }';
  for (let time = 0; time < 3; time += 1) {
    assert.deepEqual(await codes(read, clients), []);
    assert.deepEqual(await codes(read, add), ['FORBIDDEN']);
    assert.deepEqual(await codes(write, clients), ['FORBIDDEN']);
    assert.deepEqual(await codes(write, add), []);
    assert.deepEqual(await codes(admin, clients), []);
    assert.deepEqual(await codes(admin, add), []);
    assert.deepEqual(await codes(write, '{ viewer { scopes partner { name } } }'), []);
    const statistics = 'statistics(from: "2026-10-01", to: "2026-10-01") { complete }';
    assert.deepEqual(await codes(write, `{ viewer { partner { ${statistics} } } }`), ['FORBIDDEN']);
    const through = `mutation { importMailboxes(input: {clientId: "${client}", rows: []}) { client { ${statistics} } } }`;
    assert.deepEqual(await codes(write, through), ['FORBIDDEN']);
    assert.deepEqual(await codes(write, `{ node(id: "x") { id } }`), ['FORBIDDEN']);
  }
});

test("another tenant's ids are unknown ids to every mutation on accounts", async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const [mine, theirs] = [await seedPartner(db), await seedPartner(db, 'Other')];
  const client = await seedClient(db, theirs.id, { domain: 'theirs.example' });
  const server = await openServer(t, { db, clock });
  const mailbox = await db.tenant(partnerId(theirs.id), (tx) =>
    tx.one<{ id: string }>({ name: 'mb', text: 'select id from mailboxes limit 1', values: [] }),
  );
  const unknown = '01a20cdd-addb-7435-b108-f4b607e53e48';
  for (const [id, box] of [
    [client, mailbox.id],
    [unknown, unknown],
  ]) {
    const answer = await server.ask(
      mine.apiKey,
      `mutation { a: importMailboxes(input: {clientId: "${id}", rows: []}) { userErrors { code message } }
        b: addListEntry(input: {kind: ALLOW, pattern: "a.example", clientId: "${id}"}) { userErrors { code message } }
        c: addListEntry(input: {kind: ALLOW, pattern: "a.example", clientId: "${id}", mailboxId: "${box}"}) { userErrors { code message } } }`,
    );
    const error = { userErrors: [{ code: 'NOT_FOUND', message: 'no such client' }] };
    assert.deepEqual(answer.body.data, { a: error, b: error, c: error });
  }
  assert.equal((await owner.query('select 1 from list_entries')).rows.length, 0);
});
