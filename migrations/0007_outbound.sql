-- Networks whose servers submit without a login. The exclusion spans all tenants: an address has one client or none.
create table submission_networks (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  network cidr not null,
  created_at timestamptz not null,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  constraint submission_networks_apart exclude using gist (network inet_ops with &&)
);
create index submission_networks_client on submission_networks (partner_id, client_id);

-- How many recipients may be sent to; a scope without a row, or a null, has the default. Client null: the partner.
create table outbound_limits (
  partner_id uuid not null references partners (id) on delete cascade,
  client_id uuid,
  mailbox_id uuid,
  recipients_per_hour integer check (recipients_per_hour >= 0),
  first_time_per_day integer check (first_time_per_day >= 0),
  updated_at timestamptz not null,
  check (mailbox_id is null or client_id is not null),
  unique nulls not distinct (partner_id, client_id, mailbox_id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade
);
create index outbound_limits_client on outbound_limits (partner_id, client_id);
create index outbound_limits_mailbox on outbound_limits (partner_id, mailbox_id);

-- Recipients let through, in buckets of 5 minutes. `scope_id` is the mailbox, the client or the partner.
create table outbound_counts (
  partner_id uuid not null references partners (id) on delete cascade,
  scope text not null check (scope in ('mailbox', 'client', 'partner')),
  scope_id uuid not null,
  bucket timestamptz not null,
  recipients bigint not null,
  first_time bigint not null,
  primary key (partner_id, scope, scope_id, bucket)
);
create index outbound_counts_bucket on outbound_counts (bucket);

-- Whom a mailbox and a client wrote to before, as hashes; forgotten 90 days after the last time.
create table outbound_known (
  partner_id uuid not null references partners (id) on delete cascade,
  scope text not null check (scope in ('mailbox', 'client')),
  scope_id uuid not null,
  recipient bytea not null check (length(recipient) = 16),
  seen_on date not null,
  primary key (partner_id, scope, scope_id, recipient)
);
create index outbound_known_seen on outbound_known (seen_on);

-- Held: over a limit, or by policy. It stays in the queue and is not delivered until a person releases it.
alter table queue
  add column held_at timestamptz,
  add column held_reason text check ((held_at is null) = (held_reason is null));
create index queue_held on queue (partner_id, client_id, held_at, delivery_id) where held_at is not null;

-- forward: a copy that leaves for a mailbox's other address; return: a notification for the sender of such a copy.
alter table queue drop constraint queue_kind_check;
alter table queue add constraint queue_kind_check check (kind in ('mail', 'release', 'dsn', 'forward', 'return'));
alter table mailboxes
  add column forward_to text check (forward_to = lower(forward_to)),
  add column forward_keep boolean not null default true;
-- A returning notification names its client by the end of its id.
create index clients_return on clients (right(id::text, 10));

create table dkim_keys (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text not null,
  selector text not null,
  algorithm text not null check (algorithm in ('rsa-sha256', 'ed25519-sha256')),
  -- PKCS#8 in the AES-256-GCM envelope; the key is outside the database.
  private_key bytea not null,
  -- Base64 as it stands in the DNS.
  public_key text not null,
  created_at timestamptz not null,
  activated_at timestamptz,
  retired_at timestamptz,
  primary key (partner_id, id),
  unique (partner_id, domain, selector),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, domain) references domains (partner_id, name) on delete cascade
);
create index dkim_keys_client on dkim_keys (partner_id, client_id);
-- One key of each kind signs for a domain at a time.
create unique index dkim_keys_active on dkim_keys (partner_id, domain, algorithm)
  where activated_at is not null and retired_at is null;

do $$
declare
  t text;
begin
  foreach t in array array['submission_networks', 'outbound_limits', 'outbound_counts', 'outbound_known', 'dkim_keys']
  loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;
-- Counted by the gateway alone.
revoke insert, update, delete on outbound_counts, outbound_known from tollgate_app;

-- Malware that a client sent: few, and looked for every few seconds.
create index deliveries_outbound_malware on deliveries (accepted_at) where direction = 'outbound' and verdict = 'malware';
