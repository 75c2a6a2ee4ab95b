"""The HTTP client against a server on this machine: in time, within limits, never fooled."""

from __future__ import annotations

import gzip
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from pyrate_limiter import Rate

from loaders import http_wire
from loaders.http import MAX_TRIES, Client, Source, open_client
from loaders.http_wire import Deadline, Turns, WireError
from loaders.providers import ProviderError
from loaders.settings import Settings
from tests.replay import (
    Answer,
    Replay,
    black_hole,
    body,
    gzip_bomb,
    manner,
    refused,
    replay,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_S = 1.0
SLACK_S = 0.6
"""What the machine may add to the limit, s: two tests of a suite may run beside each other."""

JSON = "application/json"
PATH = "2019/1/results.json"
BODY = b'{"right": true}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """A server that has one recorded document."""
    folder = tmp_path_factory.mktemp("recorded")
    recorded = folder / "jolpica" / PATH
    recorded.parent.mkdir(parents=True)
    recorded.write_bytes(BODY)
    with replay(folder) as running:
        yield running


@pytest.fixture
def made(server: Replay, tmp_path: Path) -> Settings:
    """Settings with an empty cache and a short limit."""
    server.reset()
    return Settings(home=tmp_path, allow_loopback=True, http_timeout_s=LIMIT_S)


@pytest.fixture
def client(server: Replay, made: Settings) -> Iterator[Client]:
    """A client of the server."""
    with open_client(Source("jolpica", server.jolpica_url, ()), made) as opened:
        yield opened


def headed(**headers: str) -> Callable[[Answer], Answer]:
    """Add headers to the right answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda answer: replace(answer, headers={**answer.headers, **named})


def failure(client: Client, said: str) -> str:
    """Ask, expect a failure that says so within the limit, and give its text."""
    started = time.monotonic()
    with pytest.raises(ProviderError, match=said) as caught:
        client.get(PATH)
    assert time.monotonic() - started < LIMIT_S + SLACK_S
    text = str(caught.value)
    assert text.startswith("jolpica: no answer from http://127.0.0.1:")
    assert PATH in text
    assert "Nothing was loaded." in text
    return text


def test_a_reply_tells_what_was_asked_and_when(client: Client, server: Replay) -> None:
    """Parameters stand in the order of their names, so that one question has one URL."""
    before = datetime.now(UTC)
    reply = client.get(PATH, offset=0, limit=100)
    assert server.asked == [f"/ergast/f1/{PATH}?limit=100&offset=0"]
    assert (reply.status, reply.content, reply.age_s) == (200, BODY, 0.0)
    assert reply.url == f"{server.jolpica_url}/{PATH}?limit=100&offset=0"
    assert before <= reply.fetched_at <= datetime.now(UTC)


def test_a_fresh_reply_is_not_asked_again_and_has_an_age(client: Client, server: Replay) -> None:
    """The server said how long it stays good."""
    server.fail(PATH, headed(cache_control="max-age=100"))
    first, second = client.get(PATH), client.get(PATH)
    assert len(server.asked) == 1
    assert second.content == first.content
    assert second.fetched_at == first.fetched_at
    assert second.age_s > 0


def test_a_stale_reply_is_confirmed(client: Client, server: Replay) -> None:
    """304 gives the stored body as of now."""
    server.fail(PATH, headed(etag='"1"'))
    server.fail(PATH, lambda _: Answer(304, b"", {"ETag": '"1"'}))
    first, second = client.get(PATH), client.get(PATH)
    assert len(server.asked) == 2
    assert second.content == BODY
    assert second.age_s == 0.0
    assert second.fetched_at > first.fetched_at


def test_without_a_word_on_caching_a_reply_is_fetched_anew(client: Client, server: Replay) -> None:
    """A correction must be seen."""
    client.get(PATH)
    server.fail(PATH, body(b'{"right": "corrected"}'))
    assert client.get(PATH).content == b'{"right": "corrected"}'


@pytest.mark.parametrize(
    "bad",
    [
        lambda _: Answer(404, b"{}", {"Cache-Control": "max-age=100"}),
        lambda _: Answer(200, b'{"cut": ', {"Cache-Control": "max-age=100", "Content-Type": JSON}),
    ],
    ids=["404", "half a document"],
)
def test_what_is_not_good_is_never_stored(
    client: Client, server: Replay, bad: Callable[[Answer], Answer]
) -> None:
    """Even if the server says it may be."""
    server.fail(PATH, bad)
    assert client.get(PATH).content != BODY
    assert client.get(PATH).content == BODY


def test_a_404_is_an_answer(client: Client, server: Replay) -> None:
    """OpenF1 says so when a session has no rows."""
    server.fail(PATH, status(404), times=None)
    assert client.get(PATH).status == 404
    assert len(server.asked) == 1


def test_offline_gives_what_is_stored(server: Replay, made: Settings) -> None:
    """However old it is, and nothing else."""
    source = Source("jolpica", server.jolpica_url, ())
    with open_client(source, made) as online:
        online.get(PATH)
    server.reset()
    with open_client(source, made.model_copy(update={"offline": True})) as offline:
        reply = offline.get(PATH)
        text = failure_of(offline, "other.json")
    assert reply.content == BODY
    assert reply.age_s > 0
    assert server.asked == []
    assert f"{server.jolpica_url}/other.json" in text
    assert "not in the cache, and DRIVEGRADE_OFFLINE is set" in text


def failure_of(client: Client, path: str) -> str:
    """Ask for a path that fails and give the text."""
    with pytest.raises(ProviderError) as caught:
        client.get(path)
    return str(caught.value)


@pytest.mark.parametrize("fault", [status(500), status(429), manner("cut"), manner("dropped")])
def test_what_passes_is_tried_again(
    client: Client, server: Replay, fault: Callable[[Answer], Answer]
) -> None:
    """One fault, one more try."""
    server.fail(PATH, fault)
    assert client.get(PATH).content == BODY
    assert len(server.asked) == 2


@pytest.mark.parametrize("code", [429, 500, 503])
def test_what_does_not_pass_ends_after_bounded_tries(
    client: Client, server: Replay, code: int
) -> None:
    """The text counts the tries."""
    server.fail(PATH, status(code), times=None)
    text = failure(client, f"HTTP {code}")
    assert 1 < len(server.asked) <= MAX_TRIES
    assert f"after {len(server.asked)} tries" in text


def test_retry_after_is_obeyed(client: Client, server: Replay) -> None:
    """The server asked for half a second at least; it can only say whole ones."""
    client._deadline.limit_s = 4.0
    server.fail(PATH, status(429, retry_after="1"))
    started = time.monotonic()
    assert client.get(PATH).content == BODY
    assert time.monotonic() - started >= 1.0


def test_a_long_retry_after_is_told_at_once(client: Client, server: Replay) -> None:
    """Waiting longer than the limit helps nobody."""
    server.fail(PATH, status(429, retry_after="3600"), times=None)
    text = failure(client, "HTTP 429, asking to wait 3600 s")
    assert "Try again in 3600 s." in text
    assert len(server.asked) == 1


def test_retry_after_may_be_a_date() -> None:
    """HTTP allows both; anything else is no wait."""
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert http_wire._retry_after_s(later) == pytest.approx(30, abs=2)
    assert http_wire._retry_after_s("7") == 7.0
    assert http_wire._retry_after_s("soon") is None
    assert http_wire._retry_after_s(None) is None


@pytest.mark.parametrize("code", [400, 401, 403, 410, 418])
def test_our_own_faults_are_not_repeated(client: Client, server: Replay, code: int) -> None:
    """Asking again changes nothing."""
    server.fail(PATH, status(code), times=None)
    failure(client, f"HTTP {code}")
    assert len(server.asked) == 1


def test_a_redirect_on_the_same_host_is_followed(client: Client, server: Replay) -> None:
    """Services move a path now and then."""
    server.fail("old.json", status(301, location=f"/ergast/f1/{PATH}"))
    assert client.get("old.json").content == BODY


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "https://example.org/", "//x"]
)
def test_a_redirect_elsewhere_is_refused(client: Client, server: Replay, location: str) -> None:
    """Nor to the network we are in."""
    server.fail(PATH, status(302, location=location))
    failure(client, "redirects to another host")


def test_a_redirect_in_a_circle_ends(client: Client, server: Replay) -> None:
    """Bounded, like everything."""
    server.fail(PATH, status(302, location=f"/ergast/f1/{PATH}"), times=None)
    failure(client, "HTTP 302")


@pytest.mark.parametrize(
    "name", ["silent", "stalled", "dripping", "slow_headers", "cut", "dropped"]
)
def test_a_server_that_fails_in_the_middle_ends_in_time(
    client: Client, server: Replay, name: str
) -> None:
    """A byte now and then is no answer either."""
    server.fail(PATH, lambda _: Answer(200, b"[" + b" " * 1000 + b"]", manner=name), times=None)
    failure(client, "no answer from")


@pytest.mark.parametrize("place", ["refused", "black hole"])
def test_no_connection_ends_in_time(made: Settings, place: str) -> None:
    """Neither a closed port nor a host that does not answer."""
    with black_hole() as hole:
        url = refused() if place == "refused" else hole
        with open_client(Source("jolpica", url, ()), made) as client:
            failure(client, "refused" if place == "refused" else "no connection|not complete")


def test_a_packed_reply_is_unpacked(client: Client, server: Replay) -> None:
    """We ask for gzip, so it comes."""
    packed = gzip.compress(BODY)
    server.fail(PATH, lambda answer: headed(content_encoding="gzip")(replace(answer, body=packed)))
    assert client.get(PATH).content == BODY


def test_a_bomb_is_stopped(client: Client, server: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit counts what is unpacked."""
    monkeypatch.setattr(http_wire, "MAX_REPLY_BYTES", 4 * 2**20)
    server.fail(PATH, gzip_bomb(8), times=None)
    failure(client, "larger than 4 MiB")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("br", b"x"), ("gzip", b"x" * 100), ("gzip", gzip.compress(b"x" * 1000)[:20])],
    ids=["unknown", "damaged", "cut off"],
)
def test_what_cannot_be_unpacked_is_refused(
    client: Client, server: Replay, encoding: str, content: bytes
) -> None:
    """Unknown, damaged or cut off."""
    server.fail(PATH, lambda _: Answer(200, content, {"Content-Encoding": encoding}), times=None)
    failure(client, "packed")


def test_a_page_of_html_is_refused(client: Client, server: Replay) -> None:
    """As a proxy or a maintenance page sends it, with 200."""
    server.fail(PATH, body(b"<html>", "text/html; charset=utf-8"), times=None)
    failure(client, "a page of HTML")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.jolpi.ca/ergast/f1",
        "https://api.jolpi.ca:8443/ergast/f1",
        "https://user:secret@api.jolpi.ca/ergast/f1",
        "https://api.jolpi.ca.example.org/ergast/f1",
        "https://example.org/api.jolpi.ca",
        "https://api.jolpi.ca/ergast/f1?key=secret",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "https://user:secret@[bad",
        "",
    ],
)
def test_only_the_known_services_are_asked(made: Settings, url: str) -> None:
    """And the text never repeats what may be a password."""
    with (
        pytest.raises(ProviderError, match="the address of the service") as caught,
        open_client(Source("jolpica", url, ()), made),
    ):
        pass
    assert "secret" not in str(caught.value)


def test_this_machine_is_asked_only_if_that_is_allowed(server: Replay, made: Settings) -> None:
    """The setting is for replays."""
    closed = made.model_copy(update={"allow_loopback": False})
    with (
        pytest.raises(ProviderError, match="DRIVEGRADE_ALLOW_LOOPBACK"),
        open_client(Source("jolpica", server.jolpica_url, ()), closed),
    ):
        pass


def test_the_cache_is_private(server: Replay, made: Settings) -> None:
    """Who can write in it could plant answers."""
    source = Source("jolpica", server.jolpica_url, ())
    with open_client(source, made):
        pass
    folder = made.home / "http-cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ProviderError, match="writable by, others"), open_client(source, made):
        pass


def test_a_broken_cache_is_no_answer(server: Replay, made: Settings) -> None:
    """It is told by name, or asked past it; never a traceback."""
    folder = made.home / "http-cache"
    folder.mkdir(mode=0o700)
    (folder / "replies.db").write_bytes(b"no database" * 1000)
    with open_client(Source("jolpica", server.jolpica_url, ()), made) as client:
        try:
            assert client.get(PATH).content == BODY
        except ProviderError as error:
            assert "replies.db" in str(error)  # noqa: PT017 -- either outcome is right


def test_turns_keep_to_all_rates_over_several_users(tmp_path: Path) -> None:
    """Two users of the same file share 3 requests in 0.2 s; the fourth waits."""
    rates = (Rate(100, 60_000), Rate(3, 200))
    first, second = (Turns("jolpica", rates, tmp_path / "turns.db") for _ in range(2))
    started = time.monotonic()
    for number in range(4):
        (first if number % 2 else second).take(Deadline(5.0))
    assert time.monotonic() - started >= 0.2
    first.close()
    second.close()


def test_a_used_up_limit_is_told_at_once(tmp_path: Path) -> None:
    """An hour's limit is not waited for."""
    turns = Turns("jolpica", (Rate(1, 3_600_000),), tmp_path / "turns.db")
    turns.take(Deadline(1.0))
    with pytest.raises(WireError, match="used up for the next 3600 s"):
        turns.take(Deadline(1.0))
    turns.close()
