import type { TestContext } from 'node:test';
import { newId } from '../../src/core/id.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import type { Reason, Verdict } from '../../src/core/verdict.ts';
import type { Database } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { LinkSigner } from '../../src/digest/links.ts';
import type { DigestDeps } from '../../src/digest/send.ts';
import { OwnPost } from '../../src/gateway/index.ts';
import { openRig, openSink, type RigOptions } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from './seed.ts';

export const SIGN_KEY = Buffer.alloc(32, 7);

/** A gateway, a client's server that takes its mail, a partner and a client with Ann and Bob. The clock stands at 09:30 UTC. */
export async function openDigests(
  t: TestContext,
  options: { zone?: string; answer?: (to: string) => number | null; rig?: RigOptions } = {},
) {
  const sink = await openSink(t, options.answer);
  const rig = await openRig(t, options.rig);
  const partner = await seedPartner(rig.db, 'Northwind IT');
  const clientId = await seedClient(rig.db, partner.id, {
    name: 'Acme',
    timeZone: options.zone ?? 'Europe/London',
    relays: [{ host: '127.0.0.1', port: sink.port }],
  });
  const deps: DigestDeps = {
    db: rig.db,
    post: new OwnPost(rig.spool, { hostName: 'mx.tollgate.example', nodeId: 'test' }),
    signer: new LinkSigner(SIGN_KEY),
    publicUrl: () => 'https://mail.northwind.example',
    hostName: 'mx.tollgate.example',
  };
  const mailboxes = await rig.db.tenant(partner.id, (tx) =>
    tx.rows<{ id: string; address: string }>(sql`select id, address from mailboxes where partner_id = ${tx.partnerId}`),
  );
  const mailbox = (local: string) => mailboxes.find((one) => one.address.startsWith(`${local}@`))?.id ?? '';
  return { ...rig, sink, partner, clientId, deps, ann: mailbox('ann'), bob: mailbox('bob') };
}

export interface HeldGiven {
  readonly mailboxId?: string | null;
  readonly recipient?: string;
  readonly subject?: string;
  readonly fromName?: string;
  readonly fromAddress?: string;
  readonly verdict?: Verdict;
  readonly reasons?: readonly Reason[];
  readonly direction?: 'inbound' | 'outbound';
  readonly contentId?: string;
  readonly at?: Date;
}

/** Puts a message into quarantine at the clock's moment. Answers with the delivery's id. */
export async function hold(db: Database, partner: PartnerId, clientId: string, given: HeldGiven = {}): Promise<string> {
  const [messageId, deliveryId] = [newId(), newId()];
  const from = given.fromAddress ?? 'eve@sender.example';
  const direction = given.direction ?? 'inbound';
  await db.system(async (tx) => {
    const at = given.at ?? tx.now;
    await tx.run(sql`
      insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
                            from_address, from_name, subject, bytes, sha256, received_at, node)
      values (${partner}, ${messageId}, ${given.contentId ?? messageId}, ${direction}, ${from}, '192.0.2.1', 'sender.example',
              true, '<1@sender.example>', ${from}, ${given.fromName ?? 'Eve'}, ${given.subject ?? 'Win a prize'}, 1000,
              ${Buffer.alloc(32)}, ${at}, 'test')`);
    await tx.run(sql`
      insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict,
                              disposition, score, reasons, accepted_at, ended_at)
      values (${partner}, ${clientId}, ${deliveryId}, ${messageId}, ${given.mailboxId ?? null},
              ${given.recipient ?? 'ann@acme.example'}, 'acme.example', ${direction}, ${given.verdict ?? 'spam'},
              'quarantined', 7, ${JSON.stringify(given.reasons ?? [{ code: 'content.model', detail: 'the text reads like spam' }])},
              ${at}, ${at})`);
  });
  return deliveryId;
}
