import { addConnection, mapClient } from '../../src/accounts/connections.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import type { Database } from '../../src/db/db.ts';

export const SEAL_KEY = Buffer.alloc(32, 7);

/** A PSA connection of a partner; its address leads nowhere, tests hand in a model. */
export async function seedConnection(db: Database, partner: PartnerId): Promise<string> {
  const made = await db.tenant(partner, (tx) =>
    addConnection(
      tx,
      { kind: 'autotask', url: 'https://psa.example', credentials: {}, settings: {}, actor: 'test' },
      SEAL_KEY,
    ),
  );
  return made.id;
}

export async function seedMapping(
  db: Database,
  partner: PartnerId,
  clientId: string,
  connectionId: string,
  companyId = '1',
): Promise<void> {
  await db.tenant(partner, (tx) =>
    mapClient(tx, { clientId, connectionId, companyId, companyName: `Company ${companyId}`, actor: 'test' }),
  );
}
