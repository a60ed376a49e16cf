import { z } from 'zod';
import { FILTER_CLASSES, type Policy } from '../core/message.ts';

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
});

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
});

/** A client's own settings over the defaults. Stored settings that no longer parse are ignored: the defaults are safe. */
export function resolvePolicy(stored: unknown): Policy {
  const parsed = partial.safeParse(stored ?? {});
  if (!parsed.success) return DEFAULT_POLICY;
  const { attachments, quarantineDays: _days, quarantineMalwareDays: _malwareDays, ...rest } = parsed.data;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return { ...DEFAULT_POLICY, ...given, attachments: { ...DEFAULT_POLICY.attachments, ...attachments } };
}
