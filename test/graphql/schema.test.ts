import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IntrospectionQuery, IntrospectionTypeRef } from 'graphql';
import {
  getIntrospectionQuery,
  type IntrospectionField,
  type IntrospectionInputValue,
  type IntrospectionObjectType,
} from 'graphql';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedPartner } from '../support/seed.ts';

const write = (type: IntrospectionTypeRef): string => {
  if (type.kind === 'NON_NULL') return `${write(type.ofType)}!`;
  return type.kind === 'LIST' ? `[${write(type.ofType)}]` : type.name;
};

/** What ends the lists that are no pages. */
const BOUNDED: Readonly<Record<string, string>> = {
  'Client.domains': 'made by createClient, at most 100 of them at a time',
  'Client.routes': 'configured by hand, by domain',
  'Client.regionStrategies': 'configured by hand, by domain',
  'Client.servers': 'one per route',
  'Client.usage': 'days of a bounded period',
  'Client.subscriptions': 'one per product',
  'RegionStrategy.regions': 'configured by hand',
  'Statistics.buckets': 'pieces of a bounded period',
  'Totals.byVerdict': 'one per verdict',
  'Totals.byDisposition': 'one per disposition',
  'StatisticsBucket.byVerdict': 'one per verdict',
  'StatisticsBucket.byDisposition': 'one per disposition',
  'Delivery.reasons': 'one per vote of a stage',
  'Delivery.events': 'the kinds of events, a few each',
  'Delivery.attempts': 'the first 5 and the last 20',
  'Delivery.why': 'one per reason',
  'DeliveryContent.headers': 'at most 500',
  'DeliveryContent.attachments': 'at most 100',
  'InspectedAttachment.findings': 'the checks of one file',
  'TraceEvent.reasons': 'one per vote of a stage',
  'Message.attachments': 'cut by the parser',
  'Usage.addresses': 'the mailboxes of one client',
  'Domain.dkimKeys': 'made by hand',
  'RecordAdvice.problems': 'the rules for one record',
  'DigestSettings.hours': '24',
  'DigestSettings.days': '7',
  'ClientDigestSettings.mailboxes': 'the mailboxes of one client that have settings of their own',
  'ActOnDeliveriesPayload.results': 'one per id of the input',
  'ActOnQuarantinePayload.failures': 'those of one bounded round',
  'Statistics.byDirection': 'one per direction',
  'MailboxStatistics.buckets': 'pieces of a bounded period',
  'MailboxTotals.byVerdict': 'one per verdict',
  'DmarcStatistics.byDisposition': 'one per disposition',
  'DmarcStatistics.byDay': 'days of a bounded period',
  'DmarcStatistics.byOrg': 'at most 100',
  'TlsStatistics.byDay': 'days of a bounded period, by type of policy',
  'TlsStatistics.failures': 'at most 100',
  'Insights.changes': 'one per metric',
  'Insights.days': 'days of a bounded period',
  'Insights.benchmarks': 'one per metric',
  'Insights.licences': 'one per product',
  'Anomaly.causes': 'the first of each kind',
  'Forecast.days': 'at most 92',
  'ProtectionValue.byVerdict': 'one per verdict',
  'HealthScore.components': 'the parts of the formula',
  'DeliveryQuality.servers': 'one per route',
  'Campaign.clients': 'the clients of one partner',
  'Campaign.verdicts': 'one per verdict',
  'Campaign.traits': 'at most five',
};

/** Ends with the day of the removal; clients have it from the announcement until then. */
function isDatedDeprecation(reason: string): boolean {
  const day = /^\S.+ Removed on (\d{4}-\d{2}-\d{2})\.$/.exec(reason)?.[1];
  return day !== undefined && !Number.isNaN(Date.parse(day));
}

async function introspect(t: Parameters<typeof openDatabase>[0]): Promise<IntrospectionQuery['__schema']> {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const answer = await server.ask(
    partner.apiKey,
    getIntrospectionQuery({ directiveIsRepeatable: true, specifiedByUrl: true, inputValueDeprecation: true }),
  );
  assert.equal(answer.body.errors, undefined, 'the whole schema fits the limits for documents');
  return (answer.body.data as unknown as IntrospectionQuery).__schema;
}

test('the schema keeps its own rules, as a caller sees it', async (t) => {
  const schema = await introspect(t);
  const types = schema.types.filter((type) => !type.name.startsWith('__'));
  const objects = types.filter((type): type is IntrospectionObjectType => type.kind === 'OBJECT');
  const object = (name: string) => objects.find((type) => type.name === name);
  const fieldOf = (type: IntrospectionObjectType | undefined, name: string): IntrospectionField | undefined =>
    type?.fields.find((field) => field.name === name);
  const argsOf = (args: readonly IntrospectionInputValue[]) =>
    args.map((arg) => `${arg.name}: ${write(arg.type)}${arg.defaultValue === null ? '' : ` = ${arg.defaultValue}`}`);

  await t.test('everything has a doc string', () => {
    const bare: string[] = [];
    const need = (name: string, description: string | null | undefined) => {
      if (description === null || description === undefined || description.trim().length < 4) bare.push(name);
    };
    for (const type of types) {
      if (['String', 'Int', 'Float', 'Boolean', 'ID'].includes(type.name)) continue;
      need(type.name, type.description);
      if (type.kind === 'ENUM')
        for (const value of type.enumValues) need(`${type.name}.${value.name}`, value.description);
      if (type.kind === 'INPUT_OBJECT') {
        for (const field of type.inputFields) need(`${type.name}.${field.name}`, field.description);
      }
      if (type.kind === 'OBJECT' || type.kind === 'INTERFACE') {
        for (const field of type.fields) {
          need(`${type.name}.${field.name}`, field.description);
          for (const arg of field.args) need(`${type.name}.${field.name}(${arg.name})`, arg.description);
        }
      }
    }
    for (const directive of schema.directives) {
      need(`@${directive.name}`, directive.description);
      for (const arg of directive.args) need(`@${directive.name}(${arg.name})`, arg.description);
    }
    assert.deepEqual(bare, []);
  });

  await t.test('Relay: PageInfo, connections and edges have their fields, and only connections page', () => {
    const info = object('PageInfo');
    assert.equal(write(fieldOf(info, 'hasNextPage')?.type as IntrospectionTypeRef), 'Boolean!');
    assert.equal(write(fieldOf(info, 'hasPreviousPage')?.type as IntrospectionTypeRef), 'Boolean!');
    assert.equal(write(fieldOf(info, 'startCursor')?.type as IntrospectionTypeRef), 'String');
    assert.equal(write(fieldOf(info, 'endCursor')?.type as IntrospectionTypeRef), 'String');

    // What an answer says of itself beside its page.
    const FURTHER: Readonly<Record<string, readonly string[]>> = {
      DeliveryConnection: ['detailFrom', 'detailComplete'],
      CampaignConnection: ['complete', 'completeThrough'],
    };
    const connections = objects.filter((type) => type.name.endsWith('Connection'));
    assert.ok(connections.length >= 8);
    for (const type of connections) {
      const base = type.name.replace(/Connection$/, '');
      assert.deepEqual(
        type.fields
          .filter((field) => !(FURTHER[type.name] ?? []).includes(field.name))
          .map((field) => `${field.name}: ${write(field.type)}`),
        [`edges: [${base}Edge!]!`, `nodes: [${base}!]!`, 'pageInfo: PageInfo!'],
        type.name,
      );
      assert.deepEqual(
        object(`${base}Edge`)?.fields.map((field) => `${field.name}: ${write(field.type)}`),
        ['cursor: String!', `node: ${base}!`],
      );
    }
    assert.equal(objects.filter((type) => type.name.endsWith('Edge')).length, connections.length);
    for (const type of objects) {
      for (const field of type.fields) {
        const name = `${type.name}.${field.name}`;
        if (!write(field.type).endsWith('Connection!')) {
          assert.ok(!field.args.some((arg) => arg.name === 'after'), `${name} pages and is no connection`);
          continue;
        }
        const args = argsOf(field.args);
        assert.ok(args.includes('first: Int! = 25') && args.includes('after: String'), `${name}: ${args.join(', ')}`);
      }
    }
  });

  await t.test('Relay: global ids, node and nodes', () => {
    const query = object('Query');
    assert.deepEqual(argsOf(fieldOf(query, 'node')?.args ?? []), ['id: ID!']);
    assert.equal(write(fieldOf(query, 'node')?.type as IntrospectionTypeRef), 'Node');
    assert.deepEqual(argsOf(fieldOf(query, 'nodes')?.args ?? []), ['ids: [ID!]!']);
    assert.equal(write(fieldOf(query, 'nodes')?.type as IntrospectionTypeRef), '[Node]!');
    for (const type of objects) {
      const isNode = type.interfaces.some((one) => one.name === 'Node');
      const id = fieldOf(type, 'id');
      assert.equal(id !== undefined, isNode, `${type.name} has an id and is a Node, or neither`);
      if (id !== undefined) assert.equal(write(id.type), 'ID!');
    }
  });

  await t.test('mutations: one input, a payload of their own with userErrors', () => {
    for (const field of object('Mutation')?.fields ?? []) {
      const name = field.name.charAt(0).toUpperCase() + field.name.slice(1);
      assert.deepEqual(argsOf(field.args), [`input: ${name}Input!`]);
      assert.equal(write(field.type), `${name}Payload!`);
      const errors = fieldOf(object(`${name}Payload`), 'userErrors');
      assert.equal(write(errors?.type as IntrospectionTypeRef), '[UserError!]!');
    }
  });

  await t.test('input objects have no defaults: compiled queries do not fill them in', () => {
    for (const type of types) {
      if (type.kind !== 'INPUT_OBJECT') continue;
      for (const field of type.inputFields) assert.equal(field.defaultValue, null, `${type.name}.${field.name}`);
    }
  });

  await t.test('subscriptions: one object each, of a client or of all', () => {
    const fields = object('Subscription')?.fields ?? [];
    assert.ok(fields.length >= 3);
    for (const field of fields) {
      assert.equal(field.type.kind, 'NON_NULL', field.name);
      assert.ok(object(write(field.type).replace('!', '')) !== undefined, `${field.name} is an object`);
      assert.ok(argsOf(field.args).includes('clientId: ID'), field.name);
    }
  });

  await t.test('every list has an end: it is a page, takes a number, or is bounded by what it is made of', () => {
    const isList = (type: IntrospectionTypeRef): boolean =>
      type.kind === 'LIST' || (type.kind === 'NON_NULL' && isList(type.ofType));
    const open: string[] = [];
    const used = new Set<string>();
    for (const type of objects) {
      const isPage = type.name.endsWith('Connection');
      for (const field of type.fields.filter((one) => isList(one.type))) {
        const name = `${type.name}.${field.name}`;
        if (isPage && ['edges', 'nodes'].includes(field.name)) continue;
        if (field.name === 'userErrors' || field.args.some((arg) => ['first', 'ids'].includes(arg.name))) continue;
        // Of an enum each value comes once.
        const named = types.find((one) => write(field.type).replace(/[[\]!]/g, '') === one.name);
        if (named?.kind === 'ENUM') continue;
        if (BOUNDED[name] === undefined) open.push(name);
        else used.add(name);
      }
    }
    assert.deepEqual(open, [], 'say here what bounds them');
    assert.deepEqual(
      Object.keys(BOUNDED).filter((name) => !used.has(name)),
      [],
    );
  });

  await t.test('a deprecation says what to use and from which day on it is gone', () => {
    const faults: string[] = [];
    const look = (name: string, one: Pick<IntrospectionInputValue, 'isDeprecated' | 'deprecationReason'>) => {
      if (one.isDeprecated === true && !isDatedDeprecation(one.deprecationReason ?? '')) faults.push(name);
    };
    for (const type of types) {
      if (type.kind === 'ENUM') for (const value of type.enumValues) look(`${type.name}.${value.name}`, value);
      if (type.kind === 'INPUT_OBJECT') for (const field of type.inputFields) look(`${type.name}.${field.name}`, field);
      if (type.kind !== 'OBJECT' && type.kind !== 'INTERFACE') continue;
      for (const field of type.fields) {
        look(`${type.name}.${field.name}`, field);
        for (const arg of field.args) look(`${type.name}.${field.name}(${arg.name})`, arg);
      }
    }
    assert.deepEqual(faults, []);
    assert.ok(isDatedDeprecation('Use `regions`. Removed on 2027-01-01.'));
    for (const reason of [
      '',
      'No longer supported',
      'Use x.',
      'Removed on 2027-13-01.',
      'Use x. Removed on 2027-01-01. Soon.',
    ]) {
      assert.ok(!isDatedDeprecation(reason), reason);
    }
  });

  await t.test('the scalars of the contract are there, and each says what it is', () => {
    for (const name of ['Date', 'DateTime', 'TimeZone', 'BigInt', 'Money']) {
      const scalar = types.find((type) => type.name === name);
      assert.equal(scalar?.kind, 'SCALAR', name);
      assert.match((scalar as { specifiedByURL?: string | null }).specifiedByURL ?? '', /^https:/, name);
    }
  });

  await t.test('names follow the custom: Types, fields, ENUM_VALUES', () => {
    for (const type of types) {
      assert.match(type.name, /^[A-Z][A-Za-z0-9]+$|^ID$/);
      if (type.kind === 'ENUM') for (const value of type.enumValues) assert.match(value.name, /^[A-Z][A-Z_]*$/);
      if (type.kind === 'OBJECT') for (const field of type.fields) assert.match(field.name, /^[a-z][A-Za-z0-9]*$/);
    }
  });

  await t.test('whole numbers that may pass 2^31 are no Int', () => {
    for (const type of objects) {
      for (const field of type.fields) {
        if (['messages', 'deliveries', 'bytes', 'refused', 'unwanted', 'latencyMs'].includes(field.name)) {
          assert.match(write(field.type), /BigInt|Connection/, `${type.name}.${field.name}`);
        }
      }
    }
  });
});
