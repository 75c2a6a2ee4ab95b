"""Sessions drawn by chance, many in one set of tables, so that one plan grades them all.

An example is a session: 200 of them are 200 examples of a property that is compared row by row.
Among them are races of one driver, of nobody who set a lap, of nobody who finished, without flags,
sectors, tyres or clocks, and with laps missing anywhere. No two cars cross the line in the same
millisecond: who is ahead then is not known, and a name would decide it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.tables import DERIVED, NORMALIZED, TABLES, SessionKey, empty
from loaders.grading import grade_tables
from loaders.previous import NOTHING
from tests.frames import frame
from tests.soak import chance

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from loaders.previous import Previous
    from loaders.profiles import Profile

    Tables = Mapping[str, pl.DataFrame]
    Graded = dict[str, pl.DataFrame]
    Row = dict[str, object]
    Rows = dict[str, list[Row]]

ROUNDS: Final = 20
"""Races of a drawn season."""

FIRST_SEASON: Final = 1960

PEOPLE: Final = tuple(f"driver_{letter}" for letter in "abcdefghij")

COMPOUNDS: Final = ("SOFT", "MEDIUM", "HARD")

ODDITIES: Final = ("alone", "no_laps", "all_retired", "no_flags", "no_sectors", "gaps", "no_clocks")
"""What a drawn session may lack; about half of them lack nothing."""


class Race(NamedTuple):
    """What is drawn before its laps are.

    Attributes:
        session_id: which session.
        odd: one of `ODDITIES`, or "".
        laps: how many it has.
        drivers: who takes part, in the order of the grid.
        safety: laps under the safety car.
    """

    session_id: str
    odd: str
    laps: int
    drivers: tuple[str, ...]
    safety: range


@cache
def drawn(count: int, name: str = "sessions") -> Tables:
    """Draw sessions, always the same ones of a name, a number and a seed.

    Args:
        count: how many.
        name: what they are drawn for.

    Returns:
        The frames of `engine.tables.NORMALIZED`, under contract.
    """
    rng = chance(f"drawn {name}")
    rows: Rows = {table: [] for table in NORMALIZED}
    for number in range(count):
        _add_session(rows, SessionKey(FIRST_SEASON + number // ROUNDS, 1 + number % ROUNDS), rng)
    return {table: frame(table, found) if found else empty(table) for table, found in rows.items()}


def _add_session(rows: Rows, session: SessionKey, rng: random.Random) -> None:
    odd = rng.choice((*ODDITIES, *[""] * len(ODDITIES)))
    laps = rng.randint(9, 14)
    first = rng.randint(2, laps)
    race = Race(
        session.session_id,
        odd,
        laps,
        tuple(rng.sample(PEOPLE, 1 if odd == "alone" else rng.randint(6, 8))),
        range(first, first + rng.choice((0, 0, 2))),
    )
    rows["sessions"].append(
        {
            "session_id": race.session_id,
            **session._asdict(),
            "circuit_id": f"circuit_{rng.randint(1, 5)}",
            "circuit_name": "A Circuit",
            "scheduled_laps": laps,
        }
    )
    for place, driver in enumerate(race.drivers, start=1):
        _add_drive(rows, race, place, driver, rng)
    for number in range(rng.randint(0, 2)):
        car = 1 + PEOPLE.index(rng.choice(race.drivers))
        text = f"{rng.choice((5, 10))} SECOND TIME PENALTY FOR CAR {car} (ABC) - TRACK LIMITS"
        here = {"session_id": race.session_id, "message_number": number + 1}
        rows["race_control"].append({**here, "lap_number": 2 + number, "message": text})


def _add_drive(rows: Rows, race: Race, place: int, driver: str, rng: random.Random) -> None:
    number = PEOPLE.index(driver)
    here: Row = {"session_id": race.session_id, "driver_id": driver}
    retires = race.odd == "all_retired" or rng.random() < 0.1
    driven = 0 if race.odd == "no_laps" else rng.randint(3, race.laps) if retires else race.laps
    rows["entries"].append(
        {
            **here,
            "driver_code": driver[-3:].upper().replace("_", "X"),
            "driver_number": 1 + number,
            "team_id": f"team_{number // 2}",
            "grid_position": None if rng.random() < 0.05 else place,
            "position": None if retires else place,
            "status": "retired" if retires else "finished",
            "is_classified": not retires,
            "status_text": rng.choice(("Collision", "Engine")) if retires else "Finished",
            "completed_laps": driven,
        }
    )
    rows["qualifying"].append({**here, "position": place, "q1_ms": 88_000 + 137 * place})
    stop = rng.randint(3, race.laps - 2)
    pace = 90_000 + 10 * rng.randint(0, 90)
    clock = 1_000_000 + 351 * place  # times are of 10 ms, so no two cars cross the line at once
    for lap in range(1, driven + 1):
        clock = _add_lap(rows, race, {**here, "lap_number": lap}, (stop, pace, clock), rng)
    if driven > stop:
        rows["pit_stops"].append({**here, "lap_number": stop, "pit_lane_time_ms": 21_000})


def _add_lap(
    rows: Rows, race: Race, here: Row, drive: tuple[int, int, int], rng: random.Random
) -> int:
    """Write a lap, or leave it out; the session clock at its end."""
    stop, pace, start = drive
    lap = int(str(here["lap_number"]))
    is_in, is_out, is_slow = lap == stop, lap == stop + 1, lap in race.safety
    time = pace + 10 * rng.randint(-25, 25) + 40_000 * is_slow + 5_000 * is_in + 16_000 * is_out
    time += rng.choice((0,) * 15 + (2_500,)) + (4_000 if lap == 1 else 0)
    has_clock = race.odd != "no_clocks"
    row: Row = {
        **here,
        "lap_time_ms": time,
        "lap_start_ms": start if has_clock else None,
        "lap_end_ms": start + time if has_clock else None,
        "stint_number": 1 if lap <= stop else 2,
        "position": 1 + race.drivers.index(str(here["driver_id"])),
        "compound": COMPOUNDS[(stop + (lap > stop)) % 3],
        "tyre_life_laps": lap if lap <= stop else lap - stop,
        "is_in_lap": is_in,
        "is_out_lap": is_out,
        "track_status": None if race.odd == "no_flags" else "4" if is_slow else "1",
    }
    if race.odd != "no_sectors":
        third = time // 3
        row |= {"sector1_time_ms": time - 2 * third, "sector2_time_ms": third}
        row["sector3_time_ms"] = third
    if race.odd == "gaps":
        if rng.random() < 0.15:
            return start + time
        for name in ("lap_time_ms", "lap_end_ms", "tyre_life_laps", "compound", "is_in_lap"):
            row[name] = None if rng.random() < 0.1 else row[name]
    rows["laps"].append(row)
    return start + time


def graded(tables: Tables, profiles: Sequence[Profile], before: Previous = NOTHING) -> Graded:
    """Grade through the whole chain; every table sorted by its key."""
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    return in_order(grade_tables(lazy, profiles, "drawn", before))


def in_order(frames: Tables) -> Graded:
    """Sort every table by its key."""
    return {name: frame.sort(TABLES[name].primary_key()) for name, frame in frames.items()}


def digest(frames: Tables) -> str:
    """Hash all derived tables, bit for bit."""
    state = hashlib.sha256()
    for name in DERIVED:
        state.update(frames[name].write_ipc(None, compat_level=pl.CompatLevel.oldest()).getvalue())
    return state.hexdigest()
