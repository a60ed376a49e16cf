-- Who works on an incident's ticket: a lease, and an epoch that fences off a worker whose lease has lapsed.
alter table incidents
  add column ticket_epoch integer not null default 0,
  add column ticket_lease_until timestamptz;

-- The earlier incidents of the same matter: a new ticket refers to the one before.
create index incidents_subject on incidents (partner_id, client_id, rule, subject, opened_at desc);
create index incidents_held on incidents (partner_id, client_id) where ticket_state = 'held';
-- A PSA's callback names a ticket.
create index incidents_ticket on incidents (partner_id, ticket_connection_id, ticket_id) where ticket_id is not null;

-- One plan of a partner is applied at a time, so that two never write to one line.
create unique index billing_plans_applying on billing_plans (partner_id) where state = 'applying';

-- Releases that delivery gave up: few, and looked for every few seconds.
create index deliveries_release_failed on deliveries (ended_at)
  where released_by is not null and disposition in ('bounced', 'expired');
