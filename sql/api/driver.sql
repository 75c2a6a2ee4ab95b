-- The driver whose id is $1; no row if there is none.
select
    driver_id,
    driver_code,
    driver_name
from core.drivers
where driver_id = $1::text
