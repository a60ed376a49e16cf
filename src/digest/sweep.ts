import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { partnerId } from '../core/tenant.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { isRead, NEEDS_RECIPIENT, recipientOf } from './reader.ts';
import { type DigestDeps, type DigestResult, sendDigest } from './send.ts';
import { type DigestPlan, planOf, readSettings, resolvePlan } from './settings.ts';
import { latestSlot } from './slots.ts';

interface ClientRow {
  readonly partnerId: string;
  readonly id: string;
  readonly zone: string;
}

interface SettingRow {
  readonly partnerId: string;
  readonly audience: 'users' | 'admin';
  readonly clientId: string | null;
  readonly mailboxId: string | null;
  readonly settings: unknown;
  readonly updatedAt: Date;
}

/** A slot that has come: of one mailbox, or of all mailboxes of a client that have no setting of their own. */
interface DueSlot {
  readonly partnerId: string;
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly slot: Date;
  readonly plan: DigestPlan;
  readonly zone: string;
}

interface DueMailbox {
  readonly id: string;
  readonly clientId: string;
  readonly address: string;
  readonly kind: string;
}

const PAGE = 200;

/**
 * Sends the digests whose time has come, to every mailbox that has held mail which no digest has told of. Of slots that were
 * missed, only the last one of each is made up for. Answers how many were queued. Running it twice sends nothing twice.
 */
export async function sweepDigests(deps: DigestDeps & { readonly logger: Logger }): Promise<number> {
  const { clients, settings, now } = await deps.db.system(
    async (tx) => ({ clients: await activeClients(tx), settings: await allSettings(tx), now: tx.now }),
    { readOnly: true },
  );
  let sent = 0;
  const attempt = async (what: string, work: () => Promise<DigestResult>): Promise<void> => {
    try {
      if ((await work()) === 'queued') sent += 1;
    } catch (error) {
      // One digest that can't be made must not keep the others from their readers; its slot stays due.
      deps.logger.warn({ what, err: error }, 'a digest could not be made');
    }
  };
  for (const due of dueSlots(clients, settings, now)) {
    for (let after: string | null = null; ; ) {
      const page: DueMailbox[] = await deps.db.system((tx) => dueMailboxes(tx, due, after), { readOnly: true });
      for (const mailbox of page) {
        await attempt(mailbox.id, () => sendTo(deps, due, mailbox));
      }
      after = page.at(-1)?.id ?? null;
      if (page.length < PAGE) break;
    }
  }
  for (const row of settings.filter((one) => one.audience === 'admin')) {
    await attempt(row.clientId ?? row.partnerId, () => sendAdmin(deps, row, clients, now));
  }
  return sent;
}

async function sendTo(deps: DigestDeps, due: DueSlot, mailbox: DueMailbox): Promise<DigestResult> {
  const to =
    due.plan.recipient === null && !NEEDS_RECIPIENT.includes(mailbox.kind)
      ? mailbox.address
      : await deps.db.tenant(partnerId(due.partnerId), (tx) => recipientOf(tx, due.plan, mailbox), { readOnly: true });
  if (to === null) return 'nothing';
  return sendDigest(deps, {
    partnerId: partnerId(due.partnerId),
    subject: { scope: 'mailbox', id: mailbox.id },
    clientId: due.clientId,
    whose: mailbox.address,
    to,
    zone: due.zone,
    language: due.plan.language,
    slot: due.slot,
    origin: 'schedule',
  });
}

/** The digest of all of a client's mailboxes, or of all clients. */
async function sendAdmin(
  deps: DigestDeps,
  row: SettingRow,
  clients: readonly ClientRow[],
  now: Date,
): Promise<DigestResult> {
  const plan = resolvePlan(row.settings);
  const own = clients.filter((one) => one.partnerId === row.partnerId);
  const client = row.clientId === null ? own[0] : own.find((one) => one.id === row.clientId);
  if (client === undefined || plan.recipient === null) return 'nothing';
  // The partner has no zone of its own: its first client's is its day.
  const slot = latestSlot(plan, client.zone, now);
  if (slot === null || slot.getTime() <= row.updatedAt.getTime()) return 'nothing';
  const id = partnerId(row.partnerId);
  const subject =
    row.clientId === null ? { scope: 'partner' as const, id } : { scope: 'client' as const, id: client.id };
  const known = await deps.db.system((tx) => isDone(tx, row.partnerId, subject, slot), { readOnly: true });
  if (known) return 'already';
  const to = plan.recipient;
  if (!(await deps.db.tenant(id, (tx) => isRead(tx, to), { readOnly: true }))) return 'nothing';
  const whose = await deps.db.tenant(id, (tx) => nameOf(tx, row.clientId), { readOnly: true });
  return sendDigest(deps, {
    partnerId: id,
    subject,
    clientId: row.clientId,
    whose,
    to,
    zone: client.zone,
    language: plan.language,
    slot,
    origin: 'schedule',
  });
}

function dueSlots(clients: readonly ClientRow[], settings: readonly SettingRow[], now: Date): DueSlot[] {
  const users = settings.filter((one) => one.audience === 'users');
  return clients.flatMap((client) => {
    const own = users.filter((one) => one.partnerId === client.partnerId && one.clientId === client.id);
    const base = own.find((one) => one.mailboxId === null);
    const rows = [base ?? null, ...own.filter((one) => one.mailboxId !== null)];
    return rows.flatMap((row) => {
      const plan = resolvePlan(base?.settings, row === base ? null : row?.settings);
      const slot = latestSlot(plan, client.zone, now);
      const since = Math.max(base?.updatedAt.getTime() ?? 0, row?.updatedAt.getTime() ?? 0);
      // A time that was set after it had passed is for tomorrow.
      if (slot === null || slot.getTime() <= since) return [];
      const { partnerId: partner, id: clientId, zone } = client;
      return [{ partnerId: partner, clientId, mailboxId: row?.mailboxId ?? null, slot, plan, zone }];
    });
  });
}

/** By partner and age, so that a partner's first client is the same every time. */
function activeClients(tx: SystemTx): Promise<ClientRow[]> {
  return tx.rows<ClientRow>(sql`
    select c.partner_id as "partnerId", c.id, c.time_zone as zone from clients c
    where c.status = 'active' order by c.partner_id, c.created_at, c.id`);
}

function allSettings(tx: SystemTx): Promise<SettingRow[]> {
  return tx.rows<SettingRow>(sql`
    select s.partner_id as "partnerId", s.audience, s.client_id as "clientId", s.mailbox_id as "mailboxId", s.settings,
           s.updated_at as "updatedAt"
    from digest_settings s order by s.partner_id, s.id`);
}

/** Mailboxes that have no digest of the slot or a later one and have held mail to be told of, by id. */
function dueMailboxes(tx: SystemTx, due: DueSlot, after: string | null): Promise<DueMailbox[]> {
  return tx.rows<DueMailbox>(sql`
    select m.id, m.client_id as "clientId", m.address, m.kind from mailboxes m
    where m.partner_id = ${due.partnerId} and m.client_id = ${due.clientId} and m.status = 'active' and m.kind <> 'contact'
      and m.created_at < ${due.slot} and (${after}::uuid is null or m.id > ${after}::uuid)
      and (${due.mailboxId}::uuid is null or m.id = ${due.mailboxId}::uuid)
      and (${due.mailboxId}::uuid is not null or not exists (
        select from digest_settings s where s.partner_id = m.partner_id and s.mailbox_id = m.id))
      and exists (
        select from deliveries d
        where d.partner_id = m.partner_id and d.mailbox_id = m.id and d.disposition = 'quarantined'
          and d.direction = 'inbound' and d.accepted_at <= ${due.slot}
          and d.accepted_at > ${due.slot}::timestamptz - interval '14 days'
          and not exists (select from digest_items i
                          where i.partner_id = d.partner_id and i.scope = 'mailbox' and i.subject_id = m.id
                            and i.delivery_id = d.id))
      and not exists (
        select from digest_runs r
        where r.partner_id = m.partner_id and r.scope = 'mailbox' and r.subject_id = m.id and r.slot >= ${due.slot})
    order by m.id limit ${PAGE}`);
}

async function isDone(
  tx: SystemTx,
  partner: string,
  subject: { readonly scope: string; readonly id: string },
  slot: Date,
): Promise<boolean> {
  const row = await tx.maybe(sql`
    select 1 as yes from digest_runs r
    where r.partner_id = ${partner} and r.scope = ${subject.scope} and r.subject_id = ${subject.id} and r.slot >= ${slot}
    limit 1`);
  return row !== null;
}

async function nameOf(tx: TenantTx, clientId: string | null): Promise<string> {
  const row =
    clientId === null
      ? await tx.maybe<{ name: string }>(sql`select p.name from partners p where p.id = ${tx.partnerId}`)
      : await tx.maybe<{ name: string }>(
          sql`select c.name from clients c where c.partner_id = ${tx.partnerId} and c.id = ${clientId}`,
        );
  if (row === null) throw new AppError('not_found', 'no such client');
  return row.name;
}

interface MailboxRow {
  readonly id: string;
  readonly clientId: string;
  readonly address: string;
  readonly kind: string;
  readonly zone: string;
}

/**
 * Sends one mailbox its digest now, with everything that is held. `request`: it asked for it itself, which it may once an
 * hour. Throws `not_found` for an unknown mailbox or another tenant's, `conflict` when digests are off or have no reader.
 */
export async function sendDigestNow(
  deps: DigestDeps,
  partner: string,
  mailboxId: string,
  origin: 'request' | 'command',
): Promise<DigestResult> {
  const id = partnerId(partner);
  const { mailbox, plan, to, now } = await deps.db.tenant(
    id,
    async (tx) => {
      const row = await tx.maybe<MailboxRow>(sql`
        select m.id, m.client_id as "clientId", m.address, m.kind, c.time_zone as zone
        from mailboxes m join clients c on c.partner_id = m.partner_id and c.id = m.client_id
        where m.partner_id = ${tx.partnerId} and m.id = ${mailboxId} and m.status = 'active' and m.kind <> 'contact'
          and c.status = 'active'`);
      if (row === null) throw new AppError('not_found', 'no such mailbox', { field: 'mailboxId' });
      const found = planOf(await readSettings(tx, row.clientId), row.id);
      return { mailbox: row, plan: found, to: await recipientOf(tx, found, row), now: tx.now };
    },
    { readOnly: true },
  );
  if (plan.mode === 'off')
    throw new AppError('conflict', 'digests are switched off for the mailbox', { field: 'mailboxId' });
  if (to === null) {
    throw new AppError('conflict', 'a digest of a group or a room needs a recipient', { field: 'mailboxId' });
  }
  return sendDigest(deps, {
    partnerId: id,
    subject: { scope: 'mailbox', id: mailbox.id },
    clientId: mailbox.clientId,
    whose: mailbox.address,
    to,
    zone: mailbox.zone,
    language: plan.language,
    slot: now,
    origin,
  });
}

/** A digest that somebody with the right to ask for it sends now: written down with his name. */
export async function commandDigest(
  deps: DigestDeps,
  partner: string,
  mailboxId: string,
  actor: string,
): Promise<{ sent: boolean }> {
  const result = await sendDigestNow(deps, partner, mailboxId, 'command');
  const partnerOf = partnerId(partner);
  await deps.db.tenant(partnerOf, (tx) =>
    recordAudit(tx, { partnerId: partnerOf, actor, action: 'digest.send', subject: mailboxId, details: { result } }),
  );
  return { sent: result === 'queued' };
}

/**
 * A person at the gate who names an address. Does the same for an address that is not here, save that nothing is sent: the
 * caller answers before it ends and never says how it ended.
 */
export async function requestDigest(deps: DigestDeps, address: string): Promise<DigestResult | 'unknown'> {
  const row = await deps.db.system(
    (tx) =>
      tx.maybe<{ partnerId: string; mailboxId: string }>(sql`
        select a.partner_id as "partnerId", a.mailbox_id as "mailboxId" from addresses a
        join domains d on d.partner_id = a.partner_id and d.client_id = a.client_id
        where a.address = ${address} and d.name = split_part(${address}, '@', -1)`),
    { readOnly: true },
  );
  if (row === null) return 'unknown';
  try {
    return await sendDigestNow(deps, row.partnerId, row.mailboxId, 'request');
  } catch (error) {
    if (error instanceof AppError && (error.code === 'not_found' || error.code === 'conflict')) return 'unknown';
    throw error;
  }
}
