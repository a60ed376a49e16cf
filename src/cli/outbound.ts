import { requireClient } from '../accounts/clients.ts';
import { listCredentials, revokeCredential } from '../accounts/credentials.ts';
import { type DkimKey, listDkimKeys, retireDkimKey } from '../accounts/dkim.ts';
import { setForward } from '../accounts/forwarding.ts';
import { getMailboxes, mailboxByAddress } from '../accounts/mailboxes.ts';
import { addNetwork, listNetworks, parseNetwork, removeNetwork } from '../accounts/networks.ts';
import { readLimits, setLimits } from '../accounts/outbound-limits.ts';
import { OUTBOUND_ACTIONS, type OutboundAction, outboundPolicies, setOutboundPolicy } from '../accounts/policy.ts';
import { normalizeDomain } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import type { OutboundCommands } from '../graphql/commands.ts';
import { systemResolver } from '../mail/resolver.ts';
import { listHeld, purgeHeld, releaseHeld } from '../quarantine/held-outbound.ts';
import { outboundCommands } from '../wiring-outbound.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { ownerOf } from './owner.ts';
import { oneOf, optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';
const LIST_MAX = 1_000;
const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;

function commandsOf({ config, secrets, store }: CommandContext): OutboundCommands {
  const dns = config.dns === null ? {} : { server: `${config.dns.host}:${config.dns.port}` };
  return outboundCommands({ config, secrets, store, resolver: systemResolver(dns) });
}

/** Runs as the partner of the client that `--client` names. */
async function forClient<T>(
  { store }: CommandContext,
  values: Values,
  work: (tx: TenantTx, clientId: string) => Promise<T>,
): Promise<T> {
  const clientId = requiredId(values, 'client');
  const partner = await store.db.system((tx) => ownerOf(tx, 'clients', clientId), { readOnly: true });
  return store.db.tenant(partner, async (tx) => {
    await requireClient(tx, clientId);
    return work(tx, clientId);
  });
}

/** The id of the mailbox of the client that `--mailbox ADDRESS` names; null: the option is absent. */
async function mailboxIdOf(tx: TenantTx, clientId: string, values: Values): Promise<string | null> {
  const address = optional(values, 'mailbox');
  return address === null ? null : (await mailboxByAddress(tx, clientId, address)).id;
}

function wholeNumber(values: Values, name: string): number | null | undefined {
  const given = optional(values, name);
  if (given === null) return undefined;
  if (given === 'default') return null;
  if (!/^\d{1,9}$/.test(given))
    throw new AppError('invalid_input', `--${name} is a whole number or "default"`, { field: name });
  return Number(given);
}

function aNumber(values: Values, name: string): void {
  if (!Number.isFinite(Number(required(values, name))))
    throw new AppError('invalid_input', `--${name} is a number`, { field: name });
}

const credentialList: Command = {
  name: 'credential list',
  usage: '--client ID',
  summary: 'the logins of a client for outbound mail, revoked ones too',
  options: { client: text },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => {
      const credentials = await listCredentials(tx, clientId, { first: LIST_MAX, after: null });
      const mailboxes = new Map(
        (await getMailboxes(tx, [...new Set(credentials.flatMap((one) => one.mailboxId ?? []))])).map((one) => [
          one.id,
          one,
        ]),
      );
      return {
        output: { credentials },
        forPeople: {
          credentials: credentials.map(({ id, username, mailboxId, createdAt, revokedAt }) => ({
            ...{
              id,
              username,
              sendsAs: mailboxId === null ? 'the client' : (mailboxes.get(mailboxId)?.address ?? null),
            },
            ...{ createdAt, revokedAt },
          })),
        },
      };
    }),
};

const credentialRevoke: Command = {
  name: 'credential revoke',
  usage: '--credential ID',
  summary: 'refuse a login from now on',
  options: { credential: text },
  async run({ store }, values) {
    const id = requiredId(values, 'credential');
    const partner = await store.db.system((tx) => ownerOf(tx, 'submission_credentials', id), { readOnly: true });
    const revoked = await store.db.tenant(partner, (tx) => revokeCredential(tx, id, ACTOR));
    return { output: { revoked } };
  },
};

const networkAdd: Command = {
  name: 'network add',
  usage: '--client ID --network CIDR',
  summary: "let a client's servers submit outbound mail without a login",
  options: { client: text, network: { ...text, check: (given, name) => parseNetwork(required(given, name)) } },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => ({
      output: { ...(await addNetwork(tx, { clientId, network: required(values, 'network'), actor: ACTOR })) },
    })),
};

const networkList: Command = {
  name: 'network list',
  usage: '--client ID',
  summary: 'the networks that submit without a login',
  options: { client: text },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => ({
      output: { networks: await listNetworks(tx, clientId, { first: LIST_MAX, after: null }) },
    })),
};

const networkRemove: Command = {
  name: 'network remove',
  usage: '--network ID',
  summary: 'refuse a network from the next message on',
  options: { network: { ...text, help: 'id of the network (network list)', check: requiredId } },
  async run({ store }, values) {
    const id = requiredId(values, 'network');
    const partner = await store.db.system((tx) => ownerOf(tx, 'submission_networks', id), { readOnly: true });
    await store.db.tenant(partner, (tx) => removeNetwork(tx, id, ACTOR));
    return { output: { removed: id } };
  },
};

const outboundPolicy: Command = {
  name: 'outbound policy',
  usage: `--client ID [--spam-score N] [--spam|--phish|--malware ${OUTBOUND_ACTIONS.join('|')}]`,
  summary: "change what is done with a client's outbound mail that is not clean; without a change, show it",
  options: {
    client: text,
    'spam-score': { ...text, check: aNumber },
    spam: { ...text, help: 'what is done with spam', check: oneOf(OUTBOUND_ACTIONS) },
    phish: { ...text, help: 'what is done with phish', check: oneOf(OUTBOUND_ACTIONS) },
    malware: { ...text, help: 'what is done with malware', check: oneOf(OUTBOUND_ACTIONS) },
  },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => {
      const score = optional(values, 'spam-score');
      const given = {
        spamScore: score === null ? null : Number(score),
        spamAction: optional(values, 'spam') as OutboundAction | null,
        phishAction: optional(values, 'phish') as OutboundAction | null,
        malwareAction: optional(values, 'malware') as OutboundAction | null,
      };
      const change = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
      const policy =
        Object.keys(change).length === 0
          ? (await outboundPolicies(tx, [clientId])).get(clientId)
          : await setOutboundPolicy(tx, clientId, change, ACTOR);
      return { output: { ...policy } };
    }),
};

const outboundLimits: Command = {
  name: 'outbound limits',
  usage: '--partner ID | --client ID [--mailbox ADDRESS] [--recipients-per-hour N] [--first-time-recipients-per-day N]',
  summary: 'set or show how many recipients a partner, a client or a mailbox may send to ("default": as at first)',
  options: {
    partner: text,
    client: text,
    mailbox: text,
    'recipients-per-hour': { ...text, check: wholeNumber },
    'first-time-recipients-per-day': { ...text, check: wholeNumber },
  },
  async run(context, values) {
    const change = {
      recipientsPerHour: wholeNumber(values, 'recipients-per-hour'),
      firstTimeRecipientsPerDay: wholeNumber(values, 'first-time-recipients-per-day'),
    };
    const isRead = change.recipientsPerHour === undefined && change.firstTimeRecipientsPerDay === undefined;
    const apply = (tx: TenantTx, of: { clientId: string | null; mailboxId: string | null }) =>
      isRead ? readLimits(tx, of) : setLimits(tx, { ...of, ...change, actor: ACTOR });
    if (optional(values, 'client') === null) {
      const partner = partnerId(requiredId(values, 'partner'));
      const output = await context.store.db.tenant(partner, (tx) => apply(tx, { clientId: null, mailboxId: null }));
      return { output: { ...output } };
    }
    return forClient(context, values, async (tx, clientId) => ({
      output: { ...(await apply(tx, { clientId, mailboxId: await mailboxIdOf(tx, clientId, values) })) },
    }));
  },
};

const heldList: Command = {
  name: 'held list',
  usage: '--client ID',
  summary: 'outbound mail that waits for a person, the longest held first',
  options: { client: text },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => {
      const held = await listHeld(tx, clientId, { first: LIST_MAX, after: null });
      return {
        output: { held },
        forPeople: {
          held: held.map(({ id, heldAt, sender, recipient, subject, reason }) => ({
            ...{ id, heldAt, sender, recipient, subject, reason },
          })),
        },
      };
    }),
};

function heldDecision(name: 'release' | 'purge', summary: string): Command {
  const act = name === 'release' ? releaseHeld : purgeHeld;
  return {
    name: `held ${name}`,
    usage: '--client ID [--mailbox ADDRESS] [--delivery ID ...]',
    summary,
    options: { client: text, mailbox: text, delivery: { type: 'string', multiple: true } },
    run: (context, values) =>
      forClient(context, values, async (tx, clientId) => {
        const mailboxId = await mailboxIdOf(tx, clientId, values);
        const given = values['delivery'];
        const ids = Array.isArray(given) ? given.map((id) => requiredId({ delivery: id }, 'delivery')) : null;
        const deliveries = await act(tx, { ids, clientId, mailboxId }, ACTOR);
        const missing = ids === null ? 0 : ids.length - deliveries;
        return {
          output: { [`${name}d`]: deliveries },
          words: missing > 0 ? [`${missing} of those named are not held; held list shows what is`] : [],
        };
      }),
  };
}

/** The domain of `--domain` and the partner that owns it. */
async function domainOwner({ store }: CommandContext, values: Values): Promise<{ domain: string; partner: PartnerId }> {
  const domain = normalizeDomain(required(values, 'domain'));
  if (domain === null) throw new AppError('invalid_input', '--domain is not a domain', { field: 'domain' });
  return { domain, partner: await store.db.system((tx) => ownerOf(tx, 'domains', domain), { readOnly: true }) };
}

function shown(key: DkimKey, commands: OutboundCommands) {
  const record = commands.dkimRecord(key);
  return {
    id: key.id,
    domain: key.domain,
    selector: key.selector,
    algorithm: key.algorithm,
    state: stateOf(key),
    name: `${key.selector}._domainkey.${key.domain}`,
    type: 'TXT',
    record,
    // A text of the DNS holds 255 octets: zone files want the pieces.
    zoneLine: `${key.selector}._domainkey.${key.domain}. IN TXT ${(record.match(/.{1,255}/g) ?? []).map((piece) => `"${piece}"`).join(' ')}`,
  };
}

const dkimList: Command = {
  name: 'dkim list',
  usage: '--domain D',
  summary: 'the DKIM keys of a domain, the newest first',
  options: { domain: text },
  async run(context, values) {
    const { domain, partner } = await domainOwner(context, values);
    const keys = await context.store.db.tenant(partner, (tx) => listDkimKeys(tx, domain), { readOnly: true });
    const rows = keys.map(({ id, selector, algorithm, createdAt, activatedAt, retiredAt }) => ({
      ...{ id, selector, algorithm, state: stateOf({ activatedAt, retiredAt }), createdAt, activatedAt, retiredAt },
    }));
    return { output: { keys: rows }, forPeople: { keys: rows.map(({ id: _, ...row }) => row) } };
  },
};

const stateOf = (key: Pick<DkimKey, 'activatedAt' | 'retiredAt'>) =>
  key.retiredAt !== null ? 'retired' : key.activatedAt !== null ? 'active' : 'new';

const dkimCreate: Command = {
  name: 'dkim create',
  usage: '--domain D [--selector S] [--ed25519]',
  summary: 'make a DKIM key and print the TXT record to publish; it signs when it was activated',
  options: { domain: text, selector: text, ed25519: flag },
  async run(context, values) {
    const { domain, partner } = await domainOwner(context, values);
    const commands = commandsOf(context);
    const algorithm = values['ed25519'] === true ? ('ed25519-sha256' as const) : ('rsa-sha256' as const);
    const wanted = { domain, selector: optional(values, 'selector'), algorithm };
    const key = await context.store.db.tenant(partner, (tx) => commands.createDkimKey(tx, wanted, ACTOR));
    return { output: shown(key, commands) };
  },
};

const dkimRotate: Command = {
  name: 'dkim rotate',
  usage: '--domain D',
  summary: 'make the next key of the kind that signs now; the old one signs until the new one is activated',
  options: { domain: text },
  async run(context, values) {
    const { domain, partner } = await domainOwner(context, values);
    const commands = commandsOf(context);
    const key = await context.store.db.tenant(partner, async (tx) => {
      const active = (await listDkimKeys(tx, domain)).find((one) => one.activatedAt !== null && one.retiredAt === null);
      if (active === undefined)
        throw new AppError('conflict', 'no key signs for the domain; make one with dkim create');
      return commands.createDkimKey(tx, { domain, selector: null, algorithm: active.algorithm }, ACTOR);
    });
    return { output: shown(key, commands) };
  },
};

const dkimActivate: Command = {
  name: 'dkim activate',
  usage: '--domain D [--selector S] [--force]',
  summary: 'let a key sign, once its record is in the DNS; the one before is retired',
  options: { domain: text, selector: text, force: flag },
  async run(context, values) {
    const { domain, partner } = await domainOwner(context, values);
    const commands = commandsOf(context);
    const key = await keyMeant(context, partner, domain, values);
    const caller = { partnerId: partner, keyId: '', actor: ACTOR, scopes: [] };
    return { output: shown(await commands.activateDkimKey(caller, key.id, values['force'] === true), commands) };
  },
};

const dkimRetire: Command = {
  name: 'dkim retire',
  usage: '--domain D --selector S',
  summary: 'let a key sign no more',
  options: { domain: text, selector: text },
  async run(context, values) {
    required(values, 'selector');
    const { domain, partner } = await domainOwner(context, values);
    const key = await keyMeant(context, partner, domain, values);
    const retired = await context.store.db.tenant(partner, (tx) => retireDkimKey(tx, key.id, ACTOR));
    return { output: shown(retired, commandsOf(context)) };
  },
};

/** The key of `--selector`, or the newest that never signed. */
async function keyMeant(
  { store }: CommandContext,
  partner: PartnerId,
  domain: string,
  values: Values,
): Promise<DkimKey> {
  const selector = optional(values, 'selector')?.toLowerCase() ?? null;
  const keys = await store.db.tenant(partner, (tx) => listDkimKeys(tx, domain), { readOnly: true });
  const key =
    selector === null
      ? keys.find((one) => one.activatedAt === null && one.retiredAt === null)
      : keys.find((one) => one.selector === selector);
  if (key === undefined) throw new AppError('not_found', 'the domain has no such key', { field: 'selector' });
  return key;
}

const domainCheck: Command = {
  name: 'domain check',
  usage: '--domain D',
  summary: 'look at what a domain publishes: SPF, DMARC and DKIM; exit code 1 when something is wrong',
  options: { domain: text },
  async run(context, values) {
    const { domain, partner } = await domainOwner(context, values);
    const commands = commandsOf(context);
    const keys = await context.store.db.tenant(partner, (tx) => listDkimKeys(tx, domain), { readOnly: true });
    const used = keys.filter((key) => key.retiredAt === null);
    const [spf, dmarc, states] = await Promise.all([
      commands.spfAdvice(domain),
      commands.dmarcAdvice(domain),
      Promise.all(used.map((key) => commands.dkimState(key))),
    ]);
    const dkim = used.map((key, index) => ({ ...shown(key, commands), published: states[index] }));
    const isRight =
      spf.problems.length === 0 &&
      dmarc.problems.length === 0 &&
      dkim.some((key) => key.state === 'active') &&
      dkim.every((key) => key.state !== 'active' || key.published === 'published');
    const unpublished = dkim.filter((key) => key.state !== 'retired' && key.published !== 'published');
    return {
      output: { domain, spf, dmarc, dkim },
      // The records of a table's width would be of no use: those that are to be published are printed whole.
      forPeople: {
        ...{ domain, spf, dmarc },
        dkim: dkim.map(({ selector, algorithm, state, published, name }) => ({
          selector,
          algorithm,
          state,
          published,
          name,
        })),
      },
      words: unpublished.map(({ zoneLine }) => `to publish: ${zoneLine}`),
      exitCode: isRight ? 0 : 1,
    };
  },
};

const mailboxForward: Command = {
  name: 'mailbox forward',
  usage: '--client ID --mailbox ADDRESS [--to ADDRESS [--no-copy]]',
  summary: 'forward the mail of a mailbox to an address outside; without --to, no more',
  options: {
    ...{ client: text, mailbox: text, 'no-copy': flag },
    to: { ...text, help: 'address outside; unless given, no more is forwarded' },
  },
  run: (context, values) =>
    forClient(context, values, async (tx, clientId) => {
      const { id: mailboxId } = await mailboxByAddress(tx, clientId, required(values, 'mailbox'));
      const to = optional(values, 'to');
      const keep = values['no-copy'] !== true;
      const { address, forwardTo, forwardKeep } = await setForward(tx, { mailboxId, to, keep, actor: ACTOR });
      return { output: { address, forwardTo, forwardKeep } };
    }),
};

export const outboundCliCommands: readonly Command[] = [
  credentialList,
  credentialRevoke,
  networkAdd,
  networkList,
  networkRemove,
  outboundPolicy,
  outboundLimits,
  heldList,
  heldDecision('release', 'let held mail go'),
  heldDecision('purge', 'throw held mail away for good'),
  dkimList,
  dkimCreate,
  dkimRotate,
  dkimActivate,
  dkimRetire,
  domainCheck,
  mailboxForward,
];
