/**
 * The one closed list of what can go wrong on purpose. Everything else is `internal`: logged whole, shown as
 * "Internal error". docs/errors.md lists the same codes and is checked by a test.
 */
export const ERROR_CODES = [
  'invalid_input',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'limit_exceeded',
  'incomplete',
  'unavailable',
  'insufficient_storage',
  'upstream_rejected',
  'upstream_ambiguous',
  'config_invalid',
  'schema_newer',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorDetails {
  /** The input field that is at fault, as the caller named it. */
  field?: string | undefined;
  /** Seconds after which a repetition may succeed. */
  retryAfter?: number | undefined;
  cause?: unknown;
}

/**
 * An expected failure. `message` is shown to the caller, so it never holds SQL, paths or secrets; what only the log
 * may hold travels in `cause`.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.field = details.field;
    this.retryAfter = details.retryAfter;
  }
}

const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  invalid_input: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  limit_exceeded: 429,
  incomplete: 409,
  unavailable: 503,
  insufficient_storage: 507,
  upstream_rejected: 502,
  upstream_ambiguous: 502,
  config_invalid: 500,
  schema_newer: 500,
  internal: 500,
};

const GRAPHQL_CODE: Readonly<Record<ErrorCode, string>> = {
  invalid_input: 'BAD_USER_INPUT',
  unauthenticated: 'UNAUTHENTICATED',
  forbidden: 'FORBIDDEN',
  not_found: 'NOT_FOUND',
  conflict: 'CONFLICT',
  limit_exceeded: 'LIMIT_EXCEEDED',
  incomplete: 'INCOMPLETE',
  unavailable: 'UNAVAILABLE',
  insufficient_storage: 'UNAVAILABLE',
  upstream_rejected: 'UPSTREAM_REJECTED',
  upstream_ambiguous: 'UPSTREAM_AMBIGUOUS',
  config_invalid: 'INTERNAL',
  schema_newer: 'INTERNAL',
  internal: 'INTERNAL',
};

/** SMTP replies for failures on our side. None is 5xx: a fault of ours must not bounce a sender's mail (rule 1). */
const SMTP_REPLY: Readonly<Record<ErrorCode, { code: number; enhanced: string; text: string }>> = {
  invalid_input: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  unauthenticated: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  forbidden: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  not_found: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  conflict: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  limit_exceeded: { code: 451, enhanced: '4.7.0', text: 'Too much at once, try again later' },
  incomplete: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
  unavailable: { code: 451, enhanced: '4.3.0', text: 'Temporary failure, try again later' },
  insufficient_storage: { code: 452, enhanced: '4.3.1', text: 'Insufficient system storage' },
  upstream_rejected: { code: 451, enhanced: '4.3.0', text: 'Temporary failure, try again later' },
  upstream_ambiguous: { code: 451, enhanced: '4.3.0', text: 'Temporary failure, try again later' },
  config_invalid: { code: 451, enhanced: '4.3.5', text: 'System incorrectly configured' },
  schema_newer: { code: 451, enhanced: '4.3.5', text: 'System incorrectly configured' },
  internal: { code: 451, enhanced: '4.3.0', text: 'Local error in processing' },
};

/** The code of any thrown value: a value that is not ours is `internal`. */
export function errorCode(error: unknown): ErrorCode {
  return error instanceof AppError ? error.code : 'internal';
}

export function httpStatus(error: unknown): number {
  return HTTP_STATUS[errorCode(error)];
}

export function graphqlCode(error: unknown): string {
  return GRAPHQL_CODE[errorCode(error)];
}

export function smtpReply(error: unknown): { code: number; enhanced: string; text: string } {
  return SMTP_REPLY[errorCode(error)];
}

/** The text that a caller may see. */
export function publicMessage(error: unknown): string {
  return error instanceof AppError ? error.message : 'Internal error';
}
