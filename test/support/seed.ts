import { type ClientInput, createClient } from '../../src/accounts/clients.ts';
import { type DirectoryRow, importMailboxes } from '../../src/accounts/mailboxes.ts';
import { createPartner } from '../../src/accounts/partners.ts';
import { type PartnerId, partnerId } from '../../src/core/tenant.ts';
import type { Database } from '../../src/db/db.ts';

export interface SeededPartner {
  readonly id: PartnerId;
  readonly apiKey: string;
}

export async function seedPartner(db: Database, name = 'Northwind IT'): Promise<SeededPartner> {
  const made = await db.system((tx) => createPartner(tx, { name }));
  return { id: partnerId(made.id), apiKey: made.apiKey };
}

/** A client with one domain, one relay and the mailboxes given by local part. Answers with its id. */
export async function seedClient(
  db: Database,
  partner: PartnerId,
  options: Partial<Omit<ClientInput, 'actor'>> & { domain?: string; mailboxes?: readonly string[] } = {},
): Promise<string> {
  const domain = options.domain ?? 'acme.example';
  const rows: DirectoryRow[] = (options.mailboxes ?? ['ann', 'bob']).map((local) => ({
    address: `${local}@${domain}`,
    name: local,
    kind: 'user',
  }));
  return db.tenant(partner, async (tx) => {
    const client = await createClient(tx, {
      name: options.name ?? domain,
      timeZone: options.timeZone ?? 'Europe/London',
      domains: options.domains ?? [domain],
      relays: options.relays ?? [{ host: '127.0.0.1', port: 2626 }],
      actor: 'test',
    });
    await importMailboxes(tx, client.id, rows, 'test');
    return client.id;
  });
}
