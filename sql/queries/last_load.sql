-- What the last load of each session stored; $1 is a JSON list of what is being loaded: session_id,
-- data_hash and source_hash. No row of a session that was never loaded. newer_revision: the last
-- revision that was made after this very data was loaded, or after other data from a provider took
-- the place of that which these grades were computed from; null if there is none.
select
    incoming.session_id,
    last.data_hash,
    last.gradings::text as gradings,
    last.completeness_reasons::text as completeness_reasons,
    last.refused_providers::text as refused_providers,
    exists (
        select
        from public.lap_times
        join core.entries on entries.entry_id = lap_times.entry_id
        where entries.race_id = races.race_id
    ) as has_laps,
    (
        select max(newer.data_revision)
        from ops.loads as newer
        where newer.race_id = races.race_id
            and (
                newer.load_id > (
                    select max(same.load_id)
                    from ops.loads as same
                    where same.race_id = races.race_id
                        and same.data_hash = incoming.data_hash
                )
                or (
                    last.source_hash <> incoming.source_hash
                    and newer.load_id > (
                        select max(same.load_id)
                        from ops.loads as same
                        where same.race_id = races.race_id
                            and same.source_hash = incoming.source_hash
                    )
                )
            )
    ) as newer_revision
from jsonb_to_recordset($1::jsonb) as incoming (
    session_id text, data_hash text, source_hash text
)
join core.races on races.slug = incoming.session_id
cross join lateral (
    select loads.*
    from ops.loads
    where loads.race_id = races.race_id
    order by loads.load_id desc
    limit 1
) as last
