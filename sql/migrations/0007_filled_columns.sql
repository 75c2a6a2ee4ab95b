-- Which columns of a session were filled from another source
-- depends: 0006_revisions

-- migrate: apply

create table core.filled_columns (
    race_id bigint not null references core.races on delete cascade,
    table_name text not null check (table_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    column_name text not null check (column_name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    data_source text not null check (data_source ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    filled_rows integer not null check (filled_rows >= 1),
    primary key (race_id, table_name, column_name, data_source)
);

comment on table core.filled_columns is
    'One row per column of a session and source that filled gaps in it.';
comment on column core.filled_columns.race_id is 'the session';
comment on column core.filled_columns.table_name is
    'the table, as the lake calls it: laps is public.lap_times here';
comment on column core.filled_columns.column_name is 'its column';
comment on column core.filled_columns.data_source is 'provider the values are from';
comment on column core.filled_columns.filled_rows is 'rows whose value is from that provider';

-- migrate: rollback

drop table core.filled_columns;
