"""Pages of the web service: all seasons, a season, and the report of a race, from the lake.

    /                            seasons, and the races of the newest
    /report/{season}             races and sprints of a season
    /report/{season}/{round}     report of a race; `?session=sprint` of a sprint

A page is made once for each state of the lake (`DRIVEGRADE_HOME`), in a thread of its own, and
kept in memory. Who asks for a page that takes longer than `LIMIT_S` is told to come again, and the
page is made meanwhile. Unknown query parameters are let through: shared links carry them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from fastapi import APIRouter, FastAPI, Request, Response

from engine.errors import DriveGradeError
from engine.tables import SESSION_KINDS, SessionKey
from loaders import lake
from loaders.manifest import MANIFEST_NAME
from loaders.profiles import DEFAULT
from loaders.report.html import CONTENT_POLICY
from loaders.report.page import Trail
from loaders.report.seasons import list_races, message_page, season_page, seasons_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from loaders.report.seasons import RaceLine
    from loaders.settings import Settings

    State: TypeAlias = tuple[int, int, int] | None
    """Which lake it is: time, file number and size of its manifest; None if there is none."""

LIMIT_S: Final = 4.0
"""How long who asks for a page waits for it to be made, s."""

RETRY_S: Final = 5
"""After how long he or she is told to come again, s."""

MAKERS: Final = 2
"""Pages made at once."""

MAX_WAITING: Final = 16
"""Pages that are being made or wait for it; further ones are refused."""

MAX_PAGES: Final = 500
"""Pages kept; the one asked for longest ago goes first."""

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of all pages kept."""

FRESH_S: Final = 60
"""How long a browser may show a page without asking again, s."""


POLICY: Final = {"content-security-policy": f"{CONTENT_POLICY}; frame-ancestors 'none'"}
"""Header of all answers, 304 among them: a browser may take its headers for the page's."""

_log = logging.getLogger("drivegrade.pages")


class Page(NamedTuple):
    """A page as it is sent: its bytes, and the strong ETag made from them."""

    body: bytes
    etag: str


class NotMadeError(Exception):
    """A page is not there yet, or cannot be made now."""


def encoded(text: str) -> Page:
    """Name a page by its bytes."""
    body = text.encode()
    return Page(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


class Pages:
    """The pages of a process: those that are kept, and those under way."""

    def __init__(self, settings: Settings, *, limit_s: float = LIMIT_S) -> None:
        """Begin with none.

        Args:
            settings: where the lake is.
            limit_s: how long to wait for a page.
        """
        self._settings = settings
        self._limit_s = limit_s
        self._state: State = None
        self._kept: OrderedDict[str, Page] = OrderedDict()
        self._races: tuple[RaceLine, ...] | None = None
        self._under_way: dict[tuple[State, str], asyncio.Future[Page]] = {}
        self._makers = ThreadPoolExecutor(MAKERS, thread_name_prefix="pages")

    def close(self) -> None:
        """Make no more pages."""
        self._makers.shutdown(wait=False, cancel_futures=True)

    async def get(self, name: str, make: Callable[[], str]) -> Page:
        """Give a page, kept or made now.

        Args:
            name: which page.
            make: writes it; is called in a thread.

        Raises:
            NotMadeError: it takes too long, too many are waited for, or the lake cannot be read.
        """
        state = self._now()
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            return kept
        under_way = self._under_way.get((state, name))
        if under_way is None:
            if len(self._under_way) >= MAX_WAITING:
                raise NotMadeError("Too many pages are being made at the moment.")
            under_way = self._start(state, name, make)
        try:
            async with asyncio.timeout(self._limit_s):
                return await asyncio.shield(under_way)
        except TimeoutError:
            raise NotMadeError("This page is being made; it will be there in a moment.") from None
        except DriveGradeError as error:
            _log.warning("page %s: %s", name, error)
            raise NotMadeError("This page cannot be made from the data at the moment.") from None

    def _start(self, state: State, name: str, make: Callable[[], str]) -> asyncio.Future[Page]:
        """Begin to make a page; it is kept when it is done, if the lake is still the same."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._makers, lambda: encoded(make()))
        self._under_way[state, name] = future

        def landed(done: asyncio.Future[Page]) -> None:
            del self._under_way[state, name]
            if not done.cancelled() and done.exception() is None and self._now() == state:
                self._keep(name, done.result())

        future.add_done_callback(landed)
        return future

    def _now(self) -> State:
        """See which lake it is; what was made from another is forgotten."""
        try:
            found = (self._settings.lake / MANIFEST_NAME).stat()
            state: State = (found.st_mtime_ns, found.st_ino, found.st_size)
        except OSError:
            state = None
        if state != self._state:
            self._state, self._races = state, None
            self._kept.clear()
        return state

    def _keep(self, name: str, page: Page) -> None:
        self._kept[name] = page
        while len(self._kept) > MAX_PAGES or sum(len(p.body) for p in self._kept.values()) > (
            MAX_BYTES
        ):
            self._kept.popitem(last=False)

    def races(self) -> tuple[RaceLine, ...]:
        """List the races of the lake; to be called in a thread.

        Raises:
            LakeError: the lake cannot be read.
        """
        found = self._races
        if found is None:
            state = self._state
            found = list_races(lake.snapshot(self._settings.lake), DEFAULT)
            if state == self._state:
                self._races = found
        return found

    def seasons(self) -> str:
        """Write the page of all seasons."""
        return seasons_page(self.races())

    def season(self, season: int) -> str:
        """Write the page of a season; empty if there is none."""
        races = self.races()
        years = sorted({race.key.season for race in races})
        if season not in years:
            return ""
        place = years.index(season)
        near = {
            "before": years[place - 1] if place else None,
            "after": years[place + 1] if place + 1 < len(years) else None,
        }
        return season_page(season, tuple(r for r in races if r.key.season == season), near)

    def race(self, session: SessionKey) -> str:
        """Write the report of a race; empty if there is no such race."""
        if all(race.key != session for race in self.races()):
            return ""
        from loaders.report.make import make_report  # noqa: PLC0415 - drawing imports for a second

        trail = Trail("../../", f"../{session.season}")
        return make_report(self._settings, session, trail=trail)[0]


def router(settings: Settings) -> APIRouter:
    """Make the routes of the pages, for `site.include_router(router(settings))`.

    Args:
        settings: where the lake is.
    """
    pages = Pages(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pages.close()

    routes = APIRouter(lifespan=lifespan, include_in_schema=False)
    methods = ["GET", "HEAD"]

    @routes.api_route("/", methods=methods)
    @routes.api_route("/report", methods=methods)
    async def seasons(request: Request) -> Response:
        return await _answer(request, pages, "seasons", pages.seasons, "./")

    @routes.api_route("/report/{path:path}", methods=methods)
    async def report(request: Request, path: str) -> Response:
        home = "../" * (path.count("/") + 1)
        if re.fullmatch(r"[0-9]{4}", path):
            season = int(path)
            return await _answer(request, pages, path, lambda: pages.season(season), home)
        found = re.fullmatch(r"([0-9]{4})/([1-9][0-9]?)", path)
        kind = request.query_params.get("session", "race")
        if found is None or kind not in SESSION_KINDS:
            return _missing(home)
        key = SessionKey(int(found[1]), int(found[2]), kind)
        return await _answer(request, pages, key.session_id, lambda: pages.race(key), home)

    return routes


async def _answer(
    request: Request, pages: Pages, name: str, make: Callable[[], str], home: str
) -> Response:
    """Answer with a page, that it has not changed, that there is none, or that it is not there."""
    try:
        page = await pages.get(name, make)
    except NotMadeError as error:
        text = f"{error} Please try again."
        later = {"retry-after": str(RETRY_S), "refresh": str(RETRY_S)}
        return _html(message_page("In a moment", text, home).encode(), 503, later)
    if not page.body:
        return _missing(home)
    headers = {"etag": page.etag, "cache-control": f"public, max-age={FRESH_S}"}
    if _is_known(request.headers.get("if-none-match", ""), page.etag):
        return Response(status_code=304, headers={**headers, **POLICY})
    return _html(page.body, 200, headers, is_head=request.method == "HEAD")


def _missing(home: str) -> Response:
    text = "There is no such page: the season or race is not known, or the address is mistyped."
    return _html(message_page("Not found", text, home).encode(), 404, {})


def _html(body: bytes, status: int, headers: dict[str, str], *, is_head: bool = False) -> Response:
    """Send a page with its policy; of HEAD only the headers."""
    fresh = {"cache-control": "no-store"} if status != 200 else {}
    length = {"content-length": str(len(body))}
    return Response(
        b"" if is_head else body,
        status,
        {**fresh, **POLICY, **length, **headers},
        "text/html; charset=utf-8",
    )


def _is_known(header: str, etag: str) -> bool:
    """Tell whether a browser has the page already (If-None-Match)."""
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in tags or "*" in tags
