-- Names of the migrations that were applied.
select migration_id
from public._pogo_migration
