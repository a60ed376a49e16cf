import type pg from 'pg';
import { newId } from '../../src/core/id.ts';
import type { World } from './world.ts';

/** The last day of `seedHistory`: five times as much unwanted mail as usual. */
export const HISTORY_DAY = '2026-10-14';

/**
 * Eight weeks of counts in the rollups, with a day at their end that is unusual, all of it complete; a campaign over three
 * messages; and a server that was down for a while. Texts carry `mark`.
 */
export async function seedHistory(owner: pg.Client, world: World, mark: string): Promise<void> {
  const { partner, ids } = world;
  const run = (text: string, ...values: unknown[]) => owner.query(text, values);
  const spam = `(case when d = date '${HISTORY_DAY}' then 200 else 40 end)`;
  const days = `generate_series(date '${HISTORY_DAY}' - 59, date '${HISTORY_DAY}', interval '1 day') as d`;
  const bucket = "(d + interval '12 hours') at time zone 'UTC'";
  for (const [verdict, count] of [
    ['clean', '100'],
    ['phish', spam],
  ]) {
    await run(
      `insert into rollup_traffic (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries,
         messages, domain_messages, partner_messages, bytes, partner_bytes)
       select $1, $2, ${bucket}, $3, 'inbound', k.kind, $4, k.disposition, ${count}, ${count}, ${count}, ${count}, 0, 0
       from ${days}, (values ('accepted', 'queued'), (case when $4 = 'clean' then 'delivered' else 'quarantined' end,
                             case when $4 = 'clean' then 'delivered' else 'quarantined' end)) as k (kind, disposition)`,
      partner,
      ids.Client,
      `${mark}.example`,
      verdict,
    );
    await run(
      `insert into rollup_mailboxes (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
       select $1, $2, ${bucket}, $3, 'inbound', $4, ${count}, ${count}, 0 from ${days}`,
      partner,
      ids.Client,
      ids.Mailbox,
      verdict,
    );
    await run(
      `insert into rollup_senders (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
       select $1, $2, ${bucket}, $3, 'inbound', $4, ${count}, ${count}, 0 from ${days}`,
      partner,
      ids.Client,
      `${verdict}@${mark}.test`,
      verdict,
    );
  }
  // The counts stand in the quarter hours alone.
  await run('delete from rollup_zones where partner_id = $1', partner);
  await countedThrough(owner, '2026-10-20T00:00:00Z');
  await seedCampaign(owner, world, mark);
  await run(
    `insert into server_states (partner_id, client_id, host, port, from_at, to_at, state)
     select $1, $2, $3, 25, a::timestamptz, b::timestamptz, s
     from (values ('2026-10-14T00:00:00Z', '2026-10-14T06:00:00Z', 'up'), ('2026-10-14T06:00:00Z', '2026-10-14T07:00:00Z', 'down'))
       as x (a, b, s)`,
    partner,
    ids.Client,
    `mail.${mark}.example`,
  );
}

/** Says that all is rolled through a moment, and that nobody has rolled for long, so that nothing but the rollups is counted. */
export async function countedThrough(owner: pg.Client, moment: string): Promise<void> {
  await owner.query(
    `insert into rollup_watermarks (node, complete_through, state) values ('history', $1, 'alive')
     on conflict (node) do update set complete_through = excluded.complete_through`,
    [moment],
  );
  const { rowCount } = await owner.query("update rollup_state set rolled_at = '2020-01-01T00:00:00Z'");
  if (rowCount === 1) return;
  await owner.query(
    `insert into rollup_state (cluster, cursor, rolled_at, mark, mark_at, settled_at, pending)
     values (0, '1', '2020-01-01T00:00:00Z', '1', '2020-01-01T00:00:00Z', '2020-01-01T00:00:00Z', 0)`,
  );
}

/** Three more messages like the world's own, each to a mailbox of its own, one of them delivered, all with one payload. */
async function seedCampaign(owner: pg.Client, { partner, ids }: World, mark: string): Promise<void> {
  for (const [index, disposition] of ['quarantined', 'delivered', 'quarantined'].entries()) {
    const id = newId();
    await owner.query(
      `insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
         from_address, from_name, subject, attachments, bytes, sha256, received_at, node)
       select partner_id, $2, content_id, direction, sender, remote_address, helo, tls, header_message_id, from_address, from_name,
         subject, attachments, bytes, sha256, received_at, node from messages where id = $1`,
      [ids.Message, id],
    );
    await owner.query(
      `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score,
         reasons, accepted_at, ended_at)
       select partner_id, client_id, $2, $3, $4 || recipient, domain, direction, 'phish', $5, score, reasons, accepted_at, ended_at
       from deliveries where id = $1`,
      [ids.Delivery, newId(), id, `r${index}.`, disposition],
    );
    await owner.query(
      `insert into threat_traits (partner_id, message_id, kind, digest, label, occurred_at)
       select $1, $2::uuid, k, sha256(convert_to($3::text || k || case when k = 'link' then $2::text else '' end, 'UTF8')),
              $3::text || ' ' || k, (select received_at from messages where id = $2::uuid)
       from unnest(array['payload', 'link']) as k`,
      [partner, id, mark],
    );
  }
}
