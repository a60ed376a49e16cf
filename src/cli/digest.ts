import { AppError } from '../core/errors.ts';
import { sql } from '../db/sql.ts';
import { LinkSigner } from '../digest/links.ts';
import { commandDigest } from '../digest/sweep.ts';
import { OwnPost, Spool } from '../gateway/index.ts';
import type { Command } from './command.ts';
import { requiredId } from './values.ts';

const digestSend: Command = {
  name: 'digest send',
  usage: '--mailbox ID',
  summary: 'send a mailbox a digest of everything that is held for it',
  options: { mailbox: { type: 'string' } },
  async run({ store, config, secrets }, values) {
    const mailboxId = requiredId(values, 'mailbox');
    const row = await store.db.system((tx) =>
      tx.maybe<{ partnerId: string }>(
        sql`select m.partner_id as "partnerId" from mailboxes m where m.id = ${mailboxId}`,
      ),
    );
    if (row === null) throw new AppError('not_found', 'no such mailbox', { field: 'mailbox' });
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

export const digestCommands: readonly Command[] = [digestSend];
