import { GraphQLError } from 'graphql';
import { AppError, graphqlCode, publicMessage } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** One entry of `errors` in an answer (GraphQL October 2021, section 7.1.2). */
export interface PublicError {
  readonly message: string;
  readonly locations?: readonly { readonly line: number; readonly column: number }[];
  readonly path?: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>>;
}

/** A refusal of the document itself, with the code that callers see. */
export function documentError(
  code: 'LIMIT_EXCEEDED' | 'BAD_REQUEST' | 'PERSISTED_QUERY_NOT_FOUND',
  message: string,
  extensions: Readonly<Record<string, unknown>> = {},
): GraphQLError {
  return new GraphQLError(message, { extensions: { ...extensions, code } });
}

const DOCUMENT_CODES = new Set([
  'LIMIT_EXCEEDED',
  'BAD_REQUEST',
  'PERSISTED_QUERY_NOT_FOUND',
  'GRAPHQL_VALIDATION_FAILED',
]);

/**
 * What the caller may see of an error. Errors of GraphQL itself (syntax, validation, coercion) and AppErrors speak for
 * themselves; anything else is logged whole and shown as "Internal error": no SQL, no path, no stack.
 */
export function publicError(error: unknown, logger: Logger, request: object): PublicError {
  const graphql = error instanceof GraphQLError ? error : null;
  const origin = originOf(error);
  if (origin instanceof AppError) {
    if (graphqlCode(origin) === 'INTERNAL') logger.error({ ...request, err: origin }, 'a GraphQL field failed');
    const extensions = {
      code: graphqlCode(origin),
      ...(origin.field === undefined ? {} : { field: origin.field }),
      ...(origin.retryAfter === undefined ? {} : { retryAfter: origin.retryAfter }),
    };
    return { message: publicMessage(origin), ...place(graphql), extensions };
  }
  if (graphql !== null && origin === null && graphql.path === undefined) {
    // Errors of the compiler leave `extensions` out, against their type.
    const own: Readonly<Record<string, unknown>> = graphql.extensions ?? {};
    const given = typeof own['code'] === 'string' && DOCUMENT_CODES.has(own['code']) ? own : {};
    const code = graphql.message.startsWith('Syntax Error') ? 'GRAPHQL_PARSE_FAILED' : 'GRAPHQL_VALIDATION_FAILED';
    return { message: withoutHints(graphql.message), ...place(graphql), extensions: { code, ...given } };
  }
  logger.error({ ...request, err: origin ?? error }, 'a GraphQL field failed');
  return { message: publicMessage(null), ...place(graphql), extensions: { code: 'INTERNAL' } };
}

/** The error that was thrown first; null: GraphQL itself found the fault. */
function originOf(error: unknown): unknown {
  let inner = error;
  while (inner instanceof GraphQLError && inner.originalError !== undefined) inner = inner.originalError;
  return inner instanceof GraphQLError ? null : inner;
}

function place(error: GraphQLError | null): Pick<PublicError, 'locations' | 'path'> {
  return {
    ...(error?.locations === undefined ? {} : { locations: error.locations }),
    ...(error?.path === undefined ? {} : { path: error.path }),
  };
}

/** "Did you mean" tells names that the caller did not know. */
function withoutHints(message: string): string {
  return message.replace(/ Did you mean [^?]*\?/g, '');
}
