import { getClients } from '../accounts/clients.ts';
import { normalizeAddress, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { normalizeNetwork } from '../core/networks.ts';
import { DISPOSITIONS, VERDICTS } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { deliveryAttempts } from '../ledger/attempts.ts';
import { type DeliveryRow, deliveryEvents, detailFrom, getDeliveries, getMessages } from '../ledger/read.ts';
import { type DeliveryFilter, searchDeliveries } from '../ledger/search.ts';
import { originalStates } from '../quarantine/originals.ts';
import { reasonWords, verdictWords } from '../quarantine/words.ts';
import type { Check, Command, Values } from './command.ts';
import { reading } from './show.ts';
import { brief, storyForPeople } from './story.ts';
import { oneOf, optional, optionalMoment, optionalWords, requiredId, wholeOr } from './values.ts';

const FIRST = 50;
const FIRST_MAX = 1_000;
const TEXT_MAX = 998;
const text = { type: 'string' } as const;
const many = { type: 'string', multiple: true } as const;

const firstOf = (values: Values): number => wholeOr(values, 'first', FIRST, [1, FIRST_MAX]);

/** Whichever zone is meant: a text that is a moment in one is one in all. */
export const aMoment: Check = (values, name) => optionalMoment(values, name, 'UTC');

const trace: Command = {
  name: 'trace',
  usage:
    '--client ID | --partner ID [--recipient A] [--sender A] [--subject TEXT] [--text TEXT] [--message-id ID] [--attachment TEXT] [--ip A] [--verdict V ...] [--disposition D ...] [--from TIME] [--to TIME] [--first N]',
  summary: 'find mail and what became of it, newest first',
  notes: [
    'All conditions given must be met. Texts are found in any part of the field, whatever the case; addresses are whole. A time is',
    '2026-10-14, 2026-10-14T09:30 (both in the zone of the client, with --partner in UTC) or 2026-10-14T09:30:00Z; a day in --to is',
    `included. A verdict is ${VERDICTS.join(', ')}; a disposition`,
    `${DISPOSITIONS.join(', ')}.`,
    'A message to several recipients is a line for each. trace show tells the whole story of one.',
  ].join('\n'),
  example: '--client ID --sender bob@sender.example --from 2026-10-14',
  options: {
    ...{ client: text, partner: text, subject: text, text, 'message-id': text, attachment: text },
    recipient: { ...text, check: address },
    sender: { ...text, check: address },
    ip: { ...text, check: ipAddress },
    verdict: { ...many, check: oneOf(VERDICTS) },
    disposition: { ...many, check: oneOf(DISPOSITIONS) },
    from: { ...text, check: aMoment },
    to: { ...text, check: aMoment },
    first: { ...text, check: firstOf },
  },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const filter = await filterOf(tx, values, clientId);
      const first = firstOf(values);
      const found = await searchDeliveries(tx, filter, { first: first + 1, after: null });
      const rows = await withMessages(tx, found.slice(0, first));
      const whole = await detailFrom(tx);
      const words = [
        ...(found.length > first ? [`There is more: --first shows up to ${FIRST_MAX}, --to goes further back.`] : []),
        ...(whole !== null && found.length <= first
          ? [`Mail that ended before ${whole.toISOString()} is no longer kept.`]
          : []),
      ];
      return {
        output: { deliveries: rows, more: found.length > first, detailFrom: whole },
        forPeople: { deliveries: rows.map(brief) },
        words,
      };
    }),
};

async function filterOf(tx: TenantTx, values: Values, clientId: string | null): Promise<DeliveryFilter> {
  const zone = await zoneOf(tx, clientId);
  return {
    clientId,
    text: fragment(values, 'text'),
    subject: fragment(values, 'subject'),
    attachment: fragment(values, 'attachment'),
    messageId: fragment(values, 'message-id'),
    recipient: address(values, 'recipient'),
    sender: address(values, 'sender'),
    remoteAddress: ipAddress(values),
    verdicts: optionalWords(values, 'verdict', VERDICTS),
    dispositions: optionalWords(values, 'disposition', DISPOSITIONS),
    from: optionalMoment(values, 'from', zone),
    to: optionalMoment(values, 'to', zone, true),
  };
}

/** The zone in which times without an offset are meant. */
export async function zoneOf(tx: TenantTx, clientId: string | null): Promise<string> {
  const [client] = clientId === null ? [] : await getClients(tx, [clientId]);
  return client?.timeZone ?? 'UTC';
}

function fragment(values: Values, name: string): string | null {
  const given = optional(values, name);
  if (given !== null && given.length > TEXT_MAX)
    throw new AppError('invalid_input', `--${name} has at most ${TEXT_MAX} characters`, { field: name });
  return given?.replaceAll('\0', '') ?? null;
}

/** `<>` is the null sender of delivery reports. */
function address(values: Values, name: string): string | null {
  const given = optional(values, name);
  if (given === null) return null;
  if (given === '<>') return '';
  const normal = normalizeAddress(given);
  if (normal === null)
    throw new AppError('invalid_input', `--${name}: "${printable(given)}" is not a mail address`, { field: name });
  return normal;
}

function ipAddress(values: Values): string | null {
  const given = optional(values, 'ip');
  if (given === null) return null;
  const network = given.includes('/') ? null : normalizeNetwork(given);
  if (network === null) throw new AppError('invalid_input', '--ip is not an IP address', { field: 'ip' });
  return network.slice(0, network.indexOf('/'));
}

/** Deliveries with what their messages say. */
async function withMessages(tx: TenantTx, rows: readonly DeliveryRow[]) {
  const messages = new Map(
    (await getMessages(tx, [...new Set(rows.map((row) => row.messageId))])).map((one) => [one.id, one]),
  );
  return rows.map((row) => {
    const message = messages.get(row.messageId);
    const { sender = '', fromAddress = '', subject = '', headerMessageId = '' } = message ?? {};
    return { ...row, sender, from: fromAddress, subject, headerMessageId };
  });
}

/** Everything that is known of one delivery: what was sent, what happened and why, which servers were tried. Throws `not_found`. */
export async function storyOf(tx: TenantTx, clientId: string | null, id: string) {
  const [delivery] = await getDeliveries(tx, [id]);
  if (delivery === undefined || (clientId !== null && delivery.clientId !== clientId))
    throw new AppError('not_found', `there is no delivery ${id}`, { field: 'delivery' });
  const [message] = await getMessages(tx, [delivery.messageId]);
  const [client] = await getClients(tx, [delivery.clientId]);
  const [original] = await originalStates(tx, [id]);
  const whole = await detailFrom(tx);
  return {
    ...delivery,
    client: client?.name ?? null,
    why: [verdictWords(delivery.verdict), ...reasonWords(delivery.reasons)],
    original: original?.state ?? null,
    message: message ?? null,
    events: (await deliveryEvents(tx, [id])).map((event) => ({
      ...event,
      why: reasonWords(event.reasons.map((code) => ({ code, detail: '' }))),
    })),
    eventsComplete: whole === null || delivery.acceptedAt >= whole,
    attempts: await deliveryAttempts(tx, [id]),
  };
}

const traceShow: Command = {
  name: 'trace show',
  usage: '--client ID | --partner ID --delivery ID',
  summary:
    'the whole story of one message for one recipient: what it was, what happened and why, which servers were tried',
  options: { client: text, partner: text, delivery: text },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const story = await storyOf(tx, clientId, requiredId(values, 'delivery'));
      return { output: story, forPeople: storyForPeople(story) };
    }),
};

export const traceCommands: readonly Command[] = [trace, traceShow];
