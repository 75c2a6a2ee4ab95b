-- Columns of session $1 that another source filled gaps in, and how many rows of each.
select filled.table_name, filled.column_name, filled.data_source, filled.filled_rows
from core.filled_columns as filled
join core.races on races.race_id = filled.race_id
where races.slug = $1
order by filled.table_name, filled.column_name, filled.data_source
