-- A transaction that comes again is the same only if its first client is known to have left without an answer. Before, every equal one
-- within ten minutes was taken for the first: the second mail of a device that says the same twice, with a Message-ID that never
-- changes, was answered 250 and thrown away.
alter table accepted_digests add column unheard boolean not null default false;
