select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
  d.direction, d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
  d.released_at as "releasedAt", d.remote_reply as "remoteReply"
from deliveries d
join messages m on m.partner_id = d.partner_id and m.id = d.message_id
where true and d.partner_id = $1 and m.partner_id = $2 and m.sender = $3
order by d.accepted_at desc, d.id desc
limit $4;

select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
  d.direction, d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
  d.released_at as "releasedAt", d.remote_reply as "remoteReply"
from deliveries d
where true and d.partner_id = $1 and d.client_id = $2::uuid and d.verdict = any($3::text[]) and d.disposition =
  any($4::text[]) and d.accepted_at >= $5 and d.accepted_at < $6
order by d.accepted_at desc, d.id desc
limit $7;

select e.id, e.delivery_id as "deliveryId", e.kind, e.occurred_at as "occurredAt", e.disposition, e.reasons,
  e.latency_ms as "latencyMs", e.node
from ledger e
where e.partner_id = $1 and e.delivery_id = any($2::uuid[])
order by e.occurred_at, e.id;

select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep
from mailboxes m
where m.partner_id = $1 and m.id = any($2::uuid[]);

select m.id, m.direction, m.sender, m.remote_address as "remoteAddress", m.helo, m.tls, m.header_message_id as
  "headerMessageId", m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.attachments, m.bytes,
  m.authentication_results as "authenticationResults", m.received_at as "receivedAt"
from messages m
where m.partner_id = $1 and m.id = any($2::uuid[]);
