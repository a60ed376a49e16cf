import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionResult,
  execute,
  type GraphQLSchema,
  getVariableValues,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';
import type { MercuriusOptions, MercuriusPlugin } from 'mercurius';
import type { ApiCaller } from '../accounts/keys.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { Context, type ContextDeps } from './context.ts';
import { COST_MAX, queryCost } from './cost.ts';
import { documentSha256, findDocument, parseDocumentId, registerDocument } from './documents.ts';
import { documentError, type PublicError, publicError } from './errors.ts';
import { LIMITS, VALIDATION_RULES } from './limits.ts';
import { LiveAnswers } from './live/answers.ts';
import { type LiveDb, LiveHub, type LivePace } from './live/hub.ts';
import { Source } from './live/source.ts';
import { type LoadedSchema, loadSchema } from './schema.ts';
import { type Rate, Throttle, type ThrottleStatus } from './throttle.ts';
import { checkDocument, checkText, DocumentRefused } from './validate.ts';

/** One GraphQL request, its parts checked for their JSON types only. */
export interface GraphqlRequest {
  readonly method: 'GET' | 'POST';
  /** The document; null: it is only named by `documentId`. */
  readonly query: string | null;
  /** `sha256:` and the checksum of the document in hex, or the hex alone. */
  readonly documentId: string | null;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>> | null;
}

/** What a query costs, and what its key has left. */
export interface QueryCost {
  readonly requestedQueryCost: number;
  readonly maximumQueryCost: number;
  readonly throttleStatus: ThrottleStatus;
}

/** `refused`: the request was not executed. `status` is set where the refusal is not about the document. */
export interface Outcome {
  readonly refused: boolean;
  readonly status: number | null;
  readonly retryAfter: number | null;
  readonly cost: QueryCost | null;
  readonly body: {
    readonly data?: unknown;
    readonly errors?: readonly PublicError[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  };
}

export interface EngineDeps extends Omit<ContextDeps, 'live' | 'faultOf'> {
  readonly db: LiveDb;
  readonly logger: Logger;
  readonly rate: Rate;
  readonly pace?: LivePace;
}

// Parsed and compiled documents that are kept; each is bounded by LIMITS.
const CACHED_DOCUMENTS = 256;

/**
 * GraphQL from a request to an answer: limits, execution with mercurius and its just-in-time compiler, masking of errors.
 * mercurius brings its own HTTP routes, which are not used: see src/graphql/README.md for what they get wrong.
 */
export class Engine {
  readonly live: LiveHub;
  readonly #deps: EngineDeps & ContextDeps;
  readonly #loaded: LoadedSchema;
  readonly #throttle: Throttle;
  #graphql: MercuriusPlugin | null = null;

  constructor(deps: EngineDeps) {
    this.live = new LiveHub(deps.db, deps.logger, deps.pace);
    this.#deps = { ...deps, live: this.live, faultOf: (document) => this.#faultOf(document) };
    this.#loaded = loadSchema();
    this.#throttle = new Throttle(deps.rate);
  }

  /** To register mercurius with; `attach` what it decorates the server with afterwards. */
  options(): MercuriusOptions {
    return {
      schema: this.#loaded.schema,
      routes: false,
      jit: 1,
      cache: CACHED_DOCUMENTS,
      graphql: { parseOptions: { maxTokens: LIMITS.tokens }, validateOptions: { maxErrors: 5 } },
      validationRules: [...VALIDATION_RULES],
      // Masking is done once, in `execute`, for errors of every origin.
      errorFormatter: (execution) => ({
        statusCode: 200,
        response: execution as ReturnType<NonNullable<MercuriusOptions['errorFormatter']>>['response'],
      }),
    };
  }

  attach(graphql: MercuriusPlugin): void {
    this.#graphql = graphql;
    graphql.addHook('preExecution', (schema, document, context) => {
      this.#admit(schema, document, context as unknown as Request);
    });
  }

  async execute(caller: ApiCaller, request: GraphqlRequest, log: object): Promise<Outcome> {
    if (this.#graphql === null) throw new Error('the engine is not attached');
    const context = this.#context(caller, request);
    try {
      const query = await this.#textOf(context);
      checkText(query);
      const result = await this.#graphql(
        query,
        context,
        request.variables ?? undefined,
        request.operationName ?? undefined,
      );
      const outcome = this.#answer(result, context, log);
      if (!outcome.refused) await this.#remember(context, query, log);
      return outcome;
    } catch (error) {
      return this.#refusal(error, log);
    } finally {
      await context.close();
    }
  }

  /**
   * Begins a subscription; what is none is executed and answered at once. The limits are those of queries. Each answer is read
   * in a transaction of its own and costs what the first one did.
   */
  async follow(caller: ApiCaller, request: GraphqlRequest, log: object): Promise<Outcome | LiveAnswers> {
    const context = this.#context(caller, request);
    context.isFollowing = true;
    try {
      const query = await this.#textOf(context);
      const document = checkDocument(this.#loaded.schema, query);
      if (operationOf(document)?.operation !== 'subscription') return await this.execute(caller, request, log);
      const cost = this.#admit(this.#loaded.schema, document, context);
      const args = {
        schema: this.#loaded.schema,
        document,
        variableValues: request.variables ?? {},
        operationName: request.operationName ?? undefined,
      };
      const source = await createSourceEventStream({ ...args, contextValue: context });
      if (!(source instanceof Source)) return this.#answer(source as ExecutionResult, context, log);
      return new LiveAnswers({
        next: async () => {
          const load = await source.next();
          return load === null ? null : () => this.#tell(caller, request, args, load, log);
        },
        pay: () => this.#pay(caller, cost),
        refusal: (error) => this.#refusal(error, log).body,
        end: () => source.end(),
      });
    } catch (error) {
      return this.#refusal(error, log);
    } finally {
      await context.close();
    }
  }

  /** Takes points for work beside GraphQL, as an export. Throws `limit_exceeded`. */
  charge(caller: ApiCaller, points: number): ThrottleStatus {
    return this.#throttle.take(caller.keyId, points, this.#deps.clock.now());
  }

  /** Lets go of what is watched. */
  stop(): Promise<void> {
    return this.live.stop();
  }

  #context(caller: ApiCaller, request: GraphqlRequest): Request {
    const context = new Context(this.#deps, caller) as Request;
    context.request = request;
    context.isFollowing = false;
    return context;
  }

  /** One event as an answer; null: what changed is not there any more. */
  async #tell(
    caller: ApiCaller,
    request: GraphqlRequest,
    args: Parameters<typeof execute>[0],
    load: (context: Context) => Promise<object | null>,
    log: object,
  ): Promise<Outcome['body'] | null> {
    const context = this.#context(caller, request);
    try {
      const rootValue = await load(context);
      if (rootValue === null) return null;
      return this.#answer(await execute({ ...args, rootValue, contextValue: context }), context, log).body;
    } catch (error) {
      return this.#refusal(error, log).body;
    } finally {
      await context.close();
    }
  }

  /** The document that is to be run: as it was sent, or as it was registered. Throws for one that is neither. */
  async #textOf(context: Request): Promise<string> {
    const { query, documentId } = context.request;
    if (documentId === null) {
      if (context.caller.documentsOnly === true)
        throw new AppError('forbidden', 'this key runs registered documents only');
      return query ?? '';
    }
    const sha256 = parseDocumentId(documentId);
    if (query !== null) {
      if (documentSha256(query) !== sha256) {
        throw documentError('BAD_REQUEST', 'the checksum is not that of the document');
      }
      if (context.caller.documentsOnly !== true) return query;
    }
    const known = sha256 === null ? null : await context.read((tx) => findDocument(tx, sha256));
    if (known === null) throw documentError('PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound');
    return known;
  }

  /** A document that came with its checksum is registered, if the key may do that and there is room. */
  async #remember(context: Request, query: string, log: object): Promise<void> {
    const { request, caller } = context;
    if (request.documentId === null || request.query === null || request.method === 'GET') return;
    if (caller.documentsOnly === true || !context.has('write')) return;
    try {
      await context.write((tx) => registerDocument(tx, query, caller.actor));
    } catch (error) {
      // The answer is made: that it can't be had by its checksum next time is no fault of it.
      this.#deps.logger.warn({ ...log, err: error }, 'a document was not registered');
    }
  }

  /** What is wrong with a document, for people; null: it may be run. */
  #faultOf(query: string): string | null {
    try {
      const document = checkDocument(this.#loaded.schema, query);
      return operationOf(document) === undefined ? 'the document holds no operation' : null;
    } catch (error) {
      return this.#refusal(error, {}).body.errors?.[0]?.message ?? 'the document is refused';
    }
  }

  /** Between validation and execution, for cached documents too: what depends on the request and not on the text. */
  #admit(schema: GraphQLSchema, document: DocumentNode, context: Request): number {
    const { request } = context;
    const operation = operationOf(document);
    if (operation === undefined) throw documentError('BAD_REQUEST', 'the document holds no operation');
    if (request.operationName !== null && request.operationName !== operation.name?.value) {
      throw documentError('BAD_REQUEST', 'the document has no operation of that name');
    }
    if (request.method === 'GET' && operation.operation !== 'query') {
      throw new MethodRefused('only queries may be sent with GET');
    }
    if (operation.operation === 'subscription' && !context.isFollowing) {
      throw documentError('BAD_REQUEST', 'a subscription needs WebSocket, or POST with Accept: text/event-stream');
    }
    // Here and not in the compiled query, whose own check says less. Defaults of variables count for the cost too.
    const given = getVariableValues(schema, operation.variableDefinitions ?? [], request.variables ?? {});
    if (given.coerced === undefined) throw new DocumentRefused(given.errors);
    const cost = queryCost(schema, this.#loaded.costs, document, given.coerced);
    if (cost > COST_MAX) {
      throw documentError('LIMIT_EXCEEDED', `the query costs ${cost} points, at most ${COST_MAX} are allowed`, {
        cost,
      });
    }
    const status = this.#pay(context.caller, cost);
    context.cost = { requestedQueryCost: cost, maximumQueryCost: COST_MAX, throttleStatus: status };
    return cost;
  }

  #pay(caller: ApiCaller, cost: number): ThrottleStatus {
    return this.charge(caller, Math.max(1, cost));
  }

  #answer(result: ExecutionResult, context: Request, log: object): Outcome {
    const errors = result.errors?.map((error) => publicError(error, this.#deps.logger, log));
    const extensions = context.cost === undefined ? undefined : { cost: context.cost };
    // An answer without data was not executed: its variables did not fit.
    const refused = result.data === undefined;
    return {
      refused,
      status: null,
      retryAfter: null,
      cost: context.cost ?? null,
      body: {
        ...(errors === undefined ? {} : { errors }),
        ...(refused ? {} : { data: result.data }),
        ...(extensions === undefined ? {} : { extensions }),
      },
    };
  }

  #refusal(error: unknown, log: object): Outcome {
    const inner = (error as { errors?: unknown }).errors;
    const all: readonly unknown[] = Array.isArray(inner) ? inner : [error];
    const throttled = error instanceof AppError && error.code === 'limit_exceeded';
    return {
      refused: true,
      status: error instanceof MethodRefused ? 405 : throttled ? 429 : null,
      retryAfter: throttled ? (error.retryAfter ?? null) : null,
      cost: null,
      body: { errors: all.map((one) => publicError(one, this.#deps.logger, log)) },
    };
  }
}

/** The context of a request together with what only the engine needs to know of it. */
type Request = Context & {
  request: GraphqlRequest;
  isFollowing: boolean;
  cost?: QueryCost;
};

function operationOf(document: DocumentNode): OperationDefinitionNode | undefined {
  return document.definitions.find((one): one is OperationDefinitionNode => one.kind === Kind.OPERATION_DEFINITION);
}

class MethodRefused extends AppError {
  constructor(message: string) {
    super('invalid_input', message);
  }
}
