import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLObjectType,
  type GraphQLSchema,
  getDirectiveValues,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isScalarType,
  isSpecifiedScalarType,
  valueFromAST,
} from 'graphql';
import { SCOPES, type Scope } from '../accounts/keys.ts';
import { packageRoot } from '../config/root.ts';
import type { Context } from './context.ts';
import type { OwnCosts } from './cost.ts';
import { resolvers } from './resolvers/index.ts';
import { subscribers } from './resolvers/live.ts';
import { defineScalar } from './scalars.ts';

export interface LoadedSchema {
  readonly schema: GraphQLSchema;
  readonly costs: OwnCosts;
}

/** schema.graphql, which is the contract, with its resolvers. Throws when the two do not fit each other. */
export function loadSchema(): LoadedSchema {
  const schema = buildSchema(readFileSync(path.join(packageRoot(), 'schema.graphql'), 'utf8'));
  const costs = new Map<string, number>();
  const open = new Set(
    Object.entries(resolvers).flatMap(([type, fields]) => Object.keys(fields).map((f) => `${type}.${f}`)),
  );
  const types = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__'));
  // Inside the program words are lower case; only the interface shouts. Before all else, since directives name scopes.
  for (const type of types.filter(isEnumType)) {
    for (const value of type.getValues()) value.value = insideName(type.name, value.name);
  }
  for (const type of types) {
    if (isInputObjectType(type)) for (const field of Object.values(type.getFields())) readDefault(field);
    if (isScalarType(type) && !isSpecifiedScalarType(type)) defineScalar(type);
    if (isInterfaceType(type)) type.resolveType = (value: { readonly nodeType: string }) => value.nodeType;
    if (isObjectType(type)) {
      for (const field of Object.values(type.getFields())) {
        const name = `${type.name}.${field.name}`;
        attach(schema, type, field);
        for (const arg of field.args) readDefault(arg);
        open.delete(name);
        const cost = directive(schema, 'cost', field)?.['points'];
        if (typeof cost === 'number') costs.set(name, cost);
      }
    }
  }
  if (open.size > 0) throw new Error(`resolvers without a field in schema.graphql: ${[...open].join(', ')}`);
  return { schema, costs };
}

/** Default values were read when the schema was built, before enum values had their inside names. */
function readDefault(input: GraphQLArgument | GraphQLInputField): void {
  const node = input.astNode?.defaultValue;
  if (node !== undefined) input.defaultValue = valueFromAST(node, input.type);
}

function insideName(type: string, name: string): string {
  return ['Granularity', 'UserErrorCode'].includes(type) ? name : name.toLowerCase();
}

function directive(
  schema: GraphQLSchema,
  name: string,
  field: GraphQLField<unknown, unknown>,
): Record<string, unknown> | undefined {
  const definition = schema.getDirective(name);
  if (definition === undefined || definition === null || field.astNode === undefined || field.astNode === null)
    return undefined;
  return getDirectiveValues(definition, field.astNode);
}

/** Ties a field to its resolver, behind the check of the scope that it needs. */
function attach(schema: GraphQLSchema, type: GraphQLObjectType, field: GraphQLField<unknown, unknown>): void {
  if (type === schema.getSubscriptionType()) {
    attachSubscription(field, neededScope(schema, type, field) ?? 'read');
    return;
  }
  const resolve = resolvers[type.name]?.[field.name];
  const scope = neededScope(schema, type, field);
  if (scope === null) {
    if (resolve !== undefined) {
      field.resolve = (parent, args, context) => resolve(parent as never, args as never, context as Context);
    }
    return;
  }
  if (resolve === undefined) throw new Error(`${type.name}.${field.name} needs a scope and has no resolver`);
  field.resolve = (parent, args, context) => {
    (context as Context).require(scope);
    return resolve(parent as never, args as never, context as Context);
  };
}

/** The value of a field of Subscription is read before execution (live/answers.ts): it is the root of the event. */
function attachSubscription(field: GraphQLField<unknown, unknown>, scope: Scope): void {
  const subscriber = subscribers[field.name];
  if (subscriber === undefined) throw new Error(`Subscription.${field.name} has no subscriber`);
  field.subscribe = (_root, args, context) => {
    (context as Context).require(scope);
    return subscriber(args as never, context as Context);
  };
  field.resolve = (root) => root;
}

function neededScope(
  schema: GraphQLSchema,
  type: GraphQLObjectType,
  field: GraphQLField<unknown, unknown>,
): Scope | null {
  const given = directive(schema, 'needs', field)?.['scope'];
  const scope = SCOPES.find((one) => one === given);
  if (scope !== undefined) return scope;
  if (type.name === 'Mutation') throw new Error(`Mutation.${field.name} has no @needs`);
  return type.name === 'Query' && field.name !== 'viewer' ? 'read' : null;
}
