import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const HELD = 'outbound.held';
const OLD = 'outbound.held_long';
const MALWARE = 'outbound.malware';
/** Held mail does not expire; after this long somebody is reminded of it. */
const OLD_DAYS = 14;
/** How far back malware is looked for: a watcher that stood still must not miss it. */
const MALWARE_DAYS = 7;

/** Held mail of one scope and one of the client's days. */
interface HeldGroup {
  readonly partnerId: string;
  readonly clientId: string;
  /** `mailbox ann@acme.example 2026-10-14` */
  readonly subject: string;
  readonly who: string;
  readonly reason: string;
  readonly deliveries: number;
  readonly oldestHeldAt: Date;
}

const WORDS: Readonly<Record<string, string>> = {
  recipients: 'wrote to more recipients in an hour than its limit allows',
  first_time: 'wrote to more first-time recipients in 24 hours than its limit allows',
};

/**
 * Opens an incident `outbound.held` for each scope (mailbox, client, partner, or the policy) and day whose outbound mail is
 * held, and ends it when none of that mail is held any more; `outbound.held_long` for a client some of whose mail has been
 * held for 14 days; `outbound.malware` for each sender and day that malware was sent from, which a person ends. Answers the
 * number of incidents that were opened or ended.
 */
export async function watchOutbound(db: SystemDb): Promise<number> {
  return db.system(async (tx) => (await watchHeld(tx)) + (await watchOld(tx)) + (await watchMalware(tx)));
}

async function watchHeld(tx: SystemTx): Promise<number> {
  const groups = await heldGroups(tx);
  let changes = 0;
  for (const group of groups) {
    if (await isTold(tx, HELD, group, group.oldestHeldAt)) continue;
    await openIncident(tx, {
      partnerId: group.partnerId,
      clientId: group.clientId,
      rule: HELD,
      subject: group.subject,
      severity: 'high',
      title: `Outbound mail is held: ${group.who}`,
      description: [
        group.reason === 'hold.policy'
          ? `The filter holds mail that ${group.who} sent, by the client's outbound policy.`
          : `${group.who} ${WORDS[group.reason.replace(/^hold\.[a-z]+_(?=recipients|first)/, '')] ?? 'is over a limit'}.`,
        `${group.deliveries} deliveries were held when this was noticed, the first since ${group.oldestHeldAt.toISOString()}. Nothing is lost: they wait until they are released or purged.`,
        'A stolen password is the usual cause. See who logged in, change the password, then release or purge the mail.',
      ].join('\n'),
    });
    changes += 1;
  }
  const alive = new Set(groups.map((group) => `${group.partnerId} ${group.clientId} ${group.subject}`));
  for (const open of await openOnes(tx, HELD)) {
    if (alive.has(`${open.partnerId} ${open.clientId} ${open.subject}`)) continue;
    await resolveIncident(tx, { ...open, rule: HELD, resolution: 'The held mail was released or purged.' });
    changes += 1;
  }
  return changes;
}

/** The day is the client's own (rule 6). A partner's limit is told for each client whose mail it holds. */
function heldGroups(tx: SystemTx): Promise<HeldGroup[]> {
  return tx.rows<HeldGroup>(sql`
    select h.partner_id as "partnerId", h.client_id as "clientId", h.scope || ' ' || h.who || ' ' || h.day as subject, h.who,
           min(h.reason) as reason, count(*) as deliveries, min(h.held_at) as "oldestHeldAt"
    from (
      select q.partner_id, q.client_id, q.held_reason as reason, q.held_at,
             (q.held_at at time zone c.time_zone)::date::text as day,
             case when q.held_reason = 'hold.policy' then 'policy'
                  else split_part(split_part(q.held_reason, '.', 2), '_', 1) end as scope,
             case when q.held_reason like 'hold.client%' then c.name
                  when q.held_reason like 'hold.partner%' then p.name
                  else coalesce(m.address, c.name) end as who
      from queue q
      join clients c on c.partner_id = q.partner_id and c.id = q.client_id
      join partners p on p.id = q.partner_id
      join deliveries d on d.partner_id = q.partner_id and d.id = q.delivery_id
      left join mailboxes m on m.partner_id = d.partner_id and m.id = d.mailbox_id
      where q.held_at is not null) as h
    group by h.partner_id, h.client_id, h.scope, h.who, h.day`);
}

async function watchOld(tx: SystemTx): Promise<number> {
  const before = new Date(tx.now.getTime() - OLD_DAYS * 86_400_000);
  const clients = await tx.rows<{ partnerId: string; clientId: string; deliveries: number; since: Date }>(sql`
    select q.partner_id as "partnerId", q.client_id as "clientId", count(*) as deliveries, min(q.held_at) as since
    from queue q where q.held_at <= ${before} group by q.partner_id, q.client_id`);
  let changes = 0;
  for (const { partnerId, clientId, deliveries, since } of clients) {
    const key = { partnerId, clientId, subject: 'held' };
    if (await isTold(tx, OLD, key, since)) continue;
    await openIncident(tx, {
      ...key,
      rule: OLD,
      severity: 'normal',
      title: `Outbound mail has been held for ${OLD_DAYS} days`,
      description: `${deliveries} deliveries are held, the first since ${since.toISOString()}. Held mail does not expire: it stays until somebody releases or purges it.`,
    });
    changes += 1;
  }
  const alive = new Set(clients.map((one) => one.clientId));
  for (const open of await openOnes(tx, OLD)) {
    if (alive.has(open.clientId)) continue;
    await resolveIncident(tx, { ...open, rule: OLD, resolution: 'The held mail was released or purged.' });
    changes += 1;
  }
  return changes;
}

async function watchMalware(tx: SystemTx): Promise<number> {
  const since = new Date(tx.now.getTime() - MALWARE_DAYS * 86_400_000);
  const found = await tx.rows<{
    partnerId: string;
    clientId: string;
    who: string;
    subject: string;
    deliveries: number;
    at: Date;
  }>(sql`
    select f.partner_id as "partnerId", f.client_id as "clientId", f.who, f.who || ' ' || f.day as subject,
           count(*) as deliveries, min(f.accepted_at) as at
    from (
      select d.partner_id, d.client_id, d.accepted_at, (d.accepted_at at time zone c.time_zone)::date::text as day,
             coalesce(m.address, c.name) as who
      from deliveries d
      join clients c on c.partner_id = d.partner_id and c.id = d.client_id
      left join mailboxes m on m.partner_id = d.partner_id and m.id = d.mailbox_id
      where d.direction = 'outbound' and d.verdict = 'malware' and d.accepted_at > ${since}) as f
    where not exists (select from incidents i where i.partner_id = f.partner_id and i.client_id = f.client_id
                        and i.rule = ${MALWARE} and i.subject = f.who || ' ' || f.day)
    group by f.partner_id, f.client_id, f.who, f.day`);
  for (const { partnerId, clientId, who, subject, deliveries, at } of found) {
    await openIncident(tx, {
      partnerId,
      clientId,
      rule: MALWARE,
      subject,
      severity: 'critical',
      title: `Malware was sent by ${who}`,
      description: `${deliveries} deliveries since ${at.toISOString()} held malware and did not leave. The machine or the account that sent them is most likely taken over.`,
    });
  }
  return found.length;
}

/**
 * Whether somebody was told: an incident is open, or one was ended while the same mail was held already, by a person. After all
 * was released, mail that is held anew is a new incident.
 */
async function isTold(
  tx: SystemTx,
  rule: string,
  key: { readonly partnerId: string; readonly clientId: string; readonly subject: string },
  since: Date,
): Promise<boolean> {
  const row = await tx.one<{ told: boolean }>(sql`
    select exists (select from incidents i where i.partner_id = ${key.partnerId} and i.client_id = ${key.clientId}
                     and i.rule = ${rule} and i.subject = ${key.subject}
                     and (i.state = 'open' or i.resolved_at >= ${since})) as told`);
  return row.told;
}

function openOnes(tx: SystemTx, rule: string): Promise<{ partnerId: string; clientId: string; subject: string }[]> {
  return tx.rows(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject from incidents i
    where i.rule = ${rule} and i.state = 'open'`);
}
