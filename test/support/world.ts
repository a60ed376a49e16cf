import type pg from 'pg';
import { createClient } from '../../src/accounts/clients.ts';
import { addListEntry } from '../../src/accounts/lists.ts';
import { importMailboxes } from '../../src/accounts/mailboxes.ts';
import { createPartner } from '../../src/accounts/partners.ts';
import { newId } from '../../src/core/id.ts';
import { type PartnerId, partnerId } from '../../src/core/tenant.ts';
import type { Database } from '../../src/db/db.ts';
import type { NodeType } from '../../src/graphql/ids.ts';

/** One partner with at least one row of everything that the API shows. */
export interface World {
  readonly partner: PartnerId;
  readonly apiKey: string;
  readonly ids: Readonly<Record<NodeType, string>>;
}

/** A network has one owner on the whole gateway, so each world has its own. */
let networks = 0;

/**
 * Fills every table that the API reads for one partner, each text with `mark` in it, so that a text of one tenant in an
 * answer to another is found by looking for it. Rows that other folders write are put in as the owner: what is tested
 * here is who can read them.
 */
export async function seedWorld(db: Database, owner: pg.Client, mark: string, at: Date): Promise<World> {
  const made = await db.system((tx) => createPartner(tx, { name: `${mark} IT` }));
  const partner = partnerId(made.id);
  const domain = `${mark}.example`;
  const { client, mailbox, entry } = await db.tenant(partner, async (tx) => {
    const { id } = await createClient(tx, {
      name: `${mark} client`,
      timeZone: 'Europe/London',
      domains: [domain],
      relays: [{ host: '127.0.0.1', port: 2626 }],
      actor: 'test',
    });
    await importMailboxes(tx, id, [{ address: `ann@${domain}`, name: `${mark} Ann`, kind: 'user' }], 'test');
    const row = await tx.one<{ id: string }>({ name: 'world-mailbox', text: 'select id from mailboxes', values: [] });
    const listed = await addListEntry(tx, {
      clientId: id,
      mailboxId: null,
      kind: 'allow',
      pattern: `friend.${domain}`,
      actor: 'test',
    });
    return { client: id, mailbox: row.id, entry: listed.id };
  });
  const id = {
    message: newId(),
    delivery: newId(),
    incident: newId(),
    run: newId(),
    plan: newId(),
    request: newId(),
    connection: newId(),
    credential: newId(),
    network: newId(),
    dkim: newId(),
    report: newId(),
  };
  const run = (text: string, ...values: unknown[]) => owner.query(text, values);

  await run(
    `insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
       from_address, from_name, subject, attachments, bytes, sha256, received_at, node, campaign)
     values ($1, $2, $2::uuid::text, 'inbound', $3::text, '192.0.2.1', $3, true, $3, $3, $3, $3,
       jsonb_build_array(jsonb_build_object('name', $3::text, 'type', 'text/plain', 'bytes', 1)), 1000, '\\x00', $4, 'n1', $3)`,
    partner,
    id.message,
    `sender@${mark}.test`,
    at,
  );
  await run(
    `insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict,
       disposition, score, reasons, accepted_at, ended_at)
     values ($1, $2, $3, $4, $5, $6, $7::text, 'inbound', 'spam', 'quarantined', 7,
       jsonb_build_array(jsonb_build_object('code', 'content.model', 'detail', $7::text)), $8, $8)`,
    partner,
    client,
    id.delivery,
    id.message,
    mailbox,
    `ann@${domain}`,
    domain,
    at,
  );
  await run(
    `insert into region_strategies (partner_id, client_id, id, domain, regions, created_at)
     values ($1, $2, $3, $4, array[$5], $6)`,
    partner,
    client,
    newId(),
    domain,
    `${mark}-region`,
    at,
  );
  await run(
    `insert into delivery_attempts (partner_id, delivery_id, id, at, node, host, port, code, reply, duration_ms)
     values ($1, $2, $3, $4, 'n1', $5, 25, 250, $6, 1)`,
    partner,
    id.delivery,
    newId(),
    at,
    `mx.${domain}`,
    `250 ${mark}`,
  );
  await run(
    `insert into release_requests (partner_id, id, client_id, delivery_id, requested_by, requested_role, note, requested_at)
     values ($1, $2, $3, $4, $5, 'user', $5, $6)`,
    partner,
    id.request,
    client,
    id.delivery,
    `${mark} reader`,
    at,
  );
  for (const kind of ['accepted', 'quarantined']) {
    await run(
      `insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, message_id, delivery_id, mailbox_id,
         recipient, domain, sender, verdict, disposition, reasons, bytes, leads, latency_ms, node)
       values ($1, $2, $3, $4, $5, 'inbound', $6, $7, $8, $9, $10, $11, 'spam', 'quarantined', array['content.model'], 1000,
         $12, 1, 'n1')`,
      partner,
      newId(),
      client,
      at,
      kind,
      id.message,
      id.delivery,
      mailbox,
      `ann@${domain}`,
      domain,
      `sender@${mark}.test`,
      kind === 'accepted' ? 15 : 0,
    );
  }
  await run(
    `insert into incidents (partner_id, id, client_id, rule, subject, state, severity, title, description, opened_at,
       last_seen_at, ticket_key)
     values ($1, $2, $3, 'server.down', $4, 'open', 'high', $4, $4, $5, $5, $4)`,
    partner,
    id.incident,
    client,
    `${mark} incident`,
    at,
  );
  await run(
    `insert into server_probes (partner_id, client_id, host, port, state, since, latency_ms, banner, certificate_until,
       last_error, checked_at, due_at)
     values ($1, $2, $3, 25, 'failing', $4, 12, $3, $4::timestamptz + interval '20 days', $3, $4, $4)`,
    partner,
    client,
    `mail.${domain}`,
    at,
  );
  await run(
    `insert into report_runs (partner_id, id, client_id, report, period_from, period_to, time_zone, version, state,
       requested_at, due_at, deadline_at)
     values ($1, $2, $3, 'executive', '2026-09-01', '2026-09-30', 'Europe/London', 1, 'waiting', $4, $4, $4)`,
    partner,
    id.run,
    client,
    at,
  );
  await run(
    `insert into psa_connections (partner_id, id, kind, url, credentials, created_at)
     values ($1, $2, 'connectwise', 'https://psa.example', '\\x00', $3)`,
    partner,
    id.connection,
    at,
  );
  await run(
    `insert into psa_mappings (partner_id, client_id, connection_id, company_id, company_name, checked_at)
     values ($1, $2, $3, '42', $4, $5)`,
    partner,
    client,
    id.connection,
    `${mark} company`,
    at,
  );
  await run(
    `insert into subscriptions (partner_id, client_id, product, connection_id, contract_id, line_id, created_at)
     values ($1, $2, $4, $3, $4, $4, $5)`,
    partner,
    client,
    id.connection,
    `${mark} product`,
    at,
  );
  await run(
    `insert into usage_snapshots (partner_id, client_id, product, day, quantity, addresses, taken_at)
     values ($1, $2, $3, '2026-10-14', 1, array[$4], $5)`,
    partner,
    client,
    `${mark} product`,
    `ann@${domain}`,
    at,
  );
  await run(
    `insert into billing_plans (partner_id, id, usage_day, state, created_at) values ($1, $2, '2026-10-01', 'planned', $3)`,
    partner,
    id.plan,
    at,
  );
  await run(
    `insert into billing_lines (partner_id, plan_id, client_id, product, connection_id, contract_id, line_id,
       before_quantity, target_quantity, state, unit_price, currency)
     values ($1, $2, $3, $5, $4, $5, $5, 0, 1, 'planned', 2.5, 'USD')`,
    partner,
    id.plan,
    client,
    id.connection,
    `${mark} product`,
  );
  await run(
    `insert into submission_credentials (partner_id, client_id, id, mailbox_id, username, secret, created_at)
     values ($1, $2, $3, $4, $5, '\\x00', $6)`,
    partner,
    client,
    id.credential,
    mailbox,
    `login@${domain}`,
    at,
  );
  networks += 1;
  await run(
    'insert into submission_networks (partner_id, client_id, id, network, created_at) values ($1, $2, $3, $4, $5)',
    partner,
    client,
    id.network,
    `198.51.100.${networks % 256}/32`,
    at,
  );
  await run(
    `insert into dkim_keys (partner_id, client_id, id, domain, selector, algorithm, private_key, public_key, created_at)
     values ($1, $2, $3, $4, $5, 'rsa-sha256', '\\x00', $5, $6)`,
    partner,
    client,
    id.dkim,
    domain,
    `${mark}-selector`,
    at,
  );
  await run(
    `insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, queued_at, due_at,
       expires_at, held_at, held_reason)
     values ($1, $2, $3, $4, $4::uuid::text, $5, $6, $7, $8, $8, $8, $8, 'hold.policy')`,
    partner,
    id.delivery,
    client,
    id.message,
    `sender@${mark}.test`,
    `ann@${domain}`,
    domain,
    at,
  );
  await run(
    `insert into digest_settings (partner_id, id, audience, client_id, mailbox_id, settings, updated_at)
     values ($1, $2, 'users', $3, $4, $5, $6), ($1, $7, 'admin', $3, null, $5, $6), ($1, $8, 'admin', null, null, $5, $6)`,
    partner,
    newId(),
    client,
    mailbox,
    JSON.stringify({ recipient: `ann@${domain}` }),
    at,
    newId(),
    newId(),
  );
  await run(
    `insert into persisted_documents (partner_id, sha256, document, created_at, created_by)
     values ($1, sha256(convert_to($2::text, 'UTF8')), $2, $4, $3)`,
    partner,
    `{ viewer { scopes } } # ${mark}`,
    mark,
    at,
  );
  for (const [report, kind, messages, came] of [
    [id.report, 'dmarc', 8, at],
    [newId(), 'tls', 5, new Date(at.getTime() - 60_000)],
  ] as const) {
    await run(
      `insert into aggregate_reports (partner_id, id, client_id, kind, state, source, file_name, standing, org, contact, report_id,
         domain, policy_domain, period_from, period_to, day, digest, records, messages, policy, received_at)
       values ($1, $2, $3, $4::text, 'taken', 'mail', $5, 2, $5, $5, $5, $6, $6, $7::timestamptz - interval '1 day', $7,
         ($7::timestamptz at time zone 'UTC')::date, sha256(convert_to($4, 'UTF8')), 1, $8, 'none', $9)`,
      partner,
      report,
      client,
      kind,
      `${mark} reporter`,
      domain,
      at,
      messages,
      came,
    );
    const belongs = [partner, report, client, domain, at];
    if (kind === 'dmarc') {
      await run(
        `insert into dmarc_records (partner_id, report_id, position, client_id, domain, day, source_ip, disposition, dkim_aligned,
           spf_aligned, header_from, envelope_from, dkim_domain, dkim_selector, dkim_result, spf_domain, spf_result, overrides,
           messages)
         values ($1, $2, 1, $3, $4, ($5::timestamptz at time zone 'UTC')::date, '192.0.2.1', 'none', true, false, $4, $4, $4, 's1',
           'pass', $4, 'fail', '{}', 8)`,
        ...belongs,
      );
      continue;
    }
    await run(
      `insert into tls_policies (partner_id, report_id, position, client_id, domain, day, policy_type, successful, failed)
       values ($1, $2, 1, $3, $4, ($5::timestamptz at time zone 'UTC')::date, 'sts', 4, 1)`,
      ...belongs,
    );
    await run(
      `insert into tls_results (partner_id, report_id, position, client_id, domain, day, policy_type, result_type, sending_mta,
         receiving_mx, sessions)
       values ($1, $2, 1, $3, $4, ($5::timestamptz at time zone 'UTC')::date, 'sts', 'certificate-expired', '192.0.2.2', $4, 1)`,
      ...belongs,
    );
  }
  return {
    partner,
    apiKey: made.apiKey,
    ids: {
      Partner: partner,
      Client: client,
      Mailbox: mailbox,
      Delivery: id.delivery,
      Message: id.message,
      QuarantineItem: id.delivery,
      Incident: id.incident,
      ReportRun: id.run,
      ListEntry: entry,
      BillingPlan: id.plan,
      SubmissionCredential: id.credential,
      SubmissionNetwork: id.network,
      DkimKey: id.dkim,
      ReleaseRequest: id.request,
      AggregateReport: id.report,
    },
  };
}
