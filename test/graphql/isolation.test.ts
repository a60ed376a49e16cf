import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
} from 'graphql';
import { newId } from '../../src/core/id.ts';
import { globalId, NODE_TYPES } from '../../src/graphql/ids.ts';
import { loadSchema } from '../../src/graphql/schema.ts';
import { openDatabase } from '../support/db.ts';
import { seedHistory } from '../support/history.ts';
import { openServer } from '../support/http.ts';
import { openEvents } from '../support/live.ts';
import { rollAll } from '../support/roll.ts';
import { seedWorld } from '../support/world.ts';

const { schema } = loadSchema();

const SAMPLES: Readonly<Record<string, string>> = {
  Date: '"2026-10-14"',
  DateTime: '"2026-10-01T00:00:00Z"',
  TimeZone: '"Europe/London"',
  String: '"sample.example"',
  Int: '1',
  Float: '1',
  Boolean: 'true',
  BigInt: '1',
};

/** A literal of the type: ids are `id`, what is not needed is left out unless it holds an id. */
function literal(type: GraphQLInputType, id: string): string {
  if (isNonNullType(type)) return literal(type.ofType, id);
  if (isListType(type)) return `[${literal(type.ofType, id)}]`;
  if (isEnumType(type)) return type.getValues()[0]?.name ?? '';
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields())
      .filter((field) => isRequiredInputField(field) || holdsId(field.type))
      .map((field) => `${field.name}: ${literal(field.type, id)}`);
    return `{${fields.join(', ')}}`;
  }
  return type.name === 'ID' ? JSON.stringify(id) : (SAMPLES[type.name] ?? '""');
}

function holdsId(type: GraphQLInputType): boolean {
  const named = getNamedType(type);
  if (isInputObjectType(named)) return Object.values(named.getFields()).some((field) => holdsId(field.type));
  return named.name === 'ID';
}

function call(field: GraphQLField<unknown, unknown>, id: string): string {
  const args = field.args
    .filter((arg: GraphQLArgument) => isRequiredArgument(arg) || holdsId(arg.type) || arg.name === 'first')
    .map((arg) => `${arg.name}: ${arg.name === 'first' ? '2' : literal(arg.type, id)}`);
  return `${field.name}${args.length === 0 ? '' : `(${args.join(', ')})`}`;
}

/** Everything below a field, `depth` levels of objects deep. `own` fills ids that a field needs; `node` is what a Node is. */
function everything(field: GraphQLField<unknown, unknown>, depth: number, own: string, node: string): string {
  const type = getNamedType(field.type);
  if (isInterfaceType(type)) {
    const one = schema.getType(node) as GraphQLObjectType;
    return `{ __typename ... on ${node} ${fieldsOf(one, depth, own)} }`;
  }
  return isObjectType(type) ? fieldsOf(type, depth, own) : '';
}

/** Answers that are large themselves: where they hang below something else they are left out, and walked on their own. */
const LARGE: ReadonlySet<string> = new Set([
  'PartnerOverview',
  'ReportRunConnection',
  'Insights',
  'CampaignConnection',
]);

function fieldsOf(type: GraphQLObjectType, depth: number, own: string): string {
  const parts = Object.values(type.getFields()).flatMap((field) => {
    const isLeaf = !isObjectType(getNamedType(field.type)) && !isInterfaceType(getNamedType(field.type));
    if (isLeaf) return [field.name];
    if (LARGE.has(getNamedType(field.type).name)) return [];
    return depth > 0 ? [`${call(field, own)} ${everything(field, depth - 1, own, 'Client')}`] : [];
  });
  return `{ __typename ${parts.join(' ')} }`;
}

const GENEROUS = { capacity: 1e12, perSecond: 1e12 };

test("rule 10: every field and mutation that takes an id answers another tenant's as one that does not exist", async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const theirs = await seedWorld(db, owner, 'theirs', clock.now());
  const mine = await seedWorld(db, owner, 'mine', clock.now());
  const server = await openServer(t, { db, clock, rate: GENEROUS });
  const ask = async (text: string) => {
    // What may be watched would be answered with a stream; what may not is refused as for an unknown id.
    const accept = text.startsWith('subscription') ? { accept: 'application/json, text/event-stream' } : {};
    const answer = await server.ask(mine.apiKey, text, undefined, accept);
    return JSON.stringify({ status: answer.status, data: answer.body.data, errors: answer.body.errors });
  };
  const dump = async () => {
    const tables = await owner.query<{ name: string }>(
      "select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'partner_id' where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace order by 1",
    );
    const rows: unknown[] = [];
    for (const { name } of tables.rows) {
      rows.push([
        name,
        (await owner.query(`select t::text from ${name} t where partner_id = $1 order by 1`, [theirs.partner])).rows,
      ]);
    }
    return JSON.stringify(rows);
  };
  const before = await dump();

  const roots: [string, GraphQLObjectType][] = [
    ['query', schema.getQueryType() as GraphQLObjectType],
    ['mutation', schema.getMutationType() as GraphQLObjectType],
    ['subscription', schema.getSubscriptionType() as GraphQLObjectType],
  ];
  let probed = 0;
  for (const [operation, root] of roots) {
    for (const field of Object.values(root.getFields())) {
      if (!field.args.some((arg) => holdsId(arg.type))) continue;
      for (const type of NODE_TYPES) {
        const unknown = newId();
        const forms: [string, string][] = [
          [globalId(type, theirs.ids[type]), globalId(type, unknown)],
          [theirs.ids[type], unknown],
        ];
        for (const [foreign, absent] of forms) {
          const text = (id: string) => `${operation} { ${call(field, id)} ${everything(field, 1, id, type)} }`;
          const [seen, expected] = [await ask(text(foreign)), await ask(text(absent))];
          assert.equal(
            seen.replaceAll(foreign, 'ID'),
            expected.replaceAll(absent, 'ID'),
            `${root.name}.${field.name} tells a foreign ${type}`,
          );
          assert.doesNotMatch(seen, /theirs|"INTERNAL"|VALIDATION/, `${root.name}.${field.name}`);
          probed += 1;
        }
      }
    }
  }
  assert.ok(probed > 200, `${probed} probes`);

  // Fields below the root that take an id are reached through an object of the caller's own.
  const client = schema.getType('Client') as GraphQLObjectType;
  for (const type of Object.values(schema.getTypeMap()).filter(isObjectType)) {
    if (type.name.startsWith('__') || roots.some(([, root]) => root === type)) continue;
    for (const field of Object.values(type.getFields())) {
      if (!field.args.some((arg) => holdsId(arg.type))) continue;
      assert.equal(type, client, `${type.name}.${field.name} takes an id: reach it here too`);
      const unknown = newId();
      const text = (id: string) =>
        `{ client(id: "${mine.ids.Client}") { ${call(field, id)} ${everything(field, 1, id, 'Client')} } }`;
      const [seen, expected] = [await ask(text(theirs.ids.Client)), await ask(text(unknown))];
      assert.equal(seen.replaceAll(theirs.ids.Client, 'ID'), expected.replaceAll(unknown, 'ID'));
      assert.doesNotMatch(seen, /theirs/);
    }
  }
  assert.equal(await dump(), before, 'nothing of the other tenant was changed');
});

test('rule 10: whatever a tenant asks for, no text of another tenant comes along', async (t) => {
  const { db, clock, owner, before } = await openDatabase(t);
  const theirs = await seedWorld(db, owner, 'theirs', clock.now());
  const mine = await seedWorld(db, owner, 'mine', clock.now());
  await rollAll(db);
  await seedHistory(owner, theirs, 'theirs');
  await seedHistory(owner, mine, 'mine');
  const server = await openServer(t, { db, clock, rate: GENEROUS });
  before(() => server.http.close(0));
  const foreign = Object.entries(theirs.ids).flatMap(([type, id]) => [
    id,
    globalId(type as (typeof NODE_TYPES)[number], id),
  ]);
  const reached = new Set<string>();
  const note = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(note);
    else if (typeof value === 'object' && value !== null) {
      const typename = (value as Record<string, unknown>)['__typename'];
      if (typeof typename === 'string') reached.add(typename);
      Object.values(value).forEach(note);
    }
  };
  const query = schema.getQueryType() as GraphQLObjectType;
  // Each type on its own by its id, with all around it; then every root field: as deep as a document may be.
  const queries = [
    ...NODE_TYPES.map((type) => {
      const node = query.getFields()['node'] ?? assert.fail();
      const id = globalId(type, mine.ids[type]);
      return (depth: number) => `{ ${call(node, id)} ${everything(node, depth, mine.ids.Client, type)} }`;
    }),
    ...Object.values(query.getFields())
      .filter((field) => !field.name.startsWith('node'))
      .map(
        (field) => (depth: number) =>
          `{ ${call(field, mine.ids.Client)} ${everything(field, depth, mine.ids.Client, 'Client')} }`,
      ),
    ...(['Client', 'Partner'] as const).flatMap((name) =>
      Object.values((schema.getType(name) as GraphQLObjectType).getFields())
        .filter((field) => LARGE.has(getNamedType(field.type).name))
        .map((field) => (depth: number) => {
          const inner = `${call(field, mine.ids.Client)} ${everything(field, depth, mine.ids.Client, 'Client')}`;
          return `{ node(id: "${globalId(name, mine.ids[name])}") { ... on ${name} { ${inner} } } }`;
        }),
    ),
  ];
  // A domain is reached by its name, and has more around it than fits in one document.
  const domain = schema.getType('Domain') as GraphQLObjectType;
  for (const name of ['dmarc', 'tlsReports', 'reportAddress', 'dmarcReadiness']) {
    const field = domain.getFields()[name] ?? assert.fail();
    queries.push(() => `{ domain(name: "mine.example") { ${call(field, '')} ${everything(field, 4, '', 'Client')} } }`);
  }
  for (const write of queries) {
    let depth = 3;
    let text = write(depth);
    let answer = await server.ask(mine.apiKey, text);
    while (depth > 1 && JSON.stringify(answer.body.errors ?? '').includes('LIMIT_EXCEEDED')) {
      depth -= 1;
      text = write(depth);
      answer = await server.ask(mine.apiKey, text);
    }
    const written = JSON.stringify(answer.body);
    assert.equal(answer.body.errors, undefined, `${text.slice(0, 80)} ${written.slice(0, 300)}`);
    assert.doesNotMatch(written, /theirs/);
    for (const id of foreign) assert.ok(!written.includes(id));
    note(answer.body.data);
  }
  // What is watched: both partners' things change, and each hears of its own.
  const subscription = schema.getSubscriptionType() as GraphQLObjectType;
  const streams = await Promise.all(
    Object.values(subscription.getFields()).map((field) =>
      openEvents(
        t,
        server,
        mine.apiKey,
        `subscription { ${field.name} ${everything(field, 2, mine.ids.Client, 'Client')} }`,
      ),
    ),
  );
  await owner.query("update incidents set title = title || ' again'");
  await owner.query("update report_runs set error = 'x'");
  await owner.query("update release_requests set state = 'denied'");
  await owner.query("update incidents set title = title || ' and again'");
  for (const stream of streams) {
    const told = await stream.next();
    const written = JSON.stringify(told);
    assert.equal(told?.data?.errors, undefined, written);
    assert.doesNotMatch(written, /theirs/);
    for (const id of foreign) assert.ok(!written.includes(id));
    note(told?.data?.data);
  }
  const readable = Object.values(schema.getTypeMap())
    .filter(isObjectType)
    .map((type) => type.name)
    .filter((name) => !/^__|^Query$|^Mutation$|^Subscription$|Payload$|^UserError$|^ActionResult$/.test(name));
  assert.deepEqual(
    readable.filter((name) => !reached.has(name)),
    [],
    'the walk reaches every type that can be read',
  );
});
