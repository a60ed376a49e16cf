-- Who gets digests of quarantined mail, and when. Audience `users`: the client's rule (mailbox_id null) or one mailbox's own;
-- `admin`: one digest of all the client's mailboxes, or of all clients (client_id null), to a named address.
create table digest_settings (
  partner_id uuid not null references partners (id) on delete cascade,
  id uuid not null,
  audience text not null check (audience in ('users', 'admin')),
  client_id uuid,
  mailbox_id uuid,
  settings jsonb not null,
  updated_at timestamptz not null,
  primary key (partner_id, id),
  unique nulls not distinct (partner_id, audience, client_id, mailbox_id),
  check (audience = 'admin' or client_id is not null),
  check (mailbox_id is null or audience = 'users'),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade,
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade
);

-- One row per digest that was queued, in the transaction that queued it: never two for one slot.
create table digest_runs (
  partner_id uuid not null references partners (id) on delete cascade,
  -- Whose mail it tells of; `subject_id` is the mailbox's, the client's or the partner's id.
  scope text not null check (scope in ('mailbox', 'client', 'partner')),
  subject_id uuid not null,
  -- The moment that the digest stands for: the client's local hour, or when it was asked for.
  slot timestamptz not null,
  mailbox_id uuid,
  client_id uuid,
  origin text not null check (origin in ('schedule', 'request', 'command')),
  recipient text not null,
  items integer not null check (items >= 0),
  -- The message that was queued; its delivery says how it went.
  message_id uuid not null,
  created_at timestamptz not null,
  primary key (partner_id, scope, subject_id, slot),
  foreign key (partner_id, mailbox_id) references mailboxes (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);

-- Which deliveries a digest has told of. A moment ("everything before 08:00") would lose mail whose transaction began before
-- it and ended after the digest was made.
create table digest_items (
  partner_id uuid not null,
  scope text not null check (scope in ('mailbox', 'client', 'partner')),
  subject_id uuid not null,
  delivery_id uuid not null,
  slot timestamptz not null,
  primary key (partner_id, scope, subject_id, delivery_id),
  foreign key (partner_id, scope, subject_id, slot) references digest_runs (partner_id, scope, subject_id, slot) on delete cascade,
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade
);
create index digest_items_delivery on digest_items (partner_id, delivery_id);
create index digest_items_run on digest_items (partner_id, scope, subject_id, slot);

-- A mailbox's quarantine, newest first.
create index deliveries_quarantine_mailbox on deliveries (partner_id, mailbox_id, accepted_at desc, id desc)
  where disposition = 'quarantined';

do $$
declare
  t text;
begin
  foreach t in array array['digest_settings', 'digest_runs', 'digest_items'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;
