-- Reports that receivers of mail send about a domain: DMARC aggregate reports (RFC 7489 section 7.2) and TLS reports (RFC 8460).

-- The local part of the domain's address for reports. It stands in the DNS, so it is no secret; it is one of a domain and not of a
-- partner, so that the DNS does not show which domains one partner looks after.
alter table domains
  add column report_token text not null default replace(gen_random_uuid()::text, '-', '')
    check (report_token ~ '^[0-9a-f]{32}$');
create unique index domains_report_token on domains (report_token);

-- Mail to an address for reports. It is no delivery of a client and is counted nowhere; it ends once: taken or refused.
create table aggregate_mails (
  partner_id uuid not null,
  id uuid not null,
  client_id uuid not null,
  -- Whose address it came to.
  domain text not null,
  content_id text not null,
  bytes bigint not null,
  sender text not null,
  remote_address text not null,
  -- The From domain, when SPF or DKIM vouches for it (RFC 7489 section 3.1); null: nobody does.
  authenticated_domain text,
  received_at timestamptz not null,
  state text not null check (state in ('waiting', 'taken', 'refused')),
  -- Of a refused one.
  reason text,
  tries integer not null default 0,
  due_at timestamptz not null,
  ended_at timestamptz,
  content_removed_at timestamptz,
  primary key (partner_id, id),
  check ((state = 'waiting') = (ended_at is null)),
  check ((state = 'refused') = (reason is not null)),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index aggregate_mails_due on aggregate_mails (due_at) where state = 'waiting';
create index aggregate_mails_domain on aggregate_mails (partner_id, domain, received_at);
create index aggregate_mails_age on aggregate_mails (received_at);
create index aggregate_mails_content on aggregate_mails (content_id);

-- Every report that was read or could not be. What is not 'taken' counts nowhere and has no rows below it.
create table aggregate_reports (
  partner_id uuid not null,
  id uuid not null,
  -- Null: refused, and not about a domain of the partner.
  client_id uuid,
  -- Null: it could not be read.
  kind text check (kind in ('dmarc', 'tls')),
  state text not null check (state in ('taken', 'conflict', 'refused')),
  -- Why it is not taken.
  reason text,
  source text not null check (source in ('mail', 'file')),
  mail_id uuid,
  file_name text not null,
  -- 2: the mail's authenticated domain is the reporter's. 1: brought in as a file. 0: anybody may have written it.
  standing smallint not null check (standing between 0 and 2),
  org text not null,
  contact text not null,
  report_id text not null,
  -- The partner's domain that it counts for; null: none.
  domain text,
  -- The domain that the report names: that one or below it.
  policy_domain text not null,
  period_from timestamptz,
  period_to timestamptz,
  -- The UTC day that holds the middle of the period.
  day date,
  -- SHA-256 of what it says, the order of its records aside; of the file, when it could not be read.
  digest bytea not null check (length(digest) = 32),
  records integer not null,
  messages bigint not null,
  -- The policy that the receiver found: none, quarantine, reject.
  policy text,
  received_at timestamptz not null,
  primary key (partner_id, id),
  check ((state = 'taken') = (reason is null)),
  check (state = 'refused' or (kind is not null and client_id is not null and domain is not null and day is not null)),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create unique index aggregate_reports_digest on aggregate_reports (partner_id, digest);
-- One report counts once.
create unique index aggregate_reports_once on aggregate_reports (partner_id, kind, org, report_id, policy_domain, period_from, period_to)
  where state = 'taken';
create index aggregate_reports_domain on aggregate_reports (partner_id, domain, day);
create index aggregate_reports_list on aggregate_reports (partner_id, received_at desc, id desc);
create index aggregate_reports_age on aggregate_reports (received_at);

create table dmarc_records (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  source_ip inet not null,
  disposition text not null check (disposition in ('none', 'quarantine', 'reject', 'pass', 'other')),
  dkim_aligned boolean not null,
  spf_aligned boolean not null,
  header_from text not null,
  envelope_from text not null,
  dkim_domain text not null,
  dkim_selector text not null,
  dkim_result text not null,
  spf_domain text not null,
  spf_result text not null,
  -- Why the receiver did not follow the policy: forwarded, mailing_list, local_policy ...
  overrides text[] not null,
  messages bigint not null check (messages > 0),
  primary key (partner_id, report_id, position),
  foreign key (partner_id, report_id) references aggregate_reports (partner_id, id) on delete cascade
);
create index dmarc_records_domain on dmarc_records (partner_id, domain, day);

-- What a sender did by each policy it found.
create table tls_policies (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  -- tlsa, sts, no-policy-found.
  policy_type text not null,
  successful bigint not null check (successful >= 0),
  failed bigint not null check (failed >= 0),
  primary key (partner_id, report_id, position),
  foreign key (partner_id, report_id) references aggregate_reports (partner_id, id) on delete cascade
);
create index tls_policies_domain on tls_policies (partner_id, domain, day);

-- Sessions that failed, as far as the sender says why. Their sum may be less than tls_policies.failed.
create table tls_results (
  partner_id uuid not null,
  report_id uuid not null,
  position integer not null,
  client_id uuid not null,
  domain text not null,
  day date not null,
  policy_type text not null,
  -- starttls-not-supported, certificate-expired ... (RFC 8460 section 4.3)
  result_type text not null,
  sending_mta inet,
  receiving_mx text not null,
  sessions bigint not null check (sessions > 0),
  primary key (partner_id, report_id, position),
  foreign key (partner_id, report_id) references aggregate_reports (partner_id, id) on delete cascade
);
create index tls_results_domain on tls_results (partner_id, domain, day);

do $$
declare
  t text;
begin
  foreach t in array array['aggregate_mails', 'aggregate_reports', 'dmarc_records', 'tls_policies', 'tls_results'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;
