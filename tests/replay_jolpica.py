"""Jolpica's answers in Ergast's shape, made from the history tables, for the replay server.

All values are texts, a page has at most a hundred rows, and absent values have no key. From 2025
on the status has only the service's simplified words.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import polars as pl

from tests.replay_openf1 import NotRecordedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Row = dict[str, Any]

MAX_LIMIT, DEFAULT_LIMIT = 100, 30
FIRST_SEASON_WITH_LAPS = 1996
FIRST_SEASON_OF_SIMPLE_STATUS = 2025
PUBLIC_URL = "https://api.jolpi.ca/ergast/f1"
SESSIONS = {
    "FirstPractice": "fp1", "SecondPractice": "fp2", "ThirdPractice": "fp3",
    "Qualifying": "quali", "Sprint": "sprint",
}  # fmt: skip


class Jolpica:
    """Answers for a season (schedule, drivers, constructors, circuits) and for a round."""

    def __init__(self, realdata: Path) -> None:
        self._realdata = realdata

    def answer(self, path: str, parameters: Mapping[str, str]) -> Row:
        """Give the document of a path such as ``2019/1/laps.json``.

        Raises:
            NotRecordedError: the history does not know the race, or has no laps of it.
        """
        limit = min(int(parameters.get("limit", DEFAULT_LIMIT)), MAX_LIMIT)
        offset = int(parameters.get("offset", 0))
        found = re.fullmatch(r"(\d{4})(?:/(\d+))?(?:/(\w+))?\.json", path)
        if found is None:
            raise NotRecordedError(_command(path))
        season, round_number = int(found[1]), int(found[2]) if found[2] else None
        kind = found[3] or "races"
        races = self._races.filter(pl.col("year") == season)
        if round_number is not None:
            races = races.filter(pl.col("round") == round_number)
        if races.is_empty():
            raise NotRecordedError(_command(path))
        if kind in ("drivers", "constructors", "circuits"):
            return self._list(kind, races, limit, offset)
        if kind == "races":
            documents = [_race(row) for row in races.to_dicts()]
            page = documents[offset : offset + limit]
            return _document("RaceTable", {"Races": page}, len(documents), limit, offset)
        makers = {
            "results": self._results, "sprint": self._results, "qualifying": self._qualifying,
            "laps": self._laps, "pitstops": self._pit_stops,
        }  # fmt: skip
        if round_number is None or kind not in makers:
            raise NotRecordedError(_command(path))
        race = races.to_dicts()[0]
        name, rows = makers[kind](race, kind)
        if kind == "laps" and not rows and season >= FIRST_SEASON_WITH_LAPS:
            raise NotRecordedError(_command(path))
        page = rows[offset : offset + limit]
        content = _grouped(page) if kind == "laps" else page
        documents = [{**_race(race, schedule=False), name: content}] if page else []
        table = {"season": found[1], "round": str(round_number), "Races": documents}
        return _document("RaceTable", table, len(rows), limit, offset)

    def _table(self, name: str) -> pl.DataFrame:
        """A history table, with the newest rounds, which another source gave, appended."""
        frame = pl.read_parquet(self._realdata / "history" / f"{name}.parquet")
        newest = self._realdata / "history_2026_f1db" / f"{name}.parquet"
        if newest.exists():
            added = pl.read_parquet(newest)
            known = added.filter(~pl.col("raceId").is_in(frame["raceId"].unique().to_list()))
            frame = pl.concat([frame, known], how="diagonal_relaxed")
        return frame

    @cached_property
    def _races(self) -> pl.DataFrame:
        circuits = self._table("circuits").rename({"name": "circuitName", "url": "circuitUrl"})
        return self._table("races").join(circuits, on="circuitId").sort("year", "round")

    @cached_property
    def _people(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        drivers = self._table("drivers").rename({"number": "permanentNumber", "url": "driverUrl"})
        teams = self._table("constructors").rename(
            {"name": "teamName", "nationality": "teamNationality", "url": "teamUrl"}
        )
        return drivers, teams

    @cached_property
    def _classified(self) -> dict[str, pl.DataFrame]:
        drivers, teams = self._people
        return {
            kind: self._table(name)
            .join(drivers, on="driverId")
            .join(teams, on="constructorId")
            .join(self._table("status"), on="statusId")
            .sort("positionOrder")
            for kind, name in (("results", "results"), ("sprint", "sprint_results"))
        }

    @cached_property
    def _lap_times(self) -> pl.DataFrame:
        derived = self._table("lap_times_from_fastf1").drop("source")
        drivers = self._people[0].select("driverId", "driverRef")
        return pl.concat([self._table("lap_times"), derived]).join(drivers, on="driverId")

    def _results(self, race: Row, kind: str) -> tuple[str, list[Row]]:
        name = "Results" if kind == "results" else "SprintResults"
        rows = self._classified[kind].filter(pl.col("raceId") == race["raceId"]).to_dicts()
        return name, [_result(row, race["year"]) for row in rows]

    def _qualifying(self, race: Row, _: str) -> tuple[str, list[Row]]:
        drivers, teams = self._people
        rows = (
            self._table("qualifying")
            .filter(pl.col("raceId") == race["raceId"])
            .join(drivers, on="driverId")
            .join(teams, on="constructorId")
            .sort("position")
        )
        return "QualifyingResults", [
            {
                **_texts(number=row["number"], position=row["position"]),
                "Driver": _driver(row),
                "Constructor": _team(row),
                **_texts(Q1=row["q1"], Q2=row["q2"], Q3=row["q3"]),
            }
            for row in rows.to_dicts()
        ]

    def _laps(self, race: Row, _: str) -> tuple[str, list[Row]]:
        rows = self._lap_times.filter(pl.col("raceId") == race["raceId"]).sort("lap", "position")
        return "Laps", [
            _texts(number=lap, driverId=driver, position=position, time=time)
            for lap, driver, position, time in rows.select(
                "lap", "driverRef", "position", "time"
            ).iter_rows()
        ]

    def _pit_stops(self, race: Row, _: str) -> tuple[str, list[Row]]:
        rows = (
            self._table("pit_stops")
            .filter(pl.col("raceId") == race["raceId"])
            .join(self._people[0].select("driverId", "driverRef"), on="driverId")
            .sort("stop", "lap", "time", nulls_last=True)
        )
        return "PitStops", [
            _texts(
                driverId=row["driverRef"], lap=row["lap"], stop=row["stop"], time=row["time"],
                duration=row["duration"],
            )
            for row in rows.to_dicts()
        ]  # fmt: skip

    def _list(self, kind: str, races: pl.DataFrame, limit: int, offset: int) -> Row:
        """Those who took part, or the circuits of the season."""
        took_part = self._classified["results"].join(races.select("raceId"), on="raceId")
        if kind == "drivers":
            unique = took_part.unique("driverId").sort("surname")
            rows, names = [_driver(row) for row in unique.to_dicts()], ("DriverTable", "Drivers")
        elif kind == "constructors":
            unique = took_part.unique("constructorId").sort("constructorRef")
            rows = [_team(row) for row in unique.to_dicts()]
            names = ("ConstructorTable", "Constructors")
        else:
            unique = races.unique("circuitId").sort("circuitRef")
            rows, names = [_circuit(row) for row in unique.to_dicts()], ("CircuitTable", "Circuits")
        page = rows[offset : offset + limit]
        return _document(names[0], {names[1]: page}, len(rows), limit, offset)


def _command(path: str) -> str:
    file = f"$DRIVEGRADE_REALDATA/jolpica/{path}"
    return f'curl --create-dirs -o "{file}" "{PUBLIC_URL}/{path}?limit={MAX_LIMIT}"'


def _texts(**values: object) -> Row:
    return {name: str(value) for name, value in values.items() if value is not None}


def _document(table: str, content: Row, total: int, limit: int, offset: int) -> Row:
    return {
        "MRData": {
            **_texts(xmlns="", series="f1", limit=limit, offset=offset, total=total),
            table: content,
        }
    }


def _grouped(timings: list[Row]) -> list[Row]:
    return [
        {
            "number": number,
            "Timings": [
                {name: text for name, text in row.items() if name != "number"} for row in rows
            ],
        }
        for number, rows in groupby(timings, key=lambda row: row["number"])
    ]


def _moment(date: str | None, time: str | None) -> Row:
    return _texts(date=date, time=f"{time}Z" if time else None)


def _race(race: Row, *, schedule: bool = True) -> Row:
    document = {
        **_texts(season=race["year"], round=race["round"], url=race["url"], raceName=race["name"]),
        "Circuit": _circuit(race),
        **_moment(race["date"], race["time"]),
    }
    if schedule:
        for name, column in SESSIONS.items():
            if race[f"{column}_date"]:
                document[name] = _moment(race[f"{column}_date"], race[f"{column}_time"])
    return document


def _circuit(row: Row) -> Row:
    place = _texts(
        lat=row["lat"], long=row["lng"], locality=row["location"], country=row["country"]
    )
    names = _texts(
        circuitId=row["circuitRef"], url=row["circuitUrl"], circuitName=row["circuitName"]
    )
    return {**names, "Location": place}


def _driver(row: Row) -> Row:
    return _texts(
        driverId=row["driverRef"], permanentNumber=row["permanentNumber"], code=row["code"],
        url=row["driverUrl"], givenName=row["forename"], familyName=row["surname"],
        dateOfBirth=row["dob"], nationality=row["nationality"],
    )  # fmt: skip


def _team(row: Row) -> Row:
    return _texts(
        constructorId=row["constructorRef"], url=row["teamUrl"], name=row["teamName"],
        nationality=row["teamNationality"],
    )  # fmt: skip


def _result(row: Row, season: int) -> Row:
    status = row["status"]
    if season >= FIRST_SEASON_OF_SIMPLE_STATUS:
        status = _simple_status(row)
    points = float(row["points"])
    document = {
        **_texts(
            number=row["number"], position=row["positionOrder"], positionText=row["positionText"],
            points=f"{points:g}",
        ),
        "Driver": _driver(row),
        "Constructor": _team(row),
        **_texts(grid=row["grid"] or 0, laps=row["laps"], status=status),
    }  # fmt: skip
    if row["time"] is not None:
        document["Time"] = _texts(millis=row["milliseconds"], time=row["time"])
    return document


def _simple_status(row: Row) -> str:
    """The service's words since 2025, of which accidents and failures share one."""
    if row["positionText"] in ("D", "E"):
        return "Disqualified"
    if row["positionText"] == "W" and not row["laps"]:
        return "Did not start"
    if row["status"] in ("Finished", "Did not start", "Disqualified"):
        return str(row["status"])
    return "Lapped" if re.fullmatch(r"\+\d+ Laps?", row["status"]) else "Retired"
