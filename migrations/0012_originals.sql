-- The original of a delivery that went out without its unwanted files. The delivery has ended as `stripped` and stays that way:
-- what happens to the original is a property of it and is counted nowhere else (rule 2).
alter table deliveries
  add column original_state text
    check (original_state in ('held', 'requested', 'released', 'failed', 'discarded')),
  -- When it came into that state.
  add column original_at timestamptz;
create index deliveries_originals on deliveries (partner_id, client_id, accepted_at desc, id desc) where original_state = 'held';
create index deliveries_originals_failed on deliveries (original_at) where original_state = 'failed';

-- original: the whole message after all, behind a delivery that has ended without its files.
alter table queue drop constraint queue_kind_check;
alter table queue add constraint queue_kind_check check (kind in ('mail', 'release', 'dsn', 'forward', 'return', 'original'));

-- How the release of an original ended. Neither ends a delivery.
alter table ledger drop constraint ledger_kind_check;
alter table ledger add constraint ledger_kind_check check (kind in ('accepted', 'rejected', 'refused', 'quarantined', 'deferred',
  'delivered', 'bounced', 'expired', 'discarded', 'release_requested', 'original_released', 'original_failed'));
