import { mailboxByAddress } from '../accounts/mailboxes.ts';
import { prepareFolder } from '../config/home.ts';
import { AppError } from '../core/errors.ts';
import { sql } from '../db/sql.ts';
import { LinkSigner } from '../digest/links.ts';
import { commandDigest } from '../digest/sweep.ts';
import { OwnPost, Spool } from '../gateway/index.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { ownerOf } from './owner.ts';
import { optional, required, requiredId } from './values.ts';

const digestSend: Command = {
  name: 'digest send',
  usage: '--client ID --mailbox ADDRESS | --mailbox ID',
  summary: 'send a mailbox a digest of everything that is held for it',
  options: {
    client: { type: 'string' },
    mailbox: {
      ...{ type: 'string', help: 'address of the mailbox; without --client its id (mailbox list)' },
      check: (given, name) => (optional(given, 'client') === null ? requiredId(given, name) : required(given, name)),
    },
  },
  needs: () => [['mailbox']],
  async run({ store, config, secrets }, values) {
    const mailboxId = optional(values, 'client') === null ? requiredId(values, 'mailbox') : await idOf(store, values);
    const row = await store.db.system((tx) =>
      tx.maybe<{ partnerId: string }>(
        sql`select m.partner_id as "partnerId" from mailboxes m where m.id = ${mailboxId}`,
      ),
    );
    if (row === null) throw new AppError('not_found', `there is no mailbox ${mailboxId}`, { field: 'mailbox' });
    await prepareFolder('the folder of message bodies (BLOB_URL)', config.contentDir);
    const spool = await Spool.open(config.contentDir);
    const deps = {
      db: store.db,
      post: new OwnPost(spool, config),
      signer: new LinkSigner(secrets.signKey),
      publicUrl: () => config.publicUrl ?? `http://${config.bindHost}:${config.httpPort}`,
      hostName: config.hostName,
    };
    return { output: await commandDigest(deps, row.partnerId, mailboxId, 'cli') };
  },
};

async function idOf(store: CommandContext['store'], values: Values): Promise<string> {
  const clientId = requiredId(values, 'client');
  const partner = await store.db.system((tx) => ownerOf(tx, 'clients', clientId), { readOnly: true });
  const address = required(values, 'mailbox');
  return store.db.tenant(partner, async (tx) => (await mailboxByAddress(tx, clientId, address)).id, { readOnly: true });
}

export const digestCommands: readonly Command[] = [digestSend];
