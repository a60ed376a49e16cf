import { type FormattedExecutionResult, GraphQLError, GraphQLSchema, parse } from 'graphql';
import { CloseCode, makeServer } from 'graphql-ws';
import type { ApiCaller } from '../../accounts/keys.ts';
import type { Logger } from '../../core/log.ts';
import type { Engine, GraphqlRequest } from '../engine.ts';
import type { PublicError } from '../errors.ts';
import { type AnswerBody, LiveAnswers } from './answers.ts';

/** Subscriptions, and queries, that one socket may have under way. docs/api.md publishes it. */
export const OPERATIONS_MAX = 20;
/** Milliseconds within which a socket must say who it is. */
const INIT_MS = 5_000;

/** A subscription, or for as long as `answers` is null what may become one. */
export interface Begun {
  readonly id: string;
  readonly answers: LiveAnswers | null;
}

/** One socket as the protocol sees it. */
export interface LiveSocket {
  readonly requestId: string;
  /** Set once the socket has said who it is. */
  caller: ApiCaller | null;
  /**
   * Subscriptions that were begun and have not ended. graphql-ws counts by the client's ids and forgets one whose id is used again
   * before it has begun: it would go on after the socket's end.
   */
  readonly begun: Set<Begun>;
  /**
   * Who speaks, by the Authorization header or by `authorization` of connection_init; null: a live key is needed. `busy`: the
   * key has as many streams as it may.
   */
  enter(authorization: string | undefined): Promise<ApiCaller | 'busy' | null>;
  close(code: number, reason: string): void;
}

export interface ProtocolDeps {
  readonly engine: Engine;
  readonly logger: Logger;
  /** Checks the parts of a request for their JSON types. Throws an error whose message is shown. */
  readParts(payload: Readonly<Record<string, unknown>>): GraphqlRequest;
  /** See INIT_MS. */
  readonly initMs?: number | undefined;
}

/** What the protocol is given to run: it knows documents of its own kind only, so it gets this one and what was begun. */
const PLACEHOLDER = parse('subscription { traffic { at } }');
const UNUSED = new GraphQLSchema({});

const shown = ({ message, extensions }: PublicError) => new GraphQLError(message, { extensions });

async function* once(body: AnswerBody): AsyncGenerator<AnswerBody> {
  yield body;
}

/** The server side of `graphql-transport-ws` over sockets that somebody else opened. */
export function makeProtocol({ engine, logger, readParts, initMs }: ProtocolDeps) {
  return makeServer<Record<string, unknown>, LiveSocket>({
    connectionInitWaitTimeout: initMs ?? INIT_MS,
    async onConnect({ connectionParams, extra }) {
      const given = connectionParams?.['authorization'] ?? connectionParams?.['Authorization'];
      const caller = await extra.enter(typeof given === 'string' ? given : undefined);
      if (caller === 'busy') {
        extra.close(CloseCode.TooManyInitialisationRequests, 'This key has too many streams open');
        return false;
      }
      extra.caller = caller;
      return caller !== null;
    },
    async onSubscribe({ extra, subscriptions }, id, payload) {
      if (extra.caller === null) return [new GraphQLError('a live API key is needed')];
      for (const one of extra.begun) if (one.answers?.isDone === true) extra.begun.delete(one);
      const counted = new Set([...extra.begun].map((one) => one.id)).add(id);
      const others = Object.keys(subscriptions).filter((one) => !counted.has(one));
      if (extra.begun.size + others.length >= OPERATIONS_MAX) {
        return [
          shown({ message: `at most ${OPERATIONS_MAX} operations at once`, extensions: { code: 'LIMIT_EXCEEDED' } }),
        ];
      }
      let request: GraphqlRequest;
      try {
        request = readParts(payload as unknown as Record<string, unknown>);
      } catch (error) {
        const message = error instanceof Error ? error.message : 'the request is malformed';
        return [shown({ message, extensions: { code: 'BAD_REQUEST' } })];
      }
      const own: Begun = { id, answers: null };
      extra.begun.add(own);
      const outcome = await engine
        .follow(extra.caller, request, { requestId: extra.requestId, operation: id, key: extra.caller.keyId })
        .finally(() => extra.begun.delete(own));
      if (!(outcome instanceof LiveAnswers) && outcome.refused) return (outcome.body.errors ?? []).map(shown);
      if (outcome instanceof LiveAnswers) extra.begun.add({ id, answers: outcome });
      const begun = outcome instanceof LiveAnswers ? outcome : once(outcome.body);
      return { schema: UNUSED, document: PLACEHOLDER, rootValue: begun, contextValue: {} };
    },
    subscribe: ({ rootValue }) => rootValue as AsyncIterableIterator<never>,
    // Answers are masked and formatted already.
    onNext: (_context, _id, _payload, _args, result) => result as FormattedExecutionResult,
    onError: (_context, id, _payload, errors) => {
      if (errors.some((error) => error.originalError !== undefined)) {
        logger.error({ operation: id, err: errors[0]?.originalError }, 'a subscription failed');
        return [{ message: 'Internal error', extensions: { code: 'INTERNAL' } }];
      }
      return undefined;
    },
  });
}
