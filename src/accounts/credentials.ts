import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { SystemDb, TenantTx } from '../db/db.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';

/** Who submits mail. */
export interface Submitter {
  readonly partnerId: string;
  readonly clientId: string;
  /** Null: the client as a whole, for example its multifunction printer. */
  readonly mailboxId: string | null;
  readonly username: string;
  /** The domains that it may send as. */
  readonly domains: readonly string[];
}

const SALT_BYTES = 16;
const KEY_BYTES = 32;
// RFC 7914; about 50 ms and 16 MB a try, so that guessing is slow.
const COST = { N: 16_384, r: 8, p: 1 };

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, KEY_BYTES, COST, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}

export interface CredentialInput {
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly username: string;
  readonly password: string;
  readonly actor: string;
}

/** Makes a submission credential. Throws `invalid_input` or `conflict`. */
export async function createCredential(tx: TenantTx, input: CredentialInput): Promise<{ id: string }> {
  const username = input.username.trim().toLowerCase();
  if (!/^[\w.@+-]{1,200}$/.test(username))
    throw new AppError('invalid_input', 'that is not a user name', { field: 'username' });
  if (input.password.length < 12)
    throw new AppError('invalid_input', 'a password has at least 12 characters', { field: 'password' });
  const id = newId();
  const salt = randomBytes(SALT_BYTES);
  const secret = Buffer.concat([salt, await derive(input.password, salt)]);
  try {
    await tx.run(sql`
      insert into submission_credentials (partner_id, client_id, id, mailbox_id, username, secret, created_at)
      values (${tx.partnerId}, ${input.clientId}, ${id}, ${input.mailboxId}, ${username}, ${secret}, ${tx.now})`);
  } catch (error) {
    if (isUniqueViolation(error))
      throw new AppError('conflict', 'that user name is taken', { field: 'username', cause: error });
    if (isForeignKeyViolation(error)) throw new AppError('not_found', 'no such client or mailbox', { cause: error });
    throw error;
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'credential.create',
    subject: username,
  });
  return { id };
}

interface CredentialRow {
  partner_id: string;
  client_id: string;
  mailbox_id: string | null;
  username: string;
  secret: Buffer;
  domains: string[];
}

const DUMMY = Buffer.alloc(SALT_BYTES + KEY_BYTES);

/** The submitter, or null for a wrong name or password: both take the same time. */
export async function verifySubmission(db: SystemDb, username: string, password: string): Promise<Submitter | null> {
  const row = await db.system(
    (tx) =>
      tx.maybe<CredentialRow>(sql`
        select s.partner_id, s.client_id, s.mailbox_id, s.username, s.secret,
               array(select d.name from domains d where d.partner_id = s.partner_id and d.client_id = s.client_id) as domains
        from submission_credentials s
        join clients c on c.partner_id = s.partner_id and c.id = s.client_id and c.status = 'active'
        where s.username = ${username.trim().toLowerCase()} and s.revoked_at is null`),
    { readOnly: true },
  );
  const secret = row?.secret ?? DUMMY;
  const key = await derive(password, secret.subarray(0, SALT_BYTES));
  if (!timingSafeEqual(key, secret.subarray(SALT_BYTES)) || row === null) return null;
  return {
    partnerId: row.partner_id,
    clientId: row.client_id,
    mailboxId: row.mailbox_id,
    username: row.username,
    domains: row.domains,
  };
}
