import { type DocumentNode, type GraphQLError, type GraphQLSchema, parse, specifiedRules, validate } from 'graphql';
import { documentError } from './errors.ts';
import { LIMITS, looksLikeJson, VALIDATION_RULES } from './limits.ts';

/** Several faults of one document; mercurius has the same shape for those that it finds itself. */
export class DocumentRefused extends Error {
  readonly errors: readonly GraphQLError[];

  constructor(errors: readonly GraphQLError[]) {
    super('the document is refused');
    this.errors = errors;
  }
}

/** What is looked at before a text is parsed. Throws for one that is too long or is no GraphQL. */
export function checkText(query: string): void {
  if (query.length > LIMITS.documentLength) {
    throw documentError('LIMIT_EXCEEDED', `a document has at most ${LIMITS.documentLength} characters`);
  }
  if (looksLikeJson(query)) throw documentError('BAD_REQUEST', 'the query is not a GraphQL document');
}

/** A text as a document that is valid and within the limits; the same rules as mercurius is given. Throws when it is not. */
export function checkDocument(schema: GraphQLSchema, query: string): DocumentNode {
  checkText(query);
  const document = parse(query, { maxTokens: LIMITS.tokens });
  const errors = validate(schema, document, [...specifiedRules, ...VALIDATION_RULES], { maxErrors: 5 });
  if (errors.length > 0) throw new DocumentRefused(errors);
  return document;
}
