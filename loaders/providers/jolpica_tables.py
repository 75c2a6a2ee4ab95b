"""Jolpica's and Ergast's rows into tables under contract: the same for the API and the dump.

The raw tables (`RAW`) have one row per session, result, lap, pit stop and driver in qualifying,
typed, with a `session_id`; `parse_*` are pure, take any number of sessions at once, and invent
nothing.

The session clock starts when the lights go out. It is the sum of the lap times so far, and ends
for a driver at the first lap whose time is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine import tables
from engine.contract import SHOWN_ROWS, conform
from engine.tables import ENTRY
from loaders.classification import entry_status, is_pit_lane_start
from loaders.providers import ProviderError

if TYPE_CHECKING:
    from engine.tables import SessionKey

SOURCE: Final = "jolpica"

FIRST_SEASON_WITH_LAPS: Final = 1996
"""From this season on a Grand Prix without lap times is not complete yet."""

COMPLETE_SINCE: Final = 2015
"""Since then timed and credited laps agree; before, the archive has errors of up to 52 laps."""

SLACK_LAPS: Final = 1
"""Laps by which timed and credited may differ: a lap begun but not credited, or lap 1 alone."""

PARTS: Final = ("q1_ms", "q2_ms", "q3_ms")
"""Columns that hold the times of qualifying's parts."""

FIRST_SEASON_WITH_PARTS: Final = 2006
"""From this season on qualifying has three parts, and everybody drives in the first."""

LAST_SEASON_WITH_TWO_CARS: Final = 1978
"""After it no driver has been in two cars of one event; a second result is a fault then."""

MAX_STATUS_TEXT: Final = 100
"""Length of a status text under contract, in bytes; what is longer is cut, and ends in dots."""

RAW: Final = {
    "sessions": pl.Schema(
        {
            "session_id": pl.String(),
            "season": pl.Int64(),
            "round": pl.Int64(),
            "session_kind": pl.String(),
            "event_name": pl.String(),
            "circuit_id": pl.String(),
            "circuit_name": pl.String(),
            "date": pl.String(),  # as 2019-03-17, UTC
            "time": pl.String(),  # as 05:10:00, with or without Z, UTC
        }
    ),
    "results": pl.Schema(
        {
            "session_id": pl.String(),
            "driver_id": pl.String(),
            "driver_code": pl.String(),
            "driver_number": pl.Int64(),
            "driver_name": pl.String(),
            "team_id": pl.String(),
            "team_name": pl.String(),
            "grid": pl.Int64(),  # 0 from the pit lane, or did not start
            "position": pl.Int64(),
            "position_text": pl.String(),  # a place, or R D E W F N
            "status_text": pl.String(),
            "points": pl.Float64(),
            "laps": pl.Int64(),
            "time_ms": pl.Int64(),
            "time_text": pl.String(),  # winner's time, or gap: +20.886
        }
    ),
    "laps": pl.Schema(
        {
            "session_id": pl.String(),
            "driver_id": pl.String(),
            "lap_number": pl.Int64(),
            "position": pl.Int64(),
            "time_ms": pl.Int64(),
        }
    ),
    "pit_stops": pl.Schema(
        {
            "session_id": pl.String(),
            "driver_id": pl.String(),
            "lap_number": pl.Int64(),
            "time_ms": pl.Int64(),
        }
    ),
    "qualifying": pl.Schema(
        {
            "session_id": pl.String(),
            "driver_id": pl.String(),
            "position": pl.Int64(),
            "q1_ms": pl.Int64(),
            "q2_ms": pl.Int64(),
            "q3_ms": pl.Int64(),
        }
    ),
}


def parse_sessions(raw: pl.DataFrame, source: str) -> pl.DataFrame:
    """Describe the sessions: one row each; the start is null where only the date is known.

    The date is Jolpica's, which for a night race in America is the next day's.
    """
    clock = pl.col("date") + "T" + pl.col("time").str.strip_suffix("Z")
    return raw.select(
        pl.col("session_id", "season", "round", "session_kind"),
        pl.col("event_name", "circuit_id", "circuit_name"),
        session_date=pl.col("date").str.to_date("%Y-%m-%d", strict=False),
        started_at=clock.str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_zone="UTC"),
        scheduled_laps=pl.lit(None),
        meeting_key=pl.lit(None),
        f1_session_key=pl.lit(None),
        data_source=pl.lit(SOURCE),
    ).pipe(_contract, "sessions", source)


def parse_entries(raw: pl.DataFrame, source: str) -> pl.DataFrame:
    """Give the official classification: one row per entered driver, times in ms.

    Until `LAST_SEASON_WITH_TWO_CARS` a driver could be in several cars of one race, taking over a
    team-mate's or entered twice, and has a result for each. His entry is the best of them, the
    classified before the others, then the least place; car, grid, laps and time are its own.
    ``points`` are the sum, which the championship counted, and ``status_text`` names the others:
    ``Finished; also car 6: +2 Laps``, at most `MAX_STATUS_TEXT` characters. The drivers of one
    shared car keep its place, each in his own row.

    Two results of a driver in one car, or in a later season, are a fault of the source.

    Raises:
        ContractError: values break the contract, as a driver's second result in one car does.
    """
    return (
        raw.with_columns(
            status=entry_status(pl.col("position_text"), pl.col("status_text"), pl.col("laps")),
            is_classified=pl.col("position_text").str.contains(r"^\d+$"),
        )
        .pipe(_one_per_driver)
        .select(
            pl.col("session_id", "driver_id", "driver_code", "driver_number", "driver_name"),
            pl.col("team_id", "team_name", "is_classified", "status", "status_text", "points"),
            grid_position=_at_least(1, "grid"),
            is_pit_lane_start=is_pit_lane_start(pl.col("grid")),
            position=_at_least(1, "position"),
            completed_laps="laps",
            race_time_ms=_race_time_ms(),
        )
        .pipe(_contract, "entries", source)
    )


def _one_per_driver(results: pl.DataFrame) -> pl.DataFrame:
    """Join the results of a driver in several cars; leave all others as they are."""
    season = pl.col("session_id").str.head(4).cast(pl.Int64, strict=False)
    cars = pl.col("driver_number").drop_nulls().n_unique().over(ENTRY)
    is_joined = (
        (season <= LAST_SEASON_WITH_TWO_CARS)
        & (pl.len().over(ENTRY) > 1)
        & (cars == pl.len().over(ENTRY))
    ).fill_null(value=False)
    others = pl.format("car {}: {}", "driver_number", pl.col("status_text").fill_null("?"))
    best_first = results.filter(is_joined).sort(
        *ENTRY,
        ~pl.col("is_classified").fill_null(value=False),
        "position",
        "driver_number",
        nulls_last=True,
    )
    joined = best_first.group_by(ENTRY, maintain_order=True).agg(
        pl.exclude("points", "status_text").first(),
        pl.when(pl.col("points").count() > 0).then(pl.col("points").sum()),
        status_text=pl.concat_str(
            pl.col("status_text").first().fill_null("?"),
            pl.lit("; also "),
            others.slice(1).str.join(", "),
        ),
    )
    text = pl.col("status_text")
    is_long = text.str.len_bytes() > MAX_STATUS_TEXT
    cut = pl.when(is_long).then(text.str.head(MAX_STATUS_TEXT - 3) + "...")
    return pl.concat(
        [
            results.filter(~is_joined),
            joined.with_columns(cut.otherwise(text)).select(results.columns),
        ]
    )


def parse_laps(raw: pl.DataFrame, pit_stops: pl.DataFrame, source: str) -> pl.DataFrame:
    """Give every timed lap, one row per driver and lap, times and clocks in ms.

    In-laps and out-laps are null for a session without pit stops: Jolpica's begin in 1994.
    """
    stops = pit_stops.select("session_id", "driver_id", "lap_number").unique()
    in_laps = stops.with_columns(stopped=pl.lit(value=True))
    out_laps = in_laps.with_columns(pl.col("lap_number") + 1).rename({"stopped": "left"})
    has_stops = pl.col("session_id").is_in(stops["session_id"].unique().to_list())
    following = pl.col("lap_number", "lap_end_ms").shift(1).name.prefix("previous_")
    is_next = pl.col("previous_lap_number") == pl.col("lap_number") - 1
    return (
        raw.with_columns(lap_time_ms=_at_least(1, "time_ms"))
        .with_columns(lap_end_ms=_elapsed_ms().over(*ENTRY, order_by="lap_number"))
        .with_columns(following.over(*ENTRY, order_by="lap_number"))
        .join(in_laps, on=tables.LAP, how="left")
        .join(out_laps, on=tables.LAP, how="left")
        .select(
            pl.col("session_id", "driver_id", "lap_number", "lap_time_ms", "lap_end_ms"),
            position=_at_least(1, "position"),
            lap_start_ms=pl.when(pl.col("lap_number") == 1)
            .then(0)
            .when(is_next)
            .then("previous_lap_end_ms"),
            is_in_lap=pl.when(has_stops).then(pl.col("stopped").fill_null(value=False)),
            is_out_lap=pl.when(has_stops).then(pl.col("left").fill_null(value=False)),
        )
        .pipe(_contract, "laps", source)
    )


def parse_pit_stops(raw: pl.DataFrame, source: str) -> pl.DataFrame:
    """Give the visits to the pit lane, by in-lap; their time in ms, their clocks unknown."""
    return raw.select(
        pl.col("session_id", "driver_id", "lap_number"),
        pit_lane_time_ms=_at_least(1, "time_ms"),
    ).pipe(_contract, "pit_stops", source)


def parse_qualifying(raw: pl.DataFrame, source: str) -> pl.DataFrame:
    """Give place and times in ms of every driver in qualifying; a time of nothing is none."""
    return raw.select(
        pl.col("session_id", "driver_id"),
        *(_at_least(1, name).alias(name) for name in ("position", *PARTS)),
    ).pipe(_contract, "qualifying", source)


def check_complete(
    session: SessionKey,
    entries: pl.DataFrame,
    laps: pl.DataFrame,
    pit_stops: pl.DataFrame,
    source: str,
) -> None:
    """See that a session's laps are there, and that they and the pit stops belong to entries.

    Raises:
        ProviderError: there are no laps since `FIRST_SEASON_WITH_LAPS`; or laps or stops name a
            driver who is not entered; or, since `COMPLETE_SINCE`, a driver has more or fewer timed
            laps than the classification credits.
    """
    if session.session_kind != "race":
        return
    named = pl.concat([laps.select(ENTRY), pit_stops.select(ENTRY)]).unique()
    strangers = named.join(entries, on=ENTRY, how="anti")["driver_id"].unique().sort()
    timed = laps.group_by(ENTRY).agg(timed=pl.len().cast(pl.Int64))
    difference = (pl.col("timed").fill_null(0) - pl.col("completed_laps")).abs()
    differ = entries.join(timed, on=ENTRY, how="left").filter(difference > SLACK_LAPS)
    fault = ""
    if strangers.len():
        fault = f"laps or pit stops name who is not entered: {', '.join(strangers)}"
    elif laps.is_empty() and session.season >= FIRST_SEASON_WITH_LAPS:
        fault = "the lap times are not there yet"
    elif differ.height and session.season >= COMPLETE_SINCE:
        shown = ", ".join(differ["driver_id"].sort().head(SHOWN_ROWS))
        fault = f"the timed laps of {differ.height} drivers differ from the credited: {shown}"
    if fault:
        raise ProviderError(
            f"{source}: {fault}.\nNothing was loaded. Try again later; Jolpica adds laps hours to "
            "days after a race."
        )


def milliseconds(column: str) -> pl.Expr:
    """Read ``23.456``, ``1:33.813`` or ``2:05:05.152`` as ms; null if it is none of them."""
    pattern = r"^(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,5})\.(\d{1,3})$"
    hours, minutes, seconds, fraction = (
        pl.col(column).str.extract(pattern, group) for group in (1, 2, 3, 4)
    )
    whole_s = (
        hours.cast(pl.Int64).fill_null(0) * 3600
        + minutes.cast(pl.Int64).fill_null(0) * 60
        + seconds.cast(pl.Int64)
    )
    return whole_s * 1000 + fraction.str.pad_end(3, "0").cast(pl.Int64)


def _contract(frame: pl.DataFrame, table: str, source: str) -> pl.DataFrame:
    """Add what Jolpica does not know as null, and make the rows fit the table."""
    columns = tables.polars_schema(table)
    unknown = [pl.lit(None).alias(name) for name in columns if name not in frame.columns]
    return conform(frame.with_columns(unknown).select(columns.names()), table, source)


def _at_least(least: int, column: str) -> pl.Expr:
    """The column where it reaches the least value that can mean anything, else null."""
    return pl.when(pl.col(column) >= least).then(column)


def _elapsed_ms() -> pl.Expr:
    """Sum of the lap times so far, as long as none is missing."""
    is_whole = pl.col("lap_time_ms").cum_count() == pl.col("lap_number")
    return pl.when(is_whole & pl.col("lap_time_ms").is_not_null()).then(
        pl.col("lap_time_ms").cum_sum()
    )


def _race_time_ms() -> pl.Expr:
    """Total time of the classified; null for a negative gap, whose total means nothing."""
    is_negative = pl.col("time_text").str.starts_with("+-").fill_null(value=False)
    has_time = pl.col("is_classified") & ~is_negative & (pl.col("time_ms") >= 1)
    return pl.when(has_time).then("time_ms")
