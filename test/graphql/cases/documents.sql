select encode(d.sha256, 'hex') as sha256, d.document, d.created_at as "createdAt", d.created_by as "createdBy"
from persisted_documents d
where d.partner_id = $1 and ($2::bytea is null or d.sha256 > $3::bytea)
order by d.sha256
limit $4;
