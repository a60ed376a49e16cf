select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and ($2::uuid is null or (c.name, c.id) > ($3, $4::uuid))
order by c.name, c.id
limit $5;

select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select client_id, name
from domains
where partner_id = $1 and client_id = any($2::uuid[])
order by name;

select id, name
from partners
where id = $1;

select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep
from mailboxes m
where m.partner_id = $1 and m.client_id = $2 and m.status <> 'deleted' and m.address > $3
order by m.address
limit $4;
