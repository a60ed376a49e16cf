import { AppError } from '../core/errors.ts';

const UNIQUE_VIOLATION = '23505';
const FOREIGN_KEY_VIOLATION = '23503';
const EXCLUSION_VIOLATION = '23P01';

function sqlState(error: unknown): string | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : null;
}

/**
 * Says of a database failure what callers must know: `unavailable` (a repetition may succeed), `insufficient_storage`, or
 * the error as it came. Classes from https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function translateError(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const code = sqlState(error);
  if (code === '53100')
    return new AppError('insufficient_storage', 'the database is out of disk space', { cause: error });
  // PostgreSQL's text holds no zero character; what people send may.
  if (code === '22021' || code === '22P05')
    return new AppError('invalid_input', 'text may not hold a zero character', { cause: error });
  const connectionFault =
    code !== null &&
    (/^(08|57P|53)/.test(code) || /^(ECONN|ENOTFOUND|EPIPE|ETIMEDOUT|EHOSTUNREACH|EAI_AGAIN)/.test(code));
  const serialization = code === '40001' || code === '40P01' || code === '55P03';
  const text = error instanceof Error ? error.message : '';
  if (
    connectionFault ||
    serialization ||
    /connection terminated|timeout exceeded when trying to connect|query read timeout|not queryable/i.test(text)
  ) {
    return new AppError('unavailable', 'the database is not available', { cause: error });
  }
  return error;
}

/**
 * Whether a statement failed only because another one had: its transaction was aborted (25P02), or had never been opened for writing
 * (25006; `createPool`).
 */
export function isFollowing(error: unknown): boolean {
  const code = sqlState(error);
  return code === '25P02' || code === '25006';
}

export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  if (sqlState(error) !== UNIQUE_VIOLATION) return false;
  return constraint === undefined || (error as { constraint?: string }).constraint === constraint;
}

export function isForeignKeyViolation(error: unknown): boolean {
  return sqlState(error) === FOREIGN_KEY_VIOLATION;
}

export function isExclusionViolation(error: unknown): boolean {
  return sqlState(error) === EXCLUSION_VIOLATION;
}

/** Whether PostgreSQL ended a statement because its time was over (`query_canceled`; an administrator's cancel has the same code). */
export function isStatementTimeout(error: unknown): boolean {
  return sqlState(error) === '57014' && error instanceof Error && /statement timeout/.test(error.message);
}
