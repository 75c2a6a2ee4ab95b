-- What a load's data was computed from, so that new grades of old data are not taken for new data
-- depends: 0012_outbox

-- migrate: apply

alter table ops.loads
    add column source_hash text check (char_length(source_hash) between 1 and 200);

comment on column ops.loads.source_hash is
    'hash of what the provider delivered, without events and grades; null if it was not told';

-- migrate: rollback

alter table ops.loads drop column source_hash;
