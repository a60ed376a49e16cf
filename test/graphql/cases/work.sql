select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
  d.direction, d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
  d.released_at as "releasedAt", d.remote_reply as "remoteReply"
from deliveries d
where true and d.partner_id = $1 and d.client_id = $2::uuid and d.disposition = any($3::text[])
order by d.accepted_at desc, d.id desc
limit $4;

select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient,
  d.direction, d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
  d.released_at as "releasedAt", d.remote_reply as "remoteReply"
from deliveries d
where true and d.partner_id = $1 and d.disposition = any($2::text[])
order by d.accepted_at desc, d.id desc
limit $3;

-- 3 times
select i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title, i.description, i.resolution,
  i.occurrences, i.opened_at as "openedAt", i.last_seen_at as "lastSeenAt", i.resolved_at as "resolvedAt",
  i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_number as "ticketNumber", i.ticket_note as
  "ticketNote"
from incidents i
where i.partner_id = $1 and ($2::uuid is null or i.client_id = $3::uuid) and ($4::text is null or i.state = $5::text)
  and ($6::uuid is null or (i.opened_at, i.id) < ($7::timestamptz, $8::uuid))
order by i.opened_at desc, i.id desc
limit $9;

-- 2 times
select id, client_id, mailbox_id, kind, pattern
from list_entries
where partner_id = $1 and (client_id is null or client_id = $2::uuid)
order by pattern, id;

select m.id, m.direction, m.sender, m.remote_address as "remoteAddress", m.helo, m.tls, m.header_message_id as
  "headerMessageId", m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.attachments, m.bytes,
  m.authentication_results as "authenticationResults", m.received_at as "receivedAt"
from messages m
where m.partner_id = $1 and m.id = any($2::uuid[]);

-- 2 times
select r.id, r.client_id as "clientId", r.report, r.period_from as "from", r.period_to as "to", r.time_zone as
  "timeZone", r.version, (select max(n.version)
  from report_runs n
  where n.partner_id = r.partner_id and n.client_id = r.client_id and n.report = r.report and n.period_from =
    r.period_from and n.period_to = r.period_to) as "newestVersion", r.state, r.complete, r.complete_through as
  "completeThrough", r.bytes, encode(r.sha256, 'hex') as sha256, r.document_state as "documentState", r.error,
  r.requested_at as "requestedAt", r.due_at as "dueAt", r.deadline_at as "deadlineAt", r.issued_at as "issuedAt"
from report_runs r
where r.partner_id = $1 and ($2::uuid is null or r.client_id = $3::uuid) and ($4::uuid is null or (r.requested_at, r.id)
    < ($5::timestamptz, $6::uuid))
order by r.requested_at desc, r.id desc
limit $7;
