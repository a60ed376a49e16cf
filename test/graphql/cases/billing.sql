select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select l.client_id as "clientId", l.product, l.contract_id as "contractId", l.line_id as "lineId", l.before_quantity as
  before, l.target_quantity as target, l.after_quantity as after, l.effective_date as "effectiveDate", l.unit_price as
  "unitPrice", l.currency, l.state, l.reason
from billing_lines l
where l.partner_id = $1 and l.plan_id = $2 and ($3::uuid is null or (l.client_id, l.product) > ($4::uuid, $5::text))
order by l.client_id, l.product
limit $6;

select m.client_id as "clientId", m.connection_id as "connectionId", m.company_id as "companyId", m.company_name as
  "companyName", m.state
from psa_mappings m
where m.partner_id = $1 and m.client_id = any($2::uuid[]);

select p.id, p.usage_day as "usageDay", p.state, p.created_at as "createdAt", p.approved_at as "approvedAt",
  p.approved_by as "approvedBy", p.finished_at as "finishedAt"
from billing_plans p
where p.partner_id = $1 and ($2::uuid is null or (p.created_at, p.id) < ($3::timestamptz, $4::uuid))
order by p.created_at desc, p.id desc
limit $5;

select s.client_id as "clientId", s.product, s.contract_id as "contractId", s.line_id as "lineId"
from subscriptions s
where s.partner_id = $1 and s.client_id = any($2::uuid[])
order by s.product;

select u.client_id as "clientId", u.product, u.day, u.quantity, u.addresses, u.taken_at as "takenAt"
from usage_snapshots u
where u.partner_id = $1 and u.client_id = any($2::uuid[]) and u.day between $3 and $4
order by u.day desc, u.product;
