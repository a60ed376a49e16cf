import { z } from 'zod';
import { recordAudit } from '../accounts/audit.ts';
import { requireClient } from '../accounts/clients.ts';
import { getMailboxes } from '../accounts/mailboxes.ts';
import { normalizeAddress } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { isLanguage, LANGUAGES } from './words.ts';

export const DIGEST_MODES = ['off', 'daily', 'intraday'] as const;
export type DigestMode = (typeof DIGEST_MODES)[number];
export const AUDIENCES = ['users', 'admin'] as const;
export type Audience = (typeof AUDIENCES)[number];

/** When digests go out and to whom, all values filled in. Times are of the client's zone. */
export interface DigestPlan {
  readonly mode: DigestMode;
  /** `HH:MM`, sorted. `daily` uses the first. */
  readonly hours: readonly string[];
  /** ISO weekdays, 1 is Monday. */
  readonly days: readonly number[];
  /** Null: the mailbox itself. Never null for the audience `admin`. */
  readonly recipient: string | null;
  readonly language: string;
}

/** What is stored: what is absent comes from the client's setting, then from the default. */
export type DigestOverride = Partial<DigestPlan>;

export interface DigestTarget {
  readonly audience: Audience;
  /** Null for the audience `admin` only: the partner's own digest of all clients. */
  readonly clientId: string | null;
  readonly mailboxId: string | null;
}

export interface StoredDigest extends DigestTarget {
  readonly settings: DigestOverride;
  readonly updatedAt: Date;
}

export const DEFAULT_PLAN: DigestPlan = Object.freeze({
  mode: 'daily',
  hours: Object.freeze(['08:00']),
  days: Object.freeze([1, 2, 3, 4, 5]),
  recipient: null,
  language: 'en',
});

const HOURS_MAX = 24;
const TIME = /^([01]\d|2[0-3]):[0-5]\d$/;

const stored = z.strictObject({
  mode: z.enum(DIGEST_MODES).optional(),
  hours: z.array(z.string().regex(TIME)).min(1).max(HOURS_MAX).optional(),
  days: z.array(z.number().int().min(1).max(7)).min(1).max(7).optional(),
  recipient: z.string().nullable().optional(),
  language: z.string().optional(),
});

/** Settings over those that they refine. Stored ones that no longer parse are ignored. */
export function resolvePlan(...layers: readonly unknown[]): DigestPlan {
  let plan = DEFAULT_PLAN;
  for (const layer of layers) {
    const parsed = stored.safeParse(layer ?? {});
    if (!parsed.success) continue;
    const given = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
    plan = { ...plan, ...given };
  }
  return plan;
}

/** All settings of a client, its mailboxes' own among them; `clientId` null: the partner's own. */
export async function readSettings(tx: TenantTx, clientId: string | null): Promise<StoredDigest[]> {
  return tx.rows<StoredDigest>(sql`
    select s.audience, s.client_id as "clientId", s.mailbox_id as "mailboxId", s.settings, s.updated_at as "updatedAt"
    from digest_settings s
    where s.partner_id = ${tx.partnerId} and s.client_id is not distinct from ${clientId}::uuid
    order by s.audience, s.mailbox_id nulls first limit 10000`);
}

/** The plan of one mailbox and the moment since when it holds. */
export function planOf(settings: readonly StoredDigest[], mailboxId: string): DigestPlan {
  const users = settings.filter((one) => one.audience === 'users');
  return resolvePlan(
    users.find((one) => one.mailboxId === null)?.settings,
    users.find((one) => one.mailboxId === mailboxId)?.settings,
  );
}

/**
 * Stores settings whole. An empty override removes a mailbox's own; `mode` 'off' ends digests. Throws `invalid_input`, or
 * `not_found` for another tenant's client or mailbox.
 */
export async function setDigest(
  tx: TenantTx,
  target: DigestTarget,
  given: DigestOverride,
  actor: string,
): Promise<DigestOverride> {
  await requireTarget(tx, target);
  const settings = await checked(tx, target, given);
  if (target.audience === 'users' && Object.keys(settings).length === 0) {
    await tx.run(sql`
      delete from digest_settings where partner_id = ${tx.partnerId} and audience = 'users'
        and client_id = ${target.clientId} and mailbox_id is not distinct from ${target.mailboxId}::uuid`);
  } else {
    await tx.run(sql`
      insert into digest_settings (partner_id, id, audience, client_id, mailbox_id, settings, updated_at)
      values (${tx.partnerId}, ${newId()}, ${target.audience}, ${target.clientId}, ${target.mailboxId},
              ${JSON.stringify(settings)}, ${tx.now})
      on conflict (partner_id, audience, client_id, mailbox_id)
        do update set settings = excluded.settings, updated_at = excluded.updated_at`);
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'digest.set',
    subject: target.mailboxId ?? target.clientId ?? tx.partnerId,
    details: { audience: target.audience, ...settings },
  });
  return settings;
}

async function requireTarget(tx: TenantTx, { audience, clientId, mailboxId }: DigestTarget): Promise<void> {
  if (clientId !== null) await requireClient(tx, clientId);
  else if (audience === 'users') throw new AppError('invalid_input', 'a client is needed', { field: 'clientId' });
  if (mailboxId === null) return;
  if (audience === 'admin') {
    throw new AppError('invalid_input', 'the digest for administrators is of all mailboxes', { field: 'mailboxId' });
  }
  const [mailbox] = await getMailboxes(tx, [mailboxId]);
  if (mailbox === undefined || mailbox.clientId !== clientId || mailbox.kind === 'contact') {
    throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailboxId' });
  }
}

async function checked(tx: TenantTx, target: DigestTarget, given: DigestOverride): Promise<DigestOverride> {
  const { mode, hours, days, recipient, language } = given;
  const bad = (field: string, message: string) => new AppError('invalid_input', message, { field });
  if (
    hours !== undefined &&
    (hours.length === 0 || hours.length > HOURS_MAX || !hours.every((one) => TIME.test(one)))
  ) {
    throw bad('hours', `hours are 1 to ${HOURS_MAX} times such as 08:00`);
  }
  if (mode === 'daily' && hours !== undefined && hours.length !== 1) {
    throw bad('hours', 'a daily digest has one time; several are an intraday digest');
  }
  const isDay = (day: number) => Number.isInteger(day) && day >= 1 && day <= 7;
  if (days !== undefined && (days.length === 0 || days.length > 7 || !days.every(isDay))) {
    throw bad('days', 'days are 1 (Monday) to 7 (Sunday)');
  }
  if (language !== undefined && !isLanguage(language)) throw bad('language', `languages: ${LANGUAGES.join(', ')}`);
  const to = await checkedRecipient(tx, target, recipient ?? null);
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(hours === undefined ? {} : { hours: [...new Set(hours)].sort() }),
    ...(days === undefined ? {} : { days: [...new Set(days)].sort((a, b) => a - b) }),
    ...(to === null ? {} : { recipient: to }),
    ...(language === undefined ? {} : { language }),
  };
}

/** A mailbox's digest stays in its client's directory: its links let mail out. Administrators may be anywhere. */
async function checkedRecipient(tx: TenantTx, target: DigestTarget, given: string | null): Promise<string | null> {
  if (given === null) {
    if (target.audience === 'users') return null;
    throw new AppError('invalid_input', 'the digest for administrators needs an address', { field: 'recipient' });
  }
  const address = normalizeAddress(given);
  if (address === null) throw new AppError('invalid_input', 'the recipient is not an address', { field: 'recipient' });
  if (target.audience === 'admin') return address;
  if (target.mailboxId === null) {
    throw new AppError('invalid_input', 'one recipient for all mailboxes is the audience ADMIN', {
      field: 'recipient',
    });
  }
  const known = await tx.maybe(sql`
    select 1 as yes from addresses a
    where a.partner_id = ${tx.partnerId} and a.client_id = ${target.clientId} and a.address = ${address}`);
  if (known === null) {
    throw new AppError('invalid_input', 'the recipient is not in the directory of the client', { field: 'recipient' });
  }
  return address;
}
