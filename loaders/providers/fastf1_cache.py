"""FastF1's cache: private, fresh, and without what a refused load brought in.

The library keeps parsed pages as pickles without an expiry, answers for twelve hours, and, when a
server fails, older ones as if they were new. It follows redirects anywhere, reads answers of any
size, and takes a page that failed for one that does not exist. Here that is put right from the
outside, through its HTTP session and its files.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import fastf1
from requests.exceptions import RequestException

from loaders.providers.fastf1_raw import UnusableError

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from pathlib import Path

    import requests

ABSENT: Final = (401, 403, 404, 410)
"""What a server answers that has no such page, or shows it to nobody unknown: no failure."""

MAX_BODY_BYTES: Final = 50 * 1024 * 1024
"""Largest page, unpacked, in bytes; the timing of a long race has some 20 MB."""

SETTLED_AFTER: Final = timedelta(days=3)
"""A page read before this time after the session may have been provisional."""

RENEWED_AFTER: Final = timedelta(hours=12)
"""A provisional page is read again when it is older; as long as FastF1 keeps answers."""

SHOWN_CHARACTERS: Final = 200
"""Length to which an exception's own words are cut in an error message."""

_CHUNK_BYTES: Final = 1024 * 1024
_PAGE: Final = ".ff1pkl"
_PAGES: Final = f"*{_PAGE}"
_ASIDE: Final = ".aside"


def private_cache(folder: Path) -> Path:
    """Make the cache folder if it is new, and see that nobody else can write in it.

    The cache holds pickles, and who can write a pickle can run code when it is read.

    Raises:
        UnusableError: the folder, or something in it, belongs to or is writable by others.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableError(
            f"the cache folder {folder} cannot be made ({error.strerror})",
            "Name another one in FASTF1_CACHE_DIR.",
        ) from error
    for path in itertools.chain([folder], folder.rglob("*")):
        info = path.lstat()
        shared = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISLNK(info.st_mode) and (shared or info.st_uid != os.getuid()):
            raise UnusableError(
                f"{path} in FastF1's cache belongs to, or is writable by, other users; the cache "
                "holds pickles, so they could run code here",
                f"If you trust what is in it, chown -R it to yourself and chmod -R go-w {folder}; "
                "or name a private folder in FASTF1_CACHE_DIR.",
            )
    return folder


def session_folder(cache: Path, api_path: str | None) -> Path | None:
    """Say where FastF1 keeps a session's pages; None if it has no timing.

    Args:
        cache: the cache folder.
        api_path: FastF1's path of the session, made from the event's name.

    Raises:
        UnusableError: the name leads out of the cache, where pickles are not ours.
    """
    if api_path is None:
        return None
    folder = (cache / api_path.removeprefix("/static/")).resolve()
    if not folder.is_relative_to(cache.resolve()):
        raise UnusableError(
            f"the schedule names the event so that its pages lie outside the cache ({api_path})",
            "The schedule is damaged or hostile: use another provider.",
        )
    return folder


class Download:
    """What FastF1 asks for while a session is loaded, and what of it failed.

    Attributes:
        failed: pages that a server could not give, each with the reason.
    """

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self._keys: set[str] = set()

    def start(self, cache: Path, *, offline: bool) -> None:
        """Let FastF1 use the cache; a failed request is told and not answered with old data.

        Args:
            cache: as `private_cache` returned it.
            offline: send no request; then cached answers of any age are used.
        """
        fastf1.Cache.configure(cache_dir=str(cache))
        fastf1.Cache.offline_mode(offline)
        session: Any = fastf1.Cache._requests_session_cached  # noqa: SLF001 -- no public way
        session.settings.stale_if_error = offline
        session.hooks["response"].append(self._examine)

    def hear(self, record: logging.LogRecord) -> bool:
        """Note a request that ended in an exception, which FastF1 logs and passes over.

        Returns:
            True: it is a filter that keeps every record.
        """
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RequestException):
            text = record.getMessage().removeprefix("Traceback for failure in ")
            self.failed[text] = str(error)[:SHOWN_CHARACTERS]
        return True

    def check(self, event: str) -> None:
        """Refuse a session of which a page failed; what is there would look complete.

        Raises:
            UnusableError: names the pages.
        """
        if self.failed:
            pages = ", ".join(f"{page} ({reason})" for page, reason in self.failed.items())
            raise UnusableError(
                f"{event}: FastF1 could not fetch {pages}",
                "Try again later; after HTTP 429 wait an hour.",
            )

    @contextlib.contextmanager
    def into(self, folder: Path | None, held_at: datetime, *, offline: bool) -> Iterator[None]:
        """Forget what is fetched inside if it proves unusable; fetch anew what may be stale.

        If a server failed, what the others gave is kept.

        Args:
            folder: as `session_folder` returned it.
            held_at: when the session was held (UTC).
            offline: nothing can be fetched, so nothing is set aside.
        """
        self.failed.clear()
        self._keys.clear()
        started = time.time()
        _put_back(folder)  # what a process that was killed had set aside
        for page in folder.glob(_PAGES) if folder is not None and not offline else ():
            with contextlib.suppress(FileNotFoundError):  # another process may do the same
                if _is_stale(page, held_at):
                    page.rename(page.with_suffix(_ASIDE))
        try:
            yield
        except BaseException:
            if not self.failed:
                self._forget(folder, started)
            raise
        finally:
            _put_back(folder)

    def _forget(self, folder: Path | None, started: float) -> None:
        """Remove pages and answers that came in since."""
        for page in folder.glob(_PAGES) if folder is not None else ():
            if page.stat().st_mtime >= started:
                page.unlink()
        session: Any = fastf1.Cache._requests_session_cached  # noqa: SLF001 -- no public way
        session.cache.delete(*self._keys)

    def _examine(self, response: requests.Response, *_: object, **__: object) -> None:
        """Judge a response: called for each, first as it comes in, then as the cache gives it.

        Raises:
            RequestException: it leads elsewhere, is too large, or is HTML.
        """
        page = urlsplit(response.url).path.rpartition("/")[2]
        if getattr(response, "from_cache", False):
            return
        self._keys.update(filter(None, [getattr(response, "cache_key", None)]))
        if response.is_redirect:
            target = urlsplit(response.headers["location"]).netloc
            if target not in ("", urlsplit(response.url).netloc):
                raise RequestException(f"{page} is redirected to another host, {target}")
        if response.status_code >= 400 and response.status_code not in ABSENT:
            self.failed[page] = f"HTTP {response.status_code}"
            return
        self.failed.pop(page, None)
        if response.status_code == 200 and _body(response, page).lstrip()[:1] == b"<":
            raise RequestException(f"{page} is HTML instead of data")


def _put_back(folder: Path | None) -> None:
    """Give pages that were set aside their name again, unless there are newer ones."""
    for aside in folder.glob(f"*{_ASIDE}") if folder is not None else ():
        with contextlib.suppress(FileNotFoundError):
            if aside.with_suffix(_PAGE).exists():
                aside.unlink()
            else:
                aside.rename(aside.with_suffix(_PAGE))


def _is_stale(page: Path, held_at: datetime) -> bool:
    """Tell whether a page was read while it could still change, and some time ago."""
    read_at = datetime.fromtimestamp(page.stat().st_mtime, UTC)
    return read_at < held_at + SETTLED_AFTER and datetime.now(UTC) - read_at > RENEWED_AFTER


def _body(response: requests.Response, page: str) -> bytes:
    """Read a body, unless it was read before, and stop where it grows too large."""
    if response._content is False:  # noqa: SLF001 -- no public way
        body = b""
        for chunk in response.iter_content(_CHUNK_BYTES):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise RequestException(f"{page} is larger than {MAX_BODY_BYTES // 2**20} MiB")
        response._content = body  # noqa: SLF001
    return response.content
