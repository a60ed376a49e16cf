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

async function introspect(t: Parameters<typeof openDatabase>[0]): Promise<IntrospectionQuery['__schema']> {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const answer = await server.ask(partner.apiKey, getIntrospectionQuery({ directiveIsRepeatable: true }));
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
