import type { Client } from '../../accounts/clients.ts';
import { getMailboxes, type Mailbox } from '../../accounts/mailboxes.ts';
import { AppError } from '../../core/errors.ts';
import {
  type Audience,
  type DigestMode,
  type DigestOverride,
  type DigestPlan,
  type DigestTarget,
  readSettings,
  resolvePlan,
  setDigest,
} from '../../digest/settings.ts';
import type { Context } from '../context.ts';
import { requireId } from '../ids.ts';
import { payload } from '../payload.ts';
import type { Resolvers } from './types.ts';

interface SetDigestInput {
  readonly audience?: Audience | null;
  readonly clientId?: string | null;
  readonly mailboxId?: string | null;
  readonly mode?: DigestMode | null;
  readonly hours?: readonly string[] | null;
  readonly days?: readonly number[] | null;
  readonly recipient?: string | null;
  readonly language?: string | null;
}

/** Settings of a client's mailboxes that one answer shows. */
const MAILBOXES_MAX = 1_000;

function overrideOf(input: SetDigestInput): DigestOverride {
  const { mode, hours, days, recipient, language } = input;
  return {
    ...(mode == null ? {} : { mode }),
    ...(hours == null ? {} : { hours }),
    ...(days == null ? {} : { days }),
    ...(recipient == null ? {} : { recipient }),
    ...(language == null ? {} : { language }),
  };
}

function targetOf(input: SetDigestInput): DigestTarget {
  return {
    audience: input.audience ?? 'users',
    clientId: input.clientId == null ? null : requireId('Client', input.clientId, 'clientId'),
    mailboxId: input.mailboxId == null ? null : requireId('Mailbox', input.mailboxId, 'mailboxId'),
  };
}

export const digestResolvers: Resolvers = {
  Partner: {
    digestSettings: (_: unknown, __: unknown, context: Context) =>
      context.read(async (tx) => {
        const [row] = await readSettings(tx, null);
        return row === undefined ? null : resolvePlan(row.settings);
      }),
  },
  Client: {
    digestSettings: (client: Client, _: unknown, context: Context) =>
      context.read(async (tx) => {
        const rows = await readSettings(tx, client.id);
        const base = rows.find((row) => row.audience === 'users' && row.mailboxId === null)?.settings;
        const admin = rows.find((row) => row.audience === 'admin');
        const own = rows.filter((row) => row.mailboxId !== null).slice(0, MAILBOXES_MAX);
        const mailboxes = await getMailboxes(
          tx,
          own.flatMap((row) => row.mailboxId ?? []),
        );
        const byId = new Map<string | null, Mailbox>(mailboxes.map((mailbox) => [mailbox.id, mailbox]));
        return {
          users: resolvePlan(base),
          admin: admin === undefined ? null : resolvePlan(admin.settings),
          mailboxes: own.map((row) => ({
            mailbox: byId.get(row.mailboxId) ?? null,
            settings: resolvePlan(base, row.settings),
          })),
        };
      }),
  },
  Mutation: {
    setDigest: (_: unknown, { input }: { readonly input: SetDigestInput }, context: Context) =>
      payload<{ settings: DigestPlan | null }>({ settings: null }, () => {
        const target = targetOf(input);
        return context.write(async (tx) => {
          const stored = await setDigest(tx, target, overrideOf(input), context.caller.actor);
          if (target.mailboxId === null) return { settings: resolvePlan(stored) };
          const rows = await readSettings(tx, target.clientId);
          const base = rows.find((row) => row.audience === 'users' && row.mailboxId === null);
          return { settings: resolvePlan(base?.settings, stored) };
        });
      }),

    sendDigestNow: (_: unknown, { input }: { readonly input: { readonly mailboxId: string } }, context: Context) =>
      payload<{ sent: boolean }>({ sent: false }, async () => {
        const mailboxId = requireId('Mailbox', input.mailboxId, 'mailboxId');
        // It stores a message: no transaction is held meanwhile.
        const [mailbox] = await context.read((tx) => getMailboxes(tx, [mailboxId]));
        if (mailbox === undefined) throw new AppError('not_found', 'no such mailbox', { field: 'mailboxId' });
        await context.forget();
        return context.commands.sendDigest(context.caller, mailboxId);
      }),
  },
};
