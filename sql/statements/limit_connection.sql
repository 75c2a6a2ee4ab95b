-- Ends every transaction of this connection after $1 (PostgreSQL 17 or later), and looks every $2
-- whether its client is still there while a statement runs (14 or later), where the server can and
-- nobody chose otherwise.
select
    name,
    set_config(name, case name when 'transaction_timeout' then $1 else $2 end, false) as value
from pg_settings
where name in ('transaction_timeout', 'client_connection_check_interval')
    and source = 'default'
