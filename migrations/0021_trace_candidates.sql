-- `union` counted messages after each half had been cut off at so many deliveries: with a mail to thousands of people among them an answer
-- that left messages out looked whole, and a search for a fragment missed mail. With `union all` the answer has `most` ids whenever one
-- may be missing; an id may be there more than once.
create or replace function trace_candidates(part text, fragment text, most integer) returns uuid[]
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
               union all
               (select d.message_id from deliveries d where d.partner_id = current_partner() and d.recipient ilike $1 limit $2)
               limit $2) as c'
      into found using fragment, most;
  end if;
  return found;
end $$;
