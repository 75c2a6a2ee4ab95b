-- Restates engine.v1.penalties: the penalties the stewards announced, and what each costs in s.
-- The same words on the same lap are one penalty, with or without the stewards' opening.
with messages as (
    select *, regexp_replace(upper(message), '^FIA STEWARDS: ', '') as words
    from race_control
),
announcements as (
    select
        session_id,
        message_number,
        lap_number,
        message,
        words,
        regexp_extract(
            words,
            '(?:(\d+) SECOND )?(TIME|DRIVE[ -]THROUGH|STOP(?:/| AND |-AND-| & )GO)'
            || ' PENALTY FOR CAR (\d+)',
            ['seconds', 'penalty', 'car']
        ) as said
    from messages
    where not regexp_matches(
        words,
        'SERVED|INVESTIGAT|NOTED|NO FURTHER|RESCINDED|CANCEL|WITHDRAWN|CORRECTION'
    )
),
first_told as (
    select
        session_id,
        words,
        lap_number,
        min(message_number) as message_number,
        arg_min(message, message_number) as message,
        any_value(said) as said
    from announcements
    where said.penalty <> ''
    group by session_id, words, lap_number
),
priced as (
    select
        session_id,
        message_number,
        lap_number,
        message,
        said.car::bigint as driver_number,
        case
            when said.penalty = 'TIME' then 'time'
            when said.penalty like 'DRIVE%' then 'drive_through'
            else 'stop_and_go'
        end as kind,
        -- absent seconds are extracted as ''
        try_cast(said.seconds as double) as seconds,
        case kind
            when 'time' then seconds
            when 'drive_through' then 20
            else greatest(30, 20 + coalesce(seconds, 0))
        end as time_loss_s
    from first_told
)
select
    e.session_id,
    e.driver_id,
    row_number() over (partition by e.session_id, e.driver_id order by p.message_number)
        as penalty_number,
    p.kind,
    p.lap_number,
    p.time_loss_s,
    p.message,
    'race_control' as source
from priced as p
join entries as e on e.session_id = p.session_id and e.driver_number = p.driver_number
-- a time penalty whose seconds are not said has no cost to list
where p.time_loss_s is not null
