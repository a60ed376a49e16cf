-- The message trace over millions of deliveries, newest first (src/ledger/search.ts). Each index is paid for by every accepted message,
-- those of deliveries twice, since a delivery's end moves its row: so the rare kinds have partial ones, and what is under way has
-- none: the queue knows it.
create index deliveries_newest on deliveries (partner_id, accepted_at desc, id desc);
create index deliveries_recipient on deliveries (partner_id, recipient, accepted_at desc, id desc);
create index deliveries_verdict on deliveries (partner_id, verdict, accepted_at desc, id desc)
  where verdict not in ('clean', 'bulk', 'spam');
create index deliveries_disposition on deliveries (partner_id, disposition, accepted_at desc, id desc)
  where disposition not in ('queued', 'deferred', 'delivered', 'quarantined');
create index messages_sender on messages (partner_id, sender, received_at desc);
create index messages_header_id on messages (partner_id, header_message_id);
create index messages_remote on messages (partner_id, remote_address, received_at desc);

-- Fragments: trigrams. pg_trgm is a trusted extension of PostgreSQL's own packages, so that an owner who may create in the database
-- may have it. It gets a schema of its own, unless it is there already.
create schema if not exists extensions;
create extension if not exists pg_trgm with schema extensions;
do $$
declare
  trigrams constant text := (select format('%I.gin_trgm_ops', n.nspname) from pg_opclass o join pg_namespace n on n.oid = o.opcnamespace
                             where o.opcname = 'gin_trgm_ops');
begin
  -- New entries wait in a list of half a megabyte: its emptying must not hold up the message that fills it.
  execute format('create index messages_fragments on messages using gin (subject %s, sender %s) with (gin_pending_list_limit = 512)',
    trigrams, trigrams);
  execute format('create index messages_attachments on messages using gin ((attachments::text) %s)
    with (gin_pending_list_limit = 512) where attachments <> ''[]''', trigrams);
  execute format('create index deliveries_recipients on deliveries using gin (recipient %s) with (gin_pending_list_limit = 512)',
    trigrams);
end $$;

-- ILIKE is not leakproof, so under row-level security PostgreSQL uses no index for it: a condition of the caller must not see a row
-- before the policy has. This function may, and is the only one: it names the tenant itself, takes no other condition, and answers
-- with ids alone, at most `most`; null is none. Without a tenant it finds nothing. The policies let it read when the owner is no
-- superuser; the owner could give himself such a policy at any time.
create function trace_candidates(part text, fragment text, most integer) returns uuid[]
  language plpgsql stable security definer
  set search_path = pg_catalog, public, pg_temp
  set enable_seqscan = off
  set enable_indexscan = off
as $$
declare
  found uuid[];
begin
  -- Each by EXECUTE, so that it is planned for this fragment.
  if part = 'subject' then
    execute 'select array_agg(c.id) from (select m.id from messages m
               where m.partner_id = current_partner() and m.subject ilike $1 limit $2) as c' into found using fragment, most;
  elsif part = 'attachment' then
    execute 'select array_agg(c.id) from (select m.id from messages m
               where m.partner_id = current_partner() and m.attachments <> ''[]'' and m.attachments::text ilike $1 limit $2) as c'
      into found using fragment, most;
  elsif part = 'text' then
    execute 'select array_agg(c.id) from (
               (select m.id from messages m
                where m.partner_id = current_partner() and (m.subject ilike $1 or m.sender ilike $1) limit $2)
               union
               (select d.message_id from deliveries d where d.partner_id = current_partner() and d.recipient ilike $1 limit $2)
               limit $2) as c'
      into found using fragment, most;
  end if;
  return found;
end $$;
revoke all on function trace_candidates(text, text, integer) from public;
grant execute on function trace_candidates(text, text, integer) to tollgate_app;
do $$
begin
  execute format('create policy trace_candidates on messages for select to %I using (true)', current_user);
  execute format('create policy trace_candidates on deliveries for select to %I using (true)', current_user);
end $$;
