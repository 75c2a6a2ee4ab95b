"""Redis away, frozen, slow, full, empty or lying: nobody waits, and nothing old is served (G, P16).

The numbers are the sixteen cases of the plan, in its order; case 16 stands in `test_outbox.py`.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from engine.errors import ContractError
from loaders import cache as cache_module
from loaders import outbox, reconcile
from loaders.__main__ import main
from loaders.cache import (
    BREAK_S,
    READ_STEP_S,
    SESSIONS_KEY,
    Cache,
    Version,
    current_versions,
    key,
    read_through,
)
from loaders.connection import warehouse_address
from loaders.postgres import connect
from loaders.profiles import activate, import_profile
from loaders.redis_url import CacheError, RedisAddress, parse_redis_url
from tests.profiles import STRICT_PROFILE
from tests.reliability.redis_faults import child, drain_and_die, proxy, redis_server
from tests.reliability.versions import wait_until_gone
from tests.soak import chance, runs
from tests.test_architecture import ROOT
from tests.warehouse import MELBOURNE, ask, load, session_tables, start_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loaders.connection import Connection
    from loaders.settings import Settings
    from tests.reliability.redis_faults import Server
    from tests.soak import Figure

SESSION = MELBOURNE.session_id


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Redis for all tests."""
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def opened(settings: Settings) -> Iterator[Connection]:
    """One connection for all tests."""
    with connect(settings) as connection:
        yield connection


@pytest.fixture
def connection(opened: Connection, server: Server) -> Connection:
    """A warehouse with one session, nothing to tell, and an empty Redis."""
    start_over(opened)
    load(opened, session_tables())
    ask(opened, "delete from ops.outbox")
    server.client.flushall()
    return opened


def cache_at(url: str, **options: Any) -> Cache:
    """A cache at a URL, which is patient: a busy computer is no fault."""
    return Cache(parse_redis_url(SecretStr(url)), 60, **{"step_s": 5.0, **options})


def used(settings: Settings, url: str) -> Settings:
    """Settings that name a Redis."""
    return settings.model_copy(update={"redis_url": SecretStr(url), "cache_ttl_s": 60})


def version_of(connection: Connection) -> Version:
    """The session's version."""
    found = current_versions(connection, [SESSION])[SESSION]
    connection.rollback()
    return found


def laps(connection: Connection) -> dict[str, int]:
    """An answer that every load of these tests changes."""
    with connection.cursor() as cursor:
        cursor.execute("select lap_number from public.lap_times")
        return {"laps": len(cursor.fetchall())}


def change(connection: Connection, name: str, lap_count: int) -> None:
    """Load the session with this many laps a driver."""
    load(connection, session_tables(lap_count=lap_count), data_hash=name)


def waiting(connection: Connection) -> int:
    """How many rows of the outbox wait."""
    return int(str(outbox.status(connection)[0]["waiting"]))


def timed(call: Callable[[], object]) -> tuple[object, float]:
    """What a call gives, and how long it takes, in s."""
    begun = time.perf_counter()
    return call(), time.perf_counter() - begun


# What a fault of Redis costs


@contextmanager
def fault(name: str, server: Server) -> Iterator[str]:
    """Make Redis faulty as long as the block; gives the URL to meet it at."""
    client = server.client
    if name == "1 refused":
        yield "redis://:hunter2secret@127.0.0.1:1/0"
    elif name == "2 frozen":
        server.signal(signal.SIGSTOP)
        try:
            yield server.url
        finally:
            server.signal(signal.SIGCONT)
    elif name == "3 slow":
        with proxy(server, delay_s=0.3) as url:
            yield url
    elif name == "6 wrong password":
        client.config_set("requirepass", "right")
        yield f"unix://:hunter2secret@{server.socket}"
        client = type(client)(unix_socket_path=str(server.socket), password="right", protocol=2)  # noqa: S106
        client.config_set("requirepass", "")
    elif name == "7 replica":
        client.replicaof("127.0.0.1", "1")
        yield server.url
        client.replicaof("no", "one")
    else:
        client.config_set("maxmemory", "1")
        yield server.url
        client.config_set("maxmemory", "0")


READS_STILL = ("7 replica", "8 full")
"""Faults under which Redis takes no writes and still answers."""

DRAINED_STILL = ("3 slow", "8 full")
"""Faults under which old answers are deleted all the same: nobody waits for it, and it frees."""


@pytest.mark.parametrize(
    "name", ["1 refused", "2 frozen", "3 slow", "6 wrong password", "7 replica", "8 full"]
)
def test_a_fault_of_redis_costs_less_than_a_second_and_no_load(
    connection: Connection,
    settings: Settings,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    figure: Figure,
    *,
    name: str,
) -> None:
    """G: readers are answered, the load is stored, and once Redis is well nothing old is left."""
    old = version_of(connection)
    assert cache_at(server.url).put(SESSION, old, {"laps": 6})
    with fault(name, server) as url:
        cache = cache_at(url, step_s=READ_STEP_S)
        found, first_s = timed(lambda: cache.get(SESSION, old))
        stored, then_s = timed(lambda: cache.put(SESSION, old, {"laps": 6}))
        _, next_s = timed(lambda: cache.get(SESSION, old))
        change(connection, name, 4)
        _, told_s = timed(lambda: reconcile.after_commit(connection, used(settings, url)))
        answer = read_through(connection, cache, SESSION, laps)
        left = waiting(connection)
        cache.close()
    assert (found, stored) == ({"laps": 6} if name in READS_STILL else None, False)
    assert max(first_s, then_s, told_s) < 1
    assert name in READS_STILL or next_s < 0.05
    assert answer == {"laps": 8}
    assert left == (name not in DRAINED_STILL)
    assert "hunter2secret" not in caplog.text
    assert ("the cache was not told of" in caplog.text) == (name not in DRAINED_STILL)
    reconcile.refresh(connection, used(settings, server.url))
    assert waiting(connection) == 0
    assert server.client.exists(key(SESSION, old)) == 0
    figure(f"G{name}", f"read {first_s:.2f} s, store {then_s:.2f} s, telling {told_s:.2f} s")


def test_redis_is_asked_again_after_a_while(connection: Connection, server: Server) -> None:
    """G9: it dies, readers stop asking; it comes back empty, is asked again, and is filled."""
    now = [0.0]
    cache, version = cache_at(server.url, clock=lambda: now[0]), version_of(connection)
    assert read_through(connection, cache, SESSION, laps) == {"laps": 6}
    assert cache.get(SESSION, version) == {"laps": 6}
    server.end()
    assert cache.get(SESSION, version) is None
    server.start()
    assert not cache.put(SESSION, version, {"laps": 6})
    now[0] = BREAK_S
    assert cache.get(SESSION, version) is None
    assert read_through(connection, cache, SESSION, laps) == {"laps": 6}
    assert cache.get(SESSION, version) == {"laps": 6}
    cache.close()


def test_a_time_out_while_deleting_leaves_the_row(
    connection: Connection, settings: Settings, server: Server
) -> None:
    """G4: Redis falls silent just then; the row waits, and no attempt is counted."""
    old = version_of(connection)
    cache_at(server.url).put(SESSION, old, {"laps": 6})
    change(connection, "2", 4)
    with proxy(server, loses=b"UNLINK") as url:
        reconcile.after_commit(connection, used(settings, url))
    assert ask(connection, "select attempts, done_at is null from ops.outbox").rows() == [(0, True)]
    assert server.client.exists(key(SESSION, old)) == 1
    reconcile.after_commit(connection, used(settings, server.url))
    assert (waiting(connection), server.client.exists(key(SESSION, old))) == (0, 0)


def test_redis_dies_between_two_batches(
    connection: Connection, settings: Settings, server: Server
) -> None:
    """G5: an activation makes 250 sessions' answers old; what the first run left the next ends."""
    writer = cache_at(server.url)
    names = [f"{season}-{number}" for season in range(2000, 2010) for number in range(1, 26)]
    for name in names:
        writer.put(name, Version(1, 0), {"is": "old"})
    import_profile(connection, STRICT_PROFILE)
    activate(connection, "strict")
    activate(connection, "baseline")
    with (
        proxy(server, loses=b"UNLINK", count=2, dies=True) as url,
        pytest.raises(CacheError, match="run it again") as fault,
    ):
        reconcile.refresh(connection, used(settings, url))
    assert fault.value.is_down
    some = sum(server.client.exists(key(name, Version(1, 0))) for name in names)
    assert 0 < some < len(names)
    done = reconcile.refresh(connection, used(settings, server.url))
    assert (done.drained.handled, waiting(connection)) == (2, 0)
    assert sum(server.client.exists(key(name, Version(1, 0))) for name in names) == 0


# Nothing old is served


def test_who_stores_late_stores_what_nobody_asks_for(
    connection: Connection, settings: Settings, server: Server
) -> None:
    """G11: a reader computes, a load commits and deletes, and only then the reader stores."""
    cache, old = cache_at(server.url), version_of(connection)

    def computing(reading: Connection) -> dict[str, int]:
        answer = laps(reading)
        with connect(settings) as other:
            change(other, "2", 4)
            reconcile.after_commit(other, used(settings, server.url))
        return answer | laps(reading)

    assert read_through(connection, cache, SESSION, computing) == {"laps": 6}
    assert cache.get(SESSION, old) == {"laps": 6}, "the late answer was stored"
    assert waiting(connection) == 0
    assert read_through(connection, cache, SESSION, laps) == {"laps": 8}
    assert read_through(connection, cache, SESSION, laps) == {"laps": 8}
    assert reconcile.refresh(connection, used(settings, server.url)).removed == 1
    assert cache.get(SESSION, old) is None
    assert cache.get(SESSION, version_of(connection)) == {"laps": 8}
    cache.close()


def test_a_profile_makes_all_answers_old(
    connection: Connection, settings: Settings, server: Server
) -> None:
    """P16: the version moves with the activation, before anybody has told the cache."""
    cache, old = cache_at(server.url), version_of(connection)
    read_through(connection, cache, SESSION, laps)
    import_profile(connection, STRICT_PROFILE)
    activate(connection, "strict")
    assert version_of(connection) == old._replace(activation_number=1)
    assert read_through(connection, cache, SESSION, lambda _: {"profile": "strict"}) == {
        "profile": "strict"
    }
    reconcile.after_commit(connection, used(settings, server.url))
    assert cache.get(SESSION, old) is None
    assert cache.get(SESSION, version_of(connection)) == {"profile": "strict"}
    cache.close()


def test_killed_between_commit_and_telling(
    connection: Connection, settings: Settings, server: Server, figure: Figure
) -> None:
    """G10, G14, G15: killed before the answers are deleted, or before that is noted.

    Either way readers get the new answer at once, and the reconciler ends the work.
    """
    cache, draw, landed = cache_at(server.url), chance("G10"), 0
    for number in range(times := runs(6, 50)):
        old = version_of(connection)
        read_through(connection, cache, SESSION, laps)
        change(connection, f"kill {number}", 4 + number % 2)
        is_told = draw.random() < 0.5
        with warehouse_address(settings) as address:
            dying = child(drain_and_die, address.uri, server.url, is_told=is_told)
            dying.join(20)
        landed += dying.exitcode == -signal.SIGKILL
        wait_until_gone(connection)  # until then the row is locked, and skipped by who drains
        assert server.client.exists(key(SESSION, old)) == (not is_told)
        assert waiting(connection) == 1
        assert read_through(connection, cache, SESSION, laps) == {"laps": 8 + 2 * (number % 2)}
        done = reconcile.refresh(connection, used(settings, server.url))
        assert (done.drained.handled, waiting(connection)) == (1, 0)
        assert server.client.exists(key(SESSION, old)) == 0
        assert cache.get(SESSION, version_of(connection)) is not None
    assert landed == times
    cache.close()
    figure("G10", f"{times} kills, {landed} landed, 0 old answers, 0 rows left waiting")


def test_every_key_ends_by_itself(connection: Connection, server: Server) -> None:
    """P16: the answer after its time, what names it not before."""
    cache = cache_at(server.url)
    read_through(connection, cache, SESSION, laps)
    ends = {name.decode(): server.client.ttl(name) for name in server.client.scan_iter()}
    assert 0 < ends.pop(key(SESSION, version_of(connection))) <= 60
    assert 60 < ends.pop(f"{cache_module.PREFIX}:versions:{SESSION}") <= 120
    assert ends == {SESSIONS_KEY: -1}  # ids of sessions: no answers, and no more than there are
    cache.close()


def test_what_somebody_else_stored_is_no_answer(connection: Connection, server: Server) -> None:
    """P22: neither a pickle nor broken or unusual JSON is used, or harms."""
    cache, version = cache_at(server.url), version_of(connection)
    for planted in (b"cos\nsystem\n(S'true'\ntR.", b'{"a": NaN}', b"{", b"[" * 5000, b"\xff"):
        server.client.set(key(SESSION, version), planted)
        assert cache.get(SESSION, version) is None
    for unusual in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises(ContractError, match="JSON"):
            cache.put(SESSION, version, unusual)
    assert not cache.put(SESSION, version, {"a": "x" * cache_module.MAX_BYTES})
    cache.close()


def test_an_index_of_another_kind_is_a_poison_row(
    connection: Connection, settings: Settings, server: Server
) -> None:
    """G16: Redis answers, and refuses this row for ever; it is given up, and shown."""
    server.client.set(f"{cache_module.PREFIX}:versions:{SESSION}", "no set")
    change(connection, "2", 4)
    for _ in range(outbox.MAX_ATTEMPTS):
        reconcile.after_commit(connection, used(settings, server.url))
    counts, parked = outbox.status(connection)
    assert (counts["waiting"], counts["parked"]) == (0, 1)
    assert parked[0]["last_error"] == f"CacheError: Redis at {server.socket}: ResponseError"


# Nobody else is disturbed


def test_cleaning_up_does_not_stall_others(
    connection: Connection, settings: Settings, server: Server, figure: Figure
) -> None:
    """G12: many old keys, and no command takes 20 ms; nothing is searched for by pattern."""
    client, wanted = server.client, runs(2_000, 100_000)
    names = [
        f"{season}-{number}{kind}"
        for season in range(1950, 2100)
        for number in range(1, 41)
        for kind in ("", "-sprint")
    ][: -(-wanted // 9)]
    with client.pipeline(transaction=False) as filling:
        for name in names:
            versions = [Version(10**6 + load, 0) for load in range(9)]
            filling.sadd(SESSIONS_KEY, name)
            filling.sadd(f"{cache_module.PREFIX}:versions:{name}", *map(str, versions))
            filling.mset({key(name, version): b"{}" for version in versions})
        filling.execute()
    client.config_set("slowlog-log-slower-than", 1000)
    client.slowlog_reset()
    client.config_resetstat()
    waits: list[float] = []
    over = threading.Event()

    def ask_all_the_while() -> None:
        while not over.wait(0.002):
            waits.append(timed(client.ping)[1])

    other = threading.Thread(target=ask_all_the_while)
    other.start()
    try:
        done, took_s = timed(lambda: reconcile.refresh(connection, used(settings, server.url)))
    finally:
        over.set()
        other.join()
    assert isinstance(done, reconcile.Refreshed)
    assert done.removed == 9 * len(names)
    slowest_ms = max((entry["duration"] / 1000 for entry in server.client.slowlog_get()), default=0)
    assert slowest_ms < 20
    commands = {name.removeprefix("cmdstat_") for name in server.client.info("commandstats")}
    assert "unlink" in commands
    assert not commands & {"keys", "scan", "flushall", "flushdb", "del"}
    figure(
        "G12",
        f"{done.removed} keys in {took_s:.1f} s, longest command {max(slowest_ms, 1):.0f} ms at "
        f"most, another client's longest wait {1000 * max(waits):.0f} ms of {len(waits)}",
    )


@pytest.mark.parametrize(
    "slug",
    [
        *("*", "2025-*", "2025-?", "2025-[12]", "2025-1\\", "2025-1:9", "2025-1\n", "2025-1 ", ""),
        *("2025-1-sprint*", "../2025-1", "2025-1\x00", "２０２５-1", "2025-1{a}"),
    ],
)
def test_no_slug_reaches_another_key(server: Server, slug: str) -> None:
    """G13, H02: what is no slug makes no key, so nothing in it can mean more than itself."""
    server.client.flushall()
    cache = cache_at(server.url)
    cache.put(SESSION, Version(1, 0), {"laps": 6})
    attempts: tuple[Callable[[], object], ...] = (
        lambda: key(slug, Version(1, 0)),
        lambda: cache.get(slug, Version(1, 0)),
        lambda: cache.put(slug, Version(1, 0), {}),
        lambda: cache.forget(slug, lambda _: True),
    )
    for attempt in attempts:
        with pytest.raises(ContractError, match="is no session"):
            attempt()
    assert cache.get(SESSION, Version(1, 0)) == {"laps": 6}
    assert server.client.dbsize() == 3
    cache.close()


# Secrets

MALFORMED = (
    "redis://user:hunter/2secret@localhost/0",
    "redis://user:hunter?2secret@localhost/0",
    "redis://user:hunter#2secret@localhost/0",
    "redis://user:hunter%2secret@localhost/0",
    "redis://user:hunter 2secret@localhost/0",
    "redis://user:hunter[2secret@localhost/0",
    "redis://user:hunter2secret@[::1/0",
    "redis://localhost:hunter2secret/0",
    "redis://user:hunter2secret@local host/0",
    "redis://user:hunter2secret@localhost/hunter2secret",
    "redis://user:hunter2secret@localhost/0?password=hunter2secret",
    "redis://user:hunter2secret@localhost/0\n",
    "redis://user:hunter2secret@/0",
    "redis://hunter2secret@localhost/0",
    "redis+tls://user:hunter2secret@localhost/0",
    "http://user:hunter2secret@localhost",
    "unix://hunter2secret",
    "hunter2secret",
)

ORDINARY = {
    "redis://localhost": RedisAddress("localhost"),
    "redis://:p%2Fw@10.0.0.1:7000/3": RedisAddress(
        "10.0.0.1", 7000, database=3, password=SecretStr("p/w")
    ),
    "rediss://u:p@cache.example/0?ssl_ca_certs=%2Fetc%2Fca.pem": RedisAddress(
        "cache.example",
        username="u",
        password=SecretStr("p"),
        is_encrypted=True,
        ca_file="/etc/ca.pem",
    ),
    "redis://[::1]:6380/": RedisAddress("::1", 6380),
    "unix://:p@/run/redis.sock?db=2": RedisAddress(
        socket="/run/redis.sock", database=2, password=SecretStr("p")
    ),
}


def shown(error: BaseException) -> str:
    """Everything of an error that could be printed: text, chain, and our local variables."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [
        repr(frame.locals) for frame in stack if Path(frame.filename).parent == ROOT / "loaders"
    ]
    chain = [repr(error), repr(error.__context__), repr(error.__cause__)]
    return "\n".join([*traceback.format_exception(error), *chain, *ours])


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_without_being_shown(settings: Settings, url: str) -> None:
    """H01: by the parser, a load's end, the reconciler and the command alike."""
    named = used(settings, url)
    with pytest.raises(CacheError, match=r"^REDIS_URL: ") as refusal:
        Cache.of(named)
    assert not [part for part in ("hunter", "2secret") if part in shown(refusal.value)]
    assert "secret" not in repr(named) + named.model_dump_json()


@pytest.mark.parametrize(("url", "address"), ORDINARY.items())
def test_a_url_is_read_in_one_way(url: str, address: RedisAddress) -> None:
    """Host or socket, database, user and password."""
    assert parse_redis_url(SecretStr(url)) == address


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_an_unreachable_redis_shows_no_password(
    connection: Connection,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
) -> None:
    """H01: neither in an error with its variables, nor in a log, nor in how objects are shown."""
    caplog.set_level(logging.DEBUG)
    url = f"{scheme}://user:hunter2secret@127.0.0.1:1/0"
    cache = cache_at(url)
    with pytest.raises(CacheError, match=r"127\.0\.0\.1:1: ConnectionError") as refusal:
        cache.forget(SESSION, lambda _: True)
    change(connection, "2", 4)
    reconcile.after_commit(connection, used(settings, url))
    with pytest.raises(CacheError, match="others wait") as refused:
        reconcile.refresh(connection, used(settings, url))
    seen = [shown(refusal.value), shown(refused.value), caplog.text, repr(cache._client)]
    assert "hunter2secret" not in "\n".join([*seen, repr(parse_redis_url(SecretStr(url)))])


# The commands


def test_the_commands_tell_and_refresh(
    connection: Connection,
    settings: Settings,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`status` shows what waits, `refresh` handles it; without a Redis it says what is missing."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["drivegrade", "cache", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    monkeypatch.setenv("DRIVEGRADE_HOME", str(settings.home))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    change(connection, "2", 4)
    code, _, said = run("refresh")
    assert (code, "REDIS_URL is not set" in said) == (CacheError.exit_code, True)
    monkeypatch.setenv("REDIS_URL", server.url)
    state = json.loads(run("status", "--json")[1])
    assert (state["waiting"], state["done"], state["cache"]) == (1, 0, "answers")
    assert json.loads(run("refresh", "--json")[1]) == {
        "handled": 1, "failed": 0, "parked": 0, "removed": 0, "pruned": 0,
    }  # fmt: skip
    assert "outbox: 0 waiting, 1 handled" in run("status")[1]
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2secret@127.0.0.1:1")
    code, out, said = run("status")
    assert (code, "127.0.0.1:1: ConnectionError" in out, "hunter" in out + said) == (0, True, False)
