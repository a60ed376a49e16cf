-- What a client's people said of mail, as the filter's features of it, so that a model can be made again from the rows when the
-- bodies are gone. Null features: the body could not be read.
create table learned_examples (
  partner_id uuid not null,
  feedback_id uuid not null,
  client_id uuid not null,
  -- Of the content model that read it (data/model.bin).
  model_version bigint not null,
  -- At most 512 buckets, 4 bytes each, little-endian.
  features bytea check (octet_length(features) <= 2048),
  -- What the content model thought: log-odds of spam.
  margin double precision not null,
  primary key (partner_id, feedback_id),
  foreign key (partner_id, feedback_id) references message_feedback (partner_id, id) on delete cascade,
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index learned_examples_client on learned_examples (partner_id, client_id);

-- Each client's own small model; layout in src/pipeline/learned.ts.
create table client_models (
  partner_id uuid not null,
  client_id uuid not null,
  -- Grows with every change of the model.
  version integer not null check (version > 0),
  model bytea not null check (octet_length(model) <= 131072),
  examples integer not null,
  -- The day (UTC) that the age of feedback was counted from.
  as_of date not null,
  trained_at timestamptz not null,
  primary key (partner_id, client_id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);

-- Gateways keep models in memory (see 0011). A look that changed nothing is not told.
create function note_model_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into directory_changes (partner, client) values (old.partner_id, old.client_id);
  elsif tg_op = 'INSERT' or old.model is distinct from new.model then
    insert into directory_changes (partner, client) values (new.partner_id, new.client_id);
  else
    return null;
  end if;
  perform pg_notify('tollgate_directory', '');
  return null;
end $$;
create trigger changed after insert or update or delete on client_models
  for each row execute function note_model_change();

-- Keeps hashed addresses of one client from being compared with those of another.
alter table clients add column salt bytea not null default uuid_send(gen_random_uuid());

-- Whom a client's people write to and hear from. `correspondent` is SHA-256 of the client's salt and the address.
create table correspondents (
  partner_id uuid not null,
  client_id uuid not null,
  correspondent bytea not null check (length(correspondent) = 32),
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  -- Clean mail that was accepted from it, clean mail that was sent to it, unwanted mail that came in its name.
  received bigint not null,
  sent bigint not null,
  spam bigint not null,
  primary key (partner_id, client_id, correspondent),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index correspondents_age on correspondents (last_seen);

-- Message-IDs of what a client sent lately, as SHA-256 with its salt: who names one answers it.
create table sent_message_ids (
  partner_id uuid not null,
  client_id uuid not null,
  digest bytea not null check (length(digest) = 32),
  sent_at timestamptz not null,
  primary key (partner_id, client_id, digest),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index sent_message_ids_age on sent_message_ids (sent_at);

do $$
declare
  t text;
begin
  foreach t in array array['learned_examples', 'client_models', 'correspondents', 'sent_message_ids'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;
