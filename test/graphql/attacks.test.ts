import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../support/db.ts';
import { openServer, type TestServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const GRAPHQL = 'application/graphql-response+json';

async function open(t: Parameters<typeof openDatabase>[0]): Promise<{ server: TestServer; key: string }> {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { name: 'Acme' });
  return { server: await openServer(t, { db, clock }), key: partner.apiKey };
}

test('what multiplies work is refused before it is done', async (t) => {
  const { server, key } = await open(t);
  const refused = async (query: string, variables: object | undefined, pattern: RegExp) => {
    // Twice: a refusal must not become an answer once the text is known.
    for (let time = 0; time < 2; time += 1) {
      const answer = await server.ask(key, query, variables, { accept: GRAPHQL });
      assert.equal(answer.status, 400, `${query.slice(0, 60)}: ${JSON.stringify(answer.body).slice(0, 200)}`);
      assert.equal(answer.body.data, undefined);
      assert.match(answer.body.errors?.[0]?.message ?? '', pattern);
    }
  };

  await t.test('aliases, of __typename too', async () => {
    const aliases = (field: string) => Array.from({ length: 31 }, (_, index) => `a${index}: ${field}`).join(' ');
    await refused(`{ ${aliases('__typename')} }`, undefined, /too many/);
    await refused(`{ viewer { partner { ${aliases('name')} } } }`, undefined, /too many aliases/);
  });

  await t.test('repetition without aliases', async () => {
    await refused(`{ viewer { partner { ${'name '.repeat(501)} } } }`, undefined, /too many fields/);
    await refused(`{ viewer { partner { ${'name '.repeat(3000)} } } }`, undefined, /more that 2000 tokens/);
  });

  await t.test('fragments that double each other', async () => {
    const chain = Array.from({ length: 20 }, (_, n) => `fragment F${n} on Partner { ...F${n + 1} ...F${n + 1} }`).join(
      '\n',
    );
    await refused(
      `{ viewer { partner { ...F0 } } } ${chain} fragment F20 on Partner { name }`,
      undefined,
      /too many fields/,
    );
  });

  await t.test('fragments in a circle', async () => {
    await refused(
      '{ viewer { partner { ...A } } } fragment A on Partner { ...B } fragment B on Partner { ...A }',
      undefined,
      /Cannot spread fragment/,
    );
  });

  await t.test('depth, through fragments too', async () => {
    const nest = (levels: number): string =>
      levels === 0 ? 'id' : `mailboxes(first: 1) { nodes { client { ${nest(levels - 1)} } } }`;
    await refused(`{ clients(first: 1) { nodes { ${nest(4)} } } }`, undefined, /too many levels/);
    await refused(
      `{ clients(first: 1) { nodes { ...A } } } fragment A on Client { ${nest(2)} ...B } fragment B on Client { mailboxes(first: 1) { nodes { client { ${nest(3)} } } } }`,
      undefined,
      /too many levels/,
    );
  });

  await t.test('directives', async () => {
    await refused(`{ viewer { ${'__typename @include(if: true) '.repeat(21)} } }`, undefined, /too many directives/);
  });

  await t.test('introspection in a spiral', async () => {
    const spiral =
      '{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }';
    await refused(spiral, undefined, /introspection depth/i);
  });

  await t.test('cost, in the text, in variables and in their defaults', async () => {
    const body = 'edges { node { mailboxes(first: 50) { nodes { id } } } }';
    await refused(`{ clients(first: 100) { ${body} } }`, undefined, /costs 5201 points/);
    await refused(`query ($n: Int!) { clients(first: $n) { ${body} } }`, { n: 100 }, /costs 5201 points/);
    await refused(`query ($n: Int! = 100) { clients(first: $n) { ${body} } }`, undefined, /costs 5201 points/);
    await refused(`query ($n: Int! = 100) { clients(first: $n) { ${body} } }`, {}, /costs 5201 points/);
    await refused(
      `query ($n: Int!) { clients(first: 2147483647) { ${body} } }`.replace('($n: Int!) ', ''),
      undefined,
      /points/,
    );
    const affordable = await server.ask(key, `query ($n: Int!) { clients(first: $n) { ${body} } }`, { n: 10 });
    assert.equal(affordable.body.errors, undefined);
    const extensions = affordable.body.extensions as { cost: { requestedQueryCost: number } };
    assert.equal(extensions.cost.requestedQueryCost, 521);
  });

  await t.test('a long text', async () => {
    await refused(`{ viewer { __typename } } #${'x'.repeat(20_000)}`, undefined, /at most 20000 characters/);
  });

  await t.test('several operations in one document', async () => {
    await refused('query A { viewer { scopes } } query B { viewer { partner { id } } }', undefined, /one operation/);
    await refused('query A { __typename } mutation M { __typename }', undefined, /one operation/);
  });

  await t.test('a JSON syntax tree instead of a text', async () => {
    const field = { kind: 'Field', name: { kind: 'Name', value: '__typename' } };
    const tree = {
      kind: 'Document',
      definitions: [
        {
          kind: 'OperationDefinition',
          operation: 'query',
          selectionSet: { kind: 'SelectionSet', selections: [field] },
        },
      ],
    };
    const texts = [
      JSON.stringify(tree),
      `\n\t ${JSON.stringify(tree)}`,
      JSON.stringify(tree, null, 2),
      '{}',
      '[]',
      'null',
      '1',
      '-1',
      '"x"',
      'true',
      'false',
    ];
    for (const text of texts) await refused(text, undefined, /not a GraphQL document|Syntax Error/);
  });
});

test('mercurius: an operation that was compiled does not answer for another', async (t) => {
  const { server, key } = await open(t);
  const get = async (query: string, operationName: string) => {
    const search = new URLSearchParams({ query, operationName });
    const response = await fetch(`${server.url}/graphql?${search}`, { headers: { authorization: `Bearer ${key}` } });
    return { status: response.status, allow: response.headers.get('allow'), text: await response.text() };
  };
  const both = 'query A { viewer { __typename } } mutation M { removeListEntry(input: {id: "x"}) { removedId } }';
  for (let time = 0; time < 4; time += 1) {
    await server.ask(key, both, undefined);
    const answer = await get(both, 'A');
    assert.match(answer.text, /one operation/);
    assert.doesNotMatch(answer.text, /removedId/);
  }
  const one = 'query A { viewer { __typename } }';
  for (let time = 0; time < 4; time += 1) {
    const unknown = await get(one, 'B');
    assert.match(unknown.text, /no operation of that name/);
    assert.match((await get(one, 'A')).text, /"Viewer"/);
  }
  const mutation = 'mutation M { removeListEntry(input: {id: "x"}) { removedId } }';
  for (let time = 0; time < 4; time += 1) {
    const answer = await get(mutation, 'M');
    assert.equal(answer.status, 405);
    assert.equal(answer.allow, 'POST');
    assert.equal((await server.ask(key, mutation)).status, 200);
  }
});

test('names of the schema are not guessed for the caller', async (t) => {
  const { server, key } = await open(t);
  for (const query of [
    '{ viewer { partnr { id } } }',
    '{ clients(fist: 1) { nodes { id } } }',
    'query ($a: Clien) { viewer { scopes } }',
    '{ client(id: "x") { statistics(from: "2026-01-01", to: "2026-01-02", granularity: DAI) { complete } } }',
  ]) {
    const answer = await server.ask(key, query);
    assert.ok((answer.body.errors?.length ?? 0) > 0, query);
    assert.doesNotMatch(JSON.stringify(answer.body), /did you mean/i);
  }
});

test('without a live key nothing is answered, the schema neither', async (t) => {
  const { server, key } = await open(t);
  const other = `tg_live_${'A'.repeat(22)}_${'A'.repeat(43)}`;
  for (const token of [
    null,
    'x',
    other,
    `${key}x`,
    key.slice(0, -1),
    `tg_live_${'\u00e9'}`.normalize('NFD').slice(0, 8),
  ]) {
    const answer = await server.ask(token, '{ __schema { types { name } } }');
    assert.equal(answer.status, 401);
    assert.equal(answer.headers.get('www-authenticate'), 'Bearer realm="tollgate"');
    assert.deepEqual(
      answer.body.errors?.map((error) => error.extensions['code']),
      ['UNAUTHENTICATED'],
    );
    assert.equal(answer.body.data, undefined);
  }
  const answer = await server.ask(key, '{ __schema { queryType { name } } }');
  assert.equal(answer.body.errors, undefined);
});

test('a key spends points and is told when there are more', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const other = await seedPartner(db, 'Other');
  const server = await openServer(t, { db, clock, rate: { capacity: 100, perSecond: 10 } });
  const query = '{ clients(first: 49) { nodes { id } } }';
  assert.equal((await server.ask(partner.apiKey, query)).status, 200);
  const second = await server.ask(partner.apiKey, query);
  assert.deepEqual(second.body.extensions?.['cost'], {
    requestedQueryCost: 50,
    maximumQueryCost: 1000,
    throttleStatus: { maximumAvailable: 100, currentlyAvailable: 0, restoreRate: 10 },
  });
  const third = await server.ask(partner.apiKey, query);
  assert.equal(third.status, 429);
  assert.equal(third.headers.get('retry-after'), '5');
  assert.equal(third.body.errors?.[0]?.extensions['code'], 'LIMIT_EXCEEDED');
  assert.equal((await server.ask(other.apiKey, query)).status, 200, 'another key has its own points');
  clock.advance(5_000);
  assert.equal((await server.ask(partner.apiKey, query)).status, 200);
});
