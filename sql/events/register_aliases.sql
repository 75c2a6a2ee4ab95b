-- Notes the names of event $1 that a session knows: season $2, circuit $3, date $4 (text),
-- Formula 1's meeting key $5, said by source $6. A name that is known stays with its event.
with inserted as (
    insert into core.event_aliases (alias, event_key, source)
    select distinct names.alias, $1::text, $6::text
    from (
        values
            ($1::text),
            ('f1-' || $5::integer),
            ($2::integer || '-' || $3::text || '-' || to_char($4::text::date, 'YYYY-MM-DD'))
    ) as names (alias)
    where names.alias is not null
        and not exists (select from core.event_aliases as known where known.alias = names.alias)
    on conflict (alias) do nothing
    returning 1
)
select count(*) as inserted from inserted
