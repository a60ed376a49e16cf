import { type Client, clientOfDomain } from '../../accounts/clients.ts';
import { type Credential, listCredentials } from '../../accounts/credentials.ts';
import { type DkimKey, listDkimKeys } from '../../accounts/dkim.ts';
import type { Mailbox } from '../../accounts/mailboxes.ts';
import { listNetworks, type SubmissionNetwork } from '../../accounts/networks.ts';
import type { LimitSubject } from '../../accounts/outbound-limits.ts';
import { normalizeDomain } from '../../core/address.ts';
import { type HeldDelivery, listHeld } from '../../quarantine/held-outbound.ts';
import { connect, cursorPart, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId, uuidOf } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import type { Resolvers } from './types.ts';

interface DomainNode {
  readonly name: string;
  readonly clientId: string;
}

const limits = (context: Context, subject: LimitSubject) => context.loaders.recipientLimits.load(subject);

async function domainByName(context: Context, text: string): Promise<DomainNode | null> {
  const name = normalizeDomain(text);
  if (name === null) return null;
  const clientId = await context.read((tx) => clientOfDomain(tx, name));
  return clientId === null ? null : { name, clientId };
}

export const outboundResolvers: Resolvers = {
  Query: {
    heldMail: (_: unknown, args: PageArgs & { clientId: string }, context: Context) =>
      connect(
        args,
        2,
        (row: HeldDelivery) => momentKey(row.heldAt, row.id),
        async ({ first, after }) => {
          const cursor = timeCursor(after);
          const clientId = uuidOf('Client', args.clientId);
          return clientId === null ? [] : context.read((tx) => listHeld(tx, clientId, { first, after: cursor }));
        },
      ),
    domain: (_: unknown, args: { name: string }, context: Context) => domainByName(context, args.name),
  },
  Partner: {
    recipientLimits: (_: unknown, __: unknown, context: Context) =>
      limits(context, { partnerId: context.caller.partnerId, scope: 'partner', id: context.caller.partnerId }),
  },
  Client: {
    submissionCredentials: (client: Client, args: PageArgs, context: Context) =>
      connect(
        args,
        1,
        (row: Credential) => [row.username],
        ({ first, after }) =>
          context.read((tx) =>
            listCredentials(tx, client.id, { first, after: after === null ? null : cursorPart(after, 0, 'text') }),
          ),
      ),
    submissionNetworks: (client: Client, args: PageArgs, context: Context) =>
      connect(
        args,
        1,
        (row: SubmissionNetwork) => [row.id],
        ({ first, after }) =>
          context.read((tx) =>
            listNetworks(tx, client.id, { first, after: after === null ? null : cursorPart(after, 0, 'uuid') }),
          ),
      ),
    outboundPolicy: (client: Client, _: unknown, context: Context) => context.loaders.outboundPolicy.load(client.id),
    recipientLimits: (client: Client, _: unknown, context: Context) =>
      limits(context, { partnerId: client.partnerId, scope: 'client', id: client.id }),
  },
  Mailbox: {
    recipientLimits: (mailbox: Mailbox, _: unknown, context: Context) =>
      limits(context, { partnerId: context.caller.partnerId, scope: 'mailbox', id: mailbox.id }),
  },
  SubmissionCredential: {
    id: (row: Credential) => globalId('SubmissionCredential', row.id),
    client: (row: Credential, _: unknown, context: Context) => clientOf(context, row.clientId),
    mailbox: (row: Credential, _: unknown, context: Context) =>
      row.mailboxId === null ? null : context.loaders.mailbox.load(row.mailboxId),
  },
  SubmissionNetwork: {
    id: (row: SubmissionNetwork) => globalId('SubmissionNetwork', row.id),
    client: (row: SubmissionNetwork, _: unknown, context: Context) => clientOf(context, row.clientId),
  },
  HeldDelivery: {
    delivery: (row: HeldDelivery, _: unknown, context: Context) => context.loaders.delivery.load(row.id),
  },
  Domain: {
    client: (domain: DomainNode, _: unknown, context: Context) => clientOf(context, domain.clientId),
    spfAdvice: (domain: DomainNode, _: unknown, context: Context) => context.commands.spfAdvice(domain.name),
    dmarcAdvice: (domain: DomainNode, _: unknown, context: Context) => context.commands.dmarcAdvice(domain.name),
    dkimKeys: (domain: DomainNode, _: unknown, context: Context) => context.read((tx) => listDkimKeys(tx, domain.name)),
  },
  DkimKey: {
    id: (key: DkimKey) => globalId('DkimKey', key.id),
    client: (key: DkimKey, _: unknown, context: Context) => clientOf(context, key.clientId),
    domain: (key: DkimKey): DomainNode => ({ name: key.domain, clientId: key.clientId }),
    algorithm: (key: DkimKey) => (key.algorithm === 'rsa-sha256' ? 'rsa' : 'ed'),
    recordName: (key: DkimKey) => `${key.selector}._domainkey.${key.domain}`,
    record: (key: DkimKey, _: unknown, context: Context) => context.commands.dkimRecord(key),
    recordState: (key: DkimKey, _: unknown, context: Context) => context.commands.dkimState(key),
  },
};
