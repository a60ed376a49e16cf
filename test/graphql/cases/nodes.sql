select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
  d.direction, d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
  d.released_at as "releasedAt", d.remote_reply as "remoteReply"
from deliveries d
where d.partner_id = $1 and d.id = any($2::uuid[]);

select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep
from mailboxes m
where m.partner_id = $1 and m.id = any($2::uuid[]);
