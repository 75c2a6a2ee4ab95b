"""FastF1: official timing, tyres, race control and weather, with Jolpica's classification.

The library runs in a child process (`fastf1_child`) that is killed at a time limit and hands back
raw Arrow tables: FastF1's columns, durations in ms, empty cells null. `parse_*` turn each into its
contract; they are pure and invent nothing.

What is left out or set to null, and why:

- a lap that FastF1 generated for a driver who did not start: nobody drove it;
- a car without an official result and without laps: not an entry of this session;
- durations, stints, places and grids below the least value that can mean anything;
- ``is_fresh_tyre`` where neither compound nor age is known: FastF1 fills in a default;
- the stints of a driver of whom no tyre is known: FastF1 puts all laps into stint 1;
- qualifying, which is another session to FastF1.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from engine import tables
from engine.contract import SHOWN_ROWS, conform
from engine.errors import ContractError
from loaders.classification import entry_status, is_pit_lane_start
from loaders.providers import ProviderError
from loaders.providers.fastf1_process import ask_child

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey
    from loaders.providers import SessionTables
    from loaders.settings import Settings

SOURCE: Final = "fastf1"
UNKNOWN_COMPOUNDS: Final = ("UNKNOWN", "TEST_UNKNOWN")
LEAST_LAP_MS: Final = 30_000
"""No lap of a Grand Prix has taken less (the least: 53.4 s); below it the unit has changed, ms."""


def fetch(session: SessionKey, settings: Settings) -> SessionTables:
    """Fetch one session through FastF1, from its cache first.

    Args:
        session: a race or a sprint, found by its round number.
        settings: cache folder, offline switch and wall-clock limit (s) of the child process.

    Raises:
        ProviderError: the cache folder is not private, the time limit passed, the child died,
            the session does not exist, or its timing or classification is not there.
        ContractError: values break a table's contract.
    """
    with tempfile.TemporaryDirectory(prefix="drivegrade-fastf1-") as folder:
        return parse(session, ask_child(session, settings, Path(folder)))


def parse(session: SessionKey, raw: Mapping[str, pl.DataFrame]) -> SessionTables:
    """Turn the raw tables of one session into tables under contract.

    Args:
        session: whose they are.
        raw: a frame for each name of `fastf1_raw.RAW`, its rows in any order; the order of race
            control messages of one moment is kept.

    Raises:
        ProviderError: cars or laps are missing, or a car is there twice.
        ContractError: values break a table's contract.
    """
    entries = parse_entries(session, raw["results"], raw["laps"])
    return {
        "sessions": parse_session(session, raw["facts"]),
        "entries": entries,
        "laps": parse_laps(session, raw["laps"], entries),
        "pit_stops": parse_pit_stops(session, raw["laps"], entries),
        "race_control": parse_race_control(session, raw["race_control"]),
        "weather": parse_weather(session, raw["weather"]),
        "qualifying": tables.empty("qualifying"),
    }


def parse_session(session: SessionKey, facts: pl.DataFrame) -> pl.DataFrame:
    """Describe the session: one row, times in UTC, null where FastF1 does not know."""
    offset = pl.duration(milliseconds="gmt_offset")
    return facts.select(
        pl.col("event_name", "circuit_id", "circuit_name", "meeting_key", "f1_session_key"),
        season=pl.lit(session.season),
        round=pl.lit(session.round),
        session_kind=pl.lit(session.session_kind),
        session_date=pl.col("starts_local").dt.date(),
        started_at=(pl.col("starts_local") - offset).dt.replace_time_zone("UTC"),
        scheduled_laps=_at_least(1, "scheduled_laps"),
        data_source=pl.lit(SOURCE),
    ).pipe(_contract, "sessions", session)


def parse_entries(session: SessionKey, results: pl.DataFrame, laps: pl.DataFrame) -> pl.DataFrame:
    """Give the official classification: one row per entered driver, times in ms.

    A car without a team id takes its team-mate's. The raw laps tell a driver whom the results
    lack from one who took no part.

    Raises:
        ProviderError: a car that drove is not listed, has no driver or team id, or a number is
            there twice.
        ContractError: values break the contract.
    """
    of_team_mate = pl.when(pl.col("TeamName") != "").then(pl.col("TeamId").max().over("TeamName"))
    drove = pl.col("DriverNumber").is_in(laps["DriverNumber"].to_list())
    cars = results.filter(drove | pl.col("DriverId").is_not_null()).with_columns(
        TeamId=pl.coalesce("TeamId", of_team_mate)
    )
    no_id = pl.any_horizontal(pl.col("DriverId", "TeamId").is_null())
    unclear = cars.filter(no_id | pl.col("DriverNumber").is_duplicated())["DriverNumber"]
    unlisted = laps.join(results, on="DriverNumber", how="anti")["DriverNumber"]
    refused = pl.concat([unclear, unlisted]).fill_null("?").unique().sort()
    if refused.len():
        raise ProviderError(
            f"fastf1 {session.session_id}: car {', '.join(refused)} has no driver or team id, is "
            "not listed, or is there twice; FastF1's and Jolpica's entry lists differ.\n"
            "Nothing was loaded. Try again when Jolpica has corrected its list."
        )
    is_classified = pl.col("ClassifiedPosition").str.contains(r"^\d+$")
    return (
        cars.with_columns(
            status=entry_status(pl.col("ClassifiedPosition"), pl.col("Status"), pl.col("Laps")),
            is_classified=is_classified,
        )
        .select(
            pl.col("status", "is_classified"),
            driver_id="DriverId",
            driver_code="Abbreviation",
            driver_number="DriverNumber",
            driver_name="FullName",
            team_id="TeamId",
            team_name="TeamName",
            grid_position=_at_least(1, "GridPosition"),
            is_pit_lane_start=is_pit_lane_start(pl.col("GridPosition")),
            position=_at_least(1, "Position"),
            status_text="Status",
            points="Points",
            completed_laps="Laps",
            race_time_ms=_race_time_ms(),
        )
        .pipe(_contract, "entries", session)
    )


def parse_laps(session: SessionKey, laps: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Give every lap that FastF1 lists, one row per driver and lap, clocks and times in ms.

    Raises:
        ProviderError: a car's laps have a gap: FastF1 numbers them itself, from 1 on.
        ContractError: a lap took less than `LEAST_LAP_MS`, as after a change of unit; or values
            break the contract.
    """
    _check_laps(session, laps)
    has_compound = ~pl.col("Compound").is_in(UNKNOWN_COMPOUNDS)
    has_tyre = has_compound.fill_null(value=False) | pl.col("TyreLife").is_not_null()
    return (
        _driven(laps, entries)
        .select(
            pl.col("driver_id", "lap_number"),
            lap_time_ms=_at_least(1, "LapTime"),
            sector1_time_ms=_at_least(1, "Sector1Time"),
            sector2_time_ms=_at_least(1, "Sector2Time"),
            sector3_time_ms=_at_least(1, "Sector3Time"),
            lap_start_ms="LapStartTime",
            lap_end_ms="Time",
            speed_trap_1_kph="SpeedI1",
            speed_trap_2_kph="SpeedI2",
            speed_trap_line_kph="SpeedFL",
            speed_trap_straight_kph="SpeedST",
            compound=pl.when(has_compound).then("Compound"),
            stint_number=pl.when(has_tyre.any().over("driver_id")).then(_at_least(1, "Stint")),
            tyre_life_laps=_at_least(0, "TyreLife"),
            is_fresh_tyre=pl.when(has_tyre).then("FreshTyre"),
            position=_at_least(1, "Position"),
            is_in_lap=pl.col("PitInTime").is_not_null(),
            is_out_lap=pl.col("PitOutTime").is_not_null(),
            track_status=_each_once("TrackStatus"),
            is_deleted="Deleted",
            deleted_reason="DeletedReason",
            is_personal_best="IsPersonalBest",
            is_accurate="IsAccurate",
            is_generated="FastF1Generated",
        )
        .pipe(_contract, "laps", session)
    )


def parse_pit_stops(session: SessionKey, laps: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Pair each entry to the pit lane with the exit on the driver's next lap, clocks in ms.

    The exit is null when the car stayed in, or when FastF1 lacks the next lap. A start from the
    pit lane is no visit. FastF1 does not time the car at rest.
    """
    following = pl.col("lap_number", "PitOutTime").shift(-1).name.prefix("following_")
    is_next = pl.col("following_lap_number") == pl.col("lap_number") + 1
    return (
        _driven(laps, entries)
        .with_columns(following.over("driver_id", order_by="lap_number"))
        .filter(pl.col("PitInTime").is_not_null())
        .with_columns(pit_out_ms=pl.when(is_next).then("following_PitOutTime"))
        .with_columns(lane_ms=pl.col("pit_out_ms") - pl.col("PitInTime"))
        .select(
            pl.col("driver_id", "lap_number", "pit_out_ms"),
            pit_in_ms="PitInTime",
            pit_lane_time_ms=_at_least(1, "lane_ms"),
            stationary_time_ms=pl.lit(None),
        )
        .pipe(_contract, "pit_stops", session)
    )


def parse_race_control(session: SessionKey, messages: pl.DataFrame) -> pl.DataFrame:
    """Number the messages in the order they were sent (UTC), equal ones once; no rows if none."""
    return (
        messages.drop_nulls("Message")
        .unique(maintain_order=True)
        .sort("Time", nulls_last=True, maintain_order=True)
        .select(
            message_number=pl.int_range(1, pl.len() + 1),
            sent_at=pl.col("Time").dt.replace_time_zone("UTC"),
            lap_number=_at_least(0, "Lap"),
            category="Category",
            flag="Flag",
            scope="Scope",
            sector=_at_least(0, "Sector"),
            status="Status",
            driver_number=pl.col("RacingNumber").cast(pl.Int16, strict=False),
            message="Message",
        )
        .pipe(_contract, "race_control", session)
    )


def parse_weather(session: SessionKey, weather: pl.DataFrame) -> pl.DataFrame:
    """Give the readings by session clock (ms), the first of each moment; no rows if none."""
    return (
        weather.drop_nulls("Time")
        .unique("Time", keep="first", maintain_order=True)
        .select(
            session_clock_ms="Time",
            air_temperature_degc="AirTemp",
            track_temperature_degc="TrackTemp",
            humidity_pct="Humidity",
            pressure_mbar="Pressure",
            is_raining="Rainfall",
            wind_direction_deg="WindDirection",
            wind_speed_mps="WindSpeed",
        )
        .pipe(_contract, "weather", session)
    )


def _check_laps(session: SessionKey, laps: pl.DataFrame) -> None:
    """Refuse laps that are timed in another unit, or that are not all there."""
    name = f"fastf1 {session.session_id}"
    short = laps.filter(pl.col("LapTime").is_between(1, LEAST_LAP_MS - 1))
    if short.height:
        first = short.select("DriverNumber", "LapNumber", "LapTime").head(SHOWN_ROWS).to_dicts()
        raise ContractError(
            f"laps: {short.height} of {laps.height} rows from {name} have a LapTime below "
            f"{LEAST_LAP_MS} ms\n"
            + "".join(f"    {row}\n" for row in first)
            + "Nothing was used. If FastF1 has changed the unit, adapt its provider."
        )
    numbers = pl.col("LapNumber")
    gaps = laps.group_by("DriverNumber").agg(numbers.max(), laps=numbers.n_unique())
    lacking = gaps.filter(numbers > pl.col("laps"))["DriverNumber"].fill_null("?")
    if lacking.len():
        raise ProviderError(
            f"{name}: laps are missing between others of car {', '.join(lacking.sort())}.\n"
            "Nothing was loaded. Delete the session's folder in FastF1's cache and try again."
        )


def _driven(laps: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Give each lap its driver, without the laps FastF1 generated for cars that did not start."""
    drivers = entries.select("driver_id", "status", number="driver_number")
    took_part = ~pl.col("status").is_in(tables.NO_START)
    return (
        laps.with_columns(
            number=pl.col("DriverNumber").cast(pl.Int16, strict=False), lap_number="LapNumber"
        )
        .join(drivers, on="number", how="inner")
        .filter(took_part | ~pl.col("FastF1Generated"))
    )


def _contract(frame: pl.DataFrame, table: str, session: SessionKey) -> pl.DataFrame:
    """Say whose rows these are, and make them fit the table.

    Raises:
        ContractError: a number that should be whole is not, or values break the contract.
    """
    name = f"{SOURCE} {session.session_id}"
    own = frame.with_columns(session_id=pl.lit(session.session_id))
    whole = [c for c, dtype in tables.polars_schema(table).items() if dtype.is_integer()]
    for column in whole:
        if own.schema[column].is_float() and (own[column] != own[column].floor()).any():
            raise ContractError(
                f"{table}: {column} from {name} is not whole everywhere\n"
                "Nothing was used. If FastF1 has changed the unit, adapt its provider."
            )
    return conform(own, table, name)


def _at_least(least: int, column: str) -> pl.Expr:
    """The column where it reaches the least value that can mean anything, else null."""
    return pl.when(pl.col(column) >= least).then(column)


def _each_once(column: str) -> pl.Expr:
    """The text's characters, each once, in the order seen."""
    return pl.col(column).str.split("").list.unique(maintain_order=True).list.join("")


def _race_time_ms() -> pl.Expr:
    """Total time of the classified: FastF1 gives the winner's total and the others' gap to it.

    Null without a time, as lapped cars mostly are, and for a negative gap, which Jolpica writes
    for cars that stopped before the winner finished.
    """
    is_winner = pl.col("ClassifiedPosition") == "1"
    winner_ms = pl.col("Time").filter(is_winner).first()
    total_ms = pl.when(is_winner).then("Time").otherwise(winner_ms + pl.col("Time"))
    return pl.when(pl.col("is_classified") & (pl.col("Time") >= 0)).then(total_ms)
