import type { Database, SystemDb, SystemTx, TenantTx } from '../../src/db/db.ts';
import type { Sql } from '../../src/db/sql.ts';
import type { HttpDeps } from '../../src/http/server.ts';

/** The database, with the tenant statements that ran and the tenant transactions that were opened. */
export function counting(db: Database): { db: HttpDeps['db']; statements: string[]; transactions: string[] } {
  const statements: string[] = [];
  const transactions: string[] = [];
  const seen = (statement: Sql) => {
    statements.push(statement.text.replace(/\s+/g, ' ').trim());
    return statement;
  };
  return {
    statements,
    transactions,
    db: {
      system: (work, options) => db.system(work, options),
      tenant: (partner, work, options) => {
        transactions.push(options?.readOnly === true ? 'read' : 'write');
        return db.tenant(
          partner,
          (tx) => {
            const counted: TenantTx = {
              ...tx,
              rows: (statement) => tx.rows(seen(statement)),
              one: (statement) => tx.one(seen(statement)),
              maybe: (statement) => tx.maybe(seen(statement)),
              run: (statement) => tx.run(seen(statement)),
            };
            return work(counted);
          },
          options,
        );
      },
    },
  };
}

/** The same for the system role. */
export function countingSystem(db: SystemDb): { db: SystemDb; statements: string[] } {
  const statements: string[] = [];
  const seen = (statement: Sql) => {
    statements.push(statement.text.replace(/\s+/g, ' ').trim());
    return statement;
  };
  return {
    statements,
    db: {
      system: (work, options) =>
        db.system((tx) => {
          const counted: SystemTx = {
            ...tx,
            rows: (statement) => tx.rows(seen(statement)),
            one: (statement) => tx.one(seen(statement)),
            maybe: (statement) => tx.maybe(seen(statement)),
            run: (statement) => tx.run(seen(statement)),
          };
          return work(counted);
        }, options),
    },
  };
}
