-- What people say of a message: material for each client's own training. One row per delivery and actor; the last word counts.
create table message_feedback (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  delivery_id uuid not null,
  mailbox_id uuid,
  -- Where the message's features are read from, as long as the content is kept.
  content_id text not null,
  kind text not null check (kind in ('spam', 'ham')),
  -- What the filter had said.
  verdict text not null,
  actor_kind text not null check (actor_kind in ('user', 'client_admin', 'technician', 'admin')),
  actor text not null,
  at timestamptz not null,
  primary key (partner_id, id),
  unique (partner_id, delivery_id, actor),
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index message_feedback_client on message_feedback (partner_id, client_id, at);

-- Somebody wants a message that he may not let out himself. At most one is open per delivery.
create table release_requests (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  delivery_id uuid not null,
  state text not null default 'open' check (state in ('open', 'approved', 'denied', 'expired')),
  requested_by text not null,
  requested_role text not null check (requested_role in ('user', 'client_admin', 'technician', 'admin')),
  note text not null default '' check (length(note) <= 1000),
  requested_at timestamptz not null,
  decided_by text,
  decided_at timestamptz,
  decision_note text check (length(decision_note) <= 1000),
  primary key (partner_id, id),
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create unique index release_requests_open on release_requests (partner_id, delivery_id) where state = 'open';
create index release_requests_list on release_requests (partner_id, requested_at desc, id desc);
create index release_requests_delivery on release_requests (partner_id, delivery_id);
create index release_requests_watch on release_requests (id) where state = 'open';

-- Answers that were sent from here, so that the same one asked for twice goes out once.
create table message_replies (
  partner_id uuid not null,
  delivery_id uuid not null,
  -- SHA-256 of subject and text.
  digest bytea not null check (length(digest) = 32),
  -- The answer's own body: a message with this content is the proof that it was sent.
  content_id text not null,
  actor text not null,
  at timestamptz not null,
  primary key (partner_id, delivery_id, digest),
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade
);

do $$
declare
  t text;
begin
  foreach t in array array['message_feedback', 'release_requests', 'message_replies'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;

-- When the body was removed by retention; the row stays until its detail goes.
alter table messages add column content_removed_at timestamptz;
-- Retention goes through all partners' mail, oldest first.
create index messages_age on messages (received_at, id);
create index deliveries_held on deliveries (accepted_at) where disposition = 'quarantined';
