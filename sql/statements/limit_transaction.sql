-- Ends every transaction of this connection after $1, where the server can (PostgreSQL 17 or
-- later) and nobody chose another limit.
select set_config('transaction_timeout', $1, false) as transaction_timeout
from pg_settings
where name = 'transaction_timeout'
    and source = 'default'
