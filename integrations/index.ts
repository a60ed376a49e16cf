import type { Psa, PsaConnection, PsaFactory } from '../src/core/psa.ts';
import { autotask } from './autotask/autotask.ts';
import { connectWise } from './connectwise/connectwise.ts';
import { Gates } from './gate.ts';
import type { PsaDeps } from './http.ts';

export type { PsaDeps } from './http.ts';

/**
 * A connector for one connection. `gates` holds what all connectors of this process share per PSA account (concurrency,
 * request budget, circuit); connectors that are made without it share nothing. Throws AppError `config_invalid` or
 * `invalid_input` for credentials, settings and addresses that cannot be.
 */
export function connectPsa(connection: PsaConnection, deps: PsaDeps, gates: Gates = new Gates()): Psa {
  switch (connection.kind) {
    case 'connectwise':
      return connectWise(connection, deps, gates);
    case 'autotask':
      return autotask(connection, deps, gates);
  }
}

/** The factory for a whole process: every connector that it makes for an account shares that account's limits. */
export function createPsaFactory(deps: PsaDeps): PsaFactory {
  const gates = new Gates();
  return (connection) => connectPsa(connection, deps, gates);
}
