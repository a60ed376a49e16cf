import type { TenantTx } from '../../src/db/db.ts';

/** A promise and what opens it (Promise.withResolvers, which Node 20 lacks). */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** A transaction (`slow`) that stops after its first answer until `go`: what another one does then comes between. */
export function afterFirstRead() {
  const [reached, going] = [gate(), gate()];
  let isFirst = true;
  const stop = async <T>(answer: Promise<T>): Promise<T> => {
    const given = await answer;
    if (isFirst) {
      isFirst = false;
      reached.open();
      await going.passed;
    }
    return given;
  };
  const slow = (tx: TenantTx): TenantTx => ({
    ...tx,
    rows: (statement) => stop(tx.rows(statement)),
    one: (statement) => stop(tx.one(statement)),
    maybe: (statement) => stop(tx.maybe(statement)),
  });
  return { slow, reached: reached.passed, go: going.open };
}
