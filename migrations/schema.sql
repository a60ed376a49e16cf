CREATE OR REPLACE FUNCTION public.current_partner() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $function$ select nullif(current_setting('app.partner', true), '')::uuid $function$ ;
CREATE OR REPLACE FUNCTION public.fold_of(of_partner uuid, of_client uuid, of_dimension text, of_direction text, starts timestamp with time zone, ends timestamp with time zone, below xid8, places integer) RETURNS TABLE(items text[], deliveries bigint[], unwanted bigint[], messages bigint[], rest_deliveries bigint, rest_unwanted bigint, rest_messages bigint, bound bigint, registers bytea) LANGUAGE sql STABLE AS $function$ with counted as ( select r.sender as item, r.deliveries, case when r.verdict in ('clean', 'bulk') then 0 else r.deliveries end as unwanted, r.messages from rollup_senders r where below is null and of_dimension = 'sender' and r.partner_id = of_partner and r.client_id = of_client and r.direction = of_direction and r.bucket >= starts and r.bucket < ends union all select r.item, r.deliveries, r.unwanted, r.messages from rollup_items r where below is null and of_dimension <> 'sender' and r.partner_id = of_partner and r.client_id = of_client and r.dimension = of_dimension and r.direction = of_direction and r.bucket >= starts and r.bucket < ends union all select e.sender, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, case when e.leads & 2 <> 0 then 1 else 0 end from ledger e where below is not null and of_dimension = 'sender' and e.partner_id = of_partner and e.client_id = of_client and e.direction = of_direction and e.occurred_at >= starts and e.occurred_at < ends and e.xid < below and e.kind in ('accepted', 'rejected') union all select i.item, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, case when e.leads & 2 <> 0 then 1 else 0 end from ledger e join messages m on m.partner_id = e.partner_id and m.id = e.message_id cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i where below is not null and of_dimension <> 'sender' and i.dimension = of_dimension and e.partner_id = of_partner and e.client_id = of_client and e.direction = of_direction and e.occurred_at >= starts and e.occurred_at < ends and e.xid < below and e.kind in ('accepted', 'rejected')), summed as ( select c.item, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted, sum(c.messages)::bigint as messages from counted c group by c.item), ranked as materialized ( select s.*, row_number() over (order by s.deliveries desc, s.item collate "C") as place from summed s), hashed as ( select hll_index(h.hash) as at, max(hll_rank(h.hash)) as rank from (select hll_hash(r.item) as hash from ranked r where of_dimension = 'sender') as h group by 1), placed as (select h.at, h.rank, h.at - coalesce(lag(h.at) over (order by h.at), -1) - 1 as gap from hashed h), sketch as ( select case when count(*) < 1365 then '\x00'::bytea || string_agg(decode(lpad(to_hex(p.at), 4, '0') || lpad(to_hex(p.rank), 2, '0'), 'hex'), ''::bytea order by p.at) else '\x01'::bytea || string_agg(decode(repeat('00', p.gap) || lpad(to_hex(p.rank), 2, '0'), 'hex'), ''::bytea order by p.at) end as registers from placed p) select coalesce(array_agg(r.item order by r.place) filter (where r.place <= places), '{}'), coalesce(array_agg(r.deliveries order by r.place) filter (where r.place <= places), '{}'), coalesce(array_agg(r.unwanted order by r.place) filter (where r.place <= places), '{}'), coalesce(array_agg(r.messages order by r.place) filter (where r.place <= places), '{}'), coalesce(sum(r.deliveries) filter (where r.place > places), 0)::bigint, coalesce(sum(r.unwanted) filter (where r.place > places), 0)::bigint, coalesce(sum(r.messages) filter (where r.place > places), 0)::bigint, coalesce(max(r.deliveries) filter (where r.place > places), 0)::bigint, (select s.registers from sketch s) from ranked r $function$ ;
CREATE OR REPLACE FUNCTION public.halved(before timestamp with time zone, after timestamp with time zone, half_life double precision) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$ select power(0.5, greatest(0, extract(epoch from after - before)::double precision * 1000) / half_life) $function$ ;
CREATE OR REPLACE FUNCTION public.hll_hash(item text) RETURNS bit LANGUAGE sql IMMUTABLE AS $function$ select ('x' || encode(substr(sha256(convert_to(item, 'UTF8')), 1, 8), 'hex'))::bit(64) $function$ ;
CREATE OR REPLACE FUNCTION public.hll_index(hash bit) RETURNS integer LANGUAGE sql IMMUTABLE AS $function$ select substring(hash from 1 for 12)::integer $function$ ;
CREATE OR REPLACE FUNCTION public.hll_rank(hash bit) RETURNS integer LANGUAGE sql IMMUTABLE AS $function$ select 53 - length(ltrim(substring(hash from 13 for 52)::text, '0')) $function$ ;
CREATE OR REPLACE FUNCTION public.message_items(attachments jsonb, campaign text, verdict text) RETURNS TABLE(dimension text, item text) LANGUAGE sql IMMUTABLE AS $function$ select distinct 'attachment_type'::text, coalesce(lower(substring(a.one ->> 'name' from '\.([A-Za-z0-9]{1,10})$')), nullif(lower(left(a.one ->> 'type', 100)), ''), 'unknown') from jsonb_path_query(attachments, '$[*]') as a (one) union all select 'subject', campaign where campaign <> '' and verdict not in ('clean', 'bulk') $function$ ;
CREATE OR REPLACE FUNCTION public.note_directory_change() RETURNS trigger LANGUAGE plpgsql AS $function$ begin if tg_op = 'UPDATE' then if tg_table_name = 'clients' then insert into directory_changes (partner, client) select partner_id, id from before union select partner_id, id from after; else insert into directory_changes (partner, client) select partner_id, client_id from before union select partner_id, client_id from after; end if; elsif tg_table_name = 'clients' then insert into directory_changes (partner, client) select distinct partner_id, id from after; else insert into directory_changes (partner, client) select distinct partner_id, client_id from after; end if; perform pg_notify('tollgate_directory', ''); return null; end $function$ ;
CREATE OR REPLACE FUNCTION public.note_live_change() RETURNS trigger LANGUAGE plpgsql AS $function$ begin insert into live_changes (partner_id, kind, id, client_id) values (new.partner_id, tg_argv[0], new.id, new.client_id) on conflict do nothing; perform pg_notify('tollgate_live', ''); return null; end $function$ ;
CREATE OR REPLACE FUNCTION public.note_live_signal() RETURNS trigger LANGUAGE plpgsql AS $function$ begin perform pg_notify('tollgate_live', tg_argv[0]); return null; end $function$ ;
CREATE OR REPLACE FUNCTION public.note_master_change() RETURNS trigger LANGUAGE plpgsql AS $function$ begin insert into directory_changes (partner, client) values (null, null); perform pg_notify('tollgate_directory', ''); return null; end $function$ ;
CREATE OR REPLACE FUNCTION public.note_model_change() RETURNS trigger LANGUAGE plpgsql AS $function$ begin if tg_op = 'DELETE' then insert into directory_changes (partner, client) values (old.partner_id, old.client_id); elsif tg_op = 'INSERT' or old.model is distinct from new.model then insert into directory_changes (partner, client) values (new.partner_id, new.client_id); else return null; end if; perform pg_notify('tollgate_directory', ''); return null; end $function$ ;
CREATE OR REPLACE FUNCTION public.queue_direction() RETURNS trigger LANGUAGE plpgsql AS $function$ begin select d.direction into new.direction from deliveries d where d.partner_id = new.partner_id and d.id = new.delivery_id; return new; end $function$ ;
CREATE OR REPLACE FUNCTION public.region_allows(partner uuid, client uuid, delivery uuid, node_region text) RETURNS boolean LANGUAGE sql STABLE AS $function$ select coalesce( (select coalesce(region_allows.node_region = any(s.regions), false) from region_strategies s where s.partner_id = region_allows.partner and s.client_id = region_allows.client and (s.domain is null or s.domain = (select d.domain from deliveries d where d.partner_id = region_allows.partner and d.id = region_allows.delivery)) order by s.domain nulls last limit 1), true) $function$ ;
CREATE OR REPLACE FUNCTION public.route_strategies(partner uuid, client uuid, route_domain text) RETURNS TABLE(regions text[]) LANGUAGE sql STABLE SET search_path TO 'pg_catalog', 'public', 'pg_temp' AS $function$ select (select s.regions from region_strategies s where s.partner_id = route_strategies.partner and s.client_id = route_strategies.client and (s.domain is null or s.domain = d.name) order by s.domain nulls last limit 1) from (with mine as ( select d.name from domains d where d.partner_id = route_strategies.partner and d.client_id = route_strategies.client and case when route_strategies.route_domain is null then not exists (select from routes r where r.partner_id = d.partner_id and r.client_id = d.client_id and r.domain = d.name) else d.name = route_strategies.route_domain end) select m.name from mine m union all -- Of no domain, as of a client that has none yet: the client's own strategy. select null where not exists (select from mine)) as d $function$ ;
CREATE OR REPLACE FUNCTION public.trace_candidates(part text, fragment text, most integer) RETURNS uuid[] LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path TO 'pg_catalog', 'public', 'pg_temp' SET enable_seqscan TO 'off' SET enable_indexscan TO 'off' AS $function$ declare found uuid[]; begin -- Each by EXECUTE, so that it is planned for this fragment. if part = 'subject' then execute 'select array_agg(c.id) from (select m.id from messages m where m.partner_id = current_partner() and m.subject ilike $1 limit $2) as c' into found using fragment, most; elsif part = 'attachment' then execute 'select array_agg(c.id) from (select m.id from messages m where m.partner_id = current_partner() and m.attachments <> ''[]'' and m.attachments::text ilike $1 limit $2) as c' into found using fragment, most; elsif part = 'text' then execute 'select array_agg(c.id) from ( (select m.id from messages m where m.partner_id = current_partner() and (m.subject ilike $1 or m.sender ilike $1) limit $2) union all (select d.message_id from deliveries d where d.partner_id = current_partner() and d.recipient ilike $1 limit $2) limit $2) as c' into found using fragment, most; end if; return found; end $function$ ;

create table accepted_digests (
  digest bytea not null,
  content_id text not null,
  rejected boolean not null,
  accepted_at timestamp with time zone not null,
  unheard boolean not null default false
);
create table addresses (
  partner_id uuid not null,
  client_id uuid not null,
  address text not null,
  mailbox_id uuid not null,
  kind text not null,
  created_at timestamp with time zone not null
);
create table aggregate_mails (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  domain text not null,
  content_id text not null,
  bytes bigint not null,
  sender text not null,
  remote_address text not null,
  authenticated_domain text,
  received_at timestamp with time zone not null,
  state text not null,
  reason text,
  tries integer not null default 0,
  due_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  content_removed_at timestamp with time zone
);
create table aggregate_reports (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid,
  kind text,
  state text not null,
  reason text,
  source text not null,
  mail_id uuid,
  file_name text not null,
  standing smallint not null,
  org text not null,
  contact text not null,
  report_id text not null,
  domain text,
  policy_domain text not null,
  period_from timestamp with time zone,
  period_to timestamp with time zone,
  day date,
  digest bytea not null,
  records integer not null,
  messages bigint not null,
  policy text,
  received_at timestamp with time zone not null
);
create table api_keys (
  partner_id uuid not null,
  id uuid not null,
  label text not null,
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  documents_only boolean not null default false
);
create table audit (
  partner_id uuid not null,
  id uuid not null,
  at timestamp with time zone not null,
  actor text not null,
  action text not null,
  subject text not null,
  details jsonb not null default '{}'::jsonb
);
create table billing_lines (
  partner_id uuid not null,
  plan_id uuid not null,
  client_id uuid not null,
  product text not null,
  connection_id uuid,
  contract_id text,
  line_id text,
  before_quantity integer,
  target_quantity integer,
  effective_date date,
  state text not null,
  reason text,
  sent_at timestamp with time zone,
  after_quantity integer,
  verified_at timestamp with time zone,
  unit_price numeric,
  currency text
);
create table billing_plans (
  partner_id uuid not null,
  id uuid not null,
  usage_day date not null,
  state text not null,
  created_at timestamp with time zone not null,
  approved_at timestamp with time zone,
  approved_by text,
  finished_at timestamp with time zone
);
create table client_models (
  partner_id uuid not null,
  client_id uuid not null,
  version integer not null,
  model bytea not null,
  examples integer not null,
  as_of date not null,
  trained_at timestamp with time zone not null
);
create table clients (
  partner_id uuid not null,
  id uuid not null,
  name text not null,
  time_zone text not null,
  status text not null default 'active'::text,
  policy jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null,
  salt bytea not null default uuid_send(gen_random_uuid())
);
create table correspondents (
  partner_id uuid not null,
  client_id uuid not null,
  correspondent bytea not null,
  first_seen timestamp with time zone not null,
  last_seen timestamp with time zone not null,
  received bigint not null,
  sent bigint not null,
  spam bigint not null
);
create table day_judgements (
  partner_id uuid not null,
  client_id uuid not null,
  metric text not null,
  day date not null,
  judgement text not null,
  actual bigint not null,
  expected double precision,
  score double precision,
  judged_at timestamp with time zone not null
);
create table deliveries (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  message_id uuid not null,
  mailbox_id uuid,
  recipient text not null,
  domain text not null,
  direction text not null,
  verdict text not null,
  disposition text not null,
  score real not null,
  reasons jsonb not null default '[]'::jsonb,
  transform text not null default 'none'::text,
  accepted_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  released_at timestamp with time zone,
  released_by text,
  release_due_at timestamp with time zone,
  remote_reply text,
  dsn_notify text,
  dsn_orcpt text,
  original_state text,
  original_at timestamp with time zone
);
create table delivery_attempts (
  partner_id uuid not null,
  delivery_id uuid not null,
  id uuid not null,
  at timestamp with time zone not null,
  node text not null,
  node_region text,
  host text not null,
  address text,
  port integer not null,
  region text,
  tls_version text,
  tls_cipher text,
  tls_verified boolean,
  code integer not null,
  reply text not null,
  duration_ms integer not null,
  path text not null default 'direct'::text
);
create table delivery_counters (
  name text not null,
  value bigint not null default 0
);
create table destination_backoff (
  destination text not null,
  reason text not null,
  failures integer not null,
  parked_until timestamp with time zone,
  epoch integer not null,
  slots integer,
  slots_at timestamp with time zone,
  since timestamp with time zone not null
);
create table digest_items (
  partner_id uuid not null,
  scope text not null,
  subject_id uuid not null,
  delivery_id uuid not null,
  slot timestamp with time zone not null
);
create table digest_runs (
  partner_id uuid not null,
  scope text not null,
  subject_id uuid not null,
  slot timestamp with time zone not null,
  mailbox_id uuid,
  client_id uuid,
  origin text not null,
  recipient text not null,
  items integer not null,
  message_id uuid not null,
  created_at timestamp with time zone not null
);
create table digest_settings (
  partner_id uuid not null,
  id uuid not null,
  audience text not null,
  client_id uuid,
  mailbox_id uuid,
  settings jsonb not null,
  updated_at timestamp with time zone not null
);
create table directory_changes (
  xid xid8 not null default pg_current_xact_id(),
  partner uuid,
  client uuid
);
create table dkim_keys (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text not null,
  selector text not null,
  algorithm text not null,
  private_key bytea not null,
  public_key text not null,
  created_at timestamp with time zone not null,
  activated_at timestamp with time zone,
  retired_at timestamp with time zone
);
create table dmarc_records (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  source_ip inet not null,
  disposition text not null,
  dkim_aligned boolean not null,
  spf_aligned boolean not null,
  header_from text not null,
  envelope_from text not null,
  dkim_domain text not null,
  dkim_selector text not null,
  dkim_result text not null,
  spf_domain text not null,
  spf_result text not null,
  overrides text[] not null,
  messages bigint not null
);
create table domains (
  partner_id uuid not null,
  client_id uuid not null,
  name text not null,
  created_at timestamp with time zone not null,
  report_token text not null default replace((gen_random_uuid())::text, '-'::text, ''::text)
);
create table greylist (
  partner_id uuid not null,
  key bytea not null,
  first_seen_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  passed_at timestamp with time zone
);
create table group_members (
  partner_id uuid not null,
  group_id uuid not null,
  mailbox_id uuid not null
);
create table harvest_windows (
  partner_id uuid not null,
  client_id uuid not null,
  domain text not null,
  network text not null,
  window_at timestamp with time zone not null,
  unknown integer not null
);
create table incidents (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  rule text not null,
  subject text not null,
  state text not null,
  severity text not null,
  title text not null,
  description text not null,
  resolution text,
  occurrences integer not null default 1,
  opened_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  resolved_at timestamp with time zone,
  ticket_state text not null default 'wanted'::text,
  ticket_key text not null,
  ticket_id text,
  ticket_number text,
  ticket_connection_id uuid,
  ticket_attempts integer not null default 0,
  ticket_next_at timestamp with time zone,
  ticket_intent_at timestamp with time zone,
  ticket_note text,
  noted_occurrences integer not null default 1,
  ticket_epoch integer not null default 0,
  ticket_lease_until timestamp with time zone
);
create table insight_settings (
  partner_id uuid not null,
  seconds jsonb not null default '{}'::jsonb,
  anomaly_alerts text not null default 'incident'::text
);
create table learned_examples (
  partner_id uuid not null,
  feedback_id uuid not null,
  client_id uuid not null,
  model_version bigint not null,
  features bytea,
  margin double precision not null
);
create table ledger (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  occurred_at timestamp with time zone not null,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  direction text not null,
  message_id uuid,
  delivery_id uuid,
  mailbox_id uuid,
  recipient text not null,
  domain text not null,
  sender text not null,
  verdict text,
  disposition text,
  reasons text[] not null default '{}'::text[],
  bytes bigint not null,
  leads smallint not null default 0,
  latency_ms bigint,
  node text not null
) partition by RANGE (occurred_at);
create table ledger_default (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  occurred_at timestamp with time zone not null,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  direction text not null,
  message_id uuid,
  delivery_id uuid,
  mailbox_id uuid,
  recipient text not null,
  domain text not null,
  sender text not null,
  verdict text,
  disposition text,
  reasons text[] not null default '{}'::text[],
  bytes bigint not null,
  leads smallint not null default 0,
  latency_ms bigint,
  node text not null
) -- partition of ledger DEFAULT;
create table list_entries (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid,
  mailbox_id uuid,
  kind text not null,
  pattern text not null,
  created_at timestamp with time zone not null
);
create table live_changes (
  partner_id uuid not null,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  id uuid not null,
  client_id uuid not null,
  changed_at timestamp with time zone not null default now()
);
create table mailboxes (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  address text not null,
  name text not null,
  kind text not null,
  status text not null default 'active'::text,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  forward_to text,
  forward_keep boolean not null default true
);
create table master_list_entries (
  id uuid not null,
  kind text not null,
  pattern text not null,
  created_at timestamp with time zone not null
);
create table message_feedback (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  delivery_id uuid not null,
  mailbox_id uuid,
  content_id text not null,
  kind text not null,
  verdict text not null,
  actor_kind text not null,
  actor text not null,
  at timestamp with time zone not null
);
create table message_replies (
  partner_id uuid not null,
  delivery_id uuid not null,
  digest bytea not null,
  content_id text not null,
  actor text not null,
  at timestamp with time zone not null
);
create table messages (
  partner_id uuid not null,
  id uuid not null,
  content_id text not null,
  direction text not null,
  sender text not null,
  remote_address text not null,
  helo text not null,
  tls boolean not null,
  header_message_id text not null,
  from_address text not null,
  from_name text not null,
  subject text not null,
  attachments jsonb not null default '[]'::jsonb,
  bytes bigint not null,
  sha256 bytea not null,
  authentication_results text,
  received_at timestamp with time zone not null,
  node text not null,
  dsn_ret text,
  dsn_envid text,
  smtp_utf8 boolean not null default false,
  content_removed_at timestamp with time zone,
  campaign text
);
create table mta_sts_policies (
  domain text not null,
  policy_id text not null,
  mode text not null,
  mx text[] not null,
  fetched_at timestamp with time zone not null,
  expires_at timestamp with time zone not null
);
create table network_reputation (
  network text not null,
  ham double precision not null,
  spam double precision not null,
  unknown double precision not null,
  auth_failures double precision not null,
  protocol_errors double precision not null,
  updated_at timestamp with time zone not null,
  window_at timestamp with time zone not null,
  window_known integer not null,
  window_unknown integer not null
);
create table node_beats (
  node text not null,
  xid xid8 not null default pg_current_xact_id(),
  heartbeat_at timestamp with time zone not null,
  flushed_through timestamp with time zone not null,
  state text not null
);
create table node_regions (
  node text not null,
  region text not null,
  seen_at timestamp with time zone not null
);
create table nodes (
  id text not null,
  role text not null,
  started_at timestamp with time zone not null,
  heartbeat_at timestamp with time zone not null,
  flushed_through timestamp with time zone not null,
  state text not null
);
create table outbound_counts (
  partner_id uuid not null,
  scope text not null,
  scope_id uuid not null,
  bucket timestamp with time zone not null,
  recipients bigint not null,
  first_time bigint not null
);
create table outbound_known (
  partner_id uuid not null,
  scope text not null,
  scope_id uuid not null,
  recipient bytea not null,
  seen_on date not null
);
create table outbound_limits (
  partner_id uuid not null,
  client_id uuid,
  mailbox_id uuid,
  recipients_per_hour integer,
  first_time_per_day integer,
  updated_at timestamp with time zone not null
);
create table outbound_starts (
  partner_id uuid not null,
  client_id uuid not null,
  started_at timestamp with time zone not null
);
create table partners (
  id uuid not null,
  name text not null,
  brand jsonb not null default '{}'::jsonb,
  logo bytea,
  created_at timestamp with time zone not null
);
create table persisted_documents (
  partner_id uuid not null,
  sha256 bytea not null,
  document text not null,
  created_at timestamp with time zone not null,
  created_by text not null
);
create table psa_connections (
  partner_id uuid not null,
  id uuid not null,
  kind text not null,
  url text not null,
  credentials bytea not null,
  settings jsonb not null default '{}'::jsonb,
  created_at timestamp with time zone not null
);
create table psa_mappings (
  partner_id uuid not null,
  client_id uuid not null,
  connection_id uuid not null,
  company_id text not null,
  company_name text not null,
  state text not null default 'ok'::text,
  checked_at timestamp with time zone not null
);
create table queue (
  partner_id uuid not null,
  delivery_id uuid not null,
  client_id uuid not null,
  message_id uuid not null,
  content_id text not null,
  sender text not null,
  recipient text not null,
  domain text not null,
  kind text not null default 'mail'::text,
  attempts integer not null default 0,
  queued_at timestamp with time zone not null,
  due_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  lease_owner text,
  lease_until timestamp with time zone,
  last_reply text,
  notice_due_at timestamp with time zone,
  held_at timestamp with time zone,
  held_reason text,
  direction text not null,
  waiting boolean not null default false,
  destination text
);
create table region_strategies (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text,
  regions text[] not null,
  recipient_servers boolean not null default false,
  created_at timestamp with time zone not null
);
create table release_requests (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  delivery_id uuid not null,
  state text not null default 'open'::text,
  requested_by text not null,
  requested_role text not null,
  note text not null default ''::text,
  requested_at timestamp with time zone not null,
  decided_by text,
  decided_at timestamp with time zone,
  decision_note text
);
create table report_runs (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  report text not null,
  period_from date not null,
  period_to date not null,
  time_zone text not null,
  version integer not null,
  state text not null,
  complete boolean,
  complete_through timestamp with time zone,
  content_id text,
  bytes integer,
  sha256 bytea,
  document_id text,
  document_state text not null default 'none'::text,
  error text,
  requested_at timestamp with time zone not null,
  due_at timestamp with time zone not null,
  deadline_at timestamp with time zone not null,
  issued_at timestamp with time zone
);
create table retention_floor (
  only_row boolean not null default true,
  whole_from timestamp with time zone not null
);
create table rollup_days (
  partner_id uuid not null,
  day date not null,
  client_id uuid not null,
  direction text not null,
  messages integer not null,
  partner_messages integer not null,
  deliveries integer not null,
  refused integer not null,
  bytes bigint not null,
  partner_bytes bigint not null,
  verdict_clean integer not null,
  verdict_bulk integer not null,
  verdict_spam integer not null,
  verdict_spoof integer not null,
  verdict_phish integer not null,
  verdict_policy integer not null,
  verdict_unscannable integer not null,
  verdict_malware integer not null,
  ended_queued integer not null,
  ended_deferred integer not null,
  ended_delivered integer not null,
  ended_tagged integer not null,
  ended_stripped integer not null,
  ended_quarantined integer not null,
  ended_rejected integer not null,
  ended_bounced integer not null,
  ended_expired integer not null,
  ended_discarded integer not null,
  ended_released integer not null
);
create table rollup_folds (
  partner_id uuid not null,
  client_id uuid not null,
  dimension text not null,
  direction text not null,
  starts timestamp with time zone not null,
  ends timestamp with time zone not null,
  items text[] not null,
  deliveries bigint[] not null,
  unwanted bigint[] not null,
  messages bigint[] not null,
  rest_deliveries bigint not null,
  rest_unwanted bigint not null,
  rest_messages bigint not null,
  bound bigint not null,
  registers bytea
);
create table rollup_items (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  dimension text not null,
  direction text not null,
  item text not null,
  deliveries bigint not null,
  unwanted bigint not null,
  messages bigint not null
);
create table rollup_late (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  noticed_at timestamp with time zone not null,
  events bigint not null
);
create table rollup_mailbox_days (
  partner_id uuid not null,
  client_id uuid not null,
  day date not null,
  mailbox_id uuid not null,
  received bigint not null,
  unwanted bigint not null,
  sent bigint not null
);
create table rollup_mailboxes (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  mailbox_id uuid not null,
  direction text not null,
  verdict text not null,
  deliveries bigint not null,
  messages bigint not null,
  bytes bigint not null
);
create table rollup_months (
  partner_id uuid not null,
  day date not null,
  client_id uuid not null,
  direction text not null,
  messages integer not null,
  partner_messages integer not null,
  deliveries integer not null,
  refused integer not null,
  bytes bigint not null,
  partner_bytes bigint not null,
  verdict_clean integer not null,
  verdict_bulk integer not null,
  verdict_spam integer not null,
  verdict_spoof integer not null,
  verdict_phish integer not null,
  verdict_policy integer not null,
  verdict_unscannable integer not null,
  verdict_malware integer not null,
  ended_queued integer not null,
  ended_deferred integer not null,
  ended_delivered integer not null,
  ended_tagged integer not null,
  ended_stripped integer not null,
  ended_quarantined integer not null,
  ended_rejected integer not null,
  ended_bounced integer not null,
  ended_expired integer not null,
  ended_discarded integer not null,
  ended_released integer not null
);
create table rollup_reasons (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  direction text not null,
  reason text not null,
  deliveries bigint not null
);
create table rollup_senders (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  sender text not null,
  direction text not null,
  verdict text not null,
  deliveries bigint not null,
  messages bigint not null,
  bytes bigint not null
);
create table rollup_sketches (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
  direction text not null,
  metric text not null,
  bin smallint not null,
  count bigint not null,
  partner_count bigint not null
);
create table rollup_state (
  only_row boolean not null default true,
  cluster bigint not null,
  cursor xid8 not null,
  rolled_at timestamp with time zone not null,
  mark xid8 not null,
  mark_at timestamp with time zone not null,
  settled_at timestamp with time zone not null,
  pending bigint not null
);
create table rollup_traffic (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamp with time zone not null,
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
  partner_bytes bigint not null
);
create table rollup_watermarks (
  node text not null,
  complete_through timestamp with time zone not null,
  state text not null
);
create table rollup_zones (
  partner_id uuid not null,
  client_id uuid not null,
  time_zone text not null
);
create table route_health (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null,
  state text not null,
  failures integer not null,
  since timestamp with time zone not null,
  last_error text,
  checked_at timestamp with time zone not null
);
create table routes (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text,
  host text not null,
  port integer not null,
  priority integer not null default 10,
  tls text not null default 'opportunistic'::text,
  created_at timestamp with time zone not null,
  kind text not null default 'relay'::text,
  weight integer not null default 1,
  region text
);
create table schema_migrations (
  version integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now()
);
create table sent_message_ids (
  partner_id uuid not null,
  client_id uuid not null,
  digest bytea not null,
  sent_at timestamp with time zone not null
);
create table server_probes (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null,
  state text,
  since timestamp with time zone,
  strikes integer not null default 0,
  silent boolean not null default false,
  latency_ms integer,
  banner text,
  certificate_until timestamp with time zone,
  last_error text,
  checked_at timestamp with time zone,
  due_at timestamp with time zone not null
);
create table server_states (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null,
  from_at timestamp with time zone not null,
  to_at timestamp with time zone not null,
  state text not null
);
create table submission_credentials (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  mailbox_id uuid,
  username text not null,
  secret bytea not null,
  created_at timestamp with time zone not null,
  revoked_at timestamp with time zone
);
create table submission_networks (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  network cidr not null,
  created_at timestamp with time zone not null
);
create table subscriptions (
  partner_id uuid not null,
  client_id uuid not null,
  product text not null,
  connection_id uuid not null,
  contract_id text not null,
  line_id text not null,
  created_at timestamp with time zone not null
);
create table threat_traits (
  partner_id uuid not null,
  message_id uuid not null,
  kind text not null,
  digest bytea not null,
  label text not null,
  occurred_at timestamp with time zone not null
);
create table tls_policies (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  policy_type text not null,
  successful bigint not null,
  failed bigint not null
);
create table tls_results (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  policy_type text not null,
  result_type text not null,
  sending_mta inet,
  receiving_mx text not null,
  sessions bigint not null
);
create table usage_snapshots (
  partner_id uuid not null,
  client_id uuid not null,
  product text not null,
  day date not null,
  quantity integer not null,
  addresses text[] not null,
  taken_at timestamp with time zone not null
);

alter table accepted_digests add constraint accepted_digests_digest_check CHECK ((length(digest) = 32));
alter table accepted_digests add constraint accepted_digests_pkey PRIMARY KEY (digest);
alter table addresses add constraint addresses_address_check CHECK ((address = lower(address)));
alter table addresses add constraint addresses_kind_check CHECK ((kind = ANY (ARRAY['primary'::text, 'alias'::text])));
alter table addresses add constraint addresses_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table addresses add constraint addresses_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table addresses add constraint addresses_pkey PRIMARY KEY (partner_id, address);
alter table aggregate_mails add constraint aggregate_mails_check CHECK (((state = 'waiting'::text) = (ended_at IS NULL)));
alter table aggregate_mails add constraint aggregate_mails_check1 CHECK (((state = 'refused'::text) = (reason IS NOT NULL)));
alter table aggregate_mails add constraint aggregate_mails_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table aggregate_mails add constraint aggregate_mails_pkey PRIMARY KEY (partner_id, id);
alter table aggregate_mails add constraint aggregate_mails_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'taken'::text, 'refused'::text])));
alter table aggregate_reports add constraint aggregate_reports_check CHECK (((state = 'taken'::text) = (reason IS NULL)));
alter table aggregate_reports add constraint aggregate_reports_check1 CHECK (((state = 'refused'::text) OR ((kind IS NOT NULL) AND (client_id IS NOT NULL) AND (domain IS NOT NULL) AND (day IS NOT NULL))));
alter table aggregate_reports add constraint aggregate_reports_digest_check CHECK ((length(digest) = 32));
alter table aggregate_reports add constraint aggregate_reports_kind_check CHECK ((kind = ANY (ARRAY['dmarc'::text, 'tls'::text])));
alter table aggregate_reports add constraint aggregate_reports_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table aggregate_reports add constraint aggregate_reports_pkey PRIMARY KEY (partner_id, id);
alter table aggregate_reports add constraint aggregate_reports_source_check CHECK ((source = ANY (ARRAY['mail'::text, 'file'::text])));
alter table aggregate_reports add constraint aggregate_reports_standing_check CHECK (((standing >= 0) AND (standing <= 2)));
alter table aggregate_reports add constraint aggregate_reports_state_check CHECK ((state = ANY (ARRAY['taken'::text, 'conflict'::text, 'refused'::text])));
alter table api_keys add constraint api_keys_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table api_keys add constraint api_keys_pkey PRIMARY KEY (partner_id, id);
alter table api_keys add constraint api_keys_secret_hash_check CHECK ((length(secret_hash) = 32));
alter table audit add constraint audit_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table audit add constraint audit_pkey PRIMARY KEY (partner_id, id);
alter table billing_lines add constraint billing_lines_check CHECK (((unit_price IS NULL) OR (currency IS NOT NULL)));
alter table billing_lines add constraint billing_lines_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table billing_lines add constraint billing_lines_partner_id_plan_id_fkey FOREIGN KEY (partner_id, plan_id) REFERENCES billing_plans(partner_id, id) ON DELETE CASCADE;
alter table billing_lines add constraint billing_lines_pkey PRIMARY KEY (partner_id, plan_id, client_id, product);
alter table billing_lines add constraint billing_lines_state_check CHECK ((state = ANY (ARRAY['unchanged'::text, 'planned'::text, 'held'::text, 'sending'::text, 'sent'::text, 'verified'::text, 'drift'::text, 'failed'::text])));
alter table billing_plans add constraint billing_plans_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table billing_plans add constraint billing_plans_pkey PRIMARY KEY (partner_id, id);
alter table billing_plans add constraint billing_plans_state_check CHECK ((state = ANY (ARRAY['planned'::text, 'approved'::text, 'applying'::text, 'applied'::text, 'failed'::text, 'superseded'::text])));
alter table client_models add constraint client_models_model_check CHECK ((octet_length(model) <= 131072));
alter table client_models add constraint client_models_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table client_models add constraint client_models_pkey PRIMARY KEY (partner_id, client_id);
alter table client_models add constraint client_models_version_check CHECK ((version > 0));
alter table clients add constraint clients_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)));
alter table clients add constraint clients_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table clients add constraint clients_partner_id_name_key UNIQUE (partner_id, name);
alter table clients add constraint clients_pkey PRIMARY KEY (partner_id, id);
alter table clients add constraint clients_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text])));
alter table correspondents add constraint correspondents_correspondent_check CHECK ((length(correspondent) = 32));
alter table correspondents add constraint correspondents_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table correspondents add constraint correspondents_pkey PRIMARY KEY (partner_id, client_id, correspondent);
alter table day_judgements add constraint day_judgements_judgement_check CHECK ((judgement = ANY (ARRAY['usual'::text, 'high'::text, 'low'::text, 'too_few'::text, 'short_history'::text])));
alter table day_judgements add constraint day_judgements_metric_check CHECK ((metric = ANY (ARRAY['deliveries'::text, 'unwanted'::text])));
alter table day_judgements add constraint day_judgements_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table day_judgements add constraint day_judgements_pkey PRIMARY KEY (partner_id, client_id, metric, day);
alter table deliveries add constraint deliveries_direction_check CHECK ((direction = ANY (ARRAY['inbound'::text, 'outbound'::text])));
alter table deliveries add constraint deliveries_original_state_check CHECK ((original_state = ANY (ARRAY['held'::text, 'requested'::text, 'released'::text, 'failed'::text, 'discarded'::text])));
alter table deliveries add constraint deliveries_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table deliveries add constraint deliveries_partner_id_message_id_fkey FOREIGN KEY (partner_id, message_id) REFERENCES messages(partner_id, id) ON DELETE CASCADE;
alter table deliveries add constraint deliveries_pkey PRIMARY KEY (partner_id, id);
alter table deliveries add constraint deliveries_transform_check CHECK ((transform = ANY (ARRAY['none'::text, 'tag'::text, 'strip'::text])));
alter table delivery_attempts add constraint delivery_attempts_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table delivery_attempts add constraint delivery_attempts_path_check CHECK ((path = ANY (ARRAY['direct'::text, 'second_chance'::text])));
alter table delivery_attempts add constraint delivery_attempts_pkey PRIMARY KEY (partner_id, delivery_id, id);
alter table delivery_counters add constraint delivery_counters_pkey PRIMARY KEY (name);
alter table destination_backoff add constraint destination_backoff_pkey PRIMARY KEY (destination);
alter table destination_backoff add constraint destination_backoff_reason_check CHECK ((reason = ANY (ARRAY['no_answer'::text, 'closing'::text, 'too_many'::text, 'refusing'::text])));
alter table digest_items add constraint digest_items_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table digest_items add constraint digest_items_partner_id_scope_subject_id_slot_fkey FOREIGN KEY (partner_id, scope, subject_id, slot) REFERENCES digest_runs(partner_id, scope, subject_id, slot) ON DELETE CASCADE;
alter table digest_items add constraint digest_items_pkey PRIMARY KEY (partner_id, scope, subject_id, delivery_id);
alter table digest_items add constraint digest_items_scope_check CHECK ((scope = ANY (ARRAY['mailbox'::text, 'client'::text, 'partner'::text])));
alter table digest_runs add constraint digest_runs_items_check CHECK ((items >= 0));
alter table digest_runs add constraint digest_runs_origin_check CHECK ((origin = ANY (ARRAY['schedule'::text, 'request'::text, 'command'::text])));
alter table digest_runs add constraint digest_runs_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table digest_runs add constraint digest_runs_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table digest_runs add constraint digest_runs_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table digest_runs add constraint digest_runs_pkey PRIMARY KEY (partner_id, scope, subject_id, slot);
alter table digest_runs add constraint digest_runs_scope_check CHECK ((scope = ANY (ARRAY['mailbox'::text, 'client'::text, 'partner'::text])));
alter table digest_settings add constraint digest_settings_audience_check CHECK ((audience = ANY (ARRAY['users'::text, 'admin'::text])));
alter table digest_settings add constraint digest_settings_check CHECK (((audience = 'admin'::text) OR (client_id IS NOT NULL)));
alter table digest_settings add constraint digest_settings_check1 CHECK (((mailbox_id IS NULL) OR (audience = 'users'::text)));
alter table digest_settings add constraint digest_settings_partner_id_audience_client_id_mailbox_id_key UNIQUE NULLS NOT DISTINCT (partner_id, audience, client_id, mailbox_id);
alter table digest_settings add constraint digest_settings_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table digest_settings add constraint digest_settings_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table digest_settings add constraint digest_settings_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table digest_settings add constraint digest_settings_pkey PRIMARY KEY (partner_id, id);
alter table dkim_keys add constraint dkim_keys_algorithm_check CHECK ((algorithm = ANY (ARRAY['rsa-sha256'::text, 'ed25519-sha256'::text])));
alter table dkim_keys add constraint dkim_keys_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table dkim_keys add constraint dkim_keys_partner_id_domain_fkey FOREIGN KEY (partner_id, domain) REFERENCES domains(partner_id, name) ON DELETE CASCADE;
alter table dkim_keys add constraint dkim_keys_partner_id_domain_selector_key UNIQUE (partner_id, domain, selector);
alter table dkim_keys add constraint dkim_keys_pkey PRIMARY KEY (partner_id, id);
alter table dmarc_records add constraint dmarc_records_disposition_check CHECK ((disposition = ANY (ARRAY['none'::text, 'quarantine'::text, 'reject'::text, 'pass'::text, 'other'::text])));
alter table dmarc_records add constraint dmarc_records_messages_check CHECK ((messages > 0));
alter table dmarc_records add constraint dmarc_records_partner_id_report_id_fkey FOREIGN KEY (partner_id, report_id) REFERENCES aggregate_reports(partner_id, id) ON DELETE CASCADE;
alter table dmarc_records add constraint dmarc_records_pkey PRIMARY KEY (partner_id, report_id, "position");
alter table domains add constraint domains_name_check CHECK ((name = lower(name)));
alter table domains add constraint domains_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table domains add constraint domains_pkey PRIMARY KEY (partner_id, name);
alter table domains add constraint domains_report_token_check CHECK ((report_token ~ '^[0-9a-f]{32}$'::text));
alter table greylist add constraint greylist_key_check CHECK ((length(key) = 32));
alter table greylist add constraint greylist_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table greylist add constraint greylist_pkey PRIMARY KEY (partner_id, key);
alter table group_members add constraint group_members_partner_id_group_id_fkey FOREIGN KEY (partner_id, group_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table group_members add constraint group_members_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table group_members add constraint group_members_pkey PRIMARY KEY (partner_id, group_id, mailbox_id);
alter table harvest_windows add constraint harvest_windows_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table harvest_windows add constraint harvest_windows_pkey PRIMARY KEY (partner_id, client_id, domain, network, window_at);
alter table incidents add constraint incidents_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table incidents add constraint incidents_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table incidents add constraint incidents_pkey PRIMARY KEY (partner_id, id);
alter table incidents add constraint incidents_severity_check CHECK ((severity = ANY (ARRAY['low'::text, 'normal'::text, 'high'::text, 'critical'::text])));
alter table incidents add constraint incidents_state_check CHECK ((state = ANY (ARRAY['open'::text, 'resolved'::text])));
alter table incidents add constraint incidents_ticket_state_check CHECK ((ticket_state = ANY (ARRAY['wanted'::text, 'creating'::text, 'open'::text, 'resolving'::text, 'resolved'::text, 'held'::text, 'none'::text])));
alter table insight_settings add constraint insight_settings_anomaly_alerts_check CHECK ((anomaly_alerts = ANY (ARRAY['off'::text, 'incident'::text, 'ticket'::text])));
alter table insight_settings add constraint insight_settings_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table insight_settings add constraint insight_settings_pkey PRIMARY KEY (partner_id);
alter table learned_examples add constraint learned_examples_features_check CHECK ((octet_length(features) <= 2048));
alter table learned_examples add constraint learned_examples_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table learned_examples add constraint learned_examples_partner_id_feedback_id_fkey FOREIGN KEY (partner_id, feedback_id) REFERENCES message_feedback(partner_id, id) ON DELETE CASCADE;
alter table learned_examples add constraint learned_examples_pkey PRIMARY KEY (partner_id, feedback_id);
alter table ledger add constraint ledger_direction_check CHECK ((direction = ANY (ARRAY['inbound'::text, 'outbound'::text])));
alter table ledger add constraint ledger_kind_check CHECK ((kind = ANY (ARRAY['accepted'::text, 'rejected'::text, 'refused'::text, 'quarantined'::text, 'deferred'::text, 'delivered'::text, 'bounced'::text, 'expired'::text, 'discarded'::text, 'release_requested'::text, 'original_released'::text, 'original_failed'::text])));
alter table ledger add constraint ledger_pkey PRIMARY KEY (partner_id, id, occurred_at);
alter table ledger_default add constraint ledger_default_pkey PRIMARY KEY (partner_id, id, occurred_at);
alter table ledger_default add constraint ledger_direction_check CHECK ((direction = ANY (ARRAY['inbound'::text, 'outbound'::text])));
alter table ledger_default add constraint ledger_kind_check CHECK ((kind = ANY (ARRAY['accepted'::text, 'rejected'::text, 'refused'::text, 'quarantined'::text, 'deferred'::text, 'delivered'::text, 'bounced'::text, 'expired'::text, 'discarded'::text, 'release_requested'::text, 'original_released'::text, 'original_failed'::text])));
alter table list_entries add constraint list_entries_check CHECK (((mailbox_id IS NULL) OR (client_id IS NOT NULL)));
alter table list_entries add constraint list_entries_kind_check CHECK ((kind = ANY (ARRAY['allow'::text, 'block'::text])));
alter table list_entries add constraint list_entries_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table list_entries add constraint list_entries_partner_id_client_id_mailbox_id_kind_pattern_key UNIQUE NULLS NOT DISTINCT (partner_id, client_id, mailbox_id, kind, pattern);
alter table list_entries add constraint list_entries_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table list_entries add constraint list_entries_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table list_entries add constraint list_entries_pattern_check CHECK ((pattern = lower(pattern)));
alter table list_entries add constraint list_entries_pkey PRIMARY KEY (partner_id, id);
alter table live_changes add constraint live_changes_kind_check CHECK ((kind = ANY (ARRAY['incident'::text, 'report_run'::text, 'release_request'::text])));
alter table live_changes add constraint live_changes_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table live_changes add constraint live_changes_pkey PRIMARY KEY (partner_id, xid, kind, id);
alter table mailboxes add constraint mailboxes_forward_to_check CHECK ((forward_to = lower(forward_to)));
alter table mailboxes add constraint mailboxes_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'shared'::text, 'resource'::text, 'group'::text, 'contact'::text])));
alter table mailboxes add constraint mailboxes_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table mailboxes add constraint mailboxes_pkey PRIMARY KEY (partner_id, id);
alter table mailboxes add constraint mailboxes_status_check CHECK ((status = ANY (ARRAY['active'::text, 'blocked'::text, 'deleted'::text])));
alter table master_list_entries add constraint master_list_entries_kind_check CHECK ((kind = ANY (ARRAY['allow'::text, 'block'::text])));
alter table master_list_entries add constraint master_list_entries_kind_pattern_key UNIQUE (kind, pattern);
alter table master_list_entries add constraint master_list_entries_pattern_check CHECK ((pattern = lower(pattern)));
alter table master_list_entries add constraint master_list_entries_pkey PRIMARY KEY (id);
alter table message_feedback add constraint message_feedback_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['user'::text, 'client_admin'::text, 'technician'::text, 'admin'::text])));
alter table message_feedback add constraint message_feedback_kind_check CHECK ((kind = ANY (ARRAY['spam'::text, 'ham'::text])));
alter table message_feedback add constraint message_feedback_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table message_feedback add constraint message_feedback_partner_id_delivery_id_actor_key UNIQUE (partner_id, delivery_id, actor);
alter table message_feedback add constraint message_feedback_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table message_feedback add constraint message_feedback_pkey PRIMARY KEY (partner_id, id);
alter table message_replies add constraint message_replies_digest_check CHECK ((length(digest) = 32));
alter table message_replies add constraint message_replies_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table message_replies add constraint message_replies_pkey PRIMARY KEY (partner_id, delivery_id, digest);
alter table messages add constraint messages_direction_check CHECK ((direction = ANY (ARRAY['inbound'::text, 'outbound'::text])));
alter table messages add constraint messages_dsn_ret_check CHECK ((dsn_ret = ANY (ARRAY['FULL'::text, 'HDRS'::text])));
alter table messages add constraint messages_pkey PRIMARY KEY (partner_id, id);
alter table mta_sts_policies add constraint mta_sts_policies_domain_check CHECK (((length(domain) >= 1) AND (length(domain) <= 255)));
alter table mta_sts_policies add constraint mta_sts_policies_mode_check CHECK ((mode = ANY (ARRAY['enforce'::text, 'testing'::text, 'none'::text])));
alter table mta_sts_policies add constraint mta_sts_policies_pkey PRIMARY KEY (domain);
alter table network_reputation add constraint network_reputation_pkey PRIMARY KEY (network);
alter table node_beats add constraint node_beats_pkey PRIMARY KEY (node, xid);
alter table node_beats add constraint node_beats_state_check CHECK ((state = ANY (ARRAY['alive'::text, 'stopped'::text, 'retired'::text])));
alter table node_regions add constraint node_regions_pkey PRIMARY KEY (node);
alter table nodes add constraint nodes_pkey PRIMARY KEY (id);
alter table nodes add constraint nodes_state_check CHECK ((state = ANY (ARRAY['alive'::text, 'stopped'::text, 'retired'::text])));
alter table outbound_counts add constraint outbound_counts_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table outbound_counts add constraint outbound_counts_pkey PRIMARY KEY (partner_id, scope, scope_id, bucket);
alter table outbound_counts add constraint outbound_counts_scope_check CHECK ((scope = ANY (ARRAY['mailbox'::text, 'client'::text, 'partner'::text])));
alter table outbound_known add constraint outbound_known_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table outbound_known add constraint outbound_known_pkey PRIMARY KEY (partner_id, scope, scope_id, recipient);
alter table outbound_known add constraint outbound_known_recipient_check CHECK ((length(recipient) = 16));
alter table outbound_known add constraint outbound_known_scope_check CHECK ((scope = ANY (ARRAY['mailbox'::text, 'client'::text])));
alter table outbound_limits add constraint outbound_limits_check CHECK (((mailbox_id IS NULL) OR (client_id IS NOT NULL)));
alter table outbound_limits add constraint outbound_limits_first_time_per_day_check CHECK ((first_time_per_day >= 0));
alter table outbound_limits add constraint outbound_limits_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table outbound_limits add constraint outbound_limits_partner_id_client_id_mailbox_id_key UNIQUE NULLS NOT DISTINCT (partner_id, client_id, mailbox_id);
alter table outbound_limits add constraint outbound_limits_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table outbound_limits add constraint outbound_limits_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table outbound_limits add constraint outbound_limits_recipients_per_hour_check CHECK ((recipients_per_hour >= 0));
alter table outbound_starts add constraint outbound_starts_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table outbound_starts add constraint outbound_starts_pkey PRIMARY KEY (partner_id, client_id);
alter table partners add constraint partners_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)));
alter table partners add constraint partners_pkey PRIMARY KEY (id);
alter table persisted_documents add constraint persisted_documents_document_check CHECK ((length(document) <= 20000));
alter table persisted_documents add constraint persisted_documents_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table persisted_documents add constraint persisted_documents_pkey PRIMARY KEY (partner_id, sha256);
alter table persisted_documents add constraint persisted_documents_sha256_check CHECK ((length(sha256) = 32));
alter table psa_connections add constraint psa_connections_kind_check CHECK ((kind = ANY (ARRAY['connectwise'::text, 'autotask'::text])));
alter table psa_connections add constraint psa_connections_partner_id_fkey FOREIGN KEY (partner_id) REFERENCES partners(id) ON DELETE CASCADE;
alter table psa_connections add constraint psa_connections_pkey PRIMARY KEY (partner_id, id);
alter table psa_mappings add constraint psa_mappings_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table psa_mappings add constraint psa_mappings_partner_id_connection_id_fkey FOREIGN KEY (partner_id, connection_id) REFERENCES psa_connections(partner_id, id) ON DELETE CASCADE;
alter table psa_mappings add constraint psa_mappings_pkey PRIMARY KEY (partner_id, client_id);
alter table psa_mappings add constraint psa_mappings_state_check CHECK ((state = ANY (ARRAY['ok'::text, 'needs_attention'::text])));
alter table queue add constraint queue_check CHECK (((held_at IS NULL) = (held_reason IS NULL)));
alter table queue add constraint queue_direction_check CHECK ((direction = ANY (ARRAY['inbound'::text, 'outbound'::text])));
alter table queue add constraint queue_kind_check CHECK ((kind = ANY (ARRAY['mail'::text, 'release'::text, 'dsn'::text, 'forward'::text, 'return'::text, 'original'::text])));
alter table queue add constraint queue_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table queue add constraint queue_pkey PRIMARY KEY (partner_id, delivery_id);
alter table region_strategies add constraint region_strategies_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table region_strategies add constraint region_strategies_pkey PRIMARY KEY (partner_id, id);
alter table region_strategies add constraint region_strategies_regions_check CHECK (((cardinality(regions) >= 1) AND (cardinality(regions) <= 16)));
alter table release_requests add constraint release_requests_decision_note_check CHECK ((length(decision_note) <= 1000));
alter table release_requests add constraint release_requests_note_check CHECK ((length(note) <= 1000));
alter table release_requests add constraint release_requests_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table release_requests add constraint release_requests_partner_id_delivery_id_fkey FOREIGN KEY (partner_id, delivery_id) REFERENCES deliveries(partner_id, id) ON DELETE CASCADE;
alter table release_requests add constraint release_requests_pkey PRIMARY KEY (partner_id, id);
alter table release_requests add constraint release_requests_requested_role_check CHECK ((requested_role = ANY (ARRAY['user'::text, 'client_admin'::text, 'technician'::text, 'admin'::text])));
alter table release_requests add constraint release_requests_state_check CHECK ((state = ANY (ARRAY['open'::text, 'approved'::text, 'denied'::text, 'expired'::text])));
alter table report_runs add constraint report_runs_document_state_check CHECK ((document_state = ANY (ARRAY['none'::text, 'wanted'::text, 'sending'::text, 'sent'::text, 'failed'::text])));
alter table report_runs add constraint report_runs_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table report_runs add constraint report_runs_partner_id_client_id_report_period_from_period__key UNIQUE (partner_id, client_id, report, period_from, period_to, version);
alter table report_runs add constraint report_runs_pkey PRIMARY KEY (partner_id, id);
alter table report_runs add constraint report_runs_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'rendering'::text, 'issued'::text, 'failed'::text])));
alter table retention_floor add constraint retention_floor_only_row_check CHECK (only_row);
alter table retention_floor add constraint retention_floor_pkey PRIMARY KEY (only_row);
alter table rollup_days add constraint rollup_days_pkey PRIMARY KEY (partner_id, day, client_id, direction);
alter table rollup_folds add constraint rollup_folds_pkey PRIMARY KEY (partner_id, client_id, dimension, direction, starts);
alter table rollup_items add constraint rollup_items_pkey PRIMARY KEY (partner_id, client_id, bucket, dimension, direction, item);
alter table rollup_late add constraint rollup_late_pkey PRIMARY KEY (partner_id, client_id, bucket, noticed_at);
alter table rollup_mailbox_days add constraint rollup_mailbox_days_pkey PRIMARY KEY (partner_id, client_id, day, mailbox_id);
alter table rollup_mailboxes add constraint rollup_mailboxes_pkey PRIMARY KEY (partner_id, client_id, bucket, mailbox_id, direction, verdict);
alter table rollup_months add constraint rollup_months_pkey PRIMARY KEY (partner_id, day, client_id, direction);
alter table rollup_reasons add constraint rollup_reasons_pkey PRIMARY KEY (partner_id, client_id, bucket, direction, reason);
alter table rollup_senders add constraint rollup_senders_pkey PRIMARY KEY (partner_id, client_id, bucket, sender, direction, verdict);
alter table rollup_sketches add constraint rollup_sketches_pkey PRIMARY KEY (partner_id, client_id, bucket, direction, metric, bin);
alter table rollup_state add constraint rollup_state_only_row_check CHECK (only_row);
alter table rollup_state add constraint rollup_state_pkey PRIMARY KEY (only_row);
alter table rollup_traffic add constraint rollup_traffic_pkey PRIMARY KEY (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition);
alter table rollup_watermarks add constraint rollup_watermarks_pkey PRIMARY KEY (node);
alter table rollup_watermarks add constraint rollup_watermarks_state_check CHECK ((state = ANY (ARRAY['alive'::text, 'stopped'::text, 'retired'::text])));
alter table rollup_zones add constraint rollup_zones_pkey PRIMARY KEY (partner_id, client_id);
alter table route_health add constraint route_health_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table route_health add constraint route_health_pkey PRIMARY KEY (partner_id, client_id, host, port);
alter table route_health add constraint route_health_state_check CHECK ((state = ANY (ARRAY['up'::text, 'down'::text])));
alter table routes add constraint routes_host CHECK ((((kind = 'mx'::text) AND (region IS NULL)) OR ((kind = 'relay'::text) AND (host <> ''::text))));
alter table routes add constraint routes_kind_check CHECK ((kind = ANY (ARRAY['relay'::text, 'mx'::text])));
alter table routes add constraint routes_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table routes add constraint routes_pkey PRIMARY KEY (partner_id, id);
alter table routes add constraint routes_port_check CHECK (((port >= 1) AND (port <= 65535)));
alter table routes add constraint routes_region_check CHECK ((region ~ '^[a-z0-9][a-z0-9-]{0,31}$'::text));
alter table routes add constraint routes_tls_check CHECK ((tls = ANY (ARRAY['none'::text, 'opportunistic'::text, 'required'::text])));
alter table routes add constraint routes_weight_check CHECK (((weight >= 1) AND (weight <= 1000)));
alter table schema_migrations add constraint schema_migrations_pkey PRIMARY KEY (version);
alter table sent_message_ids add constraint sent_message_ids_digest_check CHECK ((length(digest) = 32));
alter table sent_message_ids add constraint sent_message_ids_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table sent_message_ids add constraint sent_message_ids_pkey PRIMARY KEY (partner_id, client_id, digest);
alter table server_probes add constraint server_probes_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table server_probes add constraint server_probes_pkey PRIMARY KEY (partner_id, client_id, host, port);
alter table server_probes add constraint server_probes_port_check CHECK (((port >= 1) AND (port <= 65535)));
alter table server_probes add constraint server_probes_state_check CHECK ((state = ANY (ARRAY['up'::text, 'slow'::text, 'failing'::text, 'down'::text])));
alter table server_states add constraint server_states_check CHECK ((to_at >= from_at));
alter table server_states add constraint server_states_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table server_states add constraint server_states_pkey PRIMARY KEY (partner_id, client_id, host, port, from_at);
alter table server_states add constraint server_states_state_check CHECK ((state = ANY (ARRAY['up'::text, 'slow'::text, 'failing'::text, 'down'::text])));
alter table submission_credentials add constraint submission_credentials_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table submission_credentials add constraint submission_credentials_partner_id_mailbox_id_fkey FOREIGN KEY (partner_id, mailbox_id) REFERENCES mailboxes(partner_id, id) ON DELETE CASCADE;
alter table submission_credentials add constraint submission_credentials_pkey PRIMARY KEY (partner_id, id);
alter table submission_credentials add constraint submission_credentials_username_check CHECK ((username = lower(username)));
alter table submission_networks add constraint submission_networks_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table submission_networks add constraint submission_networks_pkey PRIMARY KEY (partner_id, id);
alter table subscriptions add constraint subscriptions_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table subscriptions add constraint subscriptions_partner_id_connection_id_fkey FOREIGN KEY (partner_id, connection_id) REFERENCES psa_connections(partner_id, id) ON DELETE CASCADE;
alter table subscriptions add constraint subscriptions_pkey PRIMARY KEY (partner_id, client_id, product);
alter table threat_traits add constraint threat_traits_digest_check CHECK ((length(digest) = 32));
alter table threat_traits add constraint threat_traits_kind_check CHECK ((kind = ANY (ARRAY['payload'::text, 'link'::text, 'subject'::text])));
alter table threat_traits add constraint threat_traits_label_check CHECK ((length(label) <= 200));
alter table threat_traits add constraint threat_traits_partner_id_message_id_fkey FOREIGN KEY (partner_id, message_id) REFERENCES messages(partner_id, id) ON DELETE CASCADE;
alter table threat_traits add constraint threat_traits_pkey PRIMARY KEY (partner_id, message_id, kind, digest);
alter table tls_policies add constraint tls_policies_failed_check CHECK ((failed >= 0));
alter table tls_policies add constraint tls_policies_partner_id_report_id_fkey FOREIGN KEY (partner_id, report_id) REFERENCES aggregate_reports(partner_id, id) ON DELETE CASCADE;
alter table tls_policies add constraint tls_policies_pkey PRIMARY KEY (partner_id, report_id, "position");
alter table tls_policies add constraint tls_policies_successful_check CHECK ((successful >= 0));
alter table tls_results add constraint tls_results_partner_id_report_id_fkey FOREIGN KEY (partner_id, report_id) REFERENCES aggregate_reports(partner_id, id) ON DELETE CASCADE;
alter table tls_results add constraint tls_results_pkey PRIMARY KEY (partner_id, report_id, "position");
alter table tls_results add constraint tls_results_sessions_check CHECK ((sessions > 0));
alter table usage_snapshots add constraint usage_snapshots_check CHECK ((quantity = cardinality(addresses)));
alter table usage_snapshots add constraint usage_snapshots_partner_id_client_id_fkey FOREIGN KEY (partner_id, client_id) REFERENCES clients(partner_id, id) ON DELETE CASCADE;
alter table usage_snapshots add constraint usage_snapshots_pkey PRIMARY KEY (partner_id, client_id, product, day);
alter table usage_snapshots add constraint usage_snapshots_quantity_check CHECK ((quantity >= 0));

CREATE INDEX accepted_digests_age ON public.accepted_digests USING btree (accepted_at);
CREATE INDEX addresses_address ON public.addresses USING btree (address);
CREATE INDEX addresses_mailbox ON public.addresses USING btree (partner_id, mailbox_id);
CREATE INDEX aggregate_mails_age ON public.aggregate_mails USING btree (received_at);
CREATE INDEX aggregate_mails_content ON public.aggregate_mails USING btree (content_id);
CREATE INDEX aggregate_mails_domain ON public.aggregate_mails USING btree (partner_id, domain, received_at);
CREATE INDEX aggregate_mails_due ON public.aggregate_mails USING btree (due_at) WHERE (state = 'waiting'::text);
CREATE INDEX aggregate_reports_age ON public.aggregate_reports USING btree (received_at);
CREATE UNIQUE INDEX aggregate_reports_digest ON public.aggregate_reports USING btree (partner_id, digest);
CREATE INDEX aggregate_reports_domain ON public.aggregate_reports USING btree (partner_id, domain, day);
CREATE INDEX aggregate_reports_list ON public.aggregate_reports USING btree (partner_id, received_at DESC, id DESC);
CREATE UNIQUE INDEX aggregate_reports_once ON public.aggregate_reports USING btree (partner_id, kind, org, report_id, policy_domain, period_from, period_to) WHERE (state = 'taken'::text);
CREATE UNIQUE INDEX api_keys_id ON public.api_keys USING btree (id);
CREATE INDEX audit_at ON public.audit USING btree (partner_id, at DESC);
CREATE UNIQUE INDEX billing_plans_applying ON public.billing_plans USING btree (partner_id) WHERE (state = 'applying'::text);
CREATE INDEX billing_plans_list ON public.billing_plans USING btree (partner_id, created_at DESC, id DESC);
CREATE INDEX clients_return ON public.clients USING btree ("right"((id)::text, 10));
CREATE INDEX correspondents_age ON public.correspondents USING btree (last_seen);
CREATE INDEX day_judgements_age ON public.day_judgements USING btree (day);
CREATE INDEX deliveries_client ON public.deliveries USING btree (partner_id, client_id, accepted_at DESC, id DESC);
CREATE INDEX deliveries_disposition ON public.deliveries USING btree (partner_id, disposition, accepted_at DESC, id DESC) WHERE (disposition <> ALL (ARRAY['queued'::text, 'deferred'::text, 'delivered'::text, 'quarantined'::text]));
CREATE INDEX deliveries_held ON public.deliveries USING btree (accepted_at) WHERE (disposition = 'quarantined'::text);
CREATE INDEX deliveries_message ON public.deliveries USING btree (partner_id, message_id);
CREATE INDEX deliveries_newest ON public.deliveries USING btree (partner_id, accepted_at DESC, id DESC);
CREATE INDEX deliveries_originals ON public.deliveries USING btree (partner_id, client_id, accepted_at DESC, id DESC) WHERE (original_state = 'held'::text);
CREATE INDEX deliveries_originals_failed ON public.deliveries USING btree (original_at) WHERE (original_state = 'failed'::text);
CREATE INDEX deliveries_outbound_malware ON public.deliveries USING btree (accepted_at) WHERE ((direction = 'outbound'::text) AND (verdict = 'malware'::text));
CREATE INDEX deliveries_quarantine ON public.deliveries USING btree (partner_id, client_id, accepted_at DESC, id DESC) WHERE (disposition = 'quarantined'::text);
CREATE INDEX deliveries_quarantine_mailbox ON public.deliveries USING btree (partner_id, mailbox_id, accepted_at DESC, id DESC) WHERE (disposition = 'quarantined'::text);
CREATE INDEX deliveries_recipient ON public.deliveries USING btree (partner_id, recipient, accepted_at DESC, id DESC);
CREATE INDEX deliveries_recipients ON public.deliveries USING gin (recipient extensions.gin_trgm_ops) WITH (gin_pending_list_limit='512');
CREATE INDEX deliveries_release ON public.deliveries USING btree (release_due_at) WHERE (release_due_at IS NOT NULL);
CREATE INDEX deliveries_release_failed ON public.deliveries USING btree (ended_at) WHERE ((released_by IS NOT NULL) AND (disposition = ANY (ARRAY['bounced'::text, 'expired'::text])));
CREATE INDEX deliveries_verdict ON public.deliveries USING btree (partner_id, verdict, accepted_at DESC, id DESC) WHERE (verdict <> ALL (ARRAY['clean'::text, 'bulk'::text, 'spam'::text]));
CREATE INDEX destination_backoff_parked ON public.destination_backoff USING btree (parked_until);
CREATE INDEX digest_items_delivery ON public.digest_items USING btree (partner_id, delivery_id);
CREATE INDEX digest_items_run ON public.digest_items USING btree (partner_id, scope, subject_id, slot);
CREATE INDEX directory_changes_xid ON public.directory_changes USING btree (xid);
CREATE UNIQUE INDEX dkim_keys_active ON public.dkim_keys USING btree (partner_id, domain, algorithm) WHERE ((activated_at IS NOT NULL) AND (retired_at IS NULL));
CREATE INDEX dkim_keys_client ON public.dkim_keys USING btree (partner_id, client_id);
CREATE INDEX dmarc_records_domain ON public.dmarc_records USING btree (partner_id, domain, day);
CREATE INDEX domains_client ON public.domains USING btree (partner_id, client_id);
CREATE UNIQUE INDEX domains_name ON public.domains USING btree (name);
CREATE UNIQUE INDEX domains_report_token ON public.domains USING btree (report_token);
CREATE INDEX greylist_age ON public.greylist USING btree (last_seen_at);
CREATE INDEX group_members_mailbox ON public.group_members USING btree (partner_id, mailbox_id);
CREATE INDEX harvest_windows_age ON public.harvest_windows USING btree (window_at);
CREATE INDEX incidents_held ON public.incidents USING btree (partner_id, client_id) WHERE (ticket_state = 'held'::text);
CREATE UNIQUE INDEX incidents_key ON public.incidents USING btree (partner_id, ticket_key);
CREATE INDEX incidents_list ON public.incidents USING btree (partner_id, opened_at DESC, id DESC);
CREATE UNIQUE INDEX incidents_open ON public.incidents USING btree (partner_id, client_id, rule, subject) WHERE (state = 'open'::text);
CREATE INDEX incidents_subject ON public.incidents USING btree (partner_id, client_id, rule, subject, opened_at DESC);
CREATE INDEX incidents_ticket ON public.incidents USING btree (partner_id, ticket_connection_id, ticket_id) WHERE (ticket_id IS NOT NULL);
CREATE INDEX incidents_work ON public.incidents USING btree (ticket_next_at) WHERE (ticket_next_at IS NOT NULL);
CREATE INDEX learned_examples_client ON public.learned_examples USING btree (partner_id, client_id);
CREATE INDEX ledger_client ON ONLY public.ledger USING btree (partner_id, client_id, occurred_at);
CREATE INDEX ledger_default_partner_id_client_id_occurred_at_idx ON public.ledger_default USING btree (partner_id, client_id, occurred_at);
CREATE INDEX ledger_default_partner_id_delivery_id_idx ON public.ledger_default USING btree (partner_id, delivery_id);
CREATE INDEX ledger_default_xid_idx ON public.ledger_default USING btree (xid);
CREATE INDEX ledger_delivery ON ONLY public.ledger USING btree (partner_id, delivery_id);
CREATE INDEX ledger_xid ON ONLY public.ledger USING btree (xid);
CREATE INDEX list_entries_client ON public.list_entries USING btree (partner_id, client_id);
CREATE INDEX live_changes_xid ON public.live_changes USING btree (xid);
CREATE INDEX mailboxes_client ON public.mailboxes USING btree (partner_id, client_id, address);
CREATE INDEX mailboxes_updated ON public.mailboxes USING btree (partner_id, client_id, updated_at);
CREATE INDEX message_feedback_client ON public.message_feedback USING btree (partner_id, client_id, at);
CREATE INDEX messages_age ON public.messages USING btree (received_at, id);
CREATE INDEX messages_attachments ON public.messages USING gin (((attachments)::text) extensions.gin_trgm_ops) WITH (gin_pending_list_limit='512') WHERE (attachments <> '[]'::jsonb);
CREATE INDEX messages_content ON public.messages USING btree (content_id);
CREATE INDEX messages_fragments ON public.messages USING gin (subject extensions.gin_trgm_ops, sender extensions.gin_trgm_ops) WITH (gin_pending_list_limit='512');
CREATE INDEX messages_header_id ON public.messages USING btree (partner_id, header_message_id);
CREATE INDEX messages_received ON public.messages USING btree (partner_id, received_at DESC);
CREATE INDEX messages_remote ON public.messages USING btree (partner_id, remote_address, received_at DESC);
CREATE INDEX messages_sender ON public.messages USING btree (partner_id, sender, received_at DESC);
CREATE INDEX network_reputation_age ON public.network_reputation USING btree (updated_at);
CREATE INDEX outbound_counts_bucket ON public.outbound_counts USING btree (bucket);
CREATE INDEX outbound_known_seen ON public.outbound_known USING btree (seen_on);
CREATE INDEX outbound_limits_client ON public.outbound_limits USING btree (partner_id, client_id);
CREATE INDEX outbound_limits_mailbox ON public.outbound_limits USING btree (partner_id, mailbox_id);
CREATE INDEX psa_mappings_connection ON public.psa_mappings USING btree (partner_id, connection_id);
CREATE INDEX queue_client ON public.queue USING btree (partner_id, client_id);
CREATE INDEX queue_destination ON public.queue USING btree (destination, attempts, queued_at) WHERE (destination IS NOT NULL);
CREATE INDEX queue_held ON public.queue USING btree (partner_id, client_id, held_at, delivery_id) WHERE (held_at IS NOT NULL);
CREATE INDEX queue_notice ON public.queue USING btree (notice_due_at) WHERE (notice_due_at IS NOT NULL);
CREATE INDEX queue_ready ON public.queue USING btree (partner_id, client_id, direction, domain, due_at) WHERE ((NOT waiting) AND (lease_until IS NULL) AND (held_at IS NULL));
CREATE INDEX queue_wait ON public.queue USING btree (COALESCE(lease_until, due_at)) WHERE (waiting OR (lease_until IS NOT NULL));
CREATE UNIQUE INDEX region_strategies_of ON public.region_strategies USING btree (partner_id, client_id, COALESCE(domain, ''::text));
CREATE INDEX release_requests_delivery ON public.release_requests USING btree (partner_id, delivery_id);
CREATE INDEX release_requests_list ON public.release_requests USING btree (partner_id, requested_at DESC, id DESC);
CREATE UNIQUE INDEX release_requests_open ON public.release_requests USING btree (partner_id, delivery_id) WHERE (state = 'open'::text);
CREATE INDEX release_requests_watch ON public.release_requests USING btree (id) WHERE (state = 'open'::text);
CREATE INDEX report_runs_due ON public.report_runs USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'rendering'::text]));
CREATE INDEX report_runs_list ON public.report_runs USING btree (partner_id, requested_at DESC, id DESC);
CREATE INDEX rollup_days_client ON public.rollup_days USING btree (partner_id, client_id, day);
CREATE INDEX rollup_folds_starts ON public.rollup_folds USING btree (partner_id, dimension, starts);
CREATE INDEX rollup_folds_time ON public.rollup_folds USING brin (starts) WITH (pages_per_range='8', autosummarize='on');
CREATE INDEX rollup_items_bucket ON public.rollup_items USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_mailbox_days_day ON public.rollup_mailbox_days USING btree (partner_id, day);
CREATE INDEX rollup_mailboxes_bucket ON public.rollup_mailboxes USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_mailboxes_mailbox ON public.rollup_mailboxes USING btree (partner_id, mailbox_id, bucket);
CREATE INDEX rollup_months_partner_id_client_id_day_idx ON public.rollup_months USING btree (partner_id, client_id, day);
CREATE INDEX rollup_reasons_bucket ON public.rollup_reasons USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_senders_bucket ON public.rollup_senders USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_sketches_bucket ON public.rollup_sketches USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_traffic_bucket ON public.rollup_traffic USING brin (bucket) WITH (pages_per_range='32', autosummarize='on');
CREATE INDEX rollup_traffic_partner ON public.rollup_traffic USING btree (partner_id, bucket);
CREATE INDEX routes_client ON public.routes USING btree (partner_id, client_id);
CREATE INDEX sent_message_ids_age ON public.sent_message_ids USING btree (sent_at);
CREATE INDEX server_probes_due ON public.server_probes USING btree (due_at);
CREATE INDEX server_states_age ON public.server_states USING btree (to_at);
CREATE UNIQUE INDEX submission_credentials_username ON public.submission_credentials USING btree (username);
CREATE INDEX submission_networks_client ON public.submission_networks USING btree (partner_id, client_id);
CREATE INDEX subscriptions_connection ON public.subscriptions USING btree (partner_id, connection_id);
CREATE UNIQUE INDEX subscriptions_line ON public.subscriptions USING btree (partner_id, connection_id, contract_id, line_id);
CREATE INDEX threat_traits_time ON public.threat_traits USING btree (partner_id, occurred_at);
CREATE INDEX tls_policies_domain ON public.tls_policies USING btree (partner_id, domain, day);
CREATE INDEX tls_results_domain ON public.tls_results USING btree (partner_id, domain, day);

create policy system on addresses for ALL to tollgate_system using (true) with check (true);
create policy tenant on addresses for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on aggregate_mails for ALL to tollgate_system using (true) with check (true);
create policy tenant on aggregate_mails for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on aggregate_reports for ALL to tollgate_system using (true) with check (true);
create policy tenant on aggregate_reports for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on api_keys for ALL to tollgate_system using (true) with check (true);
create policy tenant on api_keys for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on audit for ALL to tollgate_system using (true) with check (true);
create policy tenant on audit for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on billing_lines for ALL to tollgate_system using (true) with check (true);
create policy tenant on billing_lines for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on billing_plans for ALL to tollgate_system using (true) with check (true);
create policy tenant on billing_plans for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on client_models for ALL to tollgate_system using (true) with check (true);
create policy tenant on client_models for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on clients for ALL to tollgate_system using (true) with check (true);
create policy tenant on clients for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on correspondents for ALL to tollgate_system using (true) with check (true);
create policy tenant on correspondents for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on day_judgements for ALL to tollgate_system using (true) with check (true);
create policy tenant on day_judgements for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on deliveries for ALL to tollgate_system using (true) with check (true);
create policy tenant on deliveries for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy trace_candidates on deliveries for SELECT to tollgate using (true) with check ();
create policy system on delivery_attempts for ALL to tollgate_system using (true) with check (true);
create policy tenant on delivery_attempts for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on digest_items for ALL to tollgate_system using (true) with check (true);
create policy tenant on digest_items for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on digest_runs for ALL to tollgate_system using (true) with check (true);
create policy tenant on digest_runs for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on digest_settings for ALL to tollgate_system using (true) with check (true);
create policy tenant on digest_settings for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on dkim_keys for ALL to tollgate_system using (true) with check (true);
create policy tenant on dkim_keys for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on dmarc_records for ALL to tollgate_system using (true) with check (true);
create policy tenant on dmarc_records for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on domains for ALL to tollgate_system using (true) with check (true);
create policy tenant on domains for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on greylist for ALL to tollgate_system using (true) with check (true);
create policy tenant on greylist for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on group_members for ALL to tollgate_system using (true) with check (true);
create policy tenant on group_members for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on harvest_windows for ALL to tollgate_system using (true) with check (true);
create policy tenant on harvest_windows for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on incidents for ALL to tollgate_system using (true) with check (true);
create policy tenant on incidents for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on insight_settings for ALL to tollgate_system using (true) with check (true);
create policy tenant on insight_settings for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on learned_examples for ALL to tollgate_system using (true) with check (true);
create policy tenant on learned_examples for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on ledger for ALL to tollgate_system using (true) with check (true);
create policy tenant on ledger for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on list_entries for ALL to tollgate_system using (true) with check (true);
create policy tenant on list_entries for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on live_changes for ALL to tollgate_system using (true) with check (true);
create policy tenant on live_changes for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on mailboxes for ALL to tollgate_system using (true) with check (true);
create policy tenant on mailboxes for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on message_feedback for ALL to tollgate_system using (true) with check (true);
create policy tenant on message_feedback for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on message_replies for ALL to tollgate_system using (true) with check (true);
create policy tenant on message_replies for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on messages for ALL to tollgate_system using (true) with check (true);
create policy tenant on messages for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy trace_candidates on messages for SELECT to tollgate using (true) with check ();
create policy system on outbound_counts for ALL to tollgate_system using (true) with check (true);
create policy tenant on outbound_counts for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on outbound_known for ALL to tollgate_system using (true) with check (true);
create policy tenant on outbound_known for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on outbound_limits for ALL to tollgate_system using (true) with check (true);
create policy tenant on outbound_limits for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on outbound_starts for ALL to tollgate_system using (true) with check (true);
create policy tenant on outbound_starts for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on partners for ALL to tollgate_system using (true) with check (true);
create policy tenant on partners for ALL to tollgate_app using ((id = current_partner())) with check ((id = current_partner()));
create policy system on persisted_documents for ALL to tollgate_system using (true) with check (true);
create policy tenant on persisted_documents for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on psa_connections for ALL to tollgate_system using (true) with check (true);
create policy tenant on psa_connections for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on psa_mappings for ALL to tollgate_system using (true) with check (true);
create policy tenant on psa_mappings for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on queue for ALL to tollgate_system using (true) with check (true);
create policy tenant on queue for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on region_strategies for ALL to tollgate_system using (true) with check (true);
create policy tenant on region_strategies for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on release_requests for ALL to tollgate_system using (true) with check (true);
create policy tenant on release_requests for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on report_runs for ALL to tollgate_system using (true) with check (true);
create policy tenant on report_runs for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_days for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_days for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_folds for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_folds for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_items for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_items for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_late for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_late for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_mailbox_days for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_mailbox_days for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_mailboxes for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_mailboxes for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_months for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_months for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_reasons for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_reasons for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_senders for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_senders for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_sketches for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_sketches for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_traffic for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_traffic for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on rollup_zones for ALL to tollgate_system using (true) with check (true);
create policy tenant on rollup_zones for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on route_health for ALL to tollgate_system using (true) with check (true);
create policy tenant on route_health for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on routes for ALL to tollgate_system using (true) with check (true);
create policy tenant on routes for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on sent_message_ids for ALL to tollgate_system using (true) with check (true);
create policy tenant on sent_message_ids for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on server_probes for ALL to tollgate_system using (true) with check (true);
create policy tenant on server_probes for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on server_states for ALL to tollgate_system using (true) with check (true);
create policy tenant on server_states for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on submission_credentials for ALL to tollgate_system using (true) with check (true);
create policy tenant on submission_credentials for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on submission_networks for ALL to tollgate_system using (true) with check (true);
create policy tenant on submission_networks for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on subscriptions for ALL to tollgate_system using (true) with check (true);
create policy tenant on subscriptions for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on threat_traits for ALL to tollgate_system using (true) with check (true);
create policy tenant on threat_traits for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on tls_policies for ALL to tollgate_system using (true) with check (true);
create policy tenant on tls_policies for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on tls_results for ALL to tollgate_system using (true) with check (true);
create policy tenant on tls_results for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));
create policy system on usage_snapshots for ALL to tollgate_system using (true) with check (true);
create policy tenant on usage_snapshots for ALL to tollgate_app using ((partner_id = current_partner())) with check ((partner_id = current_partner()));

alter table addresses force row level security;
alter table aggregate_mails force row level security;
alter table aggregate_reports force row level security;
alter table api_keys force row level security;
alter table audit force row level security;
alter table billing_lines force row level security;
alter table billing_plans force row level security;
alter table client_models force row level security;
alter table clients force row level security;
alter table correspondents force row level security;
alter table day_judgements force row level security;
alter table deliveries force row level security;
alter table delivery_attempts force row level security;
alter table digest_items force row level security;
alter table digest_runs force row level security;
alter table digest_settings force row level security;
alter table dkim_keys force row level security;
alter table dmarc_records force row level security;
alter table domains force row level security;
alter table greylist force row level security;
alter table group_members force row level security;
alter table harvest_windows force row level security;
alter table incidents force row level security;
alter table insight_settings force row level security;
alter table learned_examples force row level security;
alter table ledger force row level security;
alter table ledger_default force row level security;
alter table list_entries force row level security;
alter table live_changes force row level security;
alter table mailboxes force row level security;
alter table message_feedback force row level security;
alter table message_replies force row level security;
alter table messages force row level security;
alter table outbound_counts force row level security;
alter table outbound_known force row level security;
alter table outbound_limits force row level security;
alter table outbound_starts force row level security;
alter table partners force row level security;
alter table persisted_documents force row level security;
alter table psa_connections force row level security;
alter table psa_mappings force row level security;
alter table queue force row level security;
alter table region_strategies force row level security;
alter table release_requests force row level security;
alter table report_runs force row level security;
alter table rollup_days force row level security;
alter table rollup_folds force row level security;
alter table rollup_items force row level security;
alter table rollup_late force row level security;
alter table rollup_mailbox_days force row level security;
alter table rollup_mailboxes force row level security;
alter table rollup_months force row level security;
alter table rollup_reasons force row level security;
alter table rollup_senders force row level security;
alter table rollup_sketches force row level security;
alter table rollup_traffic force row level security;
alter table rollup_zones force row level security;
alter table route_health force row level security;
alter table routes force row level security;
alter table sent_message_ids force row level security;
alter table server_probes force row level security;
alter table server_states force row level security;
alter table submission_credentials force row level security;
alter table submission_networks force row level security;
alter table subscriptions force row level security;
alter table threat_traits force row level security;
alter table tls_policies force row level security;
alter table tls_results force row level security;
alter table usage_snapshots force row level security;

grant delete, insert, select, update on accepted_digests to tollgate_system;
grant delete, insert, select, update on addresses to tollgate_app;
grant delete, insert, select, update on addresses to tollgate_system;
grant delete, insert, select, update on aggregate_mails to tollgate_app;
grant delete, insert, select, update on aggregate_mails to tollgate_system;
grant delete, insert, select, update on aggregate_reports to tollgate_app;
grant delete, insert, select, update on aggregate_reports to tollgate_system;
grant delete, insert, select, update on api_keys to tollgate_app;
grant delete, insert, select, update on api_keys to tollgate_system;
grant delete, insert, select, update on audit to tollgate_app;
grant delete, insert, select, update on audit to tollgate_system;
grant delete, insert, select, update on billing_lines to tollgate_app;
grant delete, insert, select, update on billing_lines to tollgate_system;
grant delete, insert, select, update on billing_plans to tollgate_app;
grant delete, insert, select, update on billing_plans to tollgate_system;
grant delete, insert, select, update on client_models to tollgate_app;
grant delete, insert, select, update on client_models to tollgate_system;
grant delete, insert, select, update on clients to tollgate_app;
grant delete, insert, select, update on clients to tollgate_system;
grant delete, insert, select, update on correspondents to tollgate_app;
grant delete, insert, select, update on correspondents to tollgate_system;
grant delete, insert, select, update on day_judgements to tollgate_app;
grant delete, insert, select, update on day_judgements to tollgate_system;
grant delete, insert, select, update on deliveries to tollgate_app;
grant delete, insert, select, update on deliveries to tollgate_system;
grant select on delivery_attempts to tollgate_app;
grant delete, insert, select, update on delivery_attempts to tollgate_system;
grant select, update on delivery_counters to tollgate_system;
grant delete, insert, select, update on destination_backoff to tollgate_system;
grant delete, insert, select, update on digest_items to tollgate_app;
grant delete, insert, select, update on digest_items to tollgate_system;
grant delete, insert, select, update on digest_runs to tollgate_app;
grant delete, insert, select, update on digest_runs to tollgate_system;
grant delete, insert, select, update on digest_settings to tollgate_app;
grant delete, insert, select, update on digest_settings to tollgate_system;
grant insert on directory_changes to tollgate_app;
grant delete, insert, select on directory_changes to tollgate_system;
grant delete, insert, select, update on dkim_keys to tollgate_app;
grant delete, insert, select, update on dkim_keys to tollgate_system;
grant delete, insert, select, update on dmarc_records to tollgate_app;
grant delete, insert, select, update on dmarc_records to tollgate_system;
grant delete, insert, select, update on domains to tollgate_app;
grant delete, insert, select, update on domains to tollgate_system;
grant delete, insert, select, update on greylist to tollgate_app;
grant delete, insert, select, update on greylist to tollgate_system;
grant delete, insert, select, update on group_members to tollgate_app;
grant delete, insert, select, update on group_members to tollgate_system;
grant delete, insert, select, update on harvest_windows to tollgate_app;
grant delete, insert, select, update on harvest_windows to tollgate_system;
grant delete, insert, select, update on incidents to tollgate_app;
grant delete, insert, select, update on incidents to tollgate_system;
grant delete, insert, select, update on insight_settings to tollgate_app;
grant delete, insert, select, update on insight_settings to tollgate_system;
grant delete, insert, select, update on learned_examples to tollgate_app;
grant delete, insert, select, update on learned_examples to tollgate_system;
grant insert, select on ledger to tollgate_app;
grant insert, select on ledger to tollgate_system;
grant delete, insert, select, update on list_entries to tollgate_app;
grant delete, insert, select, update on list_entries to tollgate_system;
grant delete, insert, select, update on live_changes to tollgate_app;
grant delete, insert, select, update on live_changes to tollgate_system;
grant delete, insert, select, update on mailboxes to tollgate_app;
grant delete, insert, select, update on mailboxes to tollgate_system;
grant delete, insert, select, update on master_list_entries to tollgate_system;
grant delete, insert, select, update on message_feedback to tollgate_app;
grant delete, insert, select, update on message_feedback to tollgate_system;
grant delete, insert, select, update on message_replies to tollgate_app;
grant delete, insert, select, update on message_replies to tollgate_system;
grant delete, insert, select, update on messages to tollgate_app;
grant delete, insert, select, update on messages to tollgate_system;
grant delete, insert, select, update on mta_sts_policies to tollgate_system;
grant delete, insert, select, update on network_reputation to tollgate_system;
grant select on node_beats to tollgate_app;
grant delete, insert, select, update on node_beats to tollgate_system;
grant select on node_regions to tollgate_app;
grant delete, insert, select, update on node_regions to tollgate_system;
grant select on nodes to tollgate_app;
grant delete, insert, select, update on nodes to tollgate_system;
grant select on outbound_counts to tollgate_app;
grant delete, insert, select, update on outbound_counts to tollgate_system;
grant select on outbound_known to tollgate_app;
grant delete, insert, select, update on outbound_known to tollgate_system;
grant delete, insert, select, update on outbound_limits to tollgate_app;
grant delete, insert, select, update on outbound_limits to tollgate_system;
grant select on outbound_starts to tollgate_app;
grant delete, insert, select, update on outbound_starts to tollgate_system;
grant select, update on partners to tollgate_app;
grant delete, insert, select, update on partners to tollgate_system;
grant delete, insert, select, update on persisted_documents to tollgate_app;
grant delete, insert, select, update on persisted_documents to tollgate_system;
grant delete, insert, select, update on psa_connections to tollgate_app;
grant delete, insert, select, update on psa_connections to tollgate_system;
grant delete, insert, select, update on psa_mappings to tollgate_app;
grant delete, insert, select, update on psa_mappings to tollgate_system;
grant delete, insert, select, update on queue to tollgate_app;
grant delete, insert, select, update on queue to tollgate_system;
grant delete, insert, select, update on region_strategies to tollgate_app;
grant delete, insert, select, update on region_strategies to tollgate_system;
grant delete, insert, select, update on release_requests to tollgate_app;
grant delete, insert, select, update on release_requests to tollgate_system;
grant delete, insert, select, update on report_runs to tollgate_app;
grant delete, insert, select, update on report_runs to tollgate_system;
grant select on retention_floor to tollgate_app;
grant select on retention_floor to tollgate_system;
grant select on rollup_days to tollgate_app;
grant delete, insert, select, update on rollup_days to tollgate_system;
grant select on rollup_folds to tollgate_app;
grant delete, insert, select, update on rollup_folds to tollgate_system;
grant select on rollup_items to tollgate_app;
grant delete, insert, select, update on rollup_items to tollgate_system;
grant select on rollup_late to tollgate_app;
grant delete, insert, select, update on rollup_late to tollgate_system;
grant select on rollup_mailbox_days to tollgate_app;
grant delete, insert, select, update on rollup_mailbox_days to tollgate_system;
grant select on rollup_mailboxes to tollgate_app;
grant delete, insert, select, update on rollup_mailboxes to tollgate_system;
grant select on rollup_months to tollgate_app;
grant delete, insert, select, update on rollup_months to tollgate_system;
grant select on rollup_reasons to tollgate_app;
grant delete, insert, select, update on rollup_reasons to tollgate_system;
grant select on rollup_senders to tollgate_app;
grant delete, insert, select, update on rollup_senders to tollgate_system;
grant select on rollup_sketches to tollgate_app;
grant delete, insert, select, update on rollup_sketches to tollgate_system;
grant select on rollup_state to tollgate_app;
grant delete, insert, select, update on rollup_state to tollgate_system;
grant select on rollup_traffic to tollgate_app;
grant delete, insert, select, update on rollup_traffic to tollgate_system;
grant select on rollup_watermarks to tollgate_app;
grant delete, insert, select, update on rollup_watermarks to tollgate_system;
grant select on rollup_zones to tollgate_app;
grant delete, insert, select, update on rollup_zones to tollgate_system;
grant delete, insert, select, update on route_health to tollgate_app;
grant delete, insert, select, update on route_health to tollgate_system;
grant delete, insert, select, update on routes to tollgate_app;
grant delete, insert, select, update on routes to tollgate_system;
grant delete, insert, select, update on sent_message_ids to tollgate_app;
grant delete, insert, select, update on sent_message_ids to tollgate_system;
grant select on server_probes to tollgate_app;
grant delete, insert, select, update on server_probes to tollgate_system;
grant delete, insert, select, update on server_states to tollgate_app;
grant delete, insert, select, update on server_states to tollgate_system;
grant delete, insert, select, update on submission_credentials to tollgate_app;
grant delete, insert, select, update on submission_credentials to tollgate_system;
grant delete, insert, select, update on submission_networks to tollgate_app;
grant delete, insert, select, update on submission_networks to tollgate_system;
grant delete, insert, select, update on subscriptions to tollgate_app;
grant delete, insert, select, update on subscriptions to tollgate_system;
grant delete, insert, select, update on threat_traits to tollgate_app;
grant delete, insert, select, update on threat_traits to tollgate_system;
grant delete, insert, select, update on tls_policies to tollgate_app;
grant delete, insert, select, update on tls_policies to tollgate_system;
grant delete, insert, select, update on tls_results to tollgate_app;
grant delete, insert, select, update on tls_results to tollgate_system;
grant select on usage_snapshots to tollgate_app;
grant delete, insert, select, update on usage_snapshots to tollgate_system;
