select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and ($2::uuid is null or (c.name, c.id) > ($3, $4::uuid))
order by c.name, c.id
limit $5;

select client_id as "clientId", host, port, state, since, latency_ms as "latencyMs", banner, floor(date_part('epoch',
      certificate_until - $1::timestamptz) / 86400)::int as "certificateDaysLeft", last_error as "lastError", checked_at
  as "checkedAt"
from server_probes
where partner_id = $2 and client_id = any($3::uuid[])
order by client_id, host, port;
