import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { FILTER_CLASSES, type Policy } from '../core/message.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';

/** What a client gets who has set nothing. Malware and unreadable mail are kept from users, spam can be released. */
export const DEFAULT_POLICY: Policy = Object.freeze({
  spamScore: 6,
  spamAction: 'quarantine',
  phishAction: 'quarantine',
  spoofAction: 'quarantine',
  malwareAction: 'quarantine',
  unscannableAction: 'quarantine',
  bulkAction: 'deliver',
  attachments: Object.freeze({
    executable: 'quarantine',
    macro: 'quarantine',
    encrypted_archive: 'quarantine',
    suspicious_archive: 'quarantine',
    html_smuggling: 'quarantine',
  }),
  greylist: false,
  ownerNameAction: 'points',
});

/** What may be done with outbound mail that is not clean. `hold`: it waits in the queue for a person. */
export const OUTBOUND_ACTIONS = ['hold', 'quarantine', 'reject'] as const;
export type OutboundAction = (typeof OUTBOUND_ACTIONS)[number];

/** The outbound part of a client's policy. */
export interface OutboundPolicy {
  readonly spamScore: number;
  readonly spamAction: OutboundAction;
  readonly phishAction: OutboundAction;
  readonly malwareAction: OutboundAction;
}

/** Outgoing spam tells of a stolen password: it waits for a person. Malware is kept, and an incident tells of it. */
export const DEFAULT_OUTBOUND: OutboundPolicy = Object.freeze({
  spamScore: 8,
  spamAction: 'hold',
  phishAction: 'quarantine',
  malwareAction: 'quarantine',
});

const outboundAction = z.enum(OUTBOUND_ACTIONS);
const outboundPartial = z.strictObject({
  spamScore: z.number().min(1).max(100).optional(),
  spamAction: outboundAction.optional(),
  phishAction: outboundAction.optional(),
  malwareAction: outboundAction.optional(),
});
export type OutboundPolicyInput = z.infer<typeof outboundPartial>;

const attachmentAction = z.enum(['allow', 'quarantine', 'reject', 'strip']);
/** How long held mail is kept; what it means is in retention.ts. */
export const retentionDays = z.number().int().min(1).max(365);
const partial = z.strictObject({
  spamScore: z.number().min(1).max(100).optional(),
  spamAction: z.enum(['tag', 'quarantine', 'reject', 'deliver']).optional(),
  phishAction: z.enum(['quarantine', 'reject']).optional(),
  spoofAction: z.enum(['tag', 'quarantine', 'reject']).optional(),
  malwareAction: z.enum(['quarantine', 'reject', 'discard']).optional(),
  unscannableAction: z.enum(['quarantine', 'reject']).optional(),
  bulkAction: z.enum(['deliver', 'tag', 'quarantine']).optional(),
  quarantineDays: retentionDays.optional(),
  quarantineMalwareDays: retentionDays.optional(),
  attachments: z.partialRecord(z.enum(FILTER_CLASSES), attachmentAction).optional(),
  // Read by resolveOutboundPolicy, whose defaults hold when it does not parse.
  outbound: z.unknown().optional(),
  greylist: z.boolean().optional(),
  ownerNameAction: z.enum(['points', 'spoof', 'off']).optional(),
});

/** A client's own settings over the defaults. Stored settings that no longer parse are ignored: the defaults are safe. */
export function resolvePolicy(stored: unknown): Policy {
  const parsed = partial.safeParse(stored ?? {});
  if (!parsed.success) return DEFAULT_POLICY;
  const { attachments, outbound: _, quarantineDays: _days, quarantineMalwareDays: _malwareDays, ...rest } = parsed.data;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return { ...DEFAULT_POLICY, ...given, attachments: { ...DEFAULT_POLICY.attachments, ...attachments } };
}

/** The outbound part of stored settings over its defaults. */
function outboundPolicy(stored: unknown): OutboundPolicy {
  const part = (stored as { readonly outbound?: unknown } | null)?.outbound;
  const parsed = outboundPartial.safeParse(part ?? {});
  if (!parsed.success) return DEFAULT_OUTBOUND;
  const given = Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
  return { ...DEFAULT_OUTBOUND, ...given };
}

/**
 * What holds for mail that the client sends: its outbound part, and the rest as for inbound mail, but nothing is tagged or
 * stripped on the way out: the sender would not know of it.
 */
export function resolveOutboundPolicy(stored: unknown): Policy {
  const inbound = resolvePolicy(stored);
  const attachments = Object.fromEntries(
    FILTER_CLASSES.map((name) => [
      name,
      inbound.attachments[name] === 'strip' ? 'quarantine' : inbound.attachments[name],
    ]),
  ) as Policy['attachments'];
  return { ...inbound, ...outboundPolicy(stored), spoofAction: 'quarantine', bulkAction: 'deliver', attachments };
}

/** What clients have set for their outbound mail, by id, defaults filled in; those that are there. */
export async function outboundPolicies(
  tx: TenantTx,
  clientIds: readonly string[],
): Promise<Map<string, OutboundPolicy>> {
  const rows = await tx.rows<{ id: string; policy: unknown }>(sql`
    select id, policy from clients where partner_id = ${tx.partnerId} and id = any(${[...clientIds]}::uuid[])`);
  return new Map(rows.map((row) => [row.id, outboundPolicy(row.policy)]));
}

/** Changes the given settings of a client's outbound policy and keeps the others. Throws `invalid_input` or `not_found`. */
export async function setOutboundPolicy(
  tx: TenantTx,
  clientId: string,
  change: OutboundPolicyInput,
  actor: string,
): Promise<OutboundPolicy> {
  const parsed = outboundPartial.safeParse(change);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AppError(
      'invalid_input',
      `${String(issue?.path[0] ?? 'the policy')}: ${issue?.message ?? 'is not right'}`,
      {
        field: String(issue?.path[0] ?? 'policy'),
      },
    );
  }
  const row = await tx.maybe<{ policy: unknown }>(sql`
    update clients set policy = jsonb_set(policy, '{outbound}',
      coalesce(policy -> 'outbound', '{}'::jsonb) || ${JSON.stringify(parsed.data)}::jsonb)
    where partner_id = ${tx.partnerId} and id = ${clientId} returning policy`);
  if (row === null) throw new AppError('not_found', 'no such client');
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'outbound.policy',
    subject: clientId,
    details: parsed.data,
  });
  return outboundPolicy(row.policy);
}
