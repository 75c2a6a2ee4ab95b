-- Drops what sync_calendar staged.
drop table pg_temp.stage_calendar
