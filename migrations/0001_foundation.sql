-- Roles: the migrating user owns everything. `tollgate_app` is the tenant role (row-level security by app.partner),
-- `tollgate_system` the gateway's, roller's and jobs' role (all tenants, owns nothing, may not change structure).
-- The runner creates both roles before this step, since roles belong to the cluster and not to the database.

-- Null when unset, so that every comparison fails closed. After a transaction-local setting ends PostgreSQL leaves '' behind.
create function current_partner() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('app.partner', true), '')::uuid $$;

create table partners (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  brand jsonb not null default '{}',
  logo bytea,
  created_at timestamptz not null
);

create table api_keys (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  label text not null,
  -- SHA-256 of 32 random bytes: high entropy, so a slow hash would only slow us down.
  secret_hash bytea not null check (length(secret_hash) = 32),
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  primary key (partner_id, id)
);
create unique index api_keys_id on api_keys (id);

create table clients (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  time_zone text not null,
  status text not null default 'active' check (status in ('active', 'suspended')),
  policy jsonb not null default '{}',
  created_at timestamptz not null,
  primary key (partner_id, id),
  unique (partner_id, name)
);

-- A domain has one owner on the whole gateway: mail for it must have one meaning.
create table domains (
  partner_id uuid not null,
  client_id uuid not null,
  name text not null check (name = lower(name)),
  created_at timestamptz not null,
  primary key (partner_id, name),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create unique index domains_name on domains (name);
create index domains_client on domains (partner_id, client_id);

-- Where a client's mail is delivered; `domain` null: every domain of the client. Lower priority first.
create table routes (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text,
  host text not null,
  port integer not null check (port between 1 and 65535),
  priority integer not null default 10,
  tls text not null default 'opportunistic' check (tls in ('none', 'opportunistic', 'required')),
  created_at timestamptz not null,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index routes_client on routes (partner_id, client_id);

create table mailboxes (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  address text not null,
  name text not null,
  kind text not null check (kind in ('user', 'shared', 'resource', 'group', 'contact')),
  status text not null default 'active' check (status in ('active', 'blocked', 'deleted')),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index mailboxes_client on mailboxes (partner_id, client_id, address);
create index mailboxes_updated on mailboxes (partner_id, client_id, updated_at);

-- Every address that is accepted at RCPT: a mailbox's own and its aliases.
create table addresses (
  partner_id uuid not null,
  client_id uuid not null,
  address text not null check (address = lower(address)),
  mailbox_id uuid not null,
  kind text not null check (kind in ('primary', 'alias')),
  created_at timestamptz not null,
  primary key (partner_id, address),
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index addresses_address on addresses (address);
create index addresses_mailbox on addresses (partner_id, mailbox_id);

create table group_members (
  partner_id uuid not null,
  group_id uuid not null,
  mailbox_id uuid not null,
  primary key (partner_id, group_id, mailbox_id),
  foreign key (partner_id, group_id) references mailboxes (partner_id, id) on delete cascade,
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade
);
create index group_members_mailbox on group_members (partner_id, mailbox_id);

-- SMTP AUTH at submission. client-wide when mailbox_id is null.
create table submission_credentials (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  mailbox_id uuid,
  username text not null check (username = lower(username)),
  -- scrypt: salt and hash, see accounts/credentials.ts
  secret bytea not null,
  created_at timestamptz not null,
  revoked_at timestamptz,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade
);
create unique index submission_credentials_username on submission_credentials (username);

-- Allow and block lists. client_id null: the partner's; mailbox_id null: the client's.
create table list_entries (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  client_id uuid,
  mailbox_id uuid,
  kind text not null check (kind in ('allow', 'block')),
  pattern text not null check (pattern = lower(pattern)),
  created_at timestamptz not null,
  primary key (partner_id, id),
  check (mailbox_id is null or client_id is not null),
  unique nulls not distinct (partner_id, client_id, mailbox_id, kind, pattern),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade
);
create index list_entries_client on list_entries (partner_id, client_id);

-- Who did what: written in the transaction of the act.
create table audit (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  at timestamptz not null,
  actor text not null,
  action text not null,
  subject text not null,
  details jsonb not null default '{}',
  primary key (partner_id, id)
);
create index audit_at on audit (partner_id, at desc);

-- One row per SMTP transaction and partner: two partners' shares of one transaction share only the content id.
create table messages (
  partner_id uuid not null,
  id uuid not null,
  content_id text not null,
  direction text not null check (direction in ('inbound', 'outbound')),
  sender text not null,
  remote_address text not null,
  helo text not null,
  tls boolean not null,
  header_message_id text not null,
  from_address text not null,
  from_name text not null,
  subject text not null,
  attachments jsonb not null default '[]',
  bytes bigint not null,
  sha256 bytea not null,
  authentication_results text,
  received_at timestamptz not null,
  node text not null,
  primary key (partner_id, id)
);
create index messages_received on messages (partner_id, received_at desc);
create index messages_content on messages (content_id);

-- One row per message and recipient: its current state. The ledger holds how it came about.
create table deliveries (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  message_id uuid not null,
  mailbox_id uuid,
  recipient text not null,
  domain text not null,
  direction text not null check (direction in ('inbound', 'outbound')),
  verdict text not null,
  disposition text not null,
  score real not null,
  reasons jsonb not null default '[]',
  -- How the message is to be written when it goes out: as it came, with a subject tag, without its blocked parts.
  transform text not null default 'none' check (transform in ('none', 'tag', 'strip')),
  accepted_at timestamptz not null,
  ended_at timestamptz,
  released_at timestamptz,
  released_by text,
  -- Set when a release was asked for and the mail has not yet arrived: verified by the delivery event.
  release_due_at timestamptz,
  remote_reply text,
  primary key (partner_id, id),
  foreign key (partner_id, message_id) references messages (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index deliveries_message on deliveries (partner_id, message_id);
create index deliveries_client on deliveries (partner_id, client_id, accepted_at desc, id desc);
create index deliveries_quarantine on deliveries (partner_id, client_id, accepted_at desc, id desc) where disposition = 'quarantined';
create index deliveries_release on deliveries (release_due_at) where release_due_at is not null;

-- What is still to be delivered: a row lives here from acceptance (or release) until the delivery ends.
create table queue (
  partner_id uuid not null,
  delivery_id uuid not null,
  client_id uuid not null,
  message_id uuid not null,
  content_id text not null,
  sender text not null,
  recipient text not null,
  domain text not null,
  -- dsn: a delivery status notification that we made ourselves; it is never bounced in turn.
  kind text not null default 'mail' check (kind in ('mail', 'release', 'dsn')),
  attempts integer not null default 0,
  queued_at timestamptz not null,
  due_at timestamptz not null,
  expires_at timestamptz not null,
  lease_owner text,
  lease_until timestamptz,
  last_reply text,
  primary key (partner_id, delivery_id),
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade
);
create index queue_due on queue (due_at);
create index queue_client on queue (partner_id, client_id);

-- The ledger: append-only. The owner alone may drop partitions (retention); no role may update or delete rows.
create table ledger (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  occurred_at timestamptz not null,
  -- The transaction that wrote the row: the roller reads below the horizon of running transactions (rule 3).
  xid xid8 not null default pg_current_xact_id(),
  kind text not null check (kind in ('accepted', 'rejected', 'refused', 'quarantined', 'deferred', 'delivered', 'bounced',
    'expired', 'discarded', 'release_requested')),
  direction text not null check (direction in ('inbound', 'outbound')),
  message_id uuid,
  delivery_id uuid,
  mailbox_id uuid,
  recipient text not null,
  domain text not null,
  sender text not null,
  verdict text,
  disposition text,
  reasons text[] not null default '{}',
  bytes bigint not null,
  leads smallint not null default 0,
  latency_ms bigint,
  node text not null,
  primary key (partner_id, id, occurred_at)
) partition by range (occurred_at);
create index ledger_xid on ledger (xid);
create index ledger_client on ledger (partner_id, client_id, occurred_at);
create index ledger_delivery on ledger (partner_id, delivery_id);
-- An event outside every partition is kept, never refused: losing it would be worse than a slow read.
create table ledger_default partition of ledger default;

-- Gateways and how far each has told all: events of a node at or before flushed_through are committed.
create table nodes (
  id text primary key,
  role text not null,
  started_at timestamptz not null,
  heartbeat_at timestamptz not null,
  flushed_through timestamptz not null,
  xid xid8 not null default pg_current_xact_id(),
  state text not null check (state in ('alive', 'stopped', 'retired'))
);

-- The roller's cursor; one row. `cluster` binds it to the cluster whose transaction ids it counts.
create table rollup_state (
  only_row boolean primary key default true check (only_row),
  cluster bigint not null,
  cursor xid8 not null,
  rolled_at timestamptz not null
);
-- Per node, the moment through which the rollups hold everything that the node said.
create table rollup_watermarks (
  node text primary key,
  complete_through timestamptz not null
);

create table rollup_traffic (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  domain text not null,
  direction text not null,
  kind text not null,
  verdict text not null,
  disposition text not null,
  deliveries bigint not null,
  messages bigint not null,
  domain_messages bigint not null,
  partner_messages bigint not null,
  bytes bigint not null,
  partner_bytes bigint not null,
  primary key (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition)
);
create index rollup_traffic_partner on rollup_traffic (partner_id, bucket);

create table rollup_mailboxes (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  mailbox_id uuid not null,
  direction text not null,
  verdict text not null,
  deliveries bigint not null,
  messages bigint not null,
  bytes bigint not null,
  primary key (partner_id, client_id, bucket, mailbox_id, direction, verdict)
);

create table rollup_senders (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  sender text not null,
  direction text not null,
  verdict text not null,
  deliveries bigint not null,
  messages bigint not null,
  bytes bigint not null,
  primary key (partner_id, client_id, bucket, sender, direction, verdict)
);

create table rollup_reasons (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  direction text not null,
  reason text not null,
  deliveries bigint not null,
  primary key (partner_id, client_id, bucket, direction, reason)
);

-- A bucket that changed after its day was closed: how a restatement is seen (rule 5).
create table rollup_late (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  noticed_at timestamptz not null,
  events bigint not null,
  primary key (partner_id, client_id, bucket, noticed_at)
);

create table psa_connections (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  kind text not null check (kind in ('connectwise', 'autotask')),
  url text not null,
  -- AES-256-GCM envelope; the key is outside the database.
  credentials bytea not null,
  settings jsonb not null default '{}',
  created_at timestamptz not null,
  primary key (partner_id, id)
);

-- Which company of which PSA a client is. A client without a row is held with an alarm, never filed elsewhere (rule 8).
create table psa_mappings (
  partner_id uuid not null,
  client_id uuid not null,
  connection_id uuid not null,
  company_id text not null,
  company_name text not null,
  state text not null default 'ok' check (state in ('ok', 'needs_attention')),
  checked_at timestamptz not null,
  primary key (partner_id, client_id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, connection_id) references psa_connections (partner_id, id) on delete cascade
);
create index psa_mappings_connection on psa_mappings (partner_id, connection_id);

-- Incidents: at most one open per key.
create table incidents (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  client_id uuid not null,
  rule text not null,
  subject text not null,
  state text not null check (state in ('open', 'resolved')),
  severity text not null check (severity in ('low', 'normal', 'high', 'critical')),
  title text not null,
  description text not null,
  resolution text,
  occurrences integer not null default 1,
  opened_at timestamptz not null,
  last_seen_at timestamptz not null,
  resolved_at timestamptz,
  -- The ticket as wanted against the ticket as it is in the PSA: `ticket_state` follows, step by step.
  ticket_state text not null default 'wanted' check (ticket_state in
    ('wanted', 'creating', 'open', 'resolving', 'resolved', 'held', 'none')),
  ticket_key text not null,
  ticket_id text,
  ticket_number text,
  ticket_connection_id uuid,
  ticket_attempts integer not null default 0,
  ticket_next_at timestamptz,
  ticket_intent_at timestamptz,
  ticket_note text,
  noted_occurrences integer not null default 1,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create unique index incidents_open on incidents (partner_id, client_id, rule, subject) where state = 'open';
create unique index incidents_key on incidents (partner_id, ticket_key);
create index incidents_work on incidents (ticket_next_at) where ticket_next_at is not null;
create index incidents_list on incidents (partner_id, opened_at desc, id desc);

-- Health of each client's mail server as delivery sees it.
create table route_health (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null,
  state text not null check (state in ('up', 'down')),
  failures integer not null,
  since timestamptz not null,
  last_error text,
  checked_at timestamptz not null,
  primary key (partner_id, client_id, host, port),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);

-- The daily set of billable mailboxes, with the addresses as evidence.
create table usage_snapshots (
  partner_id uuid not null,
  client_id uuid not null,
  product text not null,
  day date not null,
  quantity integer not null check (quantity >= 0),
  addresses text[] not null,
  taken_at timestamptz not null,
  primary key (partner_id, client_id, product, day),
  check (quantity = cardinality(addresses)),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);

-- Which line of the PSA bills which product of a client.
create table subscriptions (
  partner_id uuid not null,
  client_id uuid not null,
  product text not null,
  connection_id uuid not null,
  contract_id text not null,
  line_id text not null,
  created_at timestamptz not null,
  primary key (partner_id, client_id, product),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, connection_id) references psa_connections (partner_id, id) on delete cascade
);
create index subscriptions_connection on subscriptions (partner_id, connection_id);
-- Two products writing the same line would fight each other.
create unique index subscriptions_line on subscriptions (partner_id, connection_id, contract_id, line_id);

create table billing_plans (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  -- Usage of this day is what is billed.
  usage_day date not null,
  state text not null check (state in ('planned', 'approved', 'applying', 'applied', 'failed', 'superseded')),
  created_at timestamptz not null,
  approved_at timestamptz,
  approved_by text,
  finished_at timestamptz,
  primary key (partner_id, id)
);
create index billing_plans_list on billing_plans (partner_id, created_at desc, id desc);

create table billing_lines (
  partner_id uuid not null,
  plan_id uuid not null,
  client_id uuid not null,
  product text not null,
  connection_id uuid,
  contract_id text,
  line_id text,
  -- Null: unknown. An unknown never becomes a number and its line is never written (rule 4).
  before_quantity integer,
  target_quantity integer,
  effective_date date,
  state text not null check (state in ('unchanged', 'planned', 'held', 'sending', 'sent', 'verified', 'drift', 'failed')),
  reason text,
  -- Intent: written and committed before the request goes out.
  sent_at timestamptz,
  after_quantity integer,
  verified_at timestamptz,
  primary key (partner_id, plan_id, client_id, product),
  foreign key (partner_id, plan_id) references billing_plans (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);

-- A report that was issued keeps its number; a restatement is a new version beside it.
create table report_runs (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  report text not null,
  period_from date not null,
  period_to date not null,
  time_zone text not null,
  version integer not null,
  state text not null check (state in ('waiting', 'rendering', 'issued', 'failed')),
  complete boolean,
  complete_through timestamptz,
  content_id text,
  bytes integer,
  sha256 bytea,
  document_id text,
  document_state text not null default 'none' check (document_state in ('none', 'wanted', 'sending', 'sent', 'failed')),
  error text,
  requested_at timestamptz not null,
  due_at timestamptz not null,
  -- After this moment an incomplete period is issued all the same, marked incomplete.
  deadline_at timestamptz not null,
  issued_at timestamptz,
  primary key (partner_id, id),
  unique (partner_id, client_id, report, period_from, period_to, version),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index report_runs_list on report_runs (partner_id, requested_at desc, id desc);
create index report_runs_due on report_runs (due_at) where state in ('waiting', 'rendering');
