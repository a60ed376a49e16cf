import { GraphQLError, type GraphQLScalarType, Kind, type ValueNode } from 'graphql';
import { AppError } from '../core/errors.ts';
import { parseDate, parseMoment, requireTimeZone } from '../core/period.ts';

interface Scalar {
  parse(value: unknown): unknown;
  serialize(value: unknown): unknown;
}

function requireText(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new GraphQLError(`${what} is text`);
  return value;
}

/** An AppError of the domain as the GraphQL error of a wrong value. */
function checked<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof AppError) throw new GraphQLError(error.message);
    throw error;
  }
}

const SCALARS: Readonly<Record<string, Scalar>> = {
  Date: {
    parse: (value) => checked(() => parseDate(requireText(value, 'a Date'), 'date').toString()),
    serialize: (value) => requireText(value, 'a Date'),
  },
  DateTime: {
    parse: (value) => checked(() => parseMoment(requireText(value, 'a DateTime'), 'dateTime')),
    serialize(value) {
      if (!(value instanceof Date)) throw new TypeError('a DateTime is written from a Date');
      return value.toISOString();
    },
  },
  TimeZone: {
    parse: (value) => checked(() => requireTimeZone(requireText(value, 'a TimeZone'), 'timeZone')),
    serialize: (value) => requireText(value, 'a TimeZone'),
  },
  Money: { parse: requireMoney, serialize: requireMoney },
  BigInt: { parse: requireInteger, serialize: requireInteger },
};

function requireMoney(value: unknown): string {
  const text = requireText(value, 'Money');
  if (!/^-?\d{1,15}(?:\.\d{1,9})? [A-Z]{3}$/.test(text)) {
    throw new GraphQLError('Money is a decimal amount and a currency, such as 12.30 USD');
  }
  return text;
}

function requireInteger(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw new GraphQLError('a BigInt is a whole number of at most 2^53 - 1');
  }
  return value;
}

/** Gives the custom scalars of the schema their meaning. Throws when the schema has one that is not known here. */
export function defineScalar(type: GraphQLScalarType): void {
  const scalar = SCALARS[type.name];
  if (scalar === undefined) throw new Error(`the scalar ${type.name} has no implementation`);
  type.parseValue = scalar.parse;
  type.serialize = scalar.serialize;
  type.parseLiteral = (node: ValueNode) => {
    if (node.kind === Kind.STRING) return scalar.parse(node.value);
    if (node.kind === Kind.INT) return scalar.parse(Number(node.value));
    throw new GraphQLError(`${type.name} is written as text or a whole number`, { nodes: node });
  };
}
