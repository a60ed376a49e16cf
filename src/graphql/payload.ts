import { AppError, type ErrorCode, graphqlCode } from '../core/errors.ts';

export interface UserError {
  readonly code: string;
  readonly field: string | null;
  readonly message: string;
}

// What the caller can put right, or try again. The rest (no key, a fault of ours) is an error of the request.
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  'invalid_input',
  'not_found',
  'conflict',
  'forbidden',
  'incomplete',
  'unavailable',
  'insufficient_storage',
  'upstream_rejected',
  'upstream_ambiguous',
  'limit_exceeded',
]);

/**
 * A mutation's payload: what `work` answers, or `nothing` with the failure in `userErrors`. `work` is one transaction, so
 * a failure means that nothing was changed.
 */
export async function payload<T extends object>(
  nothing: T,
  work: () => Promise<T>,
): Promise<T & { readonly userErrors: readonly UserError[] }> {
  try {
    return { ...(await work()), userErrors: [] };
  } catch (error) {
    if (!(error instanceof AppError) || !EXPECTED.has(error.code)) throw error;
    return {
      ...nothing,
      userErrors: [{ code: graphqlCode(error), field: error.field ?? null, message: error.message }],
    };
  }
}
