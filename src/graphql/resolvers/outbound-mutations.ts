import { randomBytes } from 'node:crypto';
import { requireClient } from '../../accounts/clients.ts';
import { type Credential, createCredential, getCredentials, revokeCredential } from '../../accounts/credentials.ts';
import { type DkimKey, getDkimKey, retireDkimKey } from '../../accounts/dkim.ts';
import { setForward } from '../../accounts/forwarding.ts';
import type { Mailbox } from '../../accounts/mailboxes.ts';
import { getMailboxes } from '../../accounts/mailboxes.ts';
import { addNetwork, removeNetwork, type SubmissionNetwork } from '../../accounts/networks.ts';
import { type RecipientLimits, setLimits } from '../../accounts/outbound-limits.ts';
import { type OutboundAction, type OutboundPolicy, setOutboundPolicy } from '../../accounts/policy.ts';
import { AppError } from '../../core/errors.ts';
import type { TenantTx } from '../../db/db.ts';
import { type HeldSelection, purgeHeld, releaseHeld } from '../../quarantine/held-outbound.ts';
import type { Context } from '../context.ts';
import { requireId } from '../ids.ts';
import { payload } from '../payload.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };
type ById = Input<{ readonly id: string }>;

const PASSWORD_BYTES = 18;

const clientIdOf = (id: string | null | undefined) => (id == null ? null : requireId('Client', id, 'clientId'));
const mailboxIdOf = (id: string | null | undefined) => (id == null ? null : requireId('Mailbox', id, 'mailboxId'));

interface HeldInput {
  readonly ids?: readonly string[] | null;
  readonly clientId?: string | null;
  readonly mailboxId?: string | null;
}

/** Which held mail is meant, each id known to be there or answered as unknown. */
async function selectionOf(tx: TenantTx, input: HeldInput): Promise<HeldSelection> {
  const clientId = clientIdOf(input.clientId);
  const mailboxId = mailboxIdOf(input.mailboxId);
  if (clientId !== null) await requireClient(tx, clientId);
  if (mailboxId !== null && (await getMailboxes(tx, [mailboxId])).length === 0)
    throw new AppError('not_found', 'no such mailbox', { field: 'mailboxId' });
  return { ids: input.ids?.map((id) => requireId('Delivery', id, 'ids')) ?? null, clientId, mailboxId };
}

export const outboundMutations: Resolvers = {
  Mutation: {
    createSubmissionCredential: (
      _: unknown,
      { input }: Input<{ clientId: string; mailboxId?: string | null; username: string; password?: string | null }>,
      context: Context,
    ) =>
      payload<{ credential: Credential | null; password: string | null }>({ credential: null, password: null }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        const mailboxId = mailboxIdOf(input.mailboxId);
        const made = input.password == null ? randomBytes(PASSWORD_BYTES).toString('base64url') : null;
        const password = input.password ?? made ?? '';
        return context.write(async (tx) => {
          await requireClient(tx, clientId);
          const { actor } = context.caller;
          const { id } = await createCredential(tx, { clientId, mailboxId, username: input.username, password, actor });
          const [credential] = await getCredentials(tx, [id]);
          return { credential: credential ?? null, password: made };
        });
      }),

    revokeSubmissionCredential: (_: unknown, { input }: ById, context: Context) =>
      payload<{ credential: Credential | null; revoked: boolean }>({ credential: null, revoked: false }, () => {
        const id = requireId('SubmissionCredential', input.id, 'id');
        return context.write(async (tx) => {
          const revoked = await revokeCredential(tx, id, context.caller.actor);
          const [credential] = await getCredentials(tx, [id]);
          return { credential: credential ?? null, revoked };
        });
      }),

    allowSubmissionNetwork: (_: unknown, { input }: Input<{ clientId: string; network: string }>, context: Context) =>
      payload<{ network: SubmissionNetwork | null }>({ network: null }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        const { actor } = context.caller;
        return context.write(async (tx) => ({
          network: await addNetwork(tx, { clientId, network: input.network, actor }),
        }));
      }),

    removeSubmissionNetwork: (_: unknown, { input }: ById, context: Context) =>
      payload<{ removedId: string | null }>({ removedId: null }, () => {
        const id = requireId('SubmissionNetwork', input.id, 'id');
        return context.write(async (tx) => {
          await removeNetwork(tx, id, context.caller.actor);
          return { removedId: input.id };
        });
      }),

    setOutboundPolicy: (
      _: unknown,
      {
        input,
      }: Input<{
        clientId: string;
        spamScore?: number | null;
        spamAction?: OutboundAction | null;
        phishAction?: OutboundAction | null;
        malwareAction?: OutboundAction | null;
      }>,
      context: Context,
    ) =>
      payload<{ policy: OutboundPolicy | null }>({ policy: null }, () => {
        const { clientId: id, ...rest } = input;
        const clientId = requireId('Client', id, 'clientId');
        const change = Object.fromEntries(Object.entries(rest).filter(([, value]) => value != null));
        return context.write(async (tx) => ({
          policy: await setOutboundPolicy(tx, clientId, change, context.caller.actor),
        }));
      }),

    setRecipientLimits: (
      _: unknown,
      {
        input,
      }: Input<{
        clientId?: string | null;
        mailboxId?: string | null;
        recipientsPerHour?: number | null;
        firstTimeRecipientsPerDay?: number | null;
      }>,
      context: Context,
    ) =>
      payload<{ limits: RecipientLimits | null }>({ limits: null }, () => {
        const clientId = clientIdOf(input.clientId);
        const mailboxId = mailboxIdOf(input.mailboxId);
        if (mailboxId !== null && clientId === null)
          throw new AppError('invalid_input', 'say whose mailbox it is', { field: 'clientId' });
        const { recipientsPerHour, firstTimeRecipientsPerDay } = input;
        const { actor } = context.caller;
        return context.write(async (tx) => ({
          limits: await setLimits(tx, { clientId, mailboxId, recipientsPerHour, firstTimeRecipientsPerDay, actor }),
        }));
      }),

    releaseHeld: (_: unknown, { input }: Input<HeldInput>, context: Context) =>
      payload<{ released: number }>({ released: 0 }, () =>
        context.write(async (tx) => ({
          released: await releaseHeld(tx, await selectionOf(tx, input), context.caller.actor),
        })),
      ),

    purgeHeld: (_: unknown, { input }: Input<HeldInput>, context: Context) =>
      payload<{ purged: number }>({ purged: 0 }, () =>
        context.write(async (tx) => ({
          purged: await purgeHeld(tx, await selectionOf(tx, input), context.caller.actor),
        })),
      ),

    createDkimKey: (
      _: unknown,
      { input }: Input<{ domain: string; selector?: string | null; algorithm?: 'rsa' | 'ed' | null }>,
      context: Context,
    ) =>
      payload<{ key: DkimKey | null }>({ key: null }, () => {
        const algorithm = input.algorithm === 'ed' ? ('ed25519-sha256' as const) : ('rsa-sha256' as const);
        const wanted = { domain: input.domain, selector: input.selector ?? null, algorithm };
        return context.write(async (tx) => ({
          key: await context.commands.createDkimKey(tx, wanted, context.caller.actor),
        }));
      }),

    activateDkimKey: (_: unknown, { input }: Input<{ id: string; force?: boolean | null }>, context: Context) =>
      payload<{ key: DkimKey | null }>({ key: null }, async () => {
        const id = requireId('DkimKey', input.id, 'id');
        // It asks the name servers: no transaction is held meanwhile.
        await context.read((tx) => getDkimKey(tx, id));
        await context.forget();
        return { key: await context.commands.activateDkimKey(context.caller, id, input.force === true) };
      }),

    retireDkimKey: (_: unknown, { input }: ById, context: Context) =>
      payload<{ key: DkimKey | null }>({ key: null }, () => {
        const id = requireId('DkimKey', input.id, 'id');
        return context.write(async (tx) => ({ key: await retireDkimKey(tx, id, context.caller.actor) }));
      }),

    setMailboxForward: (
      _: unknown,
      { input }: Input<{ mailboxId: string; to?: string | null; keep?: boolean | null }>,
      context: Context,
    ) =>
      payload<{ mailbox: Mailbox | null }>({ mailbox: null }, () => {
        const mailboxId = requireId('Mailbox', input.mailboxId, 'mailboxId');
        const { actor } = context.caller;
        return context.write(async (tx) => ({
          mailbox: await setForward(tx, { mailboxId, to: input.to ?? null, keep: input.keep ?? true, actor }),
        }));
      }),
  },
};
