"""OpenF1's laps: repaired, put on one session clock, and joined with what happened during them.

Clocks. A lap's ``date_start`` is right to a few tenths of a second, its duration to the
millisecond, and who passed whom hangs on hundredths. So a driver's laps are chained by their
durations, and each chain is anchored at the median of ``date_start`` minus the time run since the
chain began:

    start_k = median_j(date_j − run_j) + run_k,   run_k = Σ durations of the chain's laps before k
    end_k   = start_{k+1}, or start_k + duration_k where that lap is not listed, or, on the last
              lap, the common start + the race time

Lap 1 is no link, since its duration is not timed: OpenF1 infers it from 2026 on. A chain also
ends at a lap without duration, and where two dates differ from the duration by more than
`CHAIN_TOLERANCE_MS`, as at a restart. The last chain of a car whose race time is known is moved so
that its end agrees with that time, which is exact, unless a penalty is in it.

Order at the line. A lap's `position` is the rank of its end among the same laps of all cars. That
agreed with FastF1 on every lap measured; the last message of `position` before the line on
98.7 to 99.7 %, because the messages lag. So they only order the retired (`openf1_entries`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import COMPOUNDS
from loaders.providers.openf1_records import DRIVER, ORDER, contract, timed, to_ms
from loaders.providers.openf1_track import deletions, track_states, track_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey

CHAIN_TOLERANCE_MS: Final = 1000
"""Two dates, each right to 0.3 s, can contradict a duration by less than this, in ms."""

PENALTY_FREE_MS: Final = 500
"""The least time penalty is 5 s; a race time nearer than this to the dates holds none, ms."""

SECTOR_SUM_TOLERANCE_MS: Final = 2
"""Three rounded sectors may differ from the rounded lap by this, in ms."""

SECTORS: Final = ("sector1_time_ms", "sector2_time_ms", "sector3_time_ms")
TIMED: Final = ("lap_time_ms", *SECTORS, "i1_speed", "i2_speed", "st_speed", "is_pit_out_lap")


def parse_laps(
    session: SessionKey,
    raw: Mapping[str, pl.DataFrame],
    entries: pl.DataFrame,
    zero: pl.Expr,
) -> pl.DataFrame:
    """Give every lap that OpenF1 lists, one row per driver and lap, clocks and times in ms.

    Lap 1 has no time: until 2025 OpenF1 gives none, and since then one it infers, 0.24 s off.

    Args:
        session: which.
        raw: frames `laps`, `stints`, `pit` and `race_control`; flags and track status are null
            where `pit` or `race_control` has no rows.
        entries: under contract.
        zero: see `clock_zero`.
    """
    has_pit, has_messages = (not raw[name].is_empty() for name in ("pit", "race_control"))
    laps = _joined(raw, entries, zero)
    return laps.select(
        pl.col(DRIVER, ORDER, "lap_start_ms", "lap_end_ms", "position", "deleted_reason"),
        pl.col("stint_number", "compound", "tyre_life_laps", "is_fresh_tyre"),
        *(timed(sector) for sector in SECTORS),
        lap_time_ms=pl.when(pl.col(ORDER) > 1).then(timed("lap_time_ms")),
        speed_trap_1_kph="i1_speed",
        speed_trap_2_kph="i2_speed",
        speed_trap_line_kph=pl.lit(None),
        speed_trap_straight_kph="st_speed",
        is_in_lap=pl.when(has_pit).then(
            pl.col("stops").fill_null(value=False) | _is_left_by_out_lap()
        ),
        is_out_lap="is_pit_out_lap",
        track_status=pl.when(has_messages).then("track_status"),
        is_deleted=pl.when(has_messages).then(pl.col("deleted").fill_null(value=False)),
        is_personal_best=pl.lit(None),
        is_accurate=pl.lit(None),
        is_generated=pl.lit(value=False),
    ).pipe(contract, "laps", session)


def _joined(raw: Mapping[str, pl.DataFrame], entries: pl.DataFrame, zero: pl.Expr) -> pl.DataFrame:
    """Join each lap with its clocks, place, tyres, visit to the pit lane, status and deletion."""
    key = [DRIVER, ORDER]
    of_car = entries.select(DRIVER, pl.col("driver_number").cast(pl.Int64))
    stints, pit = (raw[name].join(of_car, on="driver_number") for name in ("stints", "pit"))
    in_laps = pit.select(key).unique()
    laps = (
        timed_laps(raw["laps"], entries, zero)
        .pipe(repair_first_laps)
        .pipe(clocks)
        .pipe(order_at_the_line, entries)
        .pipe(tyres, stints, in_laps)
    )
    numbered = laps.join(entries.select(DRIVER, "driver_number"), on=DRIVER)
    seen = track_status(laps, track_states(raw["race_control"], zero))
    deleted = deletions(numbered, raw["race_control"])
    return (
        laps.join(in_laps.with_columns(stops=True), on=key, how="left")
        .join(seen, on=key, how="left")
        .join(deleted.with_columns(deleted=True), on=key, how="left")
    )


def _is_left_by_out_lap() -> pl.Expr:
    """Tell laps whose next one began in the pit lane, although no visit may be listed."""
    following = pl.col(ORDER).shift(-1).over(DRIVER, order_by=ORDER)
    is_out = pl.col("is_pit_out_lap").shift(-1).over(DRIVER, order_by=ORDER)
    return ((following == pl.col(ORDER) + 1) & is_out).fill_null(value=False)


def timed_laps(laps: pl.DataFrame, entries: pl.DataFrame, zero: pl.Expr) -> pl.DataFrame:
    """Give each lap its driver, times in ms, and `date_ms`, its start on the session clock.

    Laps after the flag are dropped: those beyond the laps that the classification credits to a car
    that was running at the end. A retired car keeps the lap it began; of a disqualified one the
    classification may credit none.
    """
    drivers = entries.select(DRIVER, "status", "completed_laps", "race_time_ms", "driver_number")
    credited = pl.col("completed_laps")
    is_beyond = pl.col("status").is_in(["finished", "lapped"]) & (pl.col(ORDER) > credited)
    return (
        laps.with_columns(pl.col("driver_number").cast(pl.Int16))
        .join(drivers, on="driver_number", how="inner")
        .filter(pl.col(ORDER) >= 1, ~is_beyond.fill_null(value=False))
        .select(
            DRIVER,
            ORDER,
            "race_time_ms",
            *TIMED[-4:],
            finish_lap=pl.when(pl.col("status").is_in(["finished", "lapped"])).then(credited),
            date_ms=(pl.col("date_start") - zero).dt.total_milliseconds(),
            lap_time_ms=to_ms("lap_duration"),
            sector1_time_ms=to_ms("duration_sector_1"),
            sector2_time_ms=to_ms("duration_sector_2"),
            sector3_time_ms=to_ms("duration_sector_3"),
        )
    )


def repair_first_laps(laps: pl.DataFrame) -> pl.DataFrame:
    """Undo a fault of OpenF1: lap 1's row holds lap 2's times, and lap 2 is missing.

    Where lap 3's date leaves room for a first lap before it, the times move to a lap 2 that ends
    then, and lap 1 keeps its date; else they are dropped. A car without later laps is left alone.
    """
    is_third = pl.col(ORDER) == 3
    third_ms = pl.col("date_ms").filter(is_third).first().over(DRIVER)
    goes_on = pl.col(ORDER).max().over(DRIVER) > 1
    is_second = is_second_lap(DRIVER, pl.col("lap_time_ms"), *(pl.col(name) for name in SECTORS))
    suspect = goes_on & is_second
    room_ms = third_ms - pl.col("date_ms") - pl.col("lap_time_ms")
    marked = laps.with_columns(suspect=suspect, room_ms=room_ms, third_ms=third_ms)
    second = marked.filter(pl.col("suspect") & (pl.col("room_ms") * 2 > pl.col("lap_time_ms")))
    moved = second.with_columns(
        pl.lit(2, dtype=pl.Int64).alias(ORDER), date_ms=pl.col("third_ms") - pl.col("lap_time_ms")
    )
    kept = marked.with_columns(pl.when(~pl.col("suspect")).then(pl.col(TIMED)).name.keep())
    return pl.concat([kept, moved]).drop("suspect", "room_ms", "third_ms")


def is_second_lap(car: str, lap_ms: pl.Expr, *sectors_ms: pl.Expr) -> pl.Expr:
    """Tell the rows of lap 1 that may hold lap 2: no lap 2, and all sectors, which add up.

    A standing start has no first sector, nor an official time.

    Args:
        car: column that tells the cars apart.
        lap_ms: the lap time, ms.
        sectors_ms: the times of its sectors, ms.
    """
    sector_sum = pl.sum_horizontal(*sectors_ms, ignore_nulls=False)
    adds_up = (sector_sum - lap_ms).abs() <= SECTOR_SUM_TOLERANCE_MS
    has_second = (pl.col(ORDER) == 2).any().over(car)
    return ((pl.col(ORDER) == 1) & ~has_second & adds_up).fill_null(value=False)


def clocks(laps: pl.DataFrame) -> pl.DataFrame:
    """Add `lap_start_ms` and `lap_end_ms`, see the module's text; null where nothing tells."""
    sector_sum = pl.sum_horizontal(*SECTORS, ignore_nulls=False)
    timed_ms = pl.coalesce("lap_time_ms", sector_sum)
    before = pl.col(ORDER, "date_ms", "link_ms").shift(1).name.prefix("before_")
    is_next = pl.col(ORDER) == pl.col("before_lap_number") + 1
    step_ms = pl.col("date_ms") - pl.col("before_date_ms") - pl.col("before_link_ms")
    agrees = (step_ms.abs() <= CHAIN_TOLERANCE_MS).fill_null(value=True)
    is_linked = is_next & pl.col("before_link_ms").is_not_null() & agrees
    chain = (DRIVER, "chain")
    run_ms = pl.col("link_ms").fill_null(0).cum_sum() - pl.col("link_ms").fill_null(0)
    anchor_ms = (pl.col("date_ms") - pl.col("run_ms")).median().over(*chain)
    following = pl.col("start_ms", ORDER).shift(-1).name.prefix("following_")
    followed = pl.col("following_lap_number") == pl.col(ORDER) + 1
    own_end_ms = pl.col("start_ms") + pl.col("timed_ms")
    return (
        laps.with_columns(timed_ms=timed_ms)
        .with_columns(link_ms=pl.when(pl.col(ORDER) > 1).then("timed_ms"))
        .with_columns(before.over(DRIVER, order_by=ORDER))
        .with_columns(is_start=~is_linked.fill_null(value=False))
        .with_columns(chain=pl.col("is_start").cum_sum().over(DRIVER, order_by=ORDER))
        .with_columns(run_ms=run_ms.over(*chain, order_by=ORDER))
        .with_columns(start_ms=anchor_ms + pl.col("run_ms"))
        .pipe(_agree_with_race_times)
        .with_columns(following.over(DRIVER, order_by=ORDER))
        .with_columns(
            lap_start_ms=pl.col("start_ms").round().cast(pl.Int64),
            lap_end_ms=pl.coalesce(
                pl.when(followed).then("following_start_ms"), own_end_ms, "finish_ms"
            )
            .round()
            .cast(pl.Int64),
        )
    )


def _agree_with_race_times(laps: pl.DataFrame) -> pl.DataFrame:
    """Move each car's last chain so that it ends at the common start plus its race time.

    The common start is the median over the cars. A car is moved by `PENALTY_FREE_MS` at most.
    Adds `finish_ms`, that end, on the last lap.
    """
    end_ms = pl.col("start_ms") + pl.col("timed_ms")
    is_finish = (pl.col(ORDER) == pl.col("finish_lap")) & (pl.col(ORDER) > 1)
    own_start_ms = pl.when(is_finish).then(end_ms - pl.col("race_time_ms"))
    shift_ms = pl.col("own_start_ms").median() - pl.col("own_start_ms")
    is_small = pl.col("shift_ms").abs() <= PENALTY_FREE_MS
    moved = pl.when(is_small).then(pl.col("start_ms") + pl.col("shift_ms"))
    return (
        laps.with_columns(own_start_ms=own_start_ms)
        .with_columns(shift_ms=shift_ms)
        .with_columns(shift_ms=pl.col("shift_ms").max().over(DRIVER, "chain"))
        .with_columns(
            start_ms=pl.coalesce(moved, "start_ms"),
            finish_ms=pl.when(is_finish).then(
                pl.col("own_start_ms").median() + pl.col("race_time_ms")
            ),
        )
    )


def order_at_the_line(laps: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Add `position`, the place at the lap's end: rank among the cars' laps of that number.

    Null without a clock, and where a car's lap is not listed that it must have run, since it is
    credited with it or has a later one: who was before it could only be guessed.
    """
    ran = (
        entries.select(DRIVER, pl.col("completed_laps").cast(pl.Int64))
        .join(laps.group_by(DRIVER).agg(last=pl.col(ORDER).max()), on=DRIVER, how="left")
        .select(DRIVER, last=pl.max_horizontal("completed_laps", "last"))
    )
    missing = (
        laps.select(ORDER)
        .unique()
        .join(ran, how="cross")
        .filter(pl.col("last") >= pl.col(ORDER))
        .join(laps, on=[DRIVER, ORDER], how="anti")
    )
    rank = pl.col("lap_end_ms").rank("ordinal").over(ORDER, order_by=DRIVER)
    is_whole = ~pl.col(ORDER).is_in(missing[ORDER].unique().to_list())
    return laps.with_columns(position=pl.when(is_whole).then(rank))


def tyres(laps: pl.DataFrame, stints: pl.DataFrame, in_laps: pl.DataFrame) -> pl.DataFrame:
    """Add the tyres of each lap: `stint_number`, `compound`, `tyre_life_laps`, `is_fresh_tyre`.

    A lap belongs to the last stint that began before it or with it: where stints overlap, the
    later one holds. Past a stint's listed end the tyres are the same until the next visit to the
    pit lane, and unknown after it. Stints that end before they begin are no stints. Age counts
    the lap being run, as in FastF1: 1 on the first lap of a new set.

    Args:
        laps: `driver_id`, `lap_number` and anything else.
        stints: `TyreStint` rows, with `driver_id`.
        in_laps: `driver_id` and `lap_number` of every visit to the pit lane.
    """
    begun = (
        stints.drop("driver_number")
        .filter(pl.col("lap_end") >= pl.col("lap_start"))
        .sort("stint_number")
        .unique([DRIVER, "lap_start"], keep="last", maintain_order=True)
        .sort("lap_start")
    )
    visits = in_laps.select(DRIVER, ORDER, visit=ORDER).unique().sort(ORDER)
    is_known = (pl.col(ORDER) <= pl.col("lap_end")) | (
        pl.col("last_visit").fill_null(0) < pl.col("lap_end")
    )
    age = pl.when(pl.col("known")).then("tyre_age_at_start")
    return (
        laps.sort(ORDER)
        .join_asof(begun, left_on=ORDER, right_on="lap_start", by=DRIVER, check_sortedness=False)
        .with_columns(lap_before=pl.col(ORDER) - 1)
        .join_asof(
            visits.select(DRIVER, last_visit="visit"),
            left_on="lap_before",
            right_on="last_visit",
            by=DRIVER,
            coalesce=False,
            check_sortedness=False,
        )
        .with_columns(known=is_known.fill_null(value=False))
        .with_columns(
            stint_number=pl.when(pl.col("known")).then("stint_number"),
            compound=pl.when(pl.col("known") & pl.col("compound").is_in(COMPOUNDS)).then(
                "compound"
            ),
            tyre_life_laps=age + pl.col(ORDER) - pl.col("lap_start") + 1,
            is_fresh_tyre=age == 0,
        )
    )
