import { AppError, graphqlCode, httpStatus, publicMessage } from '../core/errors.ts';

/** A refusal with a status that no code of core/errors.ts stands for. */
export class HttpError extends AppError {
  readonly status: number;

  constructor(status: number, message: string) {
    super('invalid_input', message);
    this.status = status;
  }
}

/** Status, headers and body that an error is answered with, on every route. The body is that of a GraphQL error. */
export function errorAnswer(error: unknown): { status: number; headers: Record<string, string>; body: object } {
  const own = fromServer(error) ?? error;
  const status = own instanceof HttpError ? own.status : httpStatus(own);
  const headers: Record<string, string> = {};
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="tollgate"';
  if (own instanceof AppError && own.retryAfter !== undefined) headers['retry-after'] = String(own.retryAfter);
  const code = own instanceof HttpError ? 'BAD_REQUEST' : graphqlCode(own);
  return { status, headers, body: { errors: [{ message: publicMessage(own), extensions: { code } }] } };
}

/** fastify's own refusals, by status; its wording is not passed on. */
function fromServer(error: unknown): HttpError | null {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  if (error instanceof AppError || typeof status !== 'number' || status < 400 || status > 499) return null;
  const text: Record<number, string> = {
    413: 'the body is too large',
    414: 'the address is too long',
    415: 'this media type is not taken',
  };
  return new HttpError(status, text[status] ?? 'the request is malformed');
}
