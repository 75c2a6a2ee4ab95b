"""Rows of OpenF1's answers made by hand, one by one and as a whole session, for its tests.

The session is a race of six laps by four cars, small enough to follow by hand: car 4 wins, car 1
is 6 s behind, car 44 is a lap down, car 81 retires after three laps. Cars 4 and 1 stop on lap 3.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.tables import SessionKey
from loaders.providers import openf1
from loaders.providers.openf1_records import ENDPOINTS, raw_frame
from loaders.strict_json import read_records

if TYPE_CHECKING:
    from pathlib import Path

    Rows = list[dict[str, Any]]

RACE = SessionKey(2024, 5)
START = datetime(2024, 5, 5, 20, 0, tzinfo=UTC)
ZERO = START - openf1.CLOCK_LEAD
ENTRANTS = pl.DataFrame(
    {
        "driver_number": [1, 4, 44, 81],
        "driver_id": ["max_verstappen", "norris", "hamilton", "piastri"],
        "driver_code": ["VER", "NOR", "HAM", "PIA"],
        "driver_name": ["Max Verstappen", "Lando Norris", "Lewis Hamilton", "Oscar Piastri"],
        "team_id": ["red_bull", "mclaren", "mercedes", "mclaren"],
        "team_name": ["Red Bull", "McLaren", "Mercedes", "McLaren"],
    },
    schema_overrides={"driver_number": pl.Int16},
)


def at(second: float) -> str:
    """A moment so many seconds after lights-out, as OpenF1 writes it."""
    return (START + timedelta(seconds=second)).isoformat()


def frame(endpoint: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """The raw frame of these rows, which may lack fields that a whole answer has."""
    return raw_frame(
        endpoint,
        read_records(json.dumps(rows).encode(), ENDPOINTS[endpoint], "openf1 test", endpoint),
    )


def result(car: int = 4, position: int | None = 1, **row: Any) -> dict[str, Any]:
    """A row of session_result: by default a car that ran 3 laps."""
    flags = {"dnf": False, "dns": False, "dsq": False}
    return {"driver_number": car, "position": position, "number_of_laps": 3, **flags, **row}


def lap(number: int, start_s: float, duration_s: float | None, **row: Any) -> dict[str, Any]:
    """A row of laps: start in s after lights-out, duration in s."""
    timing = {"lap_number": number, "date_start": at(start_s), "lap_duration": duration_s}
    return {"driver_number": 4, **timing, **row}


def message(second: float, text: str, **row: Any) -> dict[str, Any]:
    """A row of race_control."""
    return {"date": at(second), "message": text, "category": "Flag", **row}


FACTS = {
    "session_key": 9523,
    "meeting_key": 1236,
    "session_name": "Race",
    "date_start": START.isoformat(),
    "gmt_offset": "-04:00:00",
}
MEETING = {
    "meeting_key": 1236,
    "meeting_name": "Miami Grand Prix",
    "date_start": (START - timedelta(days=2)).isoformat(),
    "circuit_short_name": "Miami",
}


def answers(**rows: Rows) -> dict[str, pl.DataFrame]:
    """Raw frames of all endpoints; those not given have no rows."""
    given_rows: dict[str, Rows] = {"meetings": [MEETING], "sessions": [FACTS], **rows}
    return {name: frame(name, *given_rows.get(name, [])) for name in ENDPOINTS}


def _cars(**columns: tuple[Any, ...]) -> Rows:
    """One row per car, in the order 4, 1, 44, 81."""
    return [
        {"driver_number": car, **dict(zip(columns, values, strict=True))}
        for car, *values in zip((4, 1, 44, 81), *columns.values(), strict=True)
    ]


def _laps(car: int, laps: int, duration_s: float, out_lap: int = 0) -> Rows:
    """Laps of equal duration after a first one that takes 10 s longer and is not timed."""
    untimed = {"duration_sector_1": None, "duration_sector_2": 36.0, "duration_sector_3": 26.0}
    timed = {"duration_sector_1": 29.0, "duration_sector_2": 35.0}
    speeds = {"i1_speed": 210, "i2_speed": 187, "st_speed": 298}
    first = lap(1, 0.0, None, driver_number=car, is_pit_out_lap=False, **untimed, **speeds)
    return [first] + [
        lap(
            number,
            10 + duration_s * (number - 1),
            duration_s,
            driver_number=car,
            is_pit_out_lap=number == out_lap,
            duration_sector_3=duration_s - 64,
            **timed,
            **speeds,
        )
        for number in range(2, laps + 1)
    ]


def _stint(car: int, number: int, first: int, last: int, compound: str) -> dict[str, Any]:
    return {
        "driver_number": car, "stint_number": number, "lap_start": first, "lap_end": last,
        "compound": compound, "tyre_age_at_start": 0,
    }  # fmt: skip


def _visit(car: int, left_s: float, lane_s: float) -> dict[str, Any]:
    return {
        "driver_number": car, "lap_number": 3, "date": at(left_s), "lane_duration": lane_s,
        "pit_duration": lane_s, "stop_duration": 2.5,
    }  # fmt: skip


def _sector_flag(second: float, flag: str, **row: Any) -> dict[str, Any]:
    place = {"scope": "Sector", "sector": 3, "lap_number": 2, "driver_number": None}
    return message(second, f"{flag} IN TRACK SECTOR 3", **{"flag": flag, **place, **row})


SESSION: dict[str, Rows] = {
    "meetings": [{**MEETING, "is_cancelled": False}],
    "sessions": [
        {**FACTS, "session_key": 9520, "session_name": "Qualifying", "is_cancelled": False},
        {**FACTS, "is_cancelled": False},
    ],
    "session_result": [
        result(4, 1, number_of_laps=6, points=25, duration=550.0, gap_to_leader=0),
        result(1, 2, number_of_laps=6, points=18, duration=556.0, gap_to_leader=6.0),
        result(44, 3, number_of_laps=5, points=15, duration=None, gap_to_leader="+1 LAP"),
        result(81, None, points=0, dnf=True, duration=None, gap_to_leader=None),
    ],
    "drivers": _cars(
        name_acronym=("NOR", "VER", "HAM", "PIA"),
        first_name=("Lando", "Max", "Lewis", "Oscar"),
        last_name=("Norris", "Verstappen", "Hamilton", "Piastri"),
        team_name=("McLaren", "Red Bull", "Mercedes", "McLaren"),
    ),
    "starting_grid": _cars(session_key=(9520,) * 4, position=(1, 2, 3, 4)),
    "laps": [
        *_laps(4, 6, 90.0, 4), *_laps(1, 6, 91.0, 4), *_laps(44, 5, 110.0), *_laps(81, 3, 92.0),
    ],
    "stints": [
        _stint(4, 1, 1, 3, "MEDIUM"), _stint(4, 2, 4, 6, "HARD"),
        _stint(1, 1, 1, 3, "MEDIUM"), _stint(1, 2, 4, 6, "HARD"),
        _stint(44, 1, 1, 5, "HARD"), _stint(81, 1, 1, 3, "SOFT"),
    ],
    "pit": [_visit(4, 300.0, 22.0), _visit(1, 304.0, 22.5)],
    "position": [{"date": at(0), **row} for row in _cars(position=(1, 2, 3, 4))],
    "race_control": [
        message(-10, "GREEN LIGHT - PIT EXIT OPEN", flag="GREEN", scope="Track", sector=None,
                lap_number=1, driver_number=None),
        _sector_flag(130, "YELLOW"),
        _sector_flag(170, "CLEAR"),
    ],
    "weather": [
        {
            "date": at(second), "air_temperature": 25.7, "track_temperature": 35, "humidity": 76.4,
            "pressure": 1016.2, "rainfall": 0, "wind_direction": 95, "wind_speed": 0.7,
        }
        for second in (-60, 0, 60)
    ],
}  # fmt: skip
"""Every endpoint's rows, each with every field we read."""

_RACE_DOCUMENT = {
    "season": "2024",
    "round": "5",
    "raceName": "Miami Grand Prix",
    "Circuit": {"circuitId": "miami", "circuitName": "Miami International Autodrome"},
    "date": "2024-05-05",
}


def write_session(folder: Path) -> None:
    """Write the session, and what Jolpica says of it, as the replay server reads recordings.

    It is round 5 of a year whose other rounds are the calendar's only.
    """
    recorded, jolpica, history = (
        folder / "openf1/2024_05",
        folder / "jolpica/2024/5",
        folder / "history",
    )
    for place in (recorded, jolpica, history):
        place.mkdir(parents=True)
    weekend = {
        "meeting_key": MEETING["meeting_key"],
        "session_key": FACTS["session_key"],
        "year": 2024,
    }
    for name, rows in SESSION.items():
        document = [{**weekend, **row} for row in rows]
        (recorded / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    entered = [
        {
            "number": str(row["driver_number"]),
            "Driver": {
                "driverId": row["driver_id"], "code": row["driver_code"],
                "givenName": row["driver_name"].split()[0],
                "familyName": row["driver_name"].split()[1],
            },
            "Constructor": {"constructorId": row["team_id"], "name": row["team_name"]},
        }
        for row in ENTRANTS.to_dicts()
    ]  # fmt: skip
    for name, rows in (("races", []), ("results", entered)):
        table = {"Races": [{**_RACE_DOCUMENT, "Results": rows}]}
        page = {"limit": "100", "offset": "0", "total": str(len(rows)), "RaceTable": table}
        (jolpica / f"{name}.json").write_text(json.dumps({"MRData": page}), encoding="utf-8")
    days = ["2024-03-02", "2024-03-09", "2024-03-24", "2024-04-07", "2024-05-05", "2024-05-19"]
    pl.DataFrame(
        {
            "raceId": range(1, 7), "year": 2024, "round": range(1, 7), "circuitId": 1, "date": days,
            "name": [f"Grand Prix {number}" for number in range(1, 7)], "time": "13:00:00",
            "sprint_date": None, "sprint_time": None,
        }
    ).write_parquet(history / "races.parquet")  # fmt: skip
    pl.DataFrame(
        {"circuitId": [1], "name": "Circuit", "location": "Town", "country": "Country"}
    ).write_parquet(history / "circuits.parquet")
