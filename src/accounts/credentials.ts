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
  /** A mailbox's own addresses and aliases, and then nothing else; null: any address of `domains`. */
  readonly addresses: readonly string[] | null;
  /** A server of the client, by its network and without a login: it may hand on notifications with the null sender. */
  readonly isNetwork: boolean;
}

/** A submission credential as people may see it: never its secret. */
export interface Credential {
  readonly id: string;
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly username: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
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
  if (input.mailboxId !== null) await requireOwnMailbox(tx, input.clientId, input.mailboxId);
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
    details: { id, clientId: input.clientId, mailboxId: input.mailboxId },
  });
  return { id };
}

/** A mailbox of another client of the partner would lend its name to this one's mail. */
async function requireOwnMailbox(tx: TenantTx, clientId: string, mailboxId: string): Promise<void> {
  const row = await tx.maybe(sql`
    select id from mailboxes where partner_id = ${tx.partnerId} and client_id = ${clientId} and id = ${mailboxId}
      and kind <> 'contact' and status <> 'deleted'`);
  if (row === null) throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailboxId' });
}

/** A page of a client's credentials by user name; revoked ones stay in the list. */
export function listCredentials(
  tx: TenantTx,
  clientId: string,
  page: { readonly first: number; readonly after: string | null },
): Promise<Credential[]> {
  return tx.rows<Credential>(sql`
    select s.id, s.client_id as "clientId", s.mailbox_id as "mailboxId", s.username, s.created_at as "createdAt",
           s.revoked_at as "revokedAt"
    from submission_credentials s
    where s.partner_id = ${tx.partnerId} and s.client_id = ${clientId} and s.username > ${page.after ?? ''}
    order by s.username limit ${page.first}`);
}

export function getCredentials(tx: TenantTx, ids: readonly string[]): Promise<Credential[]> {
  return tx.rows<Credential>(sql`
    select s.id, s.client_id as "clientId", s.mailbox_id as "mailboxId", s.username, s.created_at as "createdAt",
           s.revoked_at as "revokedAt"
    from submission_credentials s where s.partner_id = ${tx.partnerId} and s.id = any(${[...ids]}::uuid[])`);
}

/**
 * Refuses a credential from the next message on, in sessions that are open too; its user name stays taken, so that the past can be read. Answers false when it
 * was revoked before. Throws `not_found`.
 */
export async function revokeCredential(tx: TenantTx, id: string, actor: string): Promise<boolean> {
  const row = await tx.maybe<{ username: string }>(sql`
    update submission_credentials set revoked_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${id} and revoked_at is null returning username`);
  if (row === null) {
    const [known] = await getCredentials(tx, [id]);
    if (known === undefined) throw new AppError('not_found', 'no such credential', { field: 'id' });
    return false;
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'credential.revoke',
    subject: row.username,
    details: { id },
  });
  return true;
}

interface CredentialRow {
  partner_id: string;
  client_id: string;
  mailbox_id: string | null;
  username: string;
  secret: Buffer;
  domains: string[];
  addresses: string[] | null;
}

const DUMMY = Buffer.alloc(SALT_BYTES + KEY_BYTES);

/** The submitter, or null for a wrong name or password: both take the same time. */
export async function verifySubmission(db: SystemDb, username: string, password: string): Promise<Submitter | null> {
  const row = await db.system(
    (tx) =>
      tx.maybe<CredentialRow>(sql`
        select s.partner_id, s.client_id, s.mailbox_id, s.username, s.secret,
               array(select d.name from domains d where d.partner_id = s.partner_id and d.client_id = s.client_id) as domains,
               case when s.mailbox_id is not null then
                 array(select a.address from addresses a where a.partner_id = s.partner_id and a.mailbox_id = s.mailbox_id)
               end as addresses
        from submission_credentials s
        join clients c on c.partner_id = s.partner_id and c.id = s.client_id and c.status = 'active'
        left join mailboxes m on m.partner_id = s.partner_id and m.id = s.mailbox_id
        where (s.mailbox_id is null or m.status = 'active') and s.username = ${username.trim().toLowerCase()} and s.revoked_at is null`),
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
    addresses: row.addresses,
    isNetwork: false,
  };
}

/** Whether a login still holds: not revoked, its client and its mailbox active. Asked for by sessions that stay open. */
export async function holdsLogin(db: SystemDb, { partnerId, username }: Submitter): Promise<boolean> {
  const row = await db.system(
    (tx) =>
      tx.maybe(sql`
        select 1 as yes
        from submission_credentials s
        join clients c on c.partner_id = s.partner_id and c.id = s.client_id and c.status = 'active'
        left join mailboxes m on m.partner_id = s.partner_id and m.id = s.mailbox_id
        where s.username = ${username} and s.partner_id = ${partnerId} and s.revoked_at is null
          and (s.mailbox_id is null or m.status = 'active')`),
    { readOnly: true, perStatement: true },
  );
  return row !== null;
}
