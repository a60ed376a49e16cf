/**
 * Waits for statements of one transaction that were sent without waiting for each other. All have ended when it answers or
 * rejects with the error of the first that failed: none may be under way when the transaction is rolled back.
 */
export async function together<T extends readonly unknown[]>(
  statements: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(statements);
  return Promise.all(statements) as Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;
}
