"""Sections of an explanation: each number of a grade of model v2 beside the row it is stored in.

Sums are formed again from the rows and the profile's constants and must give what is stored.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from engine.v2.clean_laps import REFUSALS, clean_laps
from engine.v2.grade import INTERVAL_Z, SCORED, UNKNOWN_SCORE
from engine.v2.mistakes import MIN_MEDIAN_DRIVERS
from loaders.explain_drive import EVIDENCE, METRICS
from loaders.explain_racecraft import racecraft

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loaders.explain_drive import Drive, Line

    Sections = dict[str, list[Line]]


def sections(drive: Drive) -> Sections:
    """Explain a drive, section by section.

    Returns:
        Section → lines. Percentages are of the lap time, positive is faster; intervals are of
        90 %; null is not known.

    Raises:
        ExplainError: what is stored does not add up.
    """
    parts: Mapping[str, Callable[[Drive], list[Line]]] = {
        "grade": _grade,
        "components": _components,
        "laps": _laps,
        "pace": _pace,
        "rating": _rating,
        "racecraft": racecraft,
        "mistakes": _mistakes,
        "burden": _burden,
        "stops": _stops,
    }
    return {name: part(drive) for name, part in parts.items()}


def _grade(drive: Drive) -> list[Line]:
    """The grade and the total, with their intervals."""
    return [
        {
            "name": name,
            "value": drive.grades[name],
            "low": drive.grades[f"{name}_low"],
            "high": drive.grades[f"{name}_high"],
            **drive.row(METRICS),
        }
        for name in ("grade", "total_grade")
    ]


def _components(drive: Drive) -> list[Line]:
    """What each score adds to the total; the raw value is that of `core.grade_evidence`."""
    lines: list[Line] = []
    for part, raw in SCORED.items():
        weight = getattr(drive.profile.weights, part) * (-1.0 if part == "penalty" else 1.0)
        score = drive.grades[f"{part}_score"]
        counted = UNKNOWN_SCORE if score is None and part != "consistency" else score
        lines.append(
            {
                "name": part,
                "raw": drive.evidence[raw],
                "score": score,
                "counted_score": counted,
                "weight": weight,
                "contribution": None if counted is None else weight * counted,
                **drive.row(METRICS),
            }
        )
    added = [line["contribution"] for line in lines]
    drive.agree("the contributions", added, drive.grades["total_grade"])
    return lines


def _laps(drive: Drive) -> list[Line]:
    """Laps by whether pace is taken from them and why not, found again from the stored laps."""
    chosen = clean_laps(drive.frames["laps"].lazy(), drive.profile.clean_laps)
    mine = chosen.filter(pl.col("driver_id") == drive.driver_id).collect()
    lines: list[Line] = []
    for reason in (None, *REFUSALS):
        rows = mine.filter(pl.col("refused_for").eq_missing(pl.lit(reason, pl.Enum(REFUSALS))))
        if rows.is_empty() and reason is not None:
            continue
        median_ms = rows["lap_time_ms"].median() if reason is None else None
        numbers = rows["lap_number"].to_list()
        line = {"refused_for": reason, "laps": rows.height, "median_lap_ms": median_ms}
        lines.append({**line, **drive.row("public.lap_times", lap_number=numbers)})
    refused = sum(line["laps"] for line in lines[1:])
    drive.agree("clean laps", [lines[0]["laps"]], drive.evidence["clean_laps"])
    drive.agree("refused laps", [refused], drive.evidence["refused_laps"])
    return lines


def _interval(value: float | None, error: float | None, sign: float = 1.0) -> Line:
    """A value, turned if need be, with its 90 % interval."""
    if value is None:
        return {"faster_pct": None, "low_pct": None, "high_pct": None}
    middle, reach = sign * value, None if error is None else INTERVAL_Z * error
    ends = (None, None) if reach is None else (middle - reach, middle + reach)
    return {"faster_pct": middle, "low_pct": ends[0], "high_pct": ends[1]}


def _pace(drive: Drive) -> list[Line]:
    """How fast the driver was against field, car and team-mates, and how evenly he drove."""
    mine = drive.evidence
    against_car = _interval(mine["pace_against_car_pct"], mine["pace_against_car_se_pct"])
    lines = [
        {"name": "field", **_interval(mine["pace_pct"], mine["pace_se_pct"], -1.0)},
        {"name": "car", **against_car},
    ]
    lines = [{**line, **drive.row(EVIDENCE)} for line in lines]
    entries = drive.frames["entries"].select("driver_id", "driver_name", "team_id")
    mates = (
        entries.filter(
            pl.col("team_id") == drive.entry["team_id"], pl.col("driver_id") != drive.driver_id
        )
        .join(drive.frames["grade_evidence"], on="driver_id")
        .sort("driver_id")
    )
    for mate in mates.to_dicts():
        gap = error = None
        if mine["pace_pct"] is not None and mate["pace_pct"] is not None:
            gap = mate["pace_pct"] - mine["pace_pct"]
            errors = (mine["pace_se_pct"], mate["pace_se_pct"])
            error = None if None in errors else math.hypot(*errors)
        both = drive.row(EVIDENCE, driver_id=[drive.driver_id, mate["driver_id"]])
        named = {"name": "team_mate", "team_mate_name": mate["driver_name"]}
        lines.append({**named, **_interval(gap, error), **both})
    scatter = {"name": "dispersion", "dispersion_pct": mine["dispersion_pct"]}
    return [*lines, {**scatter, **drive.row(EVIDENCE)}]


def _rating(drive: Drive) -> list[Line]:
    """Driver and car before and after the session."""
    mine = drive.evidence
    lines: list[Line] = []
    for name, column, sign in (("rating", "rating", 1.0), ("car", "car", -1.0)):
        expected = mine[f"{column}_before_pct"]
        error = None
        if drive.before is not None and expected is not None:
            rated = drive.before[f"{column}_before_pct"]
            drive.agree(f"{name} and state before the session", [rated], expected)
            error = math.sqrt(drive.before[f"{column}_variance"])
        named = {"name": name, "when": "before", "state_session_id": mine["state_session_id"]}
        lines.append({**named, **_interval(expected, error, sign), **drive.row(EVIDENCE)})
        later = _interval(mine[f"{column}_pct"], mine[f"{column}_se_pct"], sign)
        lines.append({"name": name, "when": "after", **later, **drive.row(EVIDENCE)})
    return lines


def _mistakes(drive: Drive) -> list[Line]:
    """One line a slow lap, with how many drivers had one on that lap number, and a penalty."""
    slow = drive.own("slow_laps")
    loss = drive.evidence["mistake_loss_pct"]
    drive.agree("losses of the slow laps", slow["loss_pct"].to_list(), loss)
    given = drive.own("penalty_events")
    drive.agree("penalties", given["time_loss_s"].to_list(), drive.evidence["penalty_s"])
    together = dict(drive.frames["slow_laps"].group_by("lap_number").len().rows())
    lines: list[Line] = [
        {
            "name": "slow_lap",
            "lap_number": lap["lap_number"],
            "drivers": together[lap["lap_number"]],
            "shortfall_pct": lap["shortfall_pct"],
            "loss_pct": lap["loss_pct"],
            **drive.row("core.slow_laps", lap_number=lap["lap_number"]),
        }
        for lap in slow.to_dicts()
    ]
    for penalty in given.to_dicts():
        told = {name: penalty[name] for name in ("kind", "lap_number", "time_loss_s", "message")}
        number = penalty["penalty_number"]
        row = drive.row("core.penalty_events", penalty_number=number)
        lines.append({"name": "penalty", **told, **row})
    return lines


def _burden(drive: Drive) -> list[Line]:
    """What mistakes, a crash and the stewards add to the burden."""
    mine, constants = drive.evidence, drive.profile.mistakes
    own = median = stewards = None
    if mine["mistake_loss_pct"] is not None:
        losses = drive.frames["grade_evidence"]["mistake_loss_pct"].drop_nulls().log1p()
        middle = losses.median() if losses.len() >= MIN_MEDIAN_DRIVERS else 0.0
        own, median = math.log1p(mine["mistake_loss_pct"]), -float(str(middle))
        drive.agree("mistakes against the race", [own, median], mine["mistake_burden"])
    if mine["penalty_s"] is not None:
        taken = min(mine["penalty_s"], constants.max_penalty_s)
        stewards = taken / constants.seconds_per_burden
    crash = None if mine["is_crash"] is None else constants.crash_burden * mine["is_crash"]
    row = drive.row(EVIDENCE)
    everybody = drive.row(EVIDENCE)
    everybody["key"].pop("driver_id")
    lines: list[Line] = [
        {"name": "slow_laps", "laps": mine["slow_laps"], "counted": own, **row},
        {"name": "race_median", "counted": median, **everybody},
        {"name": "crash", "counted": crash, **row},
        {"name": "stewards", "penalty_s": mine["penalty_s"], "counted": stewards, **row},
    ]
    raw = mine["penalties_raw"]
    drive.agree("mistakes, crash and stewards", [line["counted"] for line in lines], raw)
    return [*lines, {"name": "penalties_raw", "counted": raw, **row}]


def _stops(drive: Drive) -> list[Line]:
    """Stops, and the sums of driver and team; no part of the total."""
    cycles = drive.own("pit_cycles")
    names = ("stop_number", "lap_number", "is_neutralized", "cost_s", "field_cost_s", "lost_s")
    lines: list[Line] = [
        {
            "name": "stop",
            **{name: stop[name] for name in names},
            **drive.row("core.pit_cycles", stop_number=stop["stop_number"]),
        }
        for stop in cycles.to_dicts()
    ]
    for stop in drive.own("strategy_events").join(cycles, on="stop_number", how="anti").to_dicts():
        row = drive.row("core.strategy_events", stop_number=stop["stop_number"])
        name = "red_flag" if stop["is_under_red_flag"] else "not_known"
        about = {"stop_number": stop["stop_number"], "lap_number": stop["actual_lap"]}
        lines.append({"name": name, **about, "lost_s": None, **row})
    lines.sort(key=lambda line: int(line["stop_number"]))
    lost = drive.evidence["pit_cycle_lost_s"]
    drive.agree("stops", [line["lost_s"] for line in lines], lost)
    sums = {"driver": lost, "team": drive.evidence["team_pit_cycle_lost_s"]}
    return lines + [
        {"name": name, "lost_s": seconds, **drive.row(EVIDENCE)} for name, seconds in sums.items()
    ]
