"""The limits of the service, each by its name in the reliability plan (section 5)."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from loaders.connection import transaction, warehouse_address
from loaders.postgres import connect
from loaders.roles import grant_roles
from loaders.service import database, lists, memo, serving, sessions
from loaders.service.faults import ApiError
from tests.loaders.service.conftest import SPRINT
from tests.loaders.service.conftest import serving as serve
from tests.warehouse import load, session_tables, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from loaders.connection import Connection
    from loaders.service.service import Service
    from loaders.settings import Settings
    from tests.loaders.service.conftest import Served

ANALYTICS = "/api/v1/analytics/2025/1"
RACES = "/api/v1/races"

EVERYTHING = (
    ANALYTICS,
    "/api/v1/analytics/2025/2?session=sprint&profile=baseline",
    "/api/v1/analytics/2025/3",
    RACES,
    "/api/v1/races/2025/1/grades",
    "/api/v1/drivers/norris/grades",
    "/api/v1/standings/2025",
    "/api/v1/strategy/2025/1",
    "/readyz",
)


def error_of(answer: httpx.Response, status: int) -> str:
    """Check that an answer is an error of ours, and give its code."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert answer.headers["cache-control"] == "no-store"
    return str(error["code"])


def service_of(served: Served) -> Service:
    """Give what answers."""
    found: Service = served.app.state.service
    return found


def test_01_limit_at_most_200_by_default_50(client: httpx.Client) -> None:
    """A page is 50 rows unless another number up to 200 is asked for."""
    error_of(client.get(RACES, params={"limit": 201}), 422)
    error_of(client.get(RACES, params={"limit": 0}), 422)
    assert client.get(RACES, params={"limit": 200}).status_code == 200
    described = client.get("/openapi.json").json()["paths"][RACES]["get"]["parameters"]
    schema = next(each["schema"] for each in described if each["name"] == "limit")
    assert (schema["default"], schema["maximum"]) == (50, 200)


def test_02_pages_by_cursor_only(client: httpx.Client) -> None:
    """All rows come once; an offset or a page's number is no parameter."""
    whole = client.get(RACES).json()["races"]
    paged, cursor = [], None
    for _ in range(len(whole)):
        page = client.get(RACES, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))
        paged += page.json()["races"]
        cursor = page.json()["next_cursor"]
    assert (paged, cursor) == (whole, None)
    for name in ("offset", "page"):
        error_of(client.get(RACES, params={name: 1}), 422)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/analytics/2025/41",
        "/api/v1/analytics/1e3/1",
        "/api/v1/analytics/+2025/1",
        "/api/v1/analytics/2025/1.0",
        "/api/v1/analytics/2025/%D9%A1",
        "/api/v1/analytics/2025/1?drivers=%27;drop",
        "/api/v1/analytics/2025/1?drivers=a%00",
        "/api/v1/analytics/2025/1?profile=..%2F..",
        "/api/v1/drivers/Max%20V/grades",
        "/api/v1/drivers/%FF/grades",
        "/api/v1/races?cursor=2025-1-race",
        "/api/v1/races?cursor=2025-1%0A",
    ],
)
def test_03_ids_by_pattern(client: httpx.Client, path: str) -> None:
    """What is no id reaches neither SQL nor a key."""
    assert error_of(client.get(path), 422) == "invalid_request"


@pytest.mark.parametrize(
    "path", [ANALYTICS, RACES, "/healthz", "/readyz", "/api/v1/standings/2025"]
)
def test_04_unknown_query_parameter(client: httpx.Client, path: str) -> None:
    """A mistyped filter is told, not left out."""
    assert "drvers" in client.get(path, params={"drvers": "NOR"}).json()["error"]["message"]
    error_of(client.get(path, params={"drvers": "NOR"}), 422)


def test_05_body_on_get_refused(client: httpx.Client) -> None:
    """And the connection is closed, so that the body is not read."""
    answer = client.request("GET", RACES, content=b"x")
    assert (error_of(answer, 400), answer.headers["connection"]) == ("body_refused", "close")
    chunks = client.request("GET", RACES, content=iter([b"x"]))
    assert error_of(chunks, 400) == "body_refused"


def test_06_url_of_2_kb(client: httpx.Client) -> None:
    """2,048 bytes with the query are read, one more is not."""
    pad = 2048 - len(f"{RACES}x=")
    error_of(client.get(f"{RACES}?x={'a' * pad}"), 422)
    assert error_of(client.get(f"{RACES}?x={'a' * (pad + 1)}"), 414) == "address_too_long"


def test_07_headers_of_16_kb(client: httpx.Client) -> None:
    """All headers together; far more the server itself may cut off."""
    assert client.get(RACES, headers={"x": "a" * 15_000}).status_code == 200
    assert error_of(client.get(RACES, headers={"x": "a" * 16_385}), 431) == "headers_too_large"
    assert client.get(RACES, headers={"x": "a" * 100_000}).status_code in (400, 431)


def test_08_answer_of_1_mib() -> None:
    """An answer of 1 MiB is given, a longer one is an error that says what to do."""
    assert len(memo.encode(b" " * 2**20).body) == 2**20
    with pytest.raises(ApiError, match="fewer drivers") as refused:
        memo.encode(b" " * (2**20 + 1))
    assert refused.value.status == 422


def test_09_statement_timeout_of_2_s(served: Served) -> None:
    """A statement that takes longer is ended by the server, and the next one is answered."""

    def sleep(connection: Connection) -> None:
        with transaction(connection, "sleeping"), connection.cursor() as cursor:
            cursor.execute("select pg_sleep(4)::text")
            cursor.fetch_arrow_table()

    began = time.monotonic()
    with pytest.raises(ApiError) as ended:
        asyncio.run(service_of(served).database.run(sleep))
    assert (ended.value.status, ended.value.code) == (503, "too_slow")
    assert 1.9 < time.monotonic() - began < 3
    assert served.client.get("/readyz").status_code == 200


def test_10_pool_of_10_with_a_wait_of_1_s(served: Served) -> None:
    """With all ten at work the eleventh request is told after a second when to come again."""
    release = threading.Event()
    busy = threading.Barrier(11)

    def hold(_: Connection) -> None:
        busy.wait(10)
        release.wait(10)

    with ThreadPoolExecutor(10) as threads:
        held = [
            threads.submit(lambda: asyncio.run(service_of(served).database.run(hold)))
            for _ in range(10)
        ]
        busy.wait(10)
        began = time.monotonic()
        answer = served.client.get("/api/v1/standings/2024")
        took_s = time.monotonic() - began
        release.set()
        for each in held:
            each.result()
    assert error_of(answer, 503) == "busy"
    assert int(answer.headers["retry-after"]) > 0
    assert 0.9 < took_s < 2
    assert served.client.get(RACES).status_code == 200


def test_11_total_time_of_5_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a request waits for; who else waits for the same goes on waiting."""
    assert database.TOTAL_S == 5
    monkeypatch.setattr(memo, "TOTAL_S", 0.05)

    async def late() -> str:
        await asyncio.sleep(0.1)
        return "at last"

    async def twice() -> str:
        flights = memo.Flights()
        with pytest.raises(ApiError) as ended:
            await flights.fly("question", late)
        assert (ended.value.status, ended.value.code) == (503, "too_slow")
        monkeypatch.setattr(memo, "TOTAL_S", 5.0)
        return await flights.fly("question", late)

    assert asyncio.run(twice()) == "at last"


def test_12_60_requests_a_minute(stored: Settings) -> None:
    """By address, the limit of the settings; health is not counted."""
    assert type(stored)().api_rate_per_minute == 60
    with serve(stored.model_copy(update={"api_rate_per_minute": 60})) as served:
        statuses = {served.client.get("/nowhere").status_code for _ in range(60)}
        answer = served.client.get(RACES)
        assert served.client.get("/healthz").status_code == 200
    assert statuses == {404}
    assert error_of(answer, 429) == "too_many_requests"
    assert 1 <= int(answer.headers["retry-after"]) <= 61


def test_13_slow_headers_are_cut(stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends a byte now and then is hung up on; so is who sends nothing."""
    assert serving.HEADERS_WITHIN_S == 5
    monkeypatch.setattr(serving, "HEADERS_WITHIN_S", 0.2)
    with serve(stored) as served:
        for sent in (b"GET / HTTP/1.1\r\nhost: loc", b""):
            with socket.create_connection(("127.0.0.1", served.port), timeout=5) as slow:
                slow.sendall(sent)
                assert slow.recv(100) == b""
        assert served.client.get("/healthz").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"])
def test_14_get_head_options_only(client: httpx.Client, method: str) -> None:
    """Else 405, which says what is allowed; HEAD is GET without its body."""
    answer = client.request(method, ANALYTICS)
    assert error_of(answer, 405) == "method_not_allowed"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    head, get = client.head(ANALYTICS), client.get(ANALYTICS)
    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in ("etag", "content-length")] == [
        get.headers[name] for name in ("etag", "content-length")
    ]
    assert client.options(ANALYTICS).headers["allow"] == "GET, HEAD, OPTIONS"


def test_15_cors_by_list_without_credentials(stored: Settings, client: httpx.Client) -> None:
    """Only the listed origins may read, none with cookies, and never all."""
    listed = stored.model_copy(update={"api_origins": "https://a.example, https://b.example"})
    with serve(listed) as served:
        for origin, allowed in (
            ("https://b.example", "https://b.example"),
            ("https://c.example", None),
            ("null", None),
        ):
            for answer in (
                served.client.get(RACES, headers={"origin": origin}),
                served.client.options(RACES, headers={"origin": origin}),
            ):
                assert answer.headers.get("access-control-allow-origin") == allowed
                assert "access-control-allow-credentials" not in answer.headers
                assert answer.headers["vary"] == "origin"
    unlisted = client.get(RACES, headers={"origin": "https://a.example"})
    assert "access-control-allow-origin" not in unlisted.headers


@pytest.mark.parametrize("path", [ANALYTICS, "/nowhere", "/openapi.json"])
def test_16_security_headers(client: httpx.Client, path: str) -> None:
    """Of answers and errors alike; an error is not stored."""
    answer = client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers
    if answer.is_error:
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1]:80"])
def test_17_host_by_list(client: httpx.Client, host: str) -> None:
    """The names of the settings, with any port."""
    assert error_of(client.get(RACES, headers={"host": host}), 400) == "unknown_host"
    assert client.get(RACES, headers={"host": "LOCALHOST:99"}).status_code == 200


@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.1", 200), ("", 429), ("10.0.0.1", 429)])
def test_18_proxy_headers_from_the_proxy_only(stored: Settings, proxies: str, status: int) -> None:
    """Who is no proxy of the settings cannot pretend to be another address."""
    limited = stored.model_copy(update={"api_rate_per_minute": 1, "api_proxies": proxies})
    with serve(limited) as served:
        for last in (1, 2):
            answer = served.client.get(RACES, headers={"x-forwarded-for": f"192.0.2.{last}"})
    assert answer.status_code == status


def test_19_errors_tell_no_internals(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the text of a fault, nor where it happened: a code and the id to look it up with."""

    def broken(*_: object) -> None:
        raise RuntimeError("select password from /home/secret at 10.0.0.7")

    monkeypatch.setattr(lists, "standings", broken)
    answer = served.client.get("/api/v1/standings/2023")
    assert error_of(answer, 500) == "internal"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    for part in ("select", "home", "10.0", "RuntimeError", "Traceback", "line"):
        assert part not in answer.text


def test_20_unknown_ids_are_alike(client: httpx.Client) -> None:
    """404 for all that is not there; nothing is there and forbidden."""
    for path in (
        "/api/v1/analytics/1950/40",
        "/api/v1/drivers/nobody/grades",
        "/api/v1/standings/1950",
        "/api/v1/strategy/1950/1",
        "/nowhere",
        "/admin",
        "/docs",
    ):
        assert error_of(client.get(path), 404).startswith("unknown_")


def test_21_etag_and_304(client: httpx.Client) -> None:
    """A caller who has the answer is told so; another answer has another name."""
    first = client.get(ANALYTICS)
    etag = first.headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = client.get(ANALYTICS, headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert client.get(ANALYTICS, headers={"if-none-match": '"other"'}).content == first.content
    assert client.get(RACES).headers["etag"] != etag


def test_22_database_down_503_cache_down_still_answers(stored: Settings, tmp_path: Path) -> None:
    """Without PostgreSQL nothing is known; without Redis everything is."""
    nowhere = SecretStr(f"postgresql://me:hunter2@/postgres?host={tmp_path}")
    with serve(stored.model_copy(update={"database_url": nowhere})) as served:
        answer = served.client.get(ANALYTICS)
        assert error_of(answer, 503) == "database_unavailable"
        assert int(answer.headers["retry-after"]) > 0
        assert "hunter2" not in answer.text
        assert str(tmp_path) not in answer.text
        ready = served.client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "not_ready", "reasons": ["database_unavailable"]}
        assert served.client.get("/healthz").status_code == 200
    silent = SecretStr(f"unix://{tmp_path}/none")
    with serve(stored.model_copy(update={"redis_url": silent})) as served:
        assert served.client.get(ANALYTICS).json()["status"] == "graded"
        assert served.client.get("/readyz").status_code == 200


def test_23_api_role_serves_everything_and_cannot_write(stored: Settings) -> None:
    """As drivegrade_api: each answer is the owner's, and nothing can be changed."""
    grant_roles(stored)
    with warehouse_address(stored) as address, connect(stored) as owner, serve(stored) as whole:
        url = SecretStr(f"postgresql://drivegrade_api@/postgres?{address.uri.partition('?')[2]}")
        before = snapshot(owner)
        with serve(stored.model_copy(update={"database_url": url})) as served:
            for path in EVERYTHING:
                answer = served.client.get(path)
                assert answer.status_code == 200, answer.text
                assert answer.content == whole.client.get(path).content

            def write(connection: Connection) -> None:
                with transaction(connection, "writing"), connection.cursor() as cursor:
                    cursor.execute("set transaction read write")
                    cursor.execute("delete from core.races")

            with pytest.raises(ApiError):
                asyncio.run(service_of(served).database.run(write))
        assert snapshot(owner) == before


def test_23_also_as_the_owner_it_only_reads(served: Served) -> None:
    """Every connection begins read-only, whichever role it is of."""

    def limits(connection: Connection) -> dict[str, str]:
        with transaction(connection, "asking"), connection.cursor() as cursor:
            cursor.execute(
                "select name, setting from pg_settings where name in "
                "('default_transaction_read_only', 'statement_timeout')"
            )
            return dict(cursor.fetchall())

    found = asyncio.run(service_of(served).database.run(limits))
    assert found == {"default_transaction_read_only": "on", "statement_timeout": "2000"}


def test_24_one_answer_is_of_one_moment(stored: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that is committed between two statements of an answer is not in it."""
    original = sessions.driven

    def load_first(connection: Connection, session_id: str | None) -> dict[str, Any]:
        with connect(stored) as other:
            tables = session_tables(SPRINT, ["norris"], lap_count=9)
            load(other, tables, SPRINT, data_hash="between")
        return original(connection, session_id)

    path = "/api/v1/analytics/2025/2?session=sprint"
    with serve(stored) as served:
        before = served.client.get(path).json()
    monkeypatch.setattr(sessions, "driven", load_first)
    with serve(stored) as served:
        during = served.client.get(path).json()
    monkeypatch.setattr(sessions, "driven", original)
    with serve(stored) as served:
        after = served.client.get(path).json()
    assert during == before
    assert (before["data_hash"], after["data_hash"]) == ("first", "between")
    assert (len(before["laps"]), len(after["laps"])) == (3, 9)
