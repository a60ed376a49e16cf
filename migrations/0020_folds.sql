-- The folds of a stretch of time, of all clients: for recounting and for the nightly look, piece by piece.
create index rollup_folds_time on rollup_folds using brin (starts) with (pages_per_range = 8, autosummarize = on);
