import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newId } from '../../src/core/id.ts';
import { connect, connectList, decodeCursor, encodeCursor } from '../../src/graphql/connection.ts';
import { globalId, NODE_TYPES, parseGlobalId, uuidOf } from '../../src/graphql/ids.ts';
import { looksLikeJson } from '../../src/graphql/limits.ts';
import { Loader } from '../../src/graphql/loaders.ts';
import { Throttle } from '../../src/graphql/throttle.ts';
import { isJson, negotiate } from '../../src/http/negotiate.ts';

const uuid = fc.uuid();
const type = fc.constantFrom(...NODE_TYPES);

test('global ids: there and back, one spelling each, the type is part of it', () => {
  fc.assert(
    fc.property(type, uuid, (name, id) => {
      const text = globalId(name, id);
      assert.deepEqual(parseGlobalId(text), { type: name, uuid: id });
      assert.equal(uuidOf(name, text), id);
      assert.equal(uuidOf(name, id.toUpperCase()), id, 'the command line prints bare UUIDs');
      for (const other of NODE_TYPES.filter((one) => one !== name)) assert.equal(uuidOf(other, text), null);
    }),
  );
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      const parsed = parseGlobalId(text);
      if (parsed !== null) assert.equal(globalId(parsed.type, parsed.uuid), text);
    }),
  );
  const id = globalId('Client', newId());
  // The last of 22 letters carries four bits that mean nothing: other spellings of them are other, unknown ids.
  const spellings = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'].filter(
    (letter) => parseGlobalId(id.slice(0, -1) + letter) !== null,
  );
  assert.equal(spellings.length, 4);
});

test('cursors: there and back; what is none is refused, not passed to the database', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string().filter((text) => !text.includes('\0')),
        { minLength: 1, maxLength: 3 },
      ),
      (key) => {
        assert.deepEqual(decodeCursor(encodeCursor(key), key.length), key);
      },
    ),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ minLength: 1 }),
        fc.json().map((text) => Buffer.from(text).toString('base64url')),
      ),
      (text) => {
        try {
          const key = decodeCursor(text, 2);
          assert.ok(key === null || (key.length === 2 && key.every((part) => typeof part === 'string')));
        } catch (error) {
          assert.equal((error as { code: string }).code, 'invalid_input');
        }
      },
    ),
  );
  assert.throws(() => decodeCursor(encodeCursor(['a\0']), 1), { code: 'invalid_input' });
  assert.throws(() => decodeCursor(encodeCursor(['x'.repeat(3000)]), 1), { code: 'invalid_input' });
});

test('connections: following the cursors gives every row once, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.string({ maxLength: 5 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 7 }),
      async (names, first) => {
        const rows = [...names].filter((name) => !name.includes('\0')).sort();
        const bySeek = (args: { first: number; after: string | null }) =>
          connect(
            args,
            1,
            (row: string) => [row],
            async (page) =>
              rows.filter((row) => page.after === null || row > (page.after[0] ?? '')).slice(0, page.first),
          );
        const byList = (args: { first: number; after: string | null }) => connectList(args, rows, (row) => [row]);
        for (const page of [bySeek, byList]) {
          const seen: string[] = [];
          let after: string | null = null;
          for (;;) {
            const got: Awaited<ReturnType<typeof bySeek>> = await page({ first, after });
            assert.ok(got.edges.length <= first);
            assert.equal(got.pageInfo.hasPreviousPage, after !== null);
            assert.equal(got.pageInfo.startCursor, got.edges[0]?.cursor ?? null);
            seen.push(...got.nodes);
            if (!got.pageInfo.hasNextPage) break;
            after = got.pageInfo.endCursor;
          }
          assert.deepEqual(seen, rows);
        }
      },
    ),
  );
});

test('loaders: one fetch per tick, each key once, what is missing is null, a failure reaches everyone', async () => {
  const fetched: (readonly string[])[] = [];
  const loader = new Loader<string, number>(async (keys) => {
    fetched.push(keys);
    if (keys.includes('bad')) throw new Error('gone');
    return new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.length]));
  });
  const later = Promise.resolve().then(() => Promise.all([loader.load('ccc'), loader.load('a')]));
  assert.deepEqual(await Promise.all([loader.load('a'), loader.load('bb'), loader.load('a'), loader.load('none')]), [
    1,
    2,
    1,
    null,
  ]);
  assert.deepEqual(await later, [3, 1]);
  assert.deepEqual(fetched, [['a', 'bb', 'none', 'ccc']]);
  const results = await Promise.allSettled([loader.load('bad'), loader.load('x')]);
  assert.deepEqual(
    results.map((one) => one.status),
    ['rejected', 'rejected'],
  );
});

test('throttle: never more than capacity plus what came back', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: -500, max: 5_000 })), { maxLength: 60 }),
      (steps) => {
        const throttle = new Throttle({ capacity: 100, perSecond: 10 });
        let now = 1_000_000;
        let latest = now;
        let spent = 0;
        for (const [points, wait] of steps) {
          now += wait;
          latest = Math.max(latest, now);
          try {
            const status = throttle.take('key', points, new Date(now));
            spent += points;
            assert.ok(status.currentlyAvailable >= 0 && status.currentlyAvailable <= 100);
          } catch (error) {
            assert.ok(((error as { retryAfter: number }).retryAfter ?? 0) > 0);
          }
        }
        // A clock that is set back and runs again gives no more than the time that it ran.
        const ran = steps.reduce((sum, [, wait]) => sum + Math.max(0, wait), 0);
        assert.ok(spent <= 100 + (ran / 1000) * 10 + 0.001);
      },
    ),
  );
});

test('a text that JSON takes never reaches the parser as JSON', () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom('', ' ', '\n\t', '\r\n '), (json, space) => {
      assert.ok(looksLikeJson(space + json));
    }),
  );
  for (const query of [
    '{ a }',
    'query { a }',
    '{\n  a(b: "c")\n}',
    '# note\n{ a }',
    'fragment A on B { c }',
    '{a}',
    ',{a}',
    '\ufeff{ a }',
    '{...A}',
  ]) {
    assert.ok(!looksLikeJson(query), query);
  }
});

test('the answer has the media type that the caller prefers', () => {
  const cases: [string | undefined, string | null][] = [
    [undefined, 'application/json'],
    ['', 'application/json'],
    ['*/*', 'application/json'],
    ['application/*', 'application/json'],
    ['application/json', 'application/json'],
    ['application/graphql-response+json', 'application/graphql-response+json'],
    ['application/graphql-response+json, application/json;q=0.9', 'application/graphql-response+json'],
    ['application/json;q=0.9, application/graphql-response+json; charset=utf-8', 'application/graphql-response+json'],
    ['application/graphql-response+json;q=0.5, application/json', 'application/json'],
    ['application/graphql-response+json;q=0', null],
    ['text/html', null],
    ['text/html, */*;q=0.1', 'application/json'],
    ['APPLICATION/JSON', 'application/json'],
  ];
  for (const [accept, type] of cases) assert.equal(negotiate(accept), type, accept);
  assert.ok(isJson('application/json'));
  assert.ok(isJson('Application/JSON; Charset="UTF-8"'));
  for (const other of [undefined, '', 'text/json', 'application/json; charset=latin1', 'application/jsonp'])
    assert.ok(!isJson(other));
});
