import { isFollowing } from './errors.ts';

/**
 * Waits for statements of one transaction that were sent without waiting for each other. All have ended when it answers or
 * rejects: none may be under way when the transaction is rolled back. It rejects with the first error in time; what fails only because
 * another one had is told when there is nothing else.
 */
export async function together<T extends readonly unknown[]>(
  statements: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const failures: unknown[] = [];
  const noted = (error: unknown) => {
    failures.push(error);
  };
  await Promise.all(statements.map((one) => Promise.resolve(one).catch(noted)));
  if (failures.length > 0) throw failures.find((error) => !isFollowing(error)) ?? failures[0];
  return Promise.all(statements) as Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;
}
