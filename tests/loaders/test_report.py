"""The report of a race: what it shows is what is stored, it needs nothing else, all can read it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from engine.tables import SessionKey
from loaders import lake
from loaders.__main__ import app
from loaders.pictures.palette import contrast
from loaders.profiles import read_profile
from loaders.providers import simulated
from loaders.regrade import regrade
from loaders.report.html import STYLE
from loaders.report.moved import moved
from loaders.report.page import race_page
from loaders.report.race import read_race
from loaders.settings import Settings
from tests.browser import chromium
from tests.frames import frame
from tests.pages import added, assert_stands_alone, parse
from tests.profiles_v2 import V2_PROFILE
from tests.typed import Typist

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.pages import Element

RACE = SessionKey(2099, 1)
UNGRADED = SessionKey(2098, 1)
UNTIMED = SessionKey(1960, 2)

DRIVERS = 12

A4_WIDTH = 703
"""Pixels between the margins of the style sheet: 210 − 24 mm."""

HOSTILE = '<script>alert("x")</script>'
HOSTILE_TEAM = "\"><img src=x onerror=alert(1)> & 'Co'"


def spoiled(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Give a race hostile names, a driver who did not start, and one who retired on lap 3.

    Twelve drivers are kept, so that the tests are quick.
    """
    kept = tables["entries"]["driver_id"].sort()[:DRIVERS].to_list()
    tables = {
        name: rows.filter(pl.col("driver_id").is_in(kept)) if "driver_id" in rows.columns else rows
        for name, rows in tables.items()
    }
    entries = tables["entries"].sort("driver_id")
    hostile, absent, retired = entries["driver_id"][:3]
    driver = pl.col("driver_id")
    status = entries.schema["status"]
    entries = entries.with_columns(
        driver_name=pl.when(driver == hostile).then(pl.lit(HOSTILE)).otherwise("driver_name"),
        team_name=pl.when(driver == hostile).then(pl.lit(HOSTILE_TEAM)).otherwise("team_name"),
        status=pl.when(driver == absent)
        .then(pl.lit("did_not_start", status))
        .when(driver == retired)
        .then(pl.lit("retired", status))
        .otherwise("status"),
        is_classified=pl.col("is_classified") & ~driver.is_in([absent, retired]),
        status_text=pl.when(driver == retired).then(pl.lit("Gearbox")).otherwise("status_text"),
    )
    gone = (driver == absent) | ((driver == retired) & (pl.col("lap_number") > 3))
    laps = tables["laps"].filter(~gone)
    return {**tables, "entries": entries, "laps": laps}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Make a lake: a graded race with hostile names, one without grades, and one without laps."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    lake.write_session(settings.lake, RACE, spoiled(simulated.fetch(RACE, settings)))
    regrade(settings.lake, [read_profile("baseline"), V2_PROFILE])
    for session in (UNGRADED, UNTIMED):
        own = {"session_id": session.session_id}
        tables = {
            "sessions": frame(
                "sessions", [{**own, "season": session.season, "round": session.round}]
            ),
            "entries": frame(
                "entries", [{**own, "driver_id": "ann", "team_id": "one", "position": 1}]
            ),
        }
        if session == UNGRADED:
            lap: dict[str, Any] = {**own, "driver_id": "ann", "lap_number": 1}
            tables["laps"] = frame("laps", [{**lap, "lap_time_ms": 90_000}])
        lake.write_session(settings.lake, session, tables)
    return settings


def command(home: Settings, *arguments: str) -> Any:
    """Run `drivegrade report`."""
    environment = {"DRIVEGRADE_HOME": str(home.home)}
    return Typist().invoke(app, ["report", *arguments], env=environment)


@pytest.fixture(scope="module")
def file(home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the report of the race by the command."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    shown = command(home, "2099", "1", "-o", str(path))
    assert shown.exit_code == 0, shown.output
    assert "drivers graded" in shown.output
    return path


@pytest.fixture(scope="module")
def report(file: Path) -> Element:
    """Read that report."""
    return parse(file.read_text(encoding="utf-8"))


def stored(home: Settings, model: str = "v2") -> pl.DataFrame:
    """Read the race's grades with names, best first."""
    seen = lake.snapshot(home.lake)
    grades = seen.scan("driver_metrics", sessions=[RACE]).filter(model_version=model)
    entries = seen.scan("entries", sessions=[RACE]).select("driver_id", "driver_name", "status")
    rows = entries.join(grades, on="driver_id", how="left").collect()
    return rows.sort("total_grade", descending=True, nulls_last=True)


def test_the_table_shows_what_is_stored(home: Settings, report: Element) -> None:
    """Each driver with a grade, best first; whole numbers stand behind the rounded ones."""
    rows = report.all("table", class_="grades")[0].one("tbody").all("tr")
    grades = stored(home).drop_nulls("grade").to_dicts()
    assert len(rows) == len(grades) == DRIVERS - 2
    for place, (row, grade) in enumerate(zip(rows, grades, strict=True), 1):
        cells = row.all("td")
        assert cells[0].text == str(place)
        assert row.one("a").text == grade["driver_name"]
        assert cells[1].value == grade["grade"]
        assert cells[1].text == f"{grade['grade']:.0f}"
        assert cells[2].text.strip() == f"{grade['grade_low']:.0f}–{grade['grade_high']:.0f}"
        scores = [grade[f"{name}_score"] for name in ("consistency", "racecraft", "penalty")]
        assert [cell.value for cell in cells[3:6]] == scores


def test_each_unfolded_sum_is_that_of_its_parts(home: Settings, report: Element) -> None:
    """Contributions give the stored total; so do laps, racecraft, burden and stops theirs."""
    grades = {row["driver_name"]: row for row in stored(home).to_dicts()}
    articles = report.all("article")
    titles: set[str] = set()
    for article in articles:
        name = article.one("summary").text.removeprefix("Evidence for ")
        tables = article.all("table", class_="adds")
        assert len(tables) >= 4, name
        for table in tables:
            parts, total = added(table)
            if total is not None:
                assert parts == pytest.approx(total, rel=0, abs=1e-9), name
        titles |= {each.text for each in article.all("figcaption")}
        if name in grades and grades[name]["total_grade"] is not None:
            assert added(tables[0])[0] == pytest.approx(grades[name]["total_grade"], abs=1e-12)
    assert len(articles) == stored(home)["total_grade"].is_not_null().sum() + 1
    assert len(titles) == 8


def test_what_moved_a_grade_adds_up_to_its_distance_from_the_field(home: Settings) -> None:
    """Component by component; over the field the distances cancel."""
    race = read_race(home, RACE)
    told = moved(race)
    totals = stored(home).drop_nulls("total_grade")
    mean = totals["total_grade"].mean()
    for row in totals.to_dicts():
        own = told[row["driver_id"]]
        assert own.mean_total == pytest.approx(mean, abs=1e-12)
        assert sum(move.deviation for move in own.moves) == pytest.approx(
            row["total_grade"] - own.mean_total, abs=1e-12
        )
        assert own.because
    assert sum(own.deviation for own in told.values()) == pytest.approx(0.0, abs=1e-9)


def test_who_is_not_graded_is_named_with_the_reason(report: Element) -> None:
    """Who did not start, and who drove too little."""
    told = [item.text for item in report.one("ul", id="not-graded").all("li")]
    assert len(told) == 2
    assert sum("did not start" in text for text in told) == 1
    assert sum("DNF, Gearbox): 2 clean laps, and a pace needs 5." in text for text in told) == 1


def test_names_are_text(file: Path, report: Element) -> None:
    """Markup in names of drivers and teams is shown, in table, evidence and pictures alike."""
    text = report.one("body").text
    assert HOSTILE in text
    assert HOSTILE_TEAM in text
    assert not report.all("script")
    assert not report.all("img")
    assert "<script" not in file.read_text(encoding="utf-8").lower()


def test_the_page_needs_nothing_else(report: Element) -> None:
    """No script, no request; its policy allows its own style sheet alone."""
    assert_stands_alone(report)
    style = report.one("style").text
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(each for each in report.all("meta") if "http-equiv" in each.attributes)
    assert policy.attributes["content"].startswith(
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;"
    )


def test_the_page_can_be_read_aloud(report: Element) -> None:
    """Language, title, one main heading, no level left out, headers with scope, named pictures."""
    assert report.one("html").attributes["lang"] == "en"
    name = report.one("h1").text
    assert "2099" in name
    assert report.one("head").one("title").text == f"{name}: driver grades"
    levels = [int(each.tag[1]) for each in report.walk() if re.fullmatch(r"h[1-6]", each.tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    for header in report.all("th"):
        assert header.attributes.get("scope") in {"col", "row"}
    pictures = report.all("svg", role="img")
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.all("title")[0].text
        assert picture.all("desc")[0].text
    for mark in (each for each in report.all("svg") if each not in pictures):
        assert mark.attributes["aria-hidden"] == "true"
    assert report.all("a")[0].attributes["href"] == "#main"


def test_colours_of_text_can_be_told_from_paper() -> None:
    """WCAG 2.1, 1.4.3: 4.5 : 1, in the light and in the dark, and in print."""
    schemes = re.findall(r":root \{([^}]*)\}", STYLE)
    assert len(schemes) == 3
    for scheme in schemes:
        colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", scheme))
        for text in ("ink", "soft", "link", "accent"):
            for paper in ("paper", "wash"):
                assert contrast(colour[text], colour[paper]) >= 4.5, (text, paper)
        assert contrast(colour["ink"], colour["notice"]) >= 4.5


def test_equal_grades_give_equal_pages(home: Settings) -> None:
    """Nothing on the page depends on when it was made."""
    first, second = (race_page(read_race(home, RACE)) for _ in range(2))
    assert first == second


def test_a_report_of_model_v1_is_shorter(home: Settings) -> None:
    """Totals with their components; no intervals, and nothing that unfolds."""
    report = parse(race_page(read_race(home, RACE, "baseline")))
    totals = [row["total_grade"] for row in stored(home, "v1").drop_nulls("total_grade").to_dicts()]
    rows = report.all("table", class_="grades")[0].one("tbody").all("tr")
    assert [row.one("td", class_="grade").value for row in rows] == totals
    ranks = [int(row.one("td", class_="rank").text) for row in rows]
    assert ranks == [1 + sum(other > total for other in totals) for total in totals]
    assert not report.all("details")
    assert "model v1" in report.one("main").text


def test_evidence_that_does_not_add_up_is_withheld(home: Settings, tmp_path: Path) -> None:
    """A profile of the same name with other weights did not make the grades that are stored."""
    weights = V2_PROFILE.weights.model_copy(update={"racecraft": 0.4})
    other = tmp_path / "other.json"
    other.write_text(V2_PROFILE.model_copy(update={"weights": weights}).model_dump_json())
    race = read_race(home, RACE, str(other))
    assert len(race.refused) == len(race.graded) == DRIVERS - 2
    report = parse(race_page(race))
    assert not [each.text for each in report.all("summary") if "Evidence for" in each.text]
    told = [article.text for article in report.all("article")]
    assert sum("does not add up to this grade" in text for text in told) == len(race.graded)


def test_a_race_without_laps_has_a_page_that_says_so(home: Settings, tmp_path: Path) -> None:
    """The classification stands on it, and no grade that was guessed."""
    shown = command(home, "1960", "2", "-o", str(tmp_path / "page.html"))
    assert shown.exit_code == 0, shown.output
    report = parse((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert_stands_alone(report)
    assert "Lap times are published for races since 1996 only" in report.one("main").text
    assert "A Driver" in report.one("table", class_="grades").text
    assert not report.all("data")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("2098", "1"), 1, "Grade them with: drivegrade regrade --season 2098 --profile v2"),
        (("2077", "3", "--session", "sprint"), 1, "drivegrade ingest 2077 3 --session sprint"),
        (("2099", "1", "--session", "test"), 2, "is none of race, sprint"),
        (("2099", "1", "--profile", "none"), 5, "none cannot be read"),
    ],
)
def test_the_command_says_what_it_cannot_write(
    home: Settings, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    """With the exit code of the error, and no file."""
    shown = command(home, *arguments, "-o", str(tmp_path / "page.html"))
    told = " ".join(f"{shown.exception} {shown.output}".replace("│", " ").split())
    assert says in told
    assert getattr(shown.exception, "exit_code", shown.exit_code) == code
    assert not (tmp_path / "page.html").exists()


def test_a_file_that_cannot_be_written_is_named(home: Settings, tmp_path: Path) -> None:
    """The page is made, and its place is no folder."""
    shown = command(home, "1960", "2", "-o", str(tmp_path / "none" / "page.html"))
    assert "page.html cannot be written" in str(shown.exception)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser once for all tests of this file."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """Open the report in a window of its own; nothing but the page is asked for, nothing fails."""
    context = browser.new_context(viewport={"width": 360, "height": 740})
    opened = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]


def test_evidence_unfolds_by_keyboard(page: Page) -> None:
    """Tab leads to the first driver's evidence, Enter unfolds it, Enter folds it again."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(60):
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
        page.keyboard.press("Tab")
    first = page.locator("details").first
    table = first.locator("table").first
    assert not table.is_visible()
    page.keyboard.press("Enter")
    assert first.evaluate("element => element.open")
    assert table.is_visible()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert not table.is_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_the_screen(page: Page, width: int) -> None:
    """No scrolling sideways, all evidence unfolded; only tables and pictures scroll inside."""
    page.set_viewport_size({"width": width, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    outside = page.evaluate(
        """[...document.querySelectorAll('main h1, main h2, main h3, main p, main dd, summary')]
           .filter(each => each.getBoundingClientRect().right > innerWidth + 1).length"""
    )
    assert outside == 0


def test_the_page_can_be_printed(page: Page) -> None:
    """Without what is for the screen; nothing is cut off by a box that scrolls."""
    page.emulate_media(media="print")
    assert not page.locator(".skip").is_visible()
    assert not page.locator("nav.contents").is_visible()
    page.set_viewport_size({"width": A4_WIDTH, "height": 1000})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= A4_WIDTH
    overflow = "element => getComputedStyle(element).overflowX"
    assert page.locator(".scroll").first.evaluate(overflow) == "visible"
    assert page.pdf(format="A4").startswith(b"%PDF-")
