"""Racecraft in an explanation: passes, laps at risk that ended without one, and the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.v2.racecraft import MAX_START_PLACES, START_SHARE
from loaders.explain_drive import EVIDENCE, PASSES

if TYPE_CHECKING:
    from loaders.explain_drive import Drive, Line

FEW_PASSES: Final = 0.1
"""Expected passes against an opponent below which laps without a pass are told with others'."""


def racecraft(drive: Drive) -> list[Line]:
    """Explain racecraft.

    Returns:
        Passes made and suffered in the order of laps; laps at risk without one, summed up by
        opponent; the start; and the raw value, which `counted` of all others adds up to. A gap of
        several laps is their median.

    Raises:
        ExplainError: what is stored does not add up.
    """
    events = _sides(drive)
    of_passes = _passes(drive, events.filter("is_passed"))
    without = _without_pass(drive, events.filter(~pl.col("is_passed")))
    start = _start(drive)
    mine = drive.evidence
    if mine["attack"] is not None:
        for side, stored in (("attack", mine["attack"]), ("defence", mine["defence"])):
            parts = events.filter(side=side)["balance"].to_list()
            drive.agree(f"laps at risk ({side})", parts, stored)
    lines = [*of_passes, *without, *start]
    drive.agree("passes and start", [line["counted"] for line in lines], mine["racecraft_raw"])
    raw = {"name": "racecraft_raw", "counted": mine["racecraft_raw"]}
    return [*lines, {**raw, **drive.row(EVIDENCE)}]


def _sides(drive: Drive) -> pl.DataFrame:
    """Laps at risk of the driver, with the side he was on, the other driver, and the balance."""
    me = pl.lit(drive.driver_id)
    is_behind = pl.col("driver_id") == me
    beyond = pl.col("is_passed").cast(pl.Float64) - pl.col("expectation")
    names = drive.frames["entries"].select(other_id="driver_id", other_name="driver_name")
    return (
        drive.frames["pass_events"]
        .filter(is_behind | (pl.col("opponent_id") == me))
        .with_columns(
            side=pl.when(is_behind).then(pl.lit("attack")).otherwise(pl.lit("defence")),
            other_id=pl.when(is_behind).then("opponent_id").otherwise("driver_id"),
            balance=pl.when(is_behind).then(beyond).otherwise(-beyond),
        )
        .join(names, on="other_id", how="left")
        .sort("lap_number", "side")
    )


def _passes(drive: Drive, passes: pl.DataFrame) -> list[Line]:
    """One line a pass, made or suffered."""
    return [
        {
            "name": "pass_made" if event["side"] == "attack" else "pass_suffered",
            "opponent_id": event["other_id"],
            "opponent_name": event["other_name"],
            "laps": 1,
            "gap_s": event["gap_s"],
            "expected_passes": event["expectation"],
            "counted": event["balance"],
            **drive.row(PASSES, driver_id=event["driver_id"], lap_number=event["lap_number"]),
        }
        for event in passes.to_dicts()
    ]


def _without_pass(drive: Drive, events: pl.DataFrame) -> list[Line]:
    """One line an opponent and side, and one a side for opponents of whom little was expected."""
    expected = pl.col("expectation").sum().over("side", "other_id")
    lines: list[Line] = []
    is_few = expected < FEW_PASSES
    single = events.filter(~is_few)
    groups = single.partition_by("side", "other_id", maintain_order=True)
    groups += events.filter(is_few).partition_by("side", maintain_order=True)
    for group in sorted(groups, key=lambda rows: (rows["side"][0], -rows["expectation"].sum())):
        side, others = group["side"][0], group["other_id"].unique(maintain_order=True).to_list()
        roles = ("driver_id", "opponent_id")
        mine, theirs = roles if side == "attack" else roles[::-1]
        key: Line = {mine: drive.driver_id, theirs: others, "is_passed": False}
        if len(others) == 1:
            key |= {theirs: others[0], "lap_number": group["lap_number"].to_list()}
        lines.append(
            {
                "name": "not_passed" if side == "attack" else "not_suffered",
                "opponent_id": others[0] if len(others) == 1 else None,
                "opponent_name": group["other_name"][0] if len(others) == 1 else None,
                "opponents": len(others),
                "laps": group.height,
                "gap_s": group["gap_s"].median(),
                "expected_passes": group["expectation"].sum(),
                "counted": group["balance"].sum(),
                **drive.row(PASSES, **key),
            }
        )
    return lines


def _start(drive: Drive) -> list[Line]:
    """Grid, place after lap 1, and what the difference counts."""
    mine = drive.evidence
    first = drive.own("laps").filter(pl.col("lap_number") == 1)["position"].to_list()
    places = mine["start_places"]
    usual = None
    slot = drive.entry["grid_position"]
    known = drive.profile.start.usual_gain_places
    if mine["start_gain_places"] is not None and slot is not None and slot <= len(known):
        usual = known[slot - 1]
        beyond = mine["start_gain_places"] - usual
        limited = max(-MAX_START_PLACES, min(MAX_START_PLACES, beyond))
        drive.agree("places at the start", [limited], places)
    return [
        {"name": "grid", "place": slot, "counted": None, **drive.row("core.entries")},
        {
            "name": "place_after_lap_1",
            "place": first[0] if first else None,
            "counted": None,
            **drive.row("public.lap_times", lap_number=1),
        },
        {
            "name": "start",
            "gain_places": mine["start_gain_places"],
            "usual_gain_places": usual,
            "beyond_usual_places": places,
            "counted": None if places is None else START_SHARE * places,
            **drive.row(EVIDENCE),
        },
    ]
