"""Overtakes: exchanges of position between two cars that both run before and after.

Two cars on the same lap are compared at its timing lines, on the session clock: at the finish line
that begins the lap, at the ends of sectors 1 and 2, and at the finish line that ends it. Crossing
two successive lines in opposite order, they have exchanged places between them. Each exchange is
one event of the car that gained, of one kind:

    start        between the grid and the end of lap 1, unless either car's lap 1 saw a red flag
    pit_cycle    either car was in the pit lane between the two lines: in the last sector of an
                 in-lap or the first of an out-lap
    neutralized  otherwise, but on a lap of either car that saw a red flag, or nothing but safety
                 car or virtual safety car; on a lap neutralized in part a place can only change
                 hands while the track is green
    on_track     otherwise

Crossings are counted back from the end of the lap by sectors 3 and 2. If either car's lap lacks
one of those, the pair is compared at the finish lines only, and then a whole in- or out-lap counts
as pit lane. A car that retires is out of the order from the last lap it drove on, a car a lap down
is never on the same lap: neither gives anybody a pass. Laps that the source made up do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.tables import COMPOUNDS, ENTRY, LAP, OVERTAKE_KINDS, SESSION

if TYPE_CHECKING:
    from collections.abc import Iterable

RED: Final = "5"
GREEN: Final = "[12]"
"""Track status codes; yellow flags neutralize one sector, not the lap."""

SLICKS: Final = tuple(c for c in COMPOUNDS if c not in {"INTERMEDIATE", "WET"})
"""Dry compounds, softest first; wet tyres are no steps of that ladder."""

LINES: Final = ("start_ms", "sector1_ms", "sector2_ms", "finish_ms")
"""Session clock at the lines of a lap, in order."""

OPPONENT: Final = "_of_opponent"
"""Suffix of the other car's columns where two cars are compared."""


def is_red() -> pl.Expr:
    """Whether the lap saw a red flag; false where track status is not known."""
    return pl.col("track_status").str.contains(RED).fill_null(value=False)


def is_neutralized() -> pl.Expr:
    """Whether no place can be won on track during the lap; false where status is not known."""
    return is_red() | ~pl.col("track_status").str.contains(GREEN).fill_null(value=True)


def running_laps(laps: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Leave out the laps on which a car was not racing: made-up ones, a retiree's last.

    Returns:
        One row per driver and lap: position, tyres, flags without nulls, and what is compared:
        of lap 1 `grid_position` and `position`, of later laps the clocks of `LINES`; null where
        it is not known.
    """
    grid = entries.select(*ENTRY, "grid_position", is_retired=pl.col("status") == "retired")
    is_last = pl.col("lap_number") == pl.col("lap_number").max().over(*ENTRY)
    is_first = pl.col("lap_number") == 1
    timed = laps.filter(~pl.col("is_generated").fill_null(value=False))
    before = timed.select(*ENTRY, pl.col("lap_number") + 1, start_ms="lap_end_ms")
    sector2_ms = pl.col("lap_end_ms") - pl.col("sector3_time_ms")
    clocks = {
        "sector1_ms": sector2_ms - pl.col("sector2_time_ms"),
        "sector2_ms": sector2_ms,
        "finish_ms": pl.col("lap_end_ms"),
    }
    return (
        timed.join(grid, on=ENTRY, how="left")
        .filter(~(pl.col("is_retired").fill_null(value=False) & is_last))
        .join(before, on=LAP, how="left")
        .select(
            *LAP,
            "start_ms",
            pl.when(is_first).then("grid_position"),
            pl.when(is_first).then("position"),
            **{name: pl.when(~is_first).then(clock) for name, clock in clocks.items()},
            is_in_lap=pl.col("is_in_lap").fill_null(value=False),
            is_out_lap=pl.col("is_out_lap").fill_null(value=False),
            is_red=is_red(),
            is_neutralized=is_neutralized(),
            tyre_life_laps="tyre_life_laps",
            hardness=_hardness(),
        )
    )


def _either(flag: str) -> pl.Expr:
    """Whether the flag stands for one car of the pair or the other."""
    return pl.col(flag) | pl.col(f"{flag}{OPPONENT}")


def _both_know(*clocks: str) -> pl.Expr:
    """Whether both cars of the pair have these clocks."""
    return pl.all_horizontal(pl.col(c, f"{c}{OPPONENT}").is_not_null() for c in clocks)


def _passed_between(first: str, second: str) -> pl.Expr:
    """Whether the car was behind its opponent at the first line and ahead at the second."""
    behind = pl.col(first) > pl.col(f"{first}{OPPONENT}")
    return behind & (pl.col(second) < pl.col(f"{second}{OPPONENT}"))


class _Stretch(NamedTuple):
    """Two places between which order is compared, and what a place won between them is.

    Attributes:
        first: column of the order before.
        second: column of the order after.
        line: place in `LINES` of the latter.
        is_compared: whether this pair of cars is compared here.
        kind: of the exchange.
    """

    first: str
    second: str
    line: int
    is_compared: pl.Expr
    kind: pl.Expr


def _stretches() -> tuple[_Stretch, ...]:
    """List where a pair of cars on the same lap is compared."""
    by_sector = _both_know("sector1_ms", "sector2_ms")
    out_lap, in_lap = _either("is_out_lap"), _either("is_in_lap")
    start, sector1, sector2, finish = LINES

    def racing(first: str, second: str, is_compared: pl.Expr, in_pit_lane: pl.Expr) -> _Stretch:
        kind = (
            pl.when(in_pit_lane)
            .then(pl.lit("pit_cycle"))
            .when(_either("is_neutralized"))
            .then(pl.lit("neutralized"))
            .otherwise(pl.lit("on_track"))
        )
        return _Stretch(first, second, LINES.index(second), is_compared, kind)

    from_grid = pl.when(_either("is_red")).then(pl.lit("neutralized")).otherwise(pl.lit("start"))
    always, never = pl.lit(value=True), pl.lit(value=False)
    return (
        _Stretch("grid_position", "position", LINES.index(finish), always, from_grid),
        racing(start, sector1, by_sector, out_lap),
        racing(sector1, sector2, by_sector, never),
        racing(sector2, finish, by_sector, in_lap),
        racing(start, finish, ~by_sector, out_lap | in_lap),
    )


def _exchanges(running_laps: pl.LazyFrame) -> pl.LazyFrame:
    """Pair the cars of each lap, and keep those that changed order, a row for each time.

    Every pair is looked at once: what may have changed order is sifted out of the join itself,
    and only then asked where.

    Returns:
        The pair's columns, `line` (place in `LINES`), `opponent_id` and `kind`.
    """
    stretches = _stretches()
    numbers = pl.LazyFrame({"stretch": range(len(stretches))}, {"stretch": pl.Int8})

    def of_stretch(values: Iterable[pl.Expr]) -> pl.Expr:
        """Choose the value of the row's stretch."""
        number = pl.col("stretch")
        return pl.coalesce(pl.when(number == n).then(value) for n, value in enumerate(values))

    return (
        running_laps.join(running_laps, on=[*SESSION, "lap_number"], suffix=OPPONENT)
        .filter(pl.any_horizontal(_passed_between(s.first, s.second) for s in stretches))
        .join(numbers, how="cross")
        .filter(of_stretch(s.is_compared & _passed_between(s.first, s.second) for s in stretches))
        .with_columns(
            line=of_stretch(pl.lit(s.line) for s in stretches),
            kind=of_stretch(s.kind for s in stretches),
        )
        .rename({f"driver_id{OPPONENT}": "opponent_id"})
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
        `engine.tables.Overtakes`. `race_phase_pressure` is the lap over the session's last lap.
        Timing shows completed passes only, so `is_success` is always true; exposure, battery and
        the stewards' view of a move are not in it and stay null, as does the difficulty of a
        circuit that the table lacks.
    """
    opponent = [*SESSION, "opponent_id"]
    distance = laps.group_by(SESSION).agg(distance_laps=pl.col("lap_number").max())
    circuits = sessions.join(track_difficulty, on="circuit_id", how="left")
    return (
        _exchanges(running_laps(laps, entries))
        .join(car_pace, on=ENTRY, how="left")
        .join(
            car_pace.rename({"driver_id": "opponent_id"}),
            on=opponent,
            how="left",
            suffix=OPPONENT,
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
    return (pl.col(column) - pl.col(f"{column}{OPPONENT}")).cast(pl.Float64)


def _order_of_events() -> pl.Expr:
    """Number a driver's events by lap, line and opponent."""
    order = ["lap_number", "line", "opponent_id"]
    return pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(*ENTRY, order_by=order)
