"""Racecraft of model v2: passes made and suffered, and the start, against what was to be expected.

    attack  = Σ (passed − p) over the laps at risk as the car behind
    defence = Σ (p − passed) over the laps at risk as the car ahead
    start   = grid − place after lap 1 − mean of that difference at the grid slot, within ±8
    racecraft_raw = attack + defence + 0.5 start
    racecraft_variance = Σ p (1 − p) over both

p is the expectation of `engine.v2.passes`. Source: the study of model v2, section 4.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

from engine.tables import ENTRY, SESSION
from engine.v1.overtakes import RED
from engine.v2.exact_sums import exact_sum

if TYPE_CHECKING:
    from engine.v2.calibration import StartConstants

AnyFrame = TypeVar("AnyFrame", pl.DataFrame, pl.LazyFrame)

MAX_START_PLACES: Final = 8.0
"""Places at the start beyond which the difference is an accident, not a start."""

START_SHARE: Final = 0.5
"""What a place at the start is worth beside one on track."""

MIN_LAPS: Final = 6
"""Laps driven below which racecraft is not known: there was no race to show it in."""

BALANCES: Final = (
    "attack",
    "defence",
    "attack_laps",
    "defence_laps",
    "passes_made",
    "passes_suffered",
    "racecraft_variance",
)
"""What `balances` gives besides the key."""


def drives(laps: pl.LazyFrame, entries: pl.LazyFrame) -> pl.LazyFrame:
    """Say of each entry how far it drove and what it gained on lap 1.

    Args:
        laps: `engine.tables.Laps`, any number of sessions.
        entries: `engine.tables.Entries` of the same sessions.

    Returns:
        One row per entry: the key, `driven_laps`, `has_racecraft_evidence`, `grid_position` (null
        from the pit lane) and `start_gain_places` (grid minus place after lap 1). The gain is
        null for a start from the pit lane, an unknown grid or place, and where a red flag undid
        lap 1. Evidence takes `MIN_LAPS` laps and a known crossing of the line.
    """
    is_red = pl.col("track_status").str.contains(RED).fill_null(value=False)
    is_first = pl.col("lap_number") == 1
    is_crossing = pl.col("lap_end_ms").is_not_null() & ~is_first
    driven = laps.group_by(ENTRY).agg(
        driven_laps=pl.col("lap_number").max(),
        is_timed=is_crossing.any(),
        place=pl.col("position").filter(is_first).first(),
    )
    undone = laps.filter(is_first & is_red).select(*SESSION, is_undone=True).unique()
    on_grid = pl.when(~pl.col("is_pit_lane_start").fill_null(value=False)).then("grid_position")
    gain = pl.col("grid_position").cast(pl.Float64) - pl.col("place")
    return (
        entries.select(*ENTRY, grid_position=on_grid)
        .join(driven, on=ENTRY, how="left")
        .join(undone, on=SESSION, how="left")
        .select(
            *ENTRY,
            pl.col("driven_laps").fill_null(0),
            "grid_position",
            has_racecraft_evidence=(pl.col("driven_laps") >= MIN_LAPS).fill_null(value=False)
            & pl.col("is_timed").fill_null(value=False),
            start_gain_places=pl.when(pl.col("is_undone").is_null()).then(gain),
        )
    )


def start_places(constants: StartConstants) -> pl.Expr:
    """Places gained on lap 1 beyond those usual from the slot, within ±8, over `drives`.

    Null where the gain is, and for a slot of which no usual gain is known.
    """
    usual = dict(enumerate(constants.usual_gain_places, start=1))
    usual_gain = pl.col("grid_position").replace_strict(
        usual, default=None, return_dtype=pl.Float64
    )
    return (pl.col("start_gain_places") - usual_gain).clip(-MAX_START_PLACES, MAX_START_PLACES)


def balances(events: AnyFrame) -> AnyFrame:
    """Sum up laps at risk by driver.

    Args:
        events: `PASS_EVENTS_SCHEMA`.

    Returns:
        One row per driver who was on either side of a lap at risk: the key, `attack`, `defence`
        (passes beyond expectation), `attack_laps`, `defence_laps`, `passes_made`,
        `passes_suffered` and `racecraft_variance` (of attack + defence, passes²).
    """
    p, passed = pl.col("expectation"), pl.col("is_passed").cast(pl.Float64)
    common = {"variance": p * (1.0 - p), "passed": passed, "balance": passed - p}
    behind = events.select(*ENTRY, is_attack=pl.lit(value=True), **common)
    ahead = events.select(
        *SESSION, driver_id="opponent_id", is_attack=pl.lit(value=False), **common
    )
    attack, made = pl.col("is_attack"), pl.col("passed").cast(pl.Int32)
    sides = pl.concat([behind, ahead])
    return sides.group_by(ENTRY).agg(
        attack=exact_sum(pl.col("balance").filter(attack)),
        defence=-exact_sum(pl.col("balance").filter(~attack)),
        attack_laps=attack.sum().cast(pl.Int32),
        defence_laps=(~attack).sum().cast(pl.Int32),
        passes_made=made.filter(attack).sum(),
        passes_suffered=made.filter(~attack).sum(),
        racecraft_variance=exact_sum(pl.col("variance")),
    )


def racecraft(drives: AnyFrame, events: AnyFrame, constants: StartConstants) -> AnyFrame:
    """Give each entry its racecraft.

    Args:
        drives: what `drives` gave.
        events: what `engine.v2.passes.pass_events` gave for the same sessions.
        constants: the usual start.

    Returns:
        `drives` with `start_places`, the columns of `balances` (0 without laps at risk) and
        `racecraft_raw`; raw value and variance are null without evidence. A start that is not
        known counts as a usual one.
    """
    start = pl.col("start_places").fill_null(0.0)
    raw = pl.col("attack") + pl.col("defence") + START_SHARE * start
    has_evidence = pl.col("has_racecraft_evidence")
    return (
        drives.join(balances(events), on=ENTRY, how="left")
        .with_columns(pl.col(BALANCES).fill_null(0), start_places=start_places(constants))
        .with_columns(
            racecraft_raw=pl.when(has_evidence).then(raw),
            racecraft_variance=pl.when(has_evidence).then("racecraft_variance"),
        )
    )
