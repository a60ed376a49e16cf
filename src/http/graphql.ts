import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { mercurius } from 'mercurius';
import { type ApiCaller, authenticateKey } from '../accounts/keys.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { SystemDb } from '../db/db.ts';
import type { Engine, GraphqlRequest, Outcome, QueryCost } from '../graphql/engine.ts';
import { LiveAnswers } from '../graphql/live/answers.ts';
import { HttpError } from './errors.ts';
import { type AnswerType, GRAPHQL_TYPE, isJson, JSON_TYPE, negotiate, takesStream } from './negotiate.ts';
import { sendOnce, sendStream } from './sse.ts';
import type { Streams } from './streams.ts';

/** Bytes of a request; a document has a limit of its own, variables carry the rest. */
const BODY_MAX = 100 * 1024;

export interface GraphqlRouteDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly streams: Streams;
}

/**
 * POST and GET /graphql after the GraphQL-over-HTTP specification. Callers prove themselves with a bearer key, never with
 * a cookie, so no page of another site can make a browser ask in somebody's name.
 */
export async function graphqlRoutes(app: FastifyInstance, deps: GraphqlRouteDeps): Promise<void> {
  await app.register(mercurius, deps.engine.options());
  deps.engine.attach(app.graphql);

  await app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_MAX }, (_request, body, done) => {
      done(null, body);
    });
    scope.post('/graphql', { bodyLimit: BODY_MAX }, async (request, reply) => {
      const caller = await authenticate(deps, request);
      if (!isJson(request.headers['content-type'])) throw new HttpError(415, `the body must be ${JSON_TYPE} in UTF-8`);
      return answer(deps, request, reply, caller, readBody(request.body));
    });
    scope.get('/graphql', async (request, reply) => {
      const caller = await authenticate(deps, request);
      return answer(deps, request, reply, caller, readQuery(request.query));
    });
  });
}

/** The key in an Authorization header. */
export function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

/** Whose key a request carries. Throws `unauthenticated`. */
export async function authenticate(
  deps: Pick<GraphqlRouteDeps, 'db' | 'clock'>,
  request: FastifyRequest,
): Promise<ApiCaller> {
  const token = bearerOf(request.headers.authorization);
  const caller = token === undefined ? null : await authenticateKey(deps.db, token, deps.clock.now());
  if (caller === null)
    throw new AppError('unauthenticated', 'a live API key is needed: Authorization: Bearer tg_live_...');
  return caller;
}

async function answer(
  deps: GraphqlRouteDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  caller: ApiCaller,
  asked: GraphqlRequest,
): Promise<FastifyReply> {
  const { accept } = request.headers;
  const type = negotiate(accept);
  const isStreamTaken = asked.method === 'POST' && takesStream(accept);
  if (type === null && !isStreamTaken) {
    throw new HttpError(406, `answers are ${GRAPHQL_TYPE} or ${JSON_TYPE}, and text/event-stream for POST`);
  }
  const log = { requestId: request.id, key: caller.keyId };
  const outcome = isStreamTaken
    ? await deps.engine.follow(caller, asked, log)
    : await deps.engine.execute(caller, asked, log);
  if (outcome instanceof LiveAnswers) return sendStream(reply, deps.streams, caller, outcome);
  if (outcome.status === 405) reply.header('allow', 'POST');
  if (outcome.retryAfter !== null) reply.header('retry-after', String(outcome.retryAfter));
  if (outcome.cost !== null) reply.headers(costHeaders(outcome.cost));
  if (type === null) return sendOnce(reply, outcome);
  return reply.code(statusOf(outcome, type)).type(`${type}; charset=utf-8`).send(JSON.stringify(outcome.body));
}

/** What the query cost and what is left, for those who look at headers only. `reset`: seconds until the bucket is full. */
function costHeaders({ requestedQueryCost, throttleStatus }: QueryCost): Record<string, string> {
  const { maximumAvailable, currentlyAvailable, restoreRate } = throttleStatus;
  return {
    'x-query-cost': String(requestedQueryCost),
    'ratelimit-limit': String(maximumAvailable),
    'ratelimit-remaining': String(currentlyAvailable),
    'ratelimit-reset': String(Math.ceil((maximumAvailable - currentlyAvailable) / restoreRate)),
  };
}

/** Section 6.4: the older media type answers 200 to every well-formed request, the newer one 400 to what was not executed. */
function statusOf(outcome: Outcome, type: AnswerType): number {
  return outcome.status ?? (outcome.refused && type === GRAPHQL_TYPE ? 400 : 200);
}

function readBody(body: unknown): GraphqlRequest {
  const parsed = Buffer.isBuffer(body) ? parseJson(decode(body), 'the body') : undefined;
  if (!isRecord(parsed)) throw new HttpError(400, 'the body is not a JSON object');
  return readParts('POST', parsed, parsed['variables'], parsed['extensions']);
}

function readQuery(query: unknown): GraphqlRequest {
  const parts = isRecord(query) ? query : {};
  const json = (name: string) => {
    const text = parts[name];
    return typeof text === 'string' && text !== '' ? parseJson(text, name) : undefined;
  };
  return readParts('GET', parts, json('variables'), json('extensions'));
}

/** Section 5.1: the parts of a request and their types. */
export function readParts(
  method: 'GET' | 'POST',
  parts: Readonly<Record<string, unknown>>,
  variables: unknown,
  extensions: unknown,
): GraphqlRequest {
  if (!isRecordOrAbsent(extensions)) throw new HttpError(400, 'extensions is not a JSON object');
  const documentId = documentIdOf(parts['documentId'], extensions);
  const query = parts['query'] ?? null;
  if (query !== null && typeof query !== 'string') throw new HttpError(400, 'query is not text');
  if ((query === null || query === '') && documentId === null) throw new HttpError(400, 'query is missing');
  const operationName = parts['operationName'] ?? null;
  if (operationName !== null && typeof operationName !== 'string')
    throw new HttpError(400, 'operationName is not text');
  if (!isRecordOrAbsent(variables)) throw new HttpError(400, 'variables is not a JSON object');
  return {
    method,
    query: query === '' ? null : query,
    documentId,
    operationName: operationName === '' ? null : operationName,
    variables: variables ?? null,
  };
}

/** The checksum that names a document: `documentId`, or `extensions.persistedQuery` as Apollo's clients send it. */
function documentIdOf(
  documentId: unknown,
  extensions: Readonly<Record<string, unknown>> | null | undefined,
): string | null {
  const persisted = extensions?.['persistedQuery'] ?? null;
  if (documentId !== undefined && documentId !== null) {
    if (typeof documentId !== 'string' || documentId === '') throw new HttpError(400, 'documentId is not text');
    return documentId;
  }
  if (persisted === null) return null;
  if (!isRecord(persisted) || persisted['version'] !== 1 || typeof persisted['sha256Hash'] !== 'string') {
    throw new HttpError(400, 'persistedQuery is {"version":1,"sha256Hash":"..."}');
  }
  return persisted['sha256Hash'];
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new HttpError(400, 'the body is not UTF-8');
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, `${what} is not JSON`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isRecordOrAbsent(value: unknown): value is Record<string, unknown> | null | undefined {
  return value === undefined || value === null || isRecord(value);
}
