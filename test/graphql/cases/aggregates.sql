select a.day, count(distinct a.id) as reports, coalesce(sum(d.messages), 0)::bigint as messages,
  coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned,
  coalesce(sum(d.messages) filter (where d.dkim_aligned), 0)::bigint as "dkimAligned", coalesce(sum(d.messages) filter
    (where d.spf_aligned), 0)::bigint as "spfAligned"
from aggregate_reports a
left join dmarc_records d on d.partner_id = a.partner_id and d.report_id = a.id
where a.partner_id = $1 and a.domain = $2 and a.day between $3 and $4 and a.kind = 'dmarc' and a.state = 'taken' and
  a.standing >= $5
group by a.day
order by a.day;

select a.org, count(distinct a.id) as reports, coalesce(sum(d.messages), 0)::bigint as messages,
  coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned,
  coalesce(sum(d.messages) filter (where d.dkim_aligned), 0)::bigint as "dkimAligned", coalesce(sum(d.messages) filter
    (where d.spf_aligned), 0)::bigint as "spfAligned"
from aggregate_reports a
left join dmarc_records d on d.partner_id = a.partner_id and d.report_id = a.id
where a.partner_id = $1 and a.domain = $2 and a.day between $3 and $4 and a.kind = 'dmarc' and a.state = 'taken' and
  a.standing >= $5
group by a.org
order by messages desc, a.org
limit $6;

select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select client_id as id
from domains
where partner_id = $1 and name = $2;

select count(distinct a.id) as reports, count(distinct a.day) as days, coalesce(sum(p.successful), 0)::bigint as
  successful, coalesce(sum(p.failed), 0)::bigint as failed
from aggregate_reports a
join tls_policies p on p.partner_id = a.partner_id and p.report_id = a.id
where a.partner_id = $1 and a.domain = $2 and a.day between $3 and $4 and a.state = 'taken' and a.standing >= $5;

select d.disposition, sum(d.messages)::bigint as messages
from dmarc_records d
join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id
where d.partner_id = $1 and d.domain = $2 and d.day between $3 and $4 and a.standing >= $5
group by d.disposition
order by d.disposition;

select host(d.source_ip) as "sourceIp", sum(d.messages)::bigint as messages, coalesce(sum(d.messages) filter (where
      d.dkim_aligned or d.spf_aligned), 0)::bigint as aligned, coalesce(sum(d.messages) filter (where d.dkim_aligned),
    0)::bigint as "dkimAligned", coalesce(sum(d.messages) filter (where d.spf_aligned), 0)::bigint as "spfAligned"
from dmarc_records d
join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id
where d.partner_id = $1 and d.domain = $2 and d.day between $3 and $4 and a.standing >= $5
group by d.source_ip
having $6::bigint is null or sum(d.messages) < $7::bigint or (sum(d.messages) = $8::bigint and d.source_ip > $9::inet)
order by sum(d.messages) desc, d.source_ip
limit $10;

select id, client_id as "clientId", kind, state, reason, source, file_name as "fileName", standing, org, contact,
  report_id as "reportId", domain, policy_domain as "policyDomain", period_from as "periodFrom", period_to as
  "periodTo", day, records, messages, policy, received_at as "receivedAt"
from aggregate_reports
where partner_id = $1 and ($2::uuid is null or client_id = $3::uuid) and ($4::text is null or domain = $5::text) and
  ($6::text is null or state = $7::text) and ($8::uuid is null or (received_at, id) < ($9::timestamptz, $10::uuid))
order by received_at desc, id desc
limit $11;

select p.day, p.policy_type as "policyType", sum(p.successful)::bigint as successful, sum(p.failed)::bigint as failed
from tls_policies p
join aggregate_reports a on a.partner_id = p.partner_id and a.id = p.report_id
where p.partner_id = $1 and p.domain = $2 and p.day between $3 and $4 and a.standing >= $5
group by p.day, p.policy_type
order by p.day, p.policy_type;

select p.reports, p.days, coalesce(r.messages, 0)::bigint as messages, coalesce(r.aligned, 0)::bigint as aligned,
  coalesce(r.dkim, 0)::bigint as "dkimAligned", coalesce(r.spf, 0)::bigint as "spfAligned"
from (select count(*) as reports, count(distinct day) as days
  from aggregate_reports
  where partner_id = $1 and domain = $2 and day between $3 and $4 and kind = 'dmarc' and state = 'taken' and standing >=
    $5) as p, (select sum(d.messages) as messages, sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned) as
    aligned, sum(d.messages) filter (where d.dkim_aligned) as dkim, sum(d.messages) filter (where d.spf_aligned) as spf
  from dmarc_records d
  join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id and a.standing >= $6
  where d.partner_id = $7 and d.domain = $8 and d.day between $9 and $10) as r;

select r.policy_type as "policyType", r.result_type as "resultType", r.receiving_mx as "receivingMx", count(distinct
    r.sending_mta) as "sendingMtas", sum(r.sessions)::bigint as sessions
from tls_results r
join aggregate_reports a on a.partner_id = r.partner_id and a.id = r.report_id
where r.partner_id = $1 and r.domain = $2 and r.day between $3 and $4 and a.standing >= $5
group by r.policy_type, r.result_type, r.receiving_mx
order by sum(r.sessions) desc, 1, 2, 3
limit $6;

select report_token as token
from domains
where partner_id = $1 and name = $2;

with sources as (
  select d.source_ip, sum(d.messages) as messages, coalesce(sum(d.messages) filter (where d.dkim_aligned or
        d.spf_aligned), 0) as aligned
  from dmarc_records d
  join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id and a.standing >= 1
  where d.partner_id = $1 and d.domain = $2 and d.day between $3 and $4
  group by d.source_ip)
select (select count(distinct day)
  from aggregate_reports
  where partner_id = $5 and domain = $6 and day between $7 and $8 and kind = 'dmarc' and state = 'taken' and standing >=
    1) as days, coalesce(sum(s.messages) filter (where s.aligned > 0), 0)::bigint as messages, coalesce(sum(s.aligned),
    0)::bigint as aligned, coalesce(sum(s.messages) filter (where s.aligned = 0), 0)::bigint as other
from sources s;
