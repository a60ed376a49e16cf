import { createCredential } from '../../../src/accounts/credentials.ts';
import type { Database } from '../../../src/db/db.ts';
import { seedClient, seedPartner } from '../../support/seed.ts';
import type { Talker } from './rig.ts';

const USER = 'ann@acme.example';
export const PASSWORD = 'correct horse battery';

/** A partner with a client whose server listens on `port`, and a login for the client's outgoing mail. */
export async function seedSubmitter(db: Database, port = 2626) {
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, {
    mailboxes: ['ann', 'bob', 'gone', 'quarantine'],
    relays: [{ host: '127.0.0.1', port }],
  });
  await db.tenant(partner.id, (tx) =>
    createCredential(tx, { clientId, mailboxId: null, username: USER, password: PASSWORD, actor: 'test' }),
  );
  return { partner, clientId };
}

/** Answers the last reply. */
export async function login(
  client: Talker,
  password: string,
  method: 'PLAIN' | 'LOGIN' = 'PLAIN',
  user = USER,
): Promise<string> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  if (method === 'PLAIN') return client.say(`AUTH PLAIN ${base64(`\0${user}\0${password}`)}`);
  await client.say('AUTH LOGIN');
  await client.say(base64(user));
  return client.say(base64(password));
}
