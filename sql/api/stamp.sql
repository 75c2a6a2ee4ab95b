-- What all answers rest on, as one text: it differs after every load, activation of a profile,
-- and change of the calendar or of a profile. Sums, not maxima alone: what commits late counts too.
select concat_ws(
    ' ',
    (select concat_ws('-', count(*), max(load_id), sum(load_id)) from ops.loads),
    (
        select concat_ws('-', count(*), max(activation_number), sum(activation_number))
        from ops.profile_activations
    ),
    (select concat_ws('-', count(*), sum(xmin::text::bigint)) from public.calendar_events),
    (select concat_ws('-', count(*), sum(xmin::text::bigint)) from config.calibration_profiles),
    (select concat_ws('-', count(*), sum(xmin::text::bigint)) from core.races)
) as stamp
