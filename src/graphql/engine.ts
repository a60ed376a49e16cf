import {
  type DocumentNode,
  type ExecutionResult,
  type GraphQLError,
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
import { documentError, type PublicError, publicError } from './errors.ts';
import { LIMITS, looksLikeJson, VALIDATION_RULES } from './limits.ts';
import { type LoadedSchema, loadSchema } from './schema.ts';
import { type Rate, Throttle, type ThrottleStatus } from './throttle.ts';

/** One GraphQL request, its parts checked for their JSON types only. */
export interface GraphqlRequest {
  readonly method: 'GET' | 'POST';
  readonly query: string;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>> | null;
}

/** `refused`: the request was not executed. `status` is set where the refusal is not about the document. */
export interface Outcome {
  readonly refused: boolean;
  readonly status: number | null;
  readonly retryAfter: number | null;
  readonly body: {
    readonly data?: unknown;
    readonly errors?: readonly PublicError[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  };
}

export interface EngineDeps extends ContextDeps {
  readonly logger: Logger;
  readonly rate: Rate;
}

// Parsed and compiled documents that are kept; each is bounded by LIMITS.
const CACHED_DOCUMENTS = 256;

/**
 * GraphQL from a request to an answer: limits, execution with mercurius and its just-in-time compiler, masking of errors.
 * mercurius brings its own HTTP routes, which are not used: see src/graphql/README.md for what they get wrong.
 */
export class Engine {
  readonly #deps: EngineDeps;
  readonly #loaded: LoadedSchema;
  readonly #throttle: Throttle;
  #graphql: MercuriusPlugin | null = null;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
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
    const context = new Context(this.#deps, caller) as Request;
    context.request = request;
    try {
      if (request.query.length > LIMITS.documentLength) {
        throw documentError('LIMIT_EXCEEDED', `a document has at most ${LIMITS.documentLength} characters`);
      }
      if (looksLikeJson(request.query)) throw documentError('BAD_REQUEST', 'the query is not a GraphQL document');
      const result = await this.#graphql(
        request.query,
        context,
        request.variables ?? undefined,
        request.operationName ?? undefined,
      );
      return this.#answer(result, context, log);
    } catch (error) {
      return this.#refusal(error, log);
    } finally {
      await context.close();
    }
  }

  /** Between validation and execution, for cached documents too: what depends on the request and not on the text. */
  #admit(schema: GraphQLSchema, document: DocumentNode, context: Request): void {
    const { request } = context;
    const operation = document.definitions.find((one): one is OperationDefinitionNode => {
      return one.kind === Kind.OPERATION_DEFINITION;
    });
    if (operation === undefined) throw documentError('BAD_REQUEST', 'the document holds no operation');
    if (request.operationName !== null && request.operationName !== operation.name?.value) {
      throw documentError('BAD_REQUEST', 'the document has no operation of that name');
    }
    if (request.method === 'GET' && operation.operation !== 'query') {
      throw new MethodRefused('only queries may be sent with GET');
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
    const status = this.#throttle.take(context.caller.keyId, Math.max(1, cost), this.#deps.clock.now());
    context.cost = { requestedQueryCost: cost, maximumQueryCost: COST_MAX, throttleStatus: status };
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
      body: { errors: all.map((one) => publicError(one, this.#deps.logger, log)) },
    };
  }
}

/** The context of a request together with what only the engine needs to know of it. */
type Request = Context & {
  request: GraphqlRequest;
  cost?: {
    readonly requestedQueryCost: number;
    readonly maximumQueryCost: number;
    readonly throttleStatus: ThrottleStatus;
  };
};

/** Several faults at once; mercurius has the same shape for those that it finds itself. */
class DocumentRefused extends Error {
  readonly errors: readonly GraphQLError[];

  constructor(errors: readonly GraphQLError[]) {
    super('the document is refused');
    this.errors = errors;
  }
}

class MethodRefused extends AppError {
  constructor(message: string) {
    super('invalid_input', message);
  }
}
