"""Pages of the service: what there is has a page, anything else is a 404, and nothing blocks."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from engine.tables import SessionKey
from loaders import lake
from loaders.manifest import MANIFEST_NAME
from loaders.report.html import CONTENT_POLICY
from loaders.service import pages
from loaders.service.app import create_app
from loaders.service.pages import MAX_PAGES, MAX_WAITING, NotMadeError, Page, Pages
from loaders.settings import Settings
from tests.frames import frame
from tests.pages import assert_stands_alone, parse

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

GRADED = SessionKey(2024, 3)
SPRINT = SessionKey(2024, 4, "sprint")
RACE = SessionKey(2024, 4)
OLD = SessionKey(1960, 2)

HOSTILE = "<script>alert(1)</script>"


def write(home: Settings, session: SessionKey, name: str = "Ann Black") -> None:
    """Write a session without laps: two drivers, the first of whom won."""
    own = {"session_id": session.session_id}
    season = {"season": session.season, "round": session.round}
    drivers = [
        {**own, "driver_id": "ann", "driver_name": name, "team_id": "one", "position": 1},
        {**own, "driver_id": "bob", "driver_name": "Bob Brown", "team_id": "two", "position": 2},
    ]
    head = {**own, **season, "session_kind": session.session_kind}
    tables = {"sessions": frame("sessions", [head]), "entries": frame("entries", drivers)}
    if session == GRADED:
        grade = {"profile_name": "v2", "profile_version": 1, "model_version": "v2"}
        grade |= {"data_source": "hand", "inputs_hash": "0" * 64, **own}
        tables["driver_metrics"] = frame(
            "driver_metrics",
            [
                {**grade, "driver_id": "ann", "total_grade": 0.4, "grade": 41.2},
                {**grade, "driver_id": "bob", "total_grade": 0.6, "grade": 78.4},
            ],
        )
    lake.write_session(home.lake, session, tables)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake of four sessions, one of them graded."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    for session in (GRADED, SPRINT, RACE, OLD):
        write(settings, session, HOSTILE if session == RACE else "Ann Black")
    return settings


def site(settings: Settings) -> FastAPI:
    """Make a site of the pages alone."""
    app = FastAPI()
    app.include_router(pages.router(settings))
    return app


def ask(app: FastAPI, *addresses: str, method: str = "GET", **headers: str) -> list[httpx.Response]:
    """Ask a site for pages, one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return [await client.request(method, each, headers=named) for each in addresses]

    return asyncio.run(run())


def test_the_first_page_leads_to_every_race(home: Settings) -> None:
    """From all seasons to the races, and from a race back; who was best and who won."""
    app = site(home)
    (first,) = ask(app, "/")
    assert first.status_code == 200
    index = parse(first.text)
    rows = index.one("table").one("tbody").all("tr")
    assert [row.one("a").attributes["href"] for row in rows] == [
        "report/2024/3",
        "report/2024/4?session=sprint",
        "report/2024/4",
    ]
    cells = [cell.text.strip() for cell in rows[0].all("td")]
    assert cells[1:] == ["Bob Brown", "78", "Ann Black", "2 of 2"]
    assert float(rows[0].one("data").attributes["value"]) == 78.4
    assert [cell.text for cell in rows[2].all("td")][1] == "not graded"
    seasons = [link.attributes["href"] for link in index.one("ul").all("a")]
    assert seasons == ["report/2024", "report/1960"]
    season, race, again = ask(app, "/report/2024", "/report/2024/4", "/report/1960/2")
    links = [link.attributes["href"] for link in parse(season.text).one("table").all("a")]
    assert links == ["2024/3", "2024/4?session=sprint", "2024/4"]
    trail = parse(race.text).one("header").one("nav").all("a")
    assert [link.attributes["href"] for link in trail] == ["../../", "../2024"]
    assert again.status_code == 200


def test_names_are_text(home: Settings) -> None:
    """Markup in a name is shown on the pages of race, season and all seasons."""
    for answer in ask(site(home), "/", "/report/2024", "/report/2024/4"):
        assert HOSTILE in parse(answer.text).text
        assert "<script" not in answer.text


def test_pages_stand_alone_under_their_policy(home: Settings) -> None:
    """They load nothing; links lead to the site itself; 304 has the same policy."""
    app = site(home)
    (answer,) = ask(app, "/report/2024/4?session=sprint&utm_source=x")
    document = parse(answer.text)
    document.one("nav", **{"aria-label": "Where you are"}).inside.clear()
    assert_stands_alone(document)
    policy = answer.headers["content-security-policy"]
    assert policy == f"{CONTENT_POLICY}; frame-ancestors 'none'"
    (known,) = ask(app, "/report/2024/4?session=sprint", if_none_match=answer.headers["etag"])
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["content-security-policy"] == policy
    assert known.headers["etag"] == answer.headers["etag"]
    (weak,) = ask(
        app, "/report/2024/4?session=sprint", if_none_match='"other", W/' + answer.headers["etag"]
    )
    assert weak.status_code == 304
    (other,) = ask(app, "/report/2024/4?session=sprint", if_none_match='"other"')
    assert (other.status_code, other.content) == (200, answer.content)


def test_head_is_answered_like_get_without_a_body(home: Settings) -> None:
    """Same length and tag."""
    app = site(home)
    (whole,), (head,) = ask(app, "/report/2024/4"), ask(app, "/report/2024/4", method="HEAD")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "etag", "content-type"):
        assert head.headers[name] == whole.headers[name]


HOSTILE_PATHS = (
    "/report/2023",
    "/report/2024/5",
    "/report/2024/3?session=sprint",
    "/report/2024/4?session=qualifying",
    "/report/2024/04",
    "/report/2024/4/",
    "/report/2024/999999999999999999999",
    "/report/-1/1",
    "/report/٢٠٢٤",
    "/report/2024/%00",
    "/report/%2e%2e/%2e%2e/etc/passwd",
    "/report/2024%2F..%2F..",
    "/report/%ff%fe",
    "/report/<script>alert(1)</script>",
    "/report/" + "9" * 2000,
    "/report/" + "/".join("a" * 500),
    "/report//",
)


@pytest.mark.parametrize("path", HOSTILE_PATHS, ids=range(len(HOSTILE_PATHS)))
def test_anything_else_is_not_found(home: Settings, path: str) -> None:
    """A page in the same style that repeats nothing of the address."""
    (answer,) = ask(site(home), path)
    assert answer.status_code == 404
    assert parse(answer.text).one("h1").text == "Not found"
    assert answer.headers["cache-control"] == "no-store"
    assert not {"alert", "passwd", "99999"} & set(re.findall(r"\w+", answer.text))


def test_a_new_race_has_a_page_at_once(tmp_path: Path) -> None:
    """A lake that is written to is another: kept pages of the old one are not shown."""
    settings = Settings(home=tmp_path)
    app = site(settings)
    (empty,) = ask(app, "/")
    assert "There are no races yet" in parse(empty.text).one("main").text
    write(settings, RACE)
    before, first = ask(app, "/report/1960/2", "/report/2024/4")
    assert (before.status_code, first.status_code) == (404, 200)
    write(settings, OLD)
    write(settings, RACE, "Carl White")
    after, second = ask(app, "/report/1960/2", "/report/2024/4")
    assert after.status_code == 200
    assert "Carl White" in second.text
    assert first.headers["etag"] != second.headers["etag"]


def test_a_damaged_lake_is_no_fault_of_the_reader(tmp_path: Path) -> None:
    """Come again, it says, and nothing of files or folders."""
    settings = Settings(home=tmp_path)
    write(settings, RACE)
    (settings.lake / MANIFEST_NAME).write_text("{")
    (answer,) = ask(site(settings), "/report/2024/4")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert str(tmp_path) not in answer.text
    assert "manifest" not in answer.text


def run(what: Coroutine[Any, Any, None]) -> None:
    """Run a test's steps, for ten seconds at most."""
    asyncio.run(asyncio.wait_for(what, 10))


def test_a_page_is_made_once(home: Settings) -> None:
    """However many ask for it, at the same time and later."""
    made: list[int] = []

    def make() -> str:
        made.append(1)
        time.sleep(0.05)
        return "page"

    async def steps() -> None:
        kept = Pages(home)
        answers = await asyncio.gather(*(kept.get("one", make) for _ in range(50)))
        answers.append(await kept.get("one", make))
        kept.close()
        assert {answer.body for answer in answers} == {b"page"}
        assert len(made) == 1

    run(steps())


def test_a_slow_page_is_kept_for_who_comes_again(home: Settings) -> None:
    """Who asks does not wait for ever; the work is not lost, and others are served meanwhile."""
    may_end = threading.Event()

    def make() -> str:
        may_end.wait(10)
        return "slow"

    async def steps() -> None:
        kept = Pages(home, limit_s=0.05)
        with pytest.raises(NotMadeError, match="is being made"):
            await kept.get("slow", make)
        assert (await kept.get("quick", lambda: "quick")).body == b"quick"
        may_end.set()
        while True:
            try:
                page: Page = await kept.get("slow", lambda: "made twice")
                break
            except NotMadeError:
                await asyncio.sleep(0.01)
        kept.close()
        assert page.body == b"slow"

    run(steps())


def test_what_waits_and_what_is_kept_is_bounded(home: Settings) -> None:
    """Further pages are refused; the page asked for longest ago is made anew."""
    may_end = threading.Event()

    def make() -> str:
        may_end.wait(10)
        return "page"

    async def steps() -> None:
        kept = Pages(home)
        waiting = [asyncio.create_task(kept.get(str(name), make)) for name in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(NotMadeError, match="Too many"):
            await kept.get("one more", make)
        may_end.set()
        await asyncio.gather(*waiting)
        for name in range(MAX_PAGES + 1):
            await kept.get(str(name), lambda: "page")
        again = [(await kept.get(name, lambda: "anew")).body for name in ("1", "0")]
        kept.close()
        assert again == [b"page", b"anew"]

    run(steps())


def test_the_service_has_the_pages_beside_its_api(home: Settings) -> None:
    """They keep their own policy there, and are no part of the API's description."""
    app = create_app(home)
    broken = "/report/2024/4%0d%0aset-cookie:x"
    page, described, refused = ask(app, "/report/2024/4", "/openapi.json", broken)
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith(CONTENT_POLICY)
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not [path for path in described.json()["paths"] if "report" in path or path == "/"]
    assert refused.status_code == 404
    assert "set-cookie" not in refused.headers
