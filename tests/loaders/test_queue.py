"""The queue of ingests: who may put what there, and how an ingest that was taken from it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import dataframely as dy
import pytest
from pydantic import SecretStr
from rq import Callback, Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer

from engine.tables import SESSION_KINDS, SessionKey
from engine.tables.normalized import Sessions
from loaders import scheduling
from loaders.ingest_queue import (
    FUNCTION,
    KINDS,
    NAME,
    ROUNDS,
    SEASONS,
    IngestQueue,
    QueueError,
    State,
    Wanted,
    accepted,
    job_id,
)
from loaders.postgres import connect
from loaders.redis_url import parse_redis_url
from loaders.settings import Settings
from tests.loaders.job_processes import (
    PATIENCE_S,
    drivegrade,
    environment,
    is_alive,
    running,
    stop,
    wait_until,
)
from tests.loaders.simulated_season import hold_season, told
from tests.reliability.redis_faults import redis_server
from tests.soak import some

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.reliability.redis_faults import Server

RACE, SECOND = SessionKey(2099, 1), SessionKey(2099, 2)
SPRINT = SessionKey(2099, 2, "sprint")
BOUNDS = {"season": SEASONS, "round": ROUNDS}


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """A Redis for the queue alone."""
    with redis_server() as server:
        yield server


@pytest.fixture
def queue(redis: Server) -> Iterator[IngestQueue]:
    """An empty queue, with a short lease."""
    with redis.client as client:
        client.flushall()
    made = IngestQueue(parse_redis_url(SecretStr(redis.url)), lease_s=3)
    yield made
    made.close()


@pytest.fixture
def due(settings: Settings) -> Settings:
    """A warehouse whose calendar has two simulated races and a sprint, all held yesterday."""
    hold_season(settings, RACE, SPRINT, SECOND)
    return settings


@pytest.mark.parametrize(
    ("url", "said"),
    some(
        [
            ("redis://u:hunter2@127.0.0.1:1", "Redis at 127.0.0.1:1 does not do its work"),
            ("redis://u:hunter2@127.0.0.1:1/x", "DRIVEGRADE_QUEUE_URL: the database is no number"),
            ("", "set DRIVEGRADE_QUEUE_URL"),
        ],
        1,
    ),
)
def test_a_worker_without_its_redis_says_what_to_do(url: str, said: str, tmp_path: Path) -> None:
    """In a line with a code of its own, and no part of a password."""
    made = environment(Settings(home=tmp_path), url, tmp_path)
    done = drivegrade(made, "worker", "--burst")
    assert (done.returncode, done.stdout) == (QueueError.exit_code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_worker_loads_nothing_heavy() -> None:
    """The process that starts others has neither Polars nor its threads."""
    script = (
        "import sys, loaders.ingest_worker, loaders.commands_jobs\n"
        "print(sorted({'polars', 'pyarrow', 'numpy', 'fastf1'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_session_is_queued_once(queue: IngestQueue, redis: Server) -> None:
    """Although eight schedulers put it there at once; and again when its job is gone."""
    with ThreadPoolExecutor(8) as pool:
        put = list(pool.map(lambda _: queue.put(RACE, 0), range(8)))
    assert sorted(put) == [False] * 7 + [True]
    assert queue.put(SPRINT, 0)
    with redis.client as client:
        assert client.lrange(f"rq:queue:{NAME}", 0, -1) == [
            b"ingest-2099-1-race",
            b"ingest-2099-2-sprint",
        ]
    queue.discard(RACE)
    assert queue.place(RACE).state is State.absent
    assert queue.put(RACE, 1)


def test_what_a_session_may_be_is_the_contract() -> None:
    """The queue knows it without loading the contract, and says the same."""
    assert KINDS == SESSION_KINDS
    for name, span in BOUNDS.items():
        column = Sessions.columns()[name]
        assert isinstance(column, dy.Int16)
        assert (column.min, column.max) == (span[0], span[-1])


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        ("os.system", ["true"], {}),
        ("loaders.jobs.ingest", [2099, 1, "race"], {}),
        (None, [2099, 1, "race"], {}),
        (FUNCTION, [2099, 1, "race"], {"force": True}),
        (FUNCTION, [2099, 1], {}),
        (FUNCTION, [2099, 41, "race"], {}),
        (FUNCTION, [2099, True, "race"], {}),
        (FUNCTION, [2099.0, 1, "race"], {}),
        (FUNCTION, ["2099", "1", "race"], {}),
        (FUNCTION, [2099, 1, "--force"], {}),
        (FUNCTION, {"season": 2099}, {}),
        (FUNCTION, None, {}),
    ],
)
def test_only_an_ingest_of_a_session_is_accepted(
    function: object, arguments: object, named: object
) -> None:
    """Compared, and never imported."""
    with pytest.raises(QueueError, match="none of ours"):
        accepted(function, arguments, named)
    assert accepted(FUNCTION, [2099, 1, "race"], {}) == Wanted(*RACE)


def test_nothing_that_is_planted_is_run(
    queue: IngestQueue, redis: Server, tmp_path: Path, settings: Settings
) -> None:
    """G: a function, callbacks, under our name or another, put there by RQ's own client.

    The worker refuses each and goes on to the next.
    """
    marker = tmp_path / "ran"
    touch = f"touch {marker}"
    with redis.client as client:
        theirs = Queue(NAME, connection=client, serializer=JSONSerializer)
        abort = Callback("os.abort")
        callbacks = partial(
            theirs.enqueue_call, on_success=abort, on_failure=abort, on_stopped=abort
        )
        planted = [
            theirs.enqueue("os.system", touch),
            theirs.enqueue("os.system", touch, job_id=job_id(RACE)),
            callbacks("os.system", args=(touch,)),
            callbacks(FUNCTION, args=(2099, 41, touch)),
            theirs.enqueue(FUNCTION, *RACE, job_id="another"),
        ]
        done = drivegrade(environment(settings, redis.url, tmp_path), "worker", "--burst")
        states = [job.get_status() for job in planted]
    assert (done.returncode, states) == (0, [JobStatus.FAILED] * len(planted)), done.stderr
    assert not marker.exists()
    assert queue.place(RACE).state is State.lost


def test_an_ingest_that_cannot_tell_is_told_of(
    due: Settings, queue: IngestQueue, redis: Server, tmp_path: Path
) -> None:
    """G: killed before its attempt was counted, left by `sys.exit`, and a bug of ours.

    Each stands in the calendar with a reason, is counted once, and rests.
    """
    faults = {
        "2099-1-race": ("started 1", "kill", tmp_path),
        "2099-2-race": ("connected 2", "exit", tmp_path),
        "2099-2-sprint": ("connected 1", "fail", tmp_path),
    }
    assert scheduling.enqueue(due, queue).enqueued == ("2099-2-sprint", "2099-1", "2099-2")
    made = environment(due, redis.url, tmp_path, faults)
    done = drivegrade(made, "worker", "--burst")
    assert done.returncode == 0, done.stderr
    assert "a bug of ours" in done.stderr
    with connect(due) as connection:
        counted = {name: row[0::2] for name, row in told(connection).items()}
        assert counted == {
            "2099-1-race": ("scheduled", 0),
            "2099-2-race": ("scheduled", 1),
            "2099-2-sprint": ("scheduled", 0),
        }
        seen = scheduling.enqueue(due, queue)
        assert seen.enqueued == seen.waiting == ()
        reasons = {
            "2099-1-race": "the ingest was killed by signal 9 (SIGKILL)",
            "2099-2-race": "the ingest ended without a report, as a library that calls exit() "
            "ends it",
            "2099-2-sprint": "the ingest ended with code 1: RuntimeError: a bug of ours",
        }
        assert told(connection) == {name: ("failed", why, 1) for name, why in reasons.items()}
    assert scheduling.enqueue(due, queue) == ((), (), {})


def test_the_limit_ends_a_frozen_ingest(
    due: Settings, queue: IngestQueue, redis: Server, tmp_path: Path
) -> None:
    """G: it holds its session's locks and answers nobody; it is killed, and the reason noted."""
    marker = tmp_path / "frozen"
    faults = {"2099-1-race": ("started 1", "freeze", marker)}
    made = environment(due, redis.url, tmp_path, faults, DRIVEGRADE_INGEST_LIMIT_S="3")
    queue.put(RACE, 0)
    log = tmp_path / "worker"
    with running(made, log, "worker", "--lease", "3") as worker:
        wait_until(marker.exists, "an ingest", log)
        assert queue.place(RACE).state is State.running
        wait_until(lambda: queue.place(RACE).state is State.failed, "its end", log)
        assert not is_alive(int(marker.read_text()))
        scheduling.enqueue(due, queue)
        assert stop(worker) == 0
    with connect(due) as connection:
        why = "the ingest took longer than 3 s and was killed"
        assert told(connection)["2099-1-race"] == ("failed", why, 1)


def test_a_worker_that_is_asked_to_end_finishes_its_ingest(
    due: Settings, queue: IngestQueue, redis: Server, tmp_path: Path
) -> None:
    """It waits for that one's end, takes no other, and has not failed."""
    marker = tmp_path / "paused"
    faults = {"2099-1-race": ("started 1", "pause", marker)}
    for session in (RACE, SECOND):
        queue.put(session, 0)
    log = tmp_path / "worker"
    with running(environment(due, redis.url, tmp_path, faults), log, "worker") as worker:
        wait_until(marker.exists, "an ingest", log)
        worker.terminate()
        time.sleep(0.5)
        assert worker.poll() is None
        marker.unlink()
        assert worker.wait(PATIENCE_S) == 0
    assert "ended without a report" in (queue.place(RACE).reason or "")
    assert queue.place(SECOND).state is State.waiting


def test_a_tethered_command_needs_a_group_of_its_own() -> None:
    """Or it would kill its neighbours with itself."""
    done = subprocess.run(
        [sys.executable, "-m", "loaders.tethered", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "process group of its own" in done.stderr
