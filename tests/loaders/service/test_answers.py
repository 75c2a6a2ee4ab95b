"""What the API answers: the figures, what is left out by a filter, and what is not known."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from loaders.postgres import connect
from loaders.service import answer_models as models
from loaders.service.app import router
from tests.loaders.service.conftest import SPRINT, serving
from tests.reliability.redis_faults import redis_server
from tests.warehouse import MELBOURNE, ask, load, session_tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from loaders.settings import Settings
    from tests.loaders.service.conftest import Served

ANALYTICS = "/api/v1/analytics/2025/1"

EVERY_ANSWER: list[tuple[str, type[models.Answer]]] = [
    (ANALYTICS, models.Analytics),
    ("/api/v1/analytics/2025/3", models.Analytics),
    ("/api/v1/races", models.Races),
    ("/api/v1/races/2025/1/grades", models.SessionGrades),
    ("/api/v1/drivers/norris/grades", models.DriverGrades),
    ("/api/v1/standings/2025", models.Standings),
    ("/api/v1/standings/2025?of=teams", models.Standings),
    ("/api/v1/strategy/2025/1", models.Strategy),
    ("/healthz", models.Alive),
    ("/readyz", models.Readiness),
]


def told(client: httpx.Client, path: str, status: int = 200) -> dict[str, Any]:
    """Ask, and expect a status."""
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("path", "model"), EVERY_ANSWER)
def test_every_answer_is_as_described(
    client: httpx.Client, path: str, model: type[models.Answer]
) -> None:
    """What OpenAPI says is what is sent: all fields, no other, in their bounds."""
    model.model_validate_json(client.get(path).content, strict=False)


def test_analytics_has_the_laps_stints_and_grades(client: httpx.Client) -> None:
    """Norris: 90, 90 and 84 s; the first lap ends in the pit lane; the second stint averages 87."""
    found = told(client, ANALYTICS)
    assert found["race"]["session_id"] == MELBOURNE.session_id
    assert (found["status"], found["status_reason"]) == ("graded", None)
    assert [lap for lap in found["laps"] if lap["driver"] == "NOR"] == [
        {"driver": "NOR", "lap": 1, "lap_ms": 90_000, "compound": "SOFT", "stint_no": 1,
         "pit": True},
        {"driver": "NOR", "lap": 2, "lap_ms": 90_000, "compound": "INTERMEDIATE", "stint_no": 2,
         "pit": False},
        {"driver": "NOR", "lap": 3, "lap_ms": 84_000, "compound": "INTERMEDIATE", "stint_no": 2,
         "pit": False},
    ]  # fmt: skip
    stints = [stint for stint in found["stints"] if stint["driver"] == "NOR"]
    assert [(stint["laps"], stint["avg_lap_ms"]) for stint in stints] == [(1, None), (2, 87_000)]
    best = found["driver_pace_grades"][0]
    assert [grade["total_grade"] for grade in found["driver_pace_grades"]] == [0.75, 0.5]
    assert best["source"] == "drive_grade_db"
    assert (best["profile_name"], best["model_version"], best["grade"]) == ("baseline", "v1", None)


def test_who_has_no_code_is_named_by_id(client: httpx.Client) -> None:
    """Old seasons have no codes."""
    found = told(client, ANALYTICS)
    assert {lap["driver"] for lap in found["laps"]} == {"NOR", "piastri"}
    assert found["driver_pace_grades"][0]["driver"] == "piastri"


@pytest.mark.parametrize("wanted", ["nor", "NOR", "norris", "NORRIS"])
def test_drivers_filters_everything(client: httpx.Client, wanted: str) -> None:
    """By code or id, in any case: laps, stints and grades."""
    found = told(client, f"{ANALYTICS}?drivers={wanted}")
    for part in ("laps", "stints", "driver_pace_grades"):
        assert {row["driver"] for row in found[part]} == {"NOR"}, part


def test_two_drivers_may_be_asked_for(client: httpx.Client) -> None:
    """The parameter repeats; naming all is the same as naming none."""
    both = told(client, f"{ANALYTICS}?drivers=NOR&drivers=piastri")
    assert both == told(client, ANALYTICS)


def test_a_driver_who_did_not_take_part_is_an_error(client: httpx.Client) -> None:
    """Nobody is left out in silence; who was there is said."""
    error = told(client, f"{ANALYTICS}?drivers=NOR&drivers=HAM", 404)["error"]
    assert error["code"] == "unknown_driver"
    assert error["message"] == "ham did not take part; there are NOR, piastri"


def test_a_race_without_grades_says_so(client: httpx.Client) -> None:
    """Never a guess: no grades, and why."""
    found = told(client, "/api/v1/analytics/2025/2")
    assert (found["driver_pace_grades"], found["status"]) == ([], "not_graded")
    assert found["status_reason"] == "its data is stored; it was not graded under profile baseline"
    assert len(found["laps"]) == 6


@pytest.mark.parametrize(
    ("round_number", "status", "reason"),
    [
        (3, "scheduled", "its data is fetched after it has ended"),
        (4, "live", "its data is being fetched"),
        (5, "failed", "no laps yet"),
    ],
)
def test_a_session_of_the_calendar_has_a_status(
    client: httpx.Client, round_number: int, status: str, reason: str
) -> None:
    """It is no 404, for it is known; a failure's reason is the calendar's."""
    found = told(client, f"/api/v1/analytics/2025/{round_number}?drivers=NOR")
    assert (found["status"], found["status_reason"]) == (status, reason)
    assert (found["laps"], found["stints"], found["driver_pace_grades"]) == ([], [], [])


def test_a_race_nobody_knows_is_not_found(client: httpx.Client) -> None:
    """Nor is a sprint of a weekend without one."""
    assert told(client, "/api/v1/analytics/2025/24", 404)["error"]["code"] == "unknown_race"
    assert told(client, f"{ANALYTICS}?session=sprint", 404)["error"]["code"] == "unknown_race"


def test_grades_under_another_profile(client: httpx.Client) -> None:
    """A stored profile that graded nothing has no grades; one that is not stored is an error."""
    assert told(client, f"{ANALYTICS}?profile=baseline") == told(client, ANALYTICS)
    error = told(client, f"{ANALYTICS}?profile=nobodys", 404)["error"]
    assert error["code"] == "unknown_profile"


def test_grades_are_those_of_analytics(client: httpx.Client) -> None:
    """The same without laps and stints."""
    whole = told(client, ANALYTICS)
    del whole["laps"], whole["stints"]
    assert told(client, "/api/v1/races/2025/1/grades") == whole


def test_a_driver_has_grades_over_the_years(client: httpx.Client) -> None:
    """The last session first, a page of one at a time."""
    first = told(client, "/api/v1/drivers/norris/grades?limit=1")
    second = told(client, f"/api/v1/drivers/norris/grades?limit=1&cursor={first['next_cursor']}")
    seen = [first["grades"][0]["session_id"], second["grades"][0]["session_id"]]
    assert seen == [SPRINT.session_id, MELBOURNE.session_id]
    assert second["next_cursor"] is None
    assert told(client, "/api/v1/drivers/hamilton/grades", 404)["error"]["code"] == "unknown_driver"


def test_standings_rank_the_season(client: httpx.Client) -> None:
    """Piastri's mean is 0.75, Norris' 0.5; so is their teams'."""
    drivers = told(client, "/api/v1/standings/2025")["standings"]
    assert [(row["rank"], row["subject_id"]) for row in drivers] == [(1, "piastri"), (2, "norris")]
    teams = told(client, "/api/v1/standings/2025?of=teams")["standings"]
    assert [row["total_grade_mean"] for row in teams] == [0.75, 0.5]
    assert told(client, "/api/v1/standings/1999", 404)["error"]["code"] == "unknown_season"


def test_strategy_has_the_stops(client: httpx.Client) -> None:
    """Each stopped once, at the end of lap 1."""
    found = told(client, "/api/v1/strategy/2025/1")
    stops = [(stop["driver"], stop["stop_no"], stop["lap"]) for stop in found["stops"]]
    assert stops == [("NOR", 1, 1), ("piastri", 1, 1)]
    assert [stint["stint_no"] for stint in found["stints"]] == [1, 2, 1, 2]


def test_races_lists_what_is_stored_and_what_is_to_come(client: httpx.Client) -> None:
    """Each once, the last one first, the race before its sprint."""
    found = told(client, "/api/v1/races?season=2025")["races"]
    assert [(row["session_id"], row["status"]) for row in found] == [
        ("2025-5", "failed"),
        ("2025-4", "live"),
        ("2025-3", "scheduled"),
        ("2025-2", "not_graded"),
        ("2025-2-sprint", "graded"),
        ("2025-1", "graded"),
    ]


def test_last_updated_is_the_load_not_the_request(client: httpx.Client, stored: Settings) -> None:
    """So that the same data has the same answer, byte for byte."""
    with connect(stored) as connection:
        loaded_at = ask(
            connection, "select loaded_at from ops.loads order by load_id limit 1"
        ).item()
    assert told(client, ANALYTICS)["last_updated"] == loaded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_new_load_is_seen_within_a_second(stored: Settings) -> None:
    """From the memory, from Redis and from PostgreSQL: the answer is the same, and then the new."""
    with redis_server() as redis, connect(stored) as connection:
        cached = stored.model_copy(update={"redis_url": SecretStr(redis.url)})
        with serving(cached) as first, serving(cached) as second, serving(stored) as plain:
            path = "/api/v1/analytics/2025/2?session=sprint"
            answers = [one.client.get(path).content for one in (first, second, plain, first)]
            assert len(set(answers)) == 1
            assert redis.client.keys("drivegrade:v1:analytics:2025-2-sprint:*")
            load(
                connection,
                session_tables(SPRINT, ["norris"], lap_count=4),
                SPRINT,
                data_hash="second",
            )
            for one in (first, second, plain):
                one.app.state.service.memo._stamp_ends_at = 0.0  # a second has passed
            assert {len(told(one.client, path)["laps"]) for one in (first, second, plain)} == {4}
            assert len(redis.client.keys("drivegrade:v1:analytics:2025-2-sprint:*")) == 2


def test_the_routes_stand_in_another_site(stored: Settings) -> None:
    """Answers and errors are ours; the site's own lifespan and routes are as they were."""
    began: list[str] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        began.append("site")
        yield
        began.append("ended")

    site = FastAPI(lifespan=lifespan)
    site.include_router(router(stored))

    @site.get("/own")
    async def own() -> dict[str, int]:
        return {"own": 1}

    with serving(stored, site) as found:
        assert told(found.client, "/own") == {"own": 1}
        assert told(found.client, ANALYTICS)["status"] == "graded"
        error = told(found.client, "/api/v1/analytics/1999/1", 404)["error"]
        assert (error["code"], len(error["request_id"])) == ("unknown_race", 16)
    assert began == ["site", "ended"]


def test_each_request_has_a_line_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Method, route, status, time and id; of the query nothing, for it may hold a secret."""
    with caplog.at_level(logging.INFO, "drivegrade.api"):
        answer = served.client.get("/api/v1/races?password=hunter2")
        served.client.get(f"{ANALYTICS}?drivers=NOR")
    refused, given = (record.getMessage() for record in caplog.records[-2:])
    assert refused.startswith("GET /api/v1/races 422 ")
    assert refused.endswith(f" ms {answer.headers['x-request-id']}")
    assert given.startswith("GET /api/v1/analytics/{season}/{round} 200 ")
    assert "hunter2" not in caplog.text
