import { recordAudit } from '../accounts/audit.ts';
import { setListEntry } from '../accounts/lists.ts';
import { domainOf } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { ListEntry } from '../core/message.ts';
import type { Disposition } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { isForeignKeyViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { discardDelivery, releaseDelivery } from './decide.ts';
import { type HeldDelivery, reachDelivery } from './held.ts';
import { mayList, type QuarantineActor, requireRelease, type Scope } from './rights.ts';

/** For whom an entry holds, and whether it names the address or its whole domain. */
export interface ListChoice {
  /** `mailbox` unless said. */
  readonly scope?: Scope;
  /** `address` unless said. */
  readonly match?: 'address' | 'domain';
}

/**
 * Lets a delivery out, once: `released` is false when it was let out before. Throws `not_found`, `forbidden` (rights.ts) or
 * `conflict` when it is not in quarantine.
 */
export async function release(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ released: boolean }> {
  await reachDelivery(tx, actor, deliveryId);
  return releaseDelivery(tx, deliveryId, actor.name, actor.role);
}

/**
 * Lets a delivery out and puts its From on the allow list, of the recipient's mailbox unless another scope is given. The entry
 * still needs authenticated mail and lifts no malware (rule 11). Both or neither; asked again it changes nothing.
 */
export async function releaseAndAllow(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
  choice: ListChoice = {},
): Promise<{ released: boolean; entry: ListEntry; added: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  requireRelease(actor.role, delivery);
  const listed = await list(tx, actor, delivery, 'allow', choice);
  const { released } = await releaseDelivery(tx, deliveryId, actor.name, actor.role);
  return { released, ...listed };
}

/** Puts the sender on the block list; the delivery stays as it is. `added` is false when it was there before. */
export async function blockSender(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
  choice: ListChoice = {},
): Promise<{ entry: ListEntry; added: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  return list(tx, actor, delivery, 'block', choice);
}

/** Throws a held delivery away, once. Throws `not_found`, or `conflict` when it is not in quarantine. */
export async function remove(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ discarded: boolean }> {
  await reachDelivery(tx, actor, deliveryId);
  return discardDelivery(tx, deliveryId, actor.name);
}

/** What the recipient got: only that can be spam that was missed. */
const ARRIVED: readonly Disposition[] = ['delivered', 'tagged', 'stripped', 'released'];

/** Says that a delivered message is spam. `recorded` is false when this actor had said so before. */
export async function reportSpam(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ recorded: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  if (!ARRIVED.includes(delivery.disposition)) {
    throw new AppError(
      'conflict',
      `the delivery is ${delivery.disposition}: only what arrived can be reported as spam`,
      {
        field: 'id',
      },
    );
  }
  return record(tx, actor, delivery, 'spam');
}

/**
 * Says that a message is no spam; it is not let out by it. Who may not let it out may not say so either: the filter would
 * learn from it. `recorded` is false when this actor had said so before.
 */
export async function reportNotSpam(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ recorded: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  requireRelease(actor.role, delivery);
  return record(tx, actor, delivery, 'ham');
}

async function record(
  tx: TenantTx,
  actor: QuarantineActor,
  delivery: HeldDelivery,
  kind: 'spam' | 'ham',
): Promise<{ recorded: boolean }> {
  if (delivery.direction === 'outbound') {
    throw new AppError('conflict', 'only mail that came in is reported', { field: 'id' });
  }
  const written = await tx.run(sql`
    insert into message_feedback as f (partner_id, id, client_id, delivery_id, mailbox_id, content_id, kind, verdict,
                                       actor_kind, actor, at)
    values (${tx.partnerId}, ${newId()}, ${delivery.clientId}, ${delivery.id}, ${delivery.mailboxId}, ${delivery.contentId},
            ${kind}, ${delivery.verdict}, ${actor.role}, ${actor.name}, ${tx.now})
    on conflict (partner_id, delivery_id, actor) do update set kind = excluded.kind, at = excluded.at,
      actor_kind = excluded.actor_kind
    where f.kind <> excluded.kind`);
  if (written === 0) return { recorded: false };
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: actor.name,
    action: `feedback.${kind}`,
    subject: delivery.id,
    details: { recipient: delivery.recipient, from: delivery.fromAddress, verdict: delivery.verdict },
  });
  return { recorded: true };
}

async function list(
  tx: TenantTx,
  actor: QuarantineActor,
  delivery: HeldDelivery,
  kind: 'allow' | 'block',
  { scope = 'mailbox', match = 'address' }: ListChoice,
): Promise<{ entry: ListEntry; added: boolean }> {
  if (!mayList(actor.role, scope)) {
    throw new AppError('forbidden', `you may not make entries for the whole ${scope}`, { field: 'scope' });
  }
  if (delivery.direction === 'outbound') {
    throw new AppError('conflict', 'lists hold for mail that comes in only', { field: 'id' });
  }
  if (scope === 'mailbox' && delivery.mailboxId === null) {
    throw new AppError('conflict', 'the delivery belongs to no mailbox', { field: 'scope' });
  }
  // An allow entry matches From only, a block both: for both From is what people have seen.
  const address = delivery.fromAddress === '' && kind === 'block' ? delivery.sender : delivery.fromAddress;
  if (!address.includes('@')) throw new AppError('conflict', 'the message names no sender', { field: 'id' });
  const domain = domainOf(address);
  if (kind === 'block') await refuseOwnDomain(tx, delivery.clientId, domain);
  try {
    return await setListEntry(tx, {
      clientId: scope === 'partner' ? null : delivery.clientId,
      mailboxId: scope === 'mailbox' ? delivery.mailboxId : null,
      kind,
      pattern: match === 'domain' ? domain : address,
      actor: actor.name,
    });
  } catch (error) {
    if (error instanceof AppError && isForeignKeyViolation(error.cause)) {
      throw new AppError('conflict', 'the mailbox is no longer in the directory', { field: 'scope', cause: error });
    }
    throw error;
  }
}

/** A forged message names the client itself: to block that would hold the client's own mail. */
async function refuseOwnDomain(tx: TenantTx, clientId: string, domain: string): Promise<void> {
  const own = await tx.maybe(sql`
    select 1 as yes from domains where partner_id = ${tx.partnerId} and client_id = ${clientId} and name = ${domain}`);
  if (own !== null) {
    throw new AppError('conflict', `${domain} is the client's own domain and is not blocked`, { field: 'id' });
  }
}
