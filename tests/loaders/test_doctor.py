"""What the doctor says of services, caches and Redis."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from loaders import doctor
from loaders.settings import Settings
from tests.replay import Replay, manner, refused, replay, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.replay import Answer


@pytest.fixture(scope="module")
def running(realdata: Path) -> Iterator[Replay]:
    """A replay of both services."""
    with replay(realdata) as server:
        yield server


@pytest.fixture
def server(running: Replay) -> Replay:
    """The replay without faults."""
    running.reset()
    return running


@pytest.fixture
def asked(server: Replay, tmp_path: Path) -> Settings:
    """Settings that ask the replay."""
    return Settings(
        home=tmp_path,
        openf1_url=server.openf1_url,
        jolpica_url=server.jolpica_url,
        providers="openf1,jolpica",
        allow_loopback=True,
    )


def services(settings: Settings) -> dict[str, doctor.Finding]:
    """What is found of each service."""
    checks = dict(doctor._service_checks(settings))
    return {subject: check(settings) for subject, check in checks.items()}


@pytest.mark.realdata
def test_a_service_is_asked_once_each_time(asked: Settings, server: Replay) -> None:
    """By one request past the cache, which the second time would answer; the limits are told."""
    for _ in range(2):
        server.reset()
        found = services(asked)
        assert {finding.state for finding in found.values()} == {"ok"}
        assert server.asked == ["/v1/meetings?meeting_key=latest", "/ergast/f1/2024/1.json?limit=1"]
    assert found["openf1 service"].detail.endswith("at most 2 requests a second, 30 a minute")
    assert found["jolpica service"].detail.endswith("at most 3 requests a second, 180 an hour")
    assert not (asked.home / "http-cache").exists()


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("fault", "state", "detail", "remedy"),
    [
        (status(401), "warning", "locked, as it is for who has no account", "half an hour after"),
        (status(429, retry_after="60"), "warning", "asked too often", "Try again in an hour"),
        (status(404), "ok", "answers", ""),
        (status(410), "failed", "no usable answer: HTTP 410", "leave openf1 out of"),
        (manner("dropped"), "failed", "no usable answer: ", "DRIVEGRADE_OFFLINE"),
    ],
)
def test_what_a_refusal_means(
    asked: Settings,
    server: Replay,
    fault: Callable[[Answer], Answer],
    *,
    state: str,
    detail: str,
    remedy: str,
) -> None:
    """What passes by itself is a warning; the other service is examined all the same."""
    server.fail("/v1/", fault, times=None)
    found = services(asked)
    openf1 = found["openf1 service"]
    assert openf1.state == state
    assert openf1.detail.startswith(detail)
    assert remedy in openf1.remedy
    assert found["jolpica service"].state == "ok"


def test_nobody_listens(tmp_path: Path) -> None:
    """A refused connection fails; an address that we may not ask fails before it is asked."""
    away = Settings(
        home=tmp_path,
        openf1_url=refused(),
        jolpica_url="https://example.org/f1",
        providers="openf1",
        allow_loopback=True,
    )
    found = services(away)
    assert found["openf1 service"].state == "failed"
    assert "Connection refused" in found["openf1 service"].detail
    assert found["jolpica service"].state == "failed"
    assert "example.org" in found["jolpica service"].detail


def test_offline_nothing_is_asked(tmp_path: Path) -> None:
    """Nobody listens there, and nobody notices."""
    offline = Settings(
        home=tmp_path,
        openf1_url=refused(),
        providers="fastf1,openf1,simulated",
        allow_loopback=True,
        offline=True,
    )
    found = services(offline)
    assert list(found) == ["fastf1 service", "openf1 service", "jolpica service"]
    assert {finding.state for finding in found.values()} == {"ok"}
    assert all(finding.detail.startswith("not asked, offline") for finding in found.values())


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("fault", "state", "remedy"),
    [
        (status(200), "ok", ""),
        (status(403), "warning", "Set F1_USERNAME and F1_PASSWORD"),
        (status(500), "failed", "leave fastf1 out of DRIVEGRADE_PROVIDERS"),
    ],
)
def test_the_archive_of_fastf1(
    asked: Settings,
    server: Replay,
    fault: Callable[[Answer], Answer],
    state: str,
    remedy: str,
) -> None:
    """It is asked without an account: that it wants one says that it is there."""
    server.fail("/v1/", fault)
    found = doctor._archive(asked, f"{server.openf1_url}/StreamingStatus.json")
    assert (found.state, remedy in found.remedy) == (state, True)
    assert len(server.asked) == 1


def test_the_http_cache(tmp_path: Path) -> None:
    """Absent, used, and open to others, who could plant answers."""
    settings = Settings(home=tmp_path)
    assert doctor._http_cache(settings).detail.endswith("made when it is needed")
    folder = tmp_path / "http-cache"
    folder.mkdir(mode=0o700)
    (folder / "replies.db").write_bytes(b"x" * 3 * 1024**2)
    found = doctor._http_cache(settings)
    assert (found.state, found.detail) == ("ok", f"{folder}, 3.0 of 512 MiB")
    folder.chmod(0o770)
    found = doctor._http_cache(settings)
    assert (found.state, "go-w" in found.remedy) == ("failed", True)


@contextmanager
def redis_server(signing_in: bytes) -> Iterator[int]:
    """Answer one client's commands on this port: AUTH with these bytes, PING with PONG."""
    answers = {b"AUTH": signing_in, b"PING": b"+PONG\r\n"}
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while received := connection.recv(4096):
                    for command in received.split(b"*")[1:]:
                        name = command.split(b"\r\n")[2]
                        connection.sendall(answers.get(name, b"+OK\r\n"))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("signing_in", "state", "detail"),
    [
        (b"+OK\r\n", "ok", " answers"),
        (b"-WRONGPASS invalid username-password pair\r\n", "failed", "AuthenticationError"),
    ],
)
def test_redis_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signing_in: bytes, state: str, detail: str
) -> None:
    """It answers or refuses; neither shows the password."""
    with redis_server(signing_in) as port:
        monkeypatch.setenv("REDIS_URL", f"redis://user:hunter2@127.0.0.1:{port}/0")
        found = doctor._redis(Settings(home=tmp_path))
    assert found.state == state
    assert detail in found.detail
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://user:hunter2@127.0.0.1:1/0", "127.0.0.1:1: ConnectionError"),
    ],
)
def test_redis_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    """It is a finding with a remedy that keeps the password."""
    monkeypatch.setenv("REDIS_URL", url)
    found = doctor._redis(Settings(home=tmp_path))
    assert says in found.detail
    assert found.state != "ok"
    assert found.remedy
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1",
        "redis://user:hunter2@[::1",
        "redis://user:hunter2@127.0.0.1:hunter2/0",
    ],
)
def test_a_malformed_redis_url_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It says how to write one, and shows nothing of this one."""
    monkeypatch.setenv("REDIS_URL", url)
    settings = Settings(home=tmp_path, providers="nobody", offline=True)
    monkeypatch.setattr(doctor, "_database", doctor._providers)
    found = list(doctor.examine(settings))[-1]
    assert (found.subject, found.state) == ("Redis", "failed")
    assert "REDIS_URL: " in found.detail
    assert "redis://user:password@host:port/database" in found.detail
    assert "hunter2" not in str(found) + repr(settings)


def test_redis_is_examined_only_if_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs one."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    nowhere = SecretStr("postgresql://127.0.0.1:1/x")
    settings = Settings(home=tmp_path, providers="nobody", database_url=nowhere)
    subjects = [finding.subject for finding in doctor.examine(settings)]
    assert subjects == [
        "home", "providers", "FastF1 account", "FastF1 cache", "HTTP cache", "PostgreSQL", "lake",
    ]  # fmt: skip
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    used = Settings(home=tmp_path, providers="nobody", database_url=nowhere)
    assert [finding.subject for finding in doctor.examine(used)] == [*subjects, "Redis"]
