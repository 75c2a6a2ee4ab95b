"""Overtakes: exchanges of position between two cars that both run before and after.

A lap has up to three timing lines (end of sector 1, of sector 2, and the finish line). Two cars on
the same lap that cross two successive lines in opposite order have exchanged places between them.
Each exchange is one event of the car that gained, of one kind:

    start        between the grid and the end of lap 1
    pit_cycle    either car was in the pit lane between the two lines (from the last sector of an
                 in-lap to the first of an out-lap)
    neutralized  otherwise, but on a lap of either car that saw a red flag, or nothing but
                 safety car or virtual safety car; on a lap neutralized in part a place can only
                 change hands while the track is green
    on_track     otherwise

A car that retires is out of the order from its last lap on, a car a lap down is never on the same
lap: neither gives anybody a pass. Laps that the source made up have no timing lines. A source
without sector times has the finish line only, and then a whole in- or out-lap counts as pit lane.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from engine.tables import COMPOUNDS, ENTRY, OVERTAKE_KINDS, SESSION

LINES_PER_LAP: Final = 3
"""End of sector 1, end of sector 2, finish line."""

RED: Final = "5"
GREEN: Final = "[12]"
"""Track status codes; yellow flags neutralize one sector, not the lap."""

SLICKS: Final = tuple(c for c in COMPOUNDS if c not in {"INTERMEDIATE", "WET"})
"""Dry compounds, softest first; wet tyres are no steps of that ladder."""


def is_neutralized() -> pl.Expr:
    """Whether no place can be won on track during the lap; false where status is not known."""
    status = pl.col("track_status")
    return (status.str.contains(RED) | ~status.str.contains(GREEN)).fill_null(value=False)


def running_laps(laps: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out the laps on which a car was not racing: made-up ones, a retiree's last."""
    retired = entries.filter(pl.col("status") == "retired").select(*ENTRY, is_retired=True)
    is_last = pl.col("lap_number") == pl.col("lap_number").max().over(*ENTRY)
    return (
        laps.join(retired, on=ENTRY, how="left")
        .filter(~(pl.col("is_retired").fill_null(value=False) & is_last))
        .filter(~pl.col("is_generated").fill_null(value=False))
        .with_columns(
            is_neutralized=is_neutralized(),
            is_in_lap=pl.col("is_in_lap").fill_null(value=False),
            is_out_lap=pl.col("is_out_lap").fill_null(value=False),
        )
    )


def timing_lines(running_laps: pl.LazyFrame) -> pl.LazyFrame:
    """Spread laps into the crossings of their timing lines.

    Returns:
        One row per driver and known crossing: `lap_number`, `line_number` (three a lap, in
        order), `crossed_ms` (session clock), `previous_line` and `previous_ms` (the driver's
        crossing before, null for the first), `is_pit_lane`, `is_neutralized`.
    """
    end, sector2, sector3 = "lap_end_ms", "sector2_time_ms", "sector3_time_ms"
    has_sectors = pl.all_horizontal(pl.col(sector2, sector3).is_not_null())
    clocks = {
        0: pl.when(has_sectors).then(pl.col(end) - pl.col(sector3) - pl.col(sector2)),
        1: pl.when(has_sectors).then(pl.col(end) - pl.col(sector3)),
        2: pl.col(end),
    }
    is_in_pit = {
        0: pl.col("is_out_lap"),
        1: pl.lit(value=False),
        2: pl.col("is_in_lap") | (pl.col("is_out_lap") & ~has_sectors),
    }
    first_line = pl.col("lap_number").cast(pl.Int32) * LINES_PER_LAP
    return (
        pl.concat(
            running_laps.select(
                *ENTRY,
                "lap_number",
                "is_neutralized",
                line_number=first_line + line,
                crossed_ms=clocks[line],
                is_pit_lane=is_in_pit[line],
            )
            for line in range(LINES_PER_LAP)
        )
        .drop_nulls("crossed_ms")
        .with_columns(
            previous_line=pl.col("line_number").shift(1).over(*ENTRY, order_by="line_number"),
            previous_ms=pl.col("crossed_ms").shift(1).over(*ENTRY, order_by="line_number"),
        )
    )


def _racing_exchanges(running_laps: pl.LazyFrame) -> pl.LazyFrame:
    """Exchanges from lap 2 on: who passed whom between which lines."""
    lines = timing_lines(running_laps).filter(
        (pl.col("lap_number") > 1)
        & (pl.col("line_number") - pl.col("previous_line") <= LINES_PER_LAP)
    )
    pairs = lines.join(
        lines, on=[*SESSION, "line_number", "previous_line"], suffix="_of_opponent"
    ).filter(
        (pl.col("previous_ms") > pl.col("previous_ms_of_opponent"))
        & (pl.col("crossed_ms") < pl.col("crossed_ms_of_opponent"))
    )
    return pairs.select(
        *ENTRY,
        "lap_number",
        "line_number",
        opponent_id="driver_id_of_opponent",
        kind=pl.when(pl.col("is_pit_lane") | pl.col("is_pit_lane_of_opponent"))
        .then(pl.lit("pit_cycle"))
        .when(pl.col("is_neutralized") | pl.col("is_neutralized_of_opponent"))
        .then(pl.lit("neutralized"))
        .otherwise(pl.lit("on_track")),
    )


def _start_exchanges(running_laps: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Exchanges between the grid and the end of lap 1; a red flag on it neutralizes them."""
    first = (
        running_laps.filter(pl.col("lap_number") == 1)
        .join(entries.select(*ENTRY, "grid_position"), on=ENTRY)
        .select(*ENTRY, "lap_number", "position", "grid_position", "track_status")
        .drop_nulls(["position", "grid_position"])
    )
    red = pl.col("track_status").str.contains(RED).fill_null(value=False)
    pairs = first.join(first, on=[*SESSION, "lap_number"], suffix="_of_opponent").filter(
        (pl.col("grid_position") > pl.col("grid_position_of_opponent"))
        & (pl.col("position") < pl.col("position_of_opponent"))
    )
    return pairs.select(
        *ENTRY,
        "lap_number",
        line_number=pl.lit(LINES_PER_LAP, dtype=pl.Int32),
        opponent_id="driver_id_of_opponent",
        kind=pl.when(red).then(pl.lit("neutralized")).otherwise(pl.lit("start")),
    )


def overtakes(
    laps: pl.LazyFrame,
    entries: pl.LazyFrame,
    sessions: pl.LazyFrame,
    car_pace: pl.LazyFrame,
    track_difficulty: pl.LazyFrame,
) -> pl.LazyFrame:
    """Find every exchange of position and what surrounded it.

    Args:
        laps: `engine.tables.Laps`, any number of sessions.
        entries: `engine.tables.Entries` of the same sessions.
        sessions: `engine.tables.Sessions`, one row each.
        car_pace: one row per entry, `car_base_delta_s` (s).
        track_difficulty: one row per circuit, `circuit_id` and `track_difficulty` (0..1).

    Returns:
        `engine.tables.Overtakes`. Timing shows completed passes only, so `is_success` is always
        true; exposure, battery and steward's view of a move are not in it and stay null, as does
        the difficulty of a circuit that the table lacks.
    """
    running = running_laps(laps, entries)
    events = pl.concat(
        [_start_exchanges(running, entries), _racing_exchanges(running)], how="diagonal"
    )
    tyres = laps.select(*ENTRY, "lap_number", "tyre_life_laps", hardness=_hardness())
    opponent = [*SESSION, "opponent_id"]
    distance = laps.group_by(SESSION).agg(distance_laps=pl.col("lap_number").max())
    circuits = sessions.join(track_difficulty, on="circuit_id", how="left")
    return (
        events.join(tyres, on=[*ENTRY, "lap_number"], how="left")
        .join(
            tyres.rename({"driver_id": "opponent_id"}),
            on=[*opponent, "lap_number"],
            how="left",
            suffix="_of_opponent",
        )
        .join(car_pace, on=ENTRY, how="left")
        .join(
            car_pace.rename({"driver_id": "opponent_id"}),
            on=opponent,
            how="left",
            suffix="_of_opponent",
        )
        .join(distance, on=SESSION)
        .join(circuits.select(*SESSION, "track_difficulty"), on=SESSION, how="left")
        .select(
            *ENTRY,
            overtake_number=_order_of_events(),
            kind=pl.col("kind").cast(pl.Enum(OVERTAKE_KINDS)),
            lap_number="lap_number",
            opponent_id="opponent_id",
            is_success=pl.lit(value=True),
            is_penalized=pl.lit(None, dtype=pl.Boolean),
            exposure_time_s=pl.lit(None, dtype=pl.Float64),
            car_pace_difference_s=_difference("car_base_delta_s"),
            tyre_age_difference_laps=-_difference("tyre_life_laps"),
            compound_difference=-_difference("hardness"),
            ers_difference=pl.lit(None, dtype=pl.Float64),
            track_difficulty="track_difficulty",
            race_phase_pressure=pl.col("lap_number") / pl.col("distance_laps"),
        )
    )


def _hardness() -> pl.Expr:
    """Step of a slick on the ladder from soft to hard; null for wet and unknown tyres."""
    ladder = {compound: float(step) for step, compound in enumerate(SLICKS)}
    return (
        pl.col("compound")
        .cast(pl.String)
        .replace_strict(ladder, default=None, return_dtype=pl.Float64)
    )


def _difference(column: str) -> pl.Expr:
    """Own value minus the opponent's, as a float."""
    return (pl.col(column) - pl.col(f"{column}_of_opponent")).cast(pl.Float64)


def _order_of_events() -> pl.Expr:
    """Number a driver's events by lap, line and opponent."""
    order = ["lap_number", "line_number", "opponent_id"]
    return pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(*ENTRY, order_by=order)
