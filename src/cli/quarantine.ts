import { mailboxByAddress } from '../accounts/mailboxes.ts';
import { AppError } from '../core/errors.ts';
import type { ListEntry } from '../core/message.ts';
import { VERDICTS } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { blockSender, type ListChoice, release, releaseAndAllow, remove } from '../quarantine/actions.ts';
import { reachDelivery } from '../quarantine/held.ts';
import { listQuarantine } from '../quarantine/list.ts';
import { discardOriginal, listOriginals, releaseOriginal } from '../quarantine/originals.ts';
import type { QuarantineActor } from '../quarantine/rights.ts';
import { reasonWords } from '../quarantine/words.ts';
import type { Command, Values } from './command.ts';
import { meant, reading } from './show.ts';
import { minute } from './story.ts';
import { aMoment, zoneOf } from './trace.ts';
import { oneOf, optional, optionalMoment, optionalWord, optionalWords, requiredId, requiredList } from './values.ts';

const LIST_MAX = 1_000;
const text = { type: 'string' } as const;
const many = { type: 'string', multiple: true } as const;
/** Whoever sits at the machine is the operator. */
const OPERATOR: QuarantineActor = { role: 'admin', name: 'cli', mailboxIds: null, clientId: null };

const quarantineList: Command = {
  name: 'quarantine list',
  usage: `--client ID | --partner ID [--recipient A] [--verdict V ...] [--text TEXT] [--from TIME] [--to TIME]`,
  summary: 'what is held in quarantine, newest first (at most 1000)',
  notes: 'Times and texts are those of trace. quarantine show says why one is held.',
  options: {
    ...{ client: text, partner: text, recipient: text, text },
    verdict: { ...many, check: oneOf(VERDICTS) },
    from: { ...text, check: aMoment },
    to: { ...text, check: aMoment },
  },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const zone = await zoneOf(tx, clientId);
      const filter = {
        clientId,
        mailboxId: await mailboxOf(tx, clientId, values),
        verdicts: optionalWords(values, 'verdict', VERDICTS),
        text: optional(values, 'text'),
        from: optionalMoment(values, 'from', zone),
        to: optionalMoment(values, 'to', zone, true),
      };
      const held = await listQuarantine(tx, filter, { first: LIST_MAX, after: null });
      const rows = held.map((one) => ({
        id: one.id,
        acceptedAt: one.acceptedAt,
        recipient: one.recipient,
        from: one.fromAddress,
        subject: one.subject,
        verdict: one.verdict,
        score: one.score,
        why: reasonWords(one.reasons),
        releasedBy: one.releasedBy,
      }));
      return {
        output: { quarantine: rows },
        forPeople: {
          quarantine: rows.map(({ id, acceptedAt, from, recipient, subject, verdict }) => ({
            ...{ id, 'accepted (UTC)': minute(acceptedAt), from, recipient, subject, verdict },
          })),
        },
      };
    }),
};

async function mailboxOf(tx: TenantTx, clientId: string | null, values: Values): Promise<string | null> {
  const address = optional(values, 'recipient');
  if (address === null) return null;
  if (clientId === null)
    throw new AppError('invalid_input', '--recipient needs --client, whose mailbox it is', { field: 'client' });
  return (await mailboxByAddress(tx, clientId, address)).id;
}

const originalList: Command = {
  name: 'original list',
  usage: '--client ID | --partner ID',
  summary: 'messages whose files were taken out and whose original is held, newest first',
  options: { client: text, partner: text },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const held = await listOriginals(tx, clientId, { first: LIST_MAX, after: null });
      const originals = [];
      for (const { id, acceptedAt } of held) {
        const { recipient, fromAddress, subject, verdict } = await reachDelivery(tx, OPERATOR, id);
        originals.push({ id, acceptedAt, recipient, from: fromAddress, subject, verdict });
      }
      const rows = originals.map(({ id, acceptedAt, from, recipient, subject, verdict }) => ({
        ...{ id, 'accepted (UTC)': minute(acceptedAt), from, recipient, subject, verdict },
      }));
      return { output: { originals }, forPeople: { originals: rows } };
    }),
};

/** At `--client` only deliveries of that client are in reach. */
export const actorFor = (clientId: string | null): QuarantineActor => ({ ...OPERATOR, clientId });

/** What a decision did to one delivery: whether it changed anything, and the list entry that it made. */
interface Done {
  readonly changed: boolean;
  readonly entry?: ListEntry;
}

/** A command that does the same to each delivery named; all or none. */
function deciding(
  command: Pick<Command, 'name' | 'summary' | 'notes'> & {
    readonly usage?: string;
    readonly options?: Command['options'];
  },
  field: string,
  act: (tx: TenantTx, actor: QuarantineActor, id: string, values: Values) => Promise<Done>,
): Command {
  return {
    ...command,
    usage: `--client ID | --partner ID --delivery ID ...${command.usage ?? ''}`,
    options: { client: text, partner: text, delivery: many, ...command.options },
    async run(context, values: Values) {
      const { partner, clientId } = await meant(context, values);
      const ids = requiredList(values, 'delivery').map((id) => requiredId({ delivery: id }, 'delivery'));
      const done = await context.store.db.tenant(partner, async (tx) => {
        const each: Done[] = [];
        for (const id of ids) each.push(await act(tx, actorFor(clientId), id, values));
        return each;
      });
      const count = done.filter((one) => one.changed).length;
      const before = ids.length - count;
      const entries = [
        ...new Map(done.flatMap(({ entry }) => (entry === undefined ? [] : [[entry.id, entry]]))).values(),
      ];
      return {
        output: { [field]: count, ...(entries.length === 0 ? {} : { entries }) },
        words: before > 0 ? [`${before} had been ${field} before`] : [],
      };
    },
  };
}

const SCOPES = ['mailbox', 'client', 'partner'] as const;
const MATCHES = ['address', 'domain'] as const;
const LISTING = {
  usage: ` [--scope ${SCOPES.join('|')}] [--match ${MATCHES.join('|')}]`,
  options: {
    scope: { ...text, check: oneOf(SCOPES), help: 'for whom the entry holds; unless given, the mailbox' },
    match: { ...text, check: oneOf(MATCHES) },
  },
} as const;

function choiceOf(values: Values): ListChoice {
  return {
    scope: optionalWord(values, 'scope', SCOPES) ?? 'mailbox',
    match: optionalWord(values, 'match', MATCHES) ?? 'address',
  };
}

export const heldMailCommands: readonly Command[] = [
  quarantineList,
  deciding(
    {
      name: 'quarantine release',
      summary: 'let held mail out to its recipient',
      usage: ` [--allow${LISTING.usage}]`,
      options: { allow: { type: 'boolean' }, ...LISTING.options },
      notes: [
        'It goes out unfiltered and once; trace show tells whether it arrived, and after ten minutes without it an incident opens.',
        'With --allow its From goes on the allow list too, of the mailbox unless --scope says otherwise. That needs authenticated mail',
        'and lifts no malware.',
      ].join('\n'),
    },
    'released',
    async (tx, actor, id, values) => {
      if (values['allow'] !== true) return { changed: (await release(tx, actor, id)).released };
      const { released, entry } = await releaseAndAllow(tx, actor, id, choiceOf(values));
      return { changed: released, entry };
    },
  ),
  deciding(
    { name: 'quarantine delete', summary: 'throw held mail away for good' },
    'deleted',
    async (tx, actor, id) => ({ changed: (await remove(tx, actor, id)).discarded }),
  ),
  deciding(
    {
      name: 'quarantine block',
      summary: 'put the sender of mail on a block list; the mail stays where it is',
      ...LISTING,
      notes:
        'Of the mailbox and by address, unless --scope and --match say otherwise. list show and list remove undo it.',
    },
    'blocked',
    async (tx, actor, id, values) => {
      const { added, entry } = await blockSender(tx, actor, id, choiceOf(values));
      return { changed: added, entry };
    },
  ),
  originalList,
  deciding(
    { name: 'original release', summary: 'send the original after the copy without files' },
    'released',
    async (tx, actor, id) => ({ changed: (await releaseOriginal(tx, actor, id)).released }),
  ),
  deciding(
    { name: 'original discard', summary: 'throw an original away for good' },
    'discarded',
    async (tx, actor, id) => ({ changed: (await discardOriginal(tx, actor, id)).discarded }),
  ),
];
