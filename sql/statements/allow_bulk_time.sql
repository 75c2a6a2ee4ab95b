-- Gives this transaction $1 for each statement and $2 as a whole: a load of many seasons needs
-- more than a session's. The clock of a transaction starts anew only if its limit was lifted.
with lifted as materialized (
    select
        name,
        case when name = 'transaction_timeout' then set_config(name, '0', true) end as before
    from pg_settings
    where name in ('statement_timeout', 'transaction_timeout')
)
select
    name,
    set_config(name, case name when 'statement_timeout' then $1 else $2 end, true) as value
from lifted
