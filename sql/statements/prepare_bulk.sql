-- Prepares this transaction for many rows: the pages of a warehouse are in memory, so an index
-- costs little more than a scan; and nested loops are $1 ('off' if whole tables are merged:
-- statistics are as old as their last analysis, and a loop over all that was inserted since would
-- take hours).
select
    set_config('enable_nestloop', $1, true) as enable_nestloop,
    set_config('random_page_cost', '1.1', true) as random_page_cost,
    set_config('jit', 'off', true) as jit,
    set_config('work_mem', '64MB', true) as work_mem,
    set_config('statement_timeout', '600s', true) as statement_timeout
