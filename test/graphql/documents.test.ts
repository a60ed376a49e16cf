import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createKey } from '../../src/accounts/keys.ts';
import { DOCUMENTS_MAX } from '../../src/graphql/documents.ts';
import { openDatabase } from '../support/db.ts';
import { type Answer, keyWith, openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DOCUMENT = 'query Names($n: Int!) { clients(first: $n) { nodes { name } } }';
const sha = (text: string) => createHash('sha256').update(text).digest('hex');
const NAMES = { clients: { nodes: [{ name: 'Acme' }] } };

async function open(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const mine = await seedPartner(db);
  const theirs = await seedPartner(db, 'Other');
  await seedClient(db, mine.id, { name: 'Acme' });
  const server = await openServer(t, { db, clock });
  const read = async (response: Response) => ({
    status: response.status,
    body: (await response.json()) as Answer['body'],
  });
  const post = async (key: string, body: object) =>
    read(
      await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify(body),
      }),
    );
  const get = async (key: string, search: Record<string, string>) =>
    read(
      await fetch(`${server.url}/graphql?${new URLSearchParams(search)}`, {
        headers: { authorization: `Bearer ${key}` },
      }),
    );
  return { db, owner, server, mine, theirs, post, get };
}

const apq = (hash: string) => ({ persistedQuery: { version: 1, sha256Hash: hash } });
const codeOf = (answer: { body: Answer['body'] }) => answer.body.errors?.[0]?.extensions['code'];

test('a document is registered once and then sent by its checksum, also with GET', async (t) => {
  const { server, mine, theirs, post, get } = await open(t);
  const id = `sha256:${sha(DOCUMENT)}`;
  const variables = { n: 5 };
  const before = await post(mine.apiKey, { documentId: id, variables });
  assert.deepEqual(before.body, {
    errors: [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }],
  });
  const register =
    'mutation ($d: String!) { registerDocument(input: {document: $d}) { document { documentId document createdBy } userErrors { code field message } } }';
  for (let time = 0; time < 2; time += 1) {
    const answer = await server.ask(mine.apiKey, register, { d: DOCUMENT });
    assert.deepEqual(answer.body.data?.['registerDocument'], {
      document: { documentId: id, document: DOCUMENT, createdBy: 'key:first key' },
      userErrors: [],
    });
  }
  for (const name of [id, sha(DOCUMENT), id.toUpperCase().replace('SHA', 'sha')]) {
    assert.deepEqual((await post(mine.apiKey, { documentId: name, variables })).body.data, NAMES);
  }
  assert.deepEqual((await post(mine.apiKey, { extensions: apq(sha(DOCUMENT)), variables })).body.data, NAMES);
  assert.deepEqual((await get(mine.apiKey, { documentId: id, variables: '{"n":5}' })).body.data, NAMES);
  const byExtension = { extensions: JSON.stringify(apq(sha(DOCUMENT))), variables: '{"n":5}' };
  assert.deepEqual((await get(mine.apiKey, byExtension)).body.data, NAMES);
  assert.equal(
    codeOf(await post(theirs.apiKey, { documentId: id, variables })),
    'PERSISTED_QUERY_NOT_FOUND',
    'rule 10',
  );
  const list = await server.ask(mine.apiKey, '{ persistedDocuments { nodes { documentId } } }');
  assert.deepEqual(list.body.data, { persistedDocuments: { nodes: [{ documentId: id }] } });
  const remove =
    'mutation ($d: String!) { removeDocument(input: {documentId: $d}) { removedDocumentId userErrors { code field } } }';
  assert.deepEqual((await server.ask(theirs.apiKey, remove, { d: id })).body.data?.['removeDocument'], {
    removedDocumentId: null,
    userErrors: [{ code: 'NOT_FOUND', field: 'documentId' }],
  });
  await server.ask(mine.apiKey, remove, { d: id });
  assert.equal(codeOf(await post(mine.apiKey, { documentId: id, variables })), 'PERSISTED_QUERY_NOT_FOUND');
});

test('a document that comes with its checksum is checked, run, and kept where the key may write', async (t) => {
  const { db, owner, mine, post, get } = await open(t);
  const count = async () => Number((await owner.query('select count(*) from persisted_documents')).rows[0].count);
  const variables = { n: 5 };
  const reader = await keyWith(db, mine.id, ['read']);
  const both = { query: DOCUMENT, extensions: apq(sha(DOCUMENT)), variables };
  assert.deepEqual((await post(reader, both)).body.data, NAMES);
  assert.equal(await count(), 0, 'a key that may not write keeps nothing');
  assert.deepEqual(
    (await get(mine.apiKey, { query: DOCUMENT, extensions: JSON.stringify(apq(sha(DOCUMENT))), variables: '{"n":5}' }))
      .body.data,
    NAMES,
  );
  assert.equal(await count(), 0, 'rule 9: GET never acts');
  assert.equal(codeOf(await post(mine.apiKey, { ...both, extensions: apq(sha('x')) })), 'BAD_REQUEST');
  assert.equal((await post(mine.apiKey, { query: 'query {', extensions: apq(sha('query {')) })).body.data, undefined);
  assert.equal(await count(), 0, 'neither what is wrong');
  assert.deepEqual((await post(mine.apiKey, both)).body.data, NAMES);
  assert.equal(await count(), 1);
  assert.deepEqual(
    (await post(reader, { extensions: apq(sha(DOCUMENT)), variables })).body.data,
    NAMES,
    'for all keys',
  );
  for (const extensions of [{ persistedQuery: 1 }, { persistedQuery: { version: 2, sha256Hash: 'x' } }]) {
    assert.equal((await post(mine.apiKey, { extensions })).status, 400);
  }
  assert.equal((await post(mine.apiKey, { documentId: 7 })).status, 400);
  assert.equal(codeOf(await post(mine.apiKey, { documentId: '../../etc' })), 'PERSISTED_QUERY_NOT_FOUND');
  const mutation = 'mutation { removeListEntry(input: {id: "x"}) { removedId } }';
  await post(mine.apiKey, { query: mutation, extensions: apq(sha(mutation)) });
  assert.equal(
    (await get(mine.apiKey, { documentId: sha(mutation) })).status,
    405,
    'a mutation needs POST, by whatever name',
  );
});

test('a key for registered documents runs those and nothing else', async (t) => {
  const { db, server, mine, post } = await open(t);
  const { token } = await db.system((tx) =>
    createKey(tx, {
      partnerId: mine.id,
      label: 'portal',
      scopes: ['read', 'write'],
      documentsOnly: true,
      actor: 'test',
    }),
  );
  await post(mine.apiKey, { query: DOCUMENT, extensions: apq(sha(DOCUMENT)), variables: { n: 5 } });
  assert.deepEqual((await post(token, { documentId: sha(DOCUMENT), variables: { n: 5 } })).body.data, NAMES);
  assert.deepEqual(
    (await post(token, { query: DOCUMENT, documentId: sha(DOCUMENT), variables: { n: 5 } })).body.data,
    NAMES,
  );
  for (const query of ['{ viewer { scopes } }', '{ __schema { types { name } } }']) {
    assert.equal(codeOf(await server.ask(token, query)), 'FORBIDDEN');
    assert.equal(codeOf(await post(token, { query, extensions: apq(sha(query)) })), 'PERSISTED_QUERY_NOT_FOUND');
    assert.equal(
      codeOf(await post(token, { documentId: sha(query) })),
      'PERSISTED_QUERY_NOT_FOUND',
      'nor does it register any',
    );
  }
});

test('what may not be run may not be registered, and there is an end to it', async (t) => {
  const { owner, server, mine } = await open(t);
  const register = async (document: string) => {
    const text =
      'mutation ($d: String!) { registerDocument(input: {document: $d}) { userErrors { code field message } } }';
    const answer = await server.ask(mine.apiKey, text, { d: document });
    const data = answer.body.data as { registerDocument: { userErrors: { code: string; message: string }[] } };
    return data.registerDocument.userErrors;
  };
  for (const document of [
    '',
    'query {',
    '{ nothing }',
    '{"kind":"Document"}',
    'query A { __typename } query B { __typename }',
    `{ ${'viewer { scopes } '.repeat(300)} }`,
    'fragment F on Query { __typename }',
  ]) {
    const [error] = await register(document);
    assert.equal(error?.code, 'BAD_USER_INPUT', document.slice(0, 40));
    assert.doesNotMatch(error?.message ?? '', /Internal|did you mean/i);
  }
  assert.deepEqual(await register('subscription { incidentChanged { id } }'), []);
  await owner.query(
    `insert into persisted_documents (partner_id, sha256, document, created_at, created_by)
     select $1, sha256(n::text::bytea), '{ __typename }', now(), 'test' from generate_series(2, $2) n`,
    [mine.id, DOCUMENTS_MAX],
  );
  assert.equal((await register('{ viewer { scopes } }'))[0]?.code, 'LIMIT_EXCEEDED');
  assert.deepEqual(await register('subscription { incidentChanged { id } }'), [], 'what is there is there');
});
