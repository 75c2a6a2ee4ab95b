"""What race control says about the track and about lap times, as laps see it.

Messages carry whole seconds, the clocks of laps ms: a lap that ends within the second of a flag
may count it or not.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from loaders.providers.openf1_records import DRIVER, ORDER, to_ms

CLEAR, YELLOW, SAFETY_CAR, RED, VSC, VSC_ENDING = 1, 2, 4, 5, 6, 7
"""Codes of track status."""

DELETED_PATTERN: Final = (
    r"^CAR (?<car>\d{1,3}) \([A-Z]{2,4}\) TIME (?<minutes>\d):(?<seconds>\d\d\.\d{3}) "
    r"DELETED - (?<reason>.+?(?: LAP (?<lap>\d{1,3}))?)(?: \d\d:\d\d:\d\d)?$"
)
"""A lap time deleted: which car's, which time, why; the local time of day is left off."""


def track_states(messages: pl.DataFrame, zero: pl.Expr) -> pl.DataFrame:
    """Tell the state of the track from race control: rows `from_ms`, `until_ms`, `code`, in order.

    A red flag, a safety car and a virtual one each replace the other; all end when the track is
    declared clear, the light is green or the session starts again, and so do all yellow flags. A
    yellow flag, single or double, holds in its sector until that is declared clear. Neutralized
    outranks yellow.
    """
    upper, flag = pl.col("message").str.to_uppercase(), pl.col("flag")
    is_car = pl.col("category") == "SafetyCar"
    virtual = upper.str.contains(r"VIRTUAL SAFETY CAR|\bVSC\b")
    is_track = pl.col("scope") == "Track"
    is_sector = pl.col("scope") == "Sector"
    restarts = (pl.col("category") == "SessionStatus") & upper.str.contains("STARTED")
    resets = (is_track & flag.is_in(["CLEAR", "GREEN"])) | restarts
    neutral = (
        pl.when(resets)
        .then(CLEAR)
        .when(is_track & (flag == "RED"))
        .then(RED)
        .when(is_car & virtual & upper.str.contains("DEPLOYED"))
        .then(VSC)
        .when(is_car & virtual & upper.str.contains("ENDING"))
        .then(VSC_ENDING)
        .when(is_car & upper.str.contains("DEPLOYED"))
        .then(SAFETY_CAR)
    )
    raises = (is_sector | is_track) & flag.is_in(["YELLOW", "DOUBLE YELLOW"])
    lowers = is_sector & (flag == "CLEAR")
    events = messages.select(
        from_ms=(pl.col("date") - zero).dt.total_milliseconds().clip(lower_bound=0),
        neutral=neutral,
        sector=pl.when(raises | lowers).then(pl.col("sector").fill_null(-1)),
        is_raised=pl.when(raises).then(1).when(lowers).then(0),
        resets=resets.fill_null(value=False),
    )
    return _timeline(events.select("from_ms", "neutral"), _yellow_counts(events))


def _yellow_counts(events: pl.DataFrame) -> pl.DataFrame:
    """By how much the number of sectors under yellow changes, and when: `from_ms`, `change`.

    A flag shown and withdrawn within one second is withdrawn: the other order would leave the
    sector under yellow for the rest of the race.
    """
    flags = events.drop_nulls("sector").select("from_ms", "sector", "is_raised")
    resets = events.filter("resets").select("from_ms").unique()
    lowered = resets.join(flags.select("sector").unique(), how="cross").with_columns(
        is_raised=pl.lit(0, dtype=flags.schema["is_raised"])
    )
    change = pl.col("is_raised") - pl.col("is_raised").shift(1, fill_value=0)
    return (
        pl.concat([flags, lowered.select(flags.columns)])
        .with_columns(is_lowered=1 - pl.col("is_raised"))
        .select("from_ms", change=change.over("sector", order_by=["from_ms", "is_lowered"]))
        .cast({"change": pl.Int64})
    )


def _timeline(neutral: pl.DataFrame, yellow: pl.DataFrame) -> pl.DataFrame:
    """Join both kinds of change into one state after another, from clock 0 on.

    Of neutralizations at one moment the more severe holds.
    """
    opening = pl.DataFrame({"from_ms": [0], "neutral": [CLEAR]}, schema=_change_schema())
    changes = pl.concat(
        [opening, neutral.drop_nulls().cast(_change_schema()), yellow], how="diagonal_relaxed"
    )
    severity = pl.col("neutral").replace_strict(
        {CLEAR: 0, VSC_ENDING: 1, VSC: 2, SAFETY_CAR: 3, RED: 4}, default=None
    )
    code = (
        pl.when(pl.col("neutral") != CLEAR)
        .then("neutral")
        .when(pl.col("yellows") > 0)
        .then(YELLOW)
        .otherwise(CLEAR)
    )
    return (
        changes.group_by("from_ms")
        .agg(pl.col("neutral").sort_by(severity, nulls_last=False).last(), pl.col("change").sum())
        .sort("from_ms")
        .with_columns(pl.col("neutral").forward_fill(), yellows=pl.col("change").cum_sum())
        .select("from_ms", until_ms=pl.col("from_ms").shift(-1), code=code)
    )


def _change_schema() -> pl.Schema:
    return pl.Schema({"from_ms": pl.Int64(), "neutral": pl.Int64()})


def track_status(laps: pl.DataFrame, states: pl.DataFrame) -> pl.DataFrame:
    """Write each lap's codes, each once, in the order seen: `driver_id`, `lap_number`, code text.

    Laps without both clocks have no row.
    """
    timed = laps.select(DRIVER, ORDER, "lap_start_ms", "lap_end_ms").drop_nulls()
    return (
        timed.join(states, how="cross")
        .filter(
            pl.col("from_ms") <= pl.col("lap_end_ms"),
            (pl.col("until_ms") > pl.col("lap_start_ms")).fill_null(value=True),
        )
        .group_by(DRIVER, ORDER)
        .agg(
            track_status=pl.col("code")
            .sort_by("from_ms")
            .cast(pl.String)
            .unique(maintain_order=True)
            .str.join("")
        )
    )


def deletions(laps: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """Find the lap times that race control deleted: `driver_id`, `lap_number`, `deleted_reason`.

    The time tells the lap, since not every message names one; of two equal times of a car, the
    named lap's goes. A time that no lap of the car has is left out.

    Args:
        laps: `driver_id`, `lap_number`, `lap_time_ms` and `driver_number`.
        messages: `Message` rows.
    """
    found = pl.col("message").str.extract_groups(DELETED_PATTERN)
    minutes, seconds = pl.col("minutes").cast(pl.Int64), pl.col("seconds").cast(pl.Float64)
    return (
        messages.select("date", found.alias("found"))
        .unnest("found")
        .drop_nulls("car")
        .select(
            "date",
            pl.col("car").cast(pl.Int16).alias("driver_number"),
            lap_time_ms=minutes * 60_000 + to_ms(seconds),
            named_lap=pl.col("lap").cast(pl.Int64),
            deleted_reason=pl.col("reason"),
        )
        .join(laps, on=["driver_number", "lap_time_ms"])
        .with_columns(is_named=(pl.col(ORDER) == pl.col("named_lap")).fill_null(value=False))
        .filter(
            pl.col("is_named")
            | ~pl.col("is_named").any().over("driver_number", "lap_time_ms", "date")
        )
        .sort("date", "deleted_reason")
        .unique([DRIVER, ORDER], keep="last", maintain_order=True)
        .select(DRIVER, ORDER, "deleted_reason")
        .sort(DRIVER, ORDER)
    )
