import { AppError } from '../core/errors.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient } from './clients.ts';
import { getMailboxes } from './mailboxes.ts';

export const LIMIT_SCOPES = ['mailbox', 'client', 'partner'] as const;
export type LimitScope = (typeof LIMIT_SCOPES)[number];

/** All limits count recipients, not messages: one message to 50 people counts 50. */
export interface RecipientLimits {
  readonly recipientsPerHour: number;
  /** Recipients in 24 hours that the scope had not written to in the last 90 days. */
  readonly firstTimeRecipientsPerDay: number;
}

export const DEFAULT_LIMITS: Readonly<Record<LimitScope, RecipientLimits>> = {
  mailbox: { recipientsPerHour: 500, firstTimeRecipientsPerDay: 200 },
  client: { recipientsPerHour: 5_000, firstTimeRecipientsPerDay: 1_000 },
  partner: { recipientsPerHour: 50_000, firstTimeRecipientsPerDay: 10_000 },
};
const LIMIT_MAX = 10_000_000;

/** One of whom mail is counted. `id`: of the mailbox, of the client, of the partner. */
export interface LimitSubject {
  readonly partnerId: string;
  readonly scope: LimitScope;
  readonly id: string;
}

interface LimitRow {
  readonly scope: LimitScope;
  readonly id: string;
  readonly recipientsPerHour: number | null;
  readonly firstTimeRecipientsPerDay: number | null;
}

export const subjectKey = ({ scope, id }: Omit<LimitSubject, 'partnerId'>): string => `${scope} ${id}`;

/** The limits of each subject, by `subjectKey`, defaults filled in. */
export async function limitsOf(tx: Tx, subjects: readonly LimitSubject[]): Promise<Map<string, RecipientLimits>> {
  const set = await limitRows(tx, subjects);
  return new Map(subjects.map((subject) => [subjectKey(subject), filled(subject, set.get(subjectKey(subject)))]));
}

/** What is counted by: `isOwn`, somebody set the limit on first-time recipients for this very subject. */
export interface CountedLimits extends RecipientLimits {
  readonly isOwn: boolean;
}

export async function countedLimitsOf(tx: Tx, subjects: readonly LimitSubject[]): Promise<Map<string, CountedLimits>> {
  const set = await limitRows(tx, subjects);
  return new Map(
    subjects.map((subject) => {
      const own = set.get(subjectKey(subject));
      const isOwn = (own?.firstTimeRecipientsPerDay ?? null) !== null;
      return [subjectKey(subject), { ...filled(subject, own), isOwn }];
    }),
  );
}

function filled({ scope }: LimitSubject, own: LimitRow | undefined): RecipientLimits {
  const usual = DEFAULT_LIMITS[scope];
  return {
    recipientsPerHour: own?.recipientsPerHour ?? usual.recipientsPerHour,
    firstTimeRecipientsPerDay: own?.firstTimeRecipientsPerDay ?? usual.firstTimeRecipientsPerDay,
  };
}

async function limitRows(tx: Tx, subjects: readonly LimitSubject[]): Promise<Map<string, LimitRow>> {
  const rows = await tx.rows<LimitRow>(sql`
    select s.scope, s.id, l.recipients_per_hour as "recipientsPerHour", l.first_time_per_day as "firstTimeRecipientsPerDay"
    from unnest(${subjects.map((one) => one.partnerId)}::uuid[], ${subjects.map((one) => one.scope)}::text[],
                ${subjects.map((one) => one.id)}::uuid[]) as s (partner_id, scope, id)
    join outbound_limits l on l.partner_id = s.partner_id and case s.scope
      when 'mailbox' then l.mailbox_id = s.id
      when 'client' then l.client_id = s.id and l.mailbox_id is null
      else l.client_id is null end`);
  return new Map(rows.map((row) => [subjectKey(row), row]));
}

export interface LimitInput {
  /** Null: the partner as a whole. */
  readonly clientId: string | null;
  readonly mailboxId: string | null;
  /** Null: the default again; undefined: as it is. */
  readonly recipientsPerHour?: number | null | undefined;
  readonly firstTimeRecipientsPerDay?: number | null | undefined;
  readonly actor: string;
}

/** Sets limits of the partner, of a client or of a mailbox, and answers what holds now. Throws `invalid_input` or `not_found`. */
export async function setLimits(tx: TenantTx, input: LimitInput): Promise<RecipientLimits> {
  const subject = await subjectOf(tx, input);
  for (const field of ['recipientsPerHour', 'firstTimeRecipientsPerDay'] as const) {
    const value = input[field];
    if (value !== null && value !== undefined && (!Number.isInteger(value) || value < 0 || value > LIMIT_MAX))
      throw new AppError('invalid_input', `a limit is a whole number from 0 to ${LIMIT_MAX}`, { field });
  }
  const keepHour = input.recipientsPerHour === undefined;
  const keepDay = input.firstTimeRecipientsPerDay === undefined;
  await tx.run(sql`
    insert into outbound_limits as l (partner_id, client_id, mailbox_id, recipients_per_hour, first_time_per_day, updated_at)
    values (${tx.partnerId}, ${input.clientId}, ${input.mailboxId}, ${input.recipientsPerHour ?? null},
            ${input.firstTimeRecipientsPerDay ?? null}, ${tx.now})
    on conflict (partner_id, client_id, mailbox_id) do update set
      recipients_per_hour = case when ${keepHour}::boolean then l.recipients_per_hour else excluded.recipients_per_hour end,
      first_time_per_day = case when ${keepDay}::boolean then l.first_time_per_day else excluded.first_time_per_day end,
      updated_at = excluded.updated_at`);
  const limits = await readLimits(tx, input);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'outbound.limits',
    subject: subject.id,
    details: { scope: subject.scope, ...limits },
  });
  return limits;
}

/** What holds for the partner, a client or a mailbox. Throws `not_found`. */
export async function readLimits(
  tx: TenantTx,
  of: { readonly clientId: string | null; readonly mailboxId: string | null },
): Promise<RecipientLimits> {
  const subject = await subjectOf(tx, of);
  return (await limitsOf(tx, [subject])).get(subjectKey(subject)) ?? DEFAULT_LIMITS[subject.scope];
}

async function subjectOf(
  tx: TenantTx,
  { clientId, mailboxId }: { readonly clientId: string | null; readonly mailboxId: string | null },
): Promise<LimitSubject> {
  const { partnerId } = tx;
  if (clientId === null) return { partnerId, scope: 'partner', id: partnerId };
  await requireClient(tx, clientId);
  if (mailboxId === null) return { partnerId, scope: 'client', id: clientId };
  const [mailbox] = await getMailboxes(tx, [mailboxId]);
  if (mailbox === undefined || mailbox.clientId !== clientId)
    throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailboxId' });
  return { partnerId, scope: 'mailbox', id: mailboxId };
}
