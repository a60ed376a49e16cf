import type { TenantTx } from '../db/db.ts';
import { release, remove } from '../quarantine/actions.ts';
import { reachDelivery } from '../quarantine/held.ts';
import { listQuarantine } from '../quarantine/list.ts';
import { discardOriginal, listOriginals, releaseOriginal } from '../quarantine/originals.ts';
import type { QuarantineActor } from '../quarantine/rights.ts';
import type { Command, Values } from './command.ts';
import { meant, reading } from './show.ts';
import { requiredId, requiredList } from './values.ts';

const LIST_MAX = 1_000;
const text = { type: 'string' } as const;
const many = { type: 'string', multiple: true } as const;
/** Whoever sits at the machine is the operator. */
const OPERATOR: QuarantineActor = { role: 'admin', name: 'cli', mailboxIds: null, clientId: null };

const quarantineList: Command = {
  name: 'quarantine list',
  usage: '--client ID | --partner ID',
  summary: 'what is held in quarantine, newest first',
  options: { client: text, partner: text },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => ({
      output: {
        quarantine: (await listQuarantine(tx, { clientId }, { first: LIST_MAX, after: null })).map((one) => ({
          id: one.id,
          acceptedAt: one.acceptedAt,
          recipient: one.recipient,
          from: one.fromAddress,
          subject: one.subject,
          verdict: one.verdict,
          score: one.score,
          releasedBy: one.releasedBy,
        })),
      },
    })),
};

const quarantineShow: Command = {
  name: 'quarantine show',
  usage: '--client ID | --partner ID --delivery ID',
  summary: 'one held delivery, with why it is held',
  options: { client: text, partner: text, delivery: text },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const { contentId: _, ...delivery } = await reachDelivery(tx, actorFor(clientId), requiredId(values, 'delivery'));
      return { output: { ...delivery } };
    }),
};

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
      return { output: { originals } };
    }),
};

/** At `--client` only deliveries of that client are in reach. */
const actorFor = (clientId: string | null): QuarantineActor => ({ ...OPERATOR, clientId });

/** A command that does the same to each delivery named; all or none. */
function deciding(
  name: string,
  summary: string,
  field: string,
  act: (tx: TenantTx, actor: QuarantineActor, id: string) => Promise<boolean>,
): Command {
  return {
    name,
    usage: '--client ID | --partner ID --delivery ID ...',
    summary,
    options: { client: text, partner: text, delivery: many },
    async run(context, values: Values) {
      const { partner, clientId } = await meant(context, values);
      const ids = requiredList(values, 'delivery').map((id) => requiredId({ delivery: id }, 'delivery'));
      const done = await context.store.db.tenant(partner, async (tx) => {
        let count = 0;
        for (const id of ids) count += (await act(tx, actorFor(clientId), id)) ? 1 : 0;
        return count;
      });
      const before = ids.length - done;
      return { output: { [field]: done }, words: before > 0 ? [`${before} had been ${field} before`] : [] };
    },
  };
}

export const heldMailCommands: readonly Command[] = [
  quarantineList,
  quarantineShow,
  deciding('quarantine release', 'let held mail out to its recipient', 'released', async (tx, actor, id) => {
    return (await release(tx, actor, id)).released;
  }),
  deciding('quarantine delete', 'throw held mail away for good', 'deleted', async (tx, actor, id) => {
    return (await remove(tx, actor, id)).discarded;
  }),
  originalList,
  deciding('original release', 'send the original after the copy without files', 'released', async (tx, actor, id) => {
    return (await releaseOriginal(tx, actor, id)).released;
  }),
  deciding('original discard', 'throw an original away for good', 'discarded', async (tx, actor, id) => {
    return (await discardOriginal(tx, actor, id)).discarded;
  }),
];
