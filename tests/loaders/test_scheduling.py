"""The scheduler: what is due is done, whatever was killed and whatever Redis has forgotten."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from engine.errors import DriveGradeError
from engine.tables import SessionKey
from loaders import administration, scheduling
from loaders.administration import MAX_ATTEMPTS
from loaders.calendar import start_attempt
from loaders.ingest_queue import NAME, IngestQueue, QueueError, State, job_id
from loaders.postgres import connect
from loaders.providers import ProviderError
from loaders.redis_url import parse_redis_url
from loaders.scheduling import Step
from tests.loaders.job_processes import wait_until
from tests.loaders.simulated_season import hold_season, told
from tests.reliability.redis_faults import redis_server
from tests.warehouse import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loaders.connection import Connection
    from loaders.settings import Settings
    from tests.loaders.conftest import Run
    from tests.reliability.redis_faults import Server

RACE = SessionKey(2099, 1)
NAME_OF_RACE = "2099-1-race"

LEASE_S = 90


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """A Redis for the queue alone."""
    with redis_server() as server:
        yield server


@pytest.fixture
def queue(redis: Server) -> Iterator[IngestQueue]:
    """An empty queue."""
    with redis.client as client:
        client.flushall()
    made = IngestQueue(parse_redis_url(SecretStr(redis.url)), LEASE_S)
    yield made
    made.close()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A warehouse whose calendar has one simulated race, held yesterday."""
    hold_season(settings, RACE)
    with connect(settings) as made:
        yield made


def job_of(redis: Server) -> Job:
    """The race's job as RQ has it."""
    return Job.fetch(job_id(RACE), redis.client, serializer=JSONSerializer)


def age_attempt(connection: Connection, seconds: float) -> None:
    """Let the last attempt have begun so long ago, and nothing have happened since."""
    ask(
        connection,
        "update public.calendar_events set last_attempt_at = now() - make_interval(secs => $1), "
        "updated_at = now() - make_interval(secs => $1) returning 1",
        seconds,
    )


def taken(redis: Server, heard_of: timedelta) -> None:
    """Let a worker have taken the race's job, and be heard of so long ago."""
    with redis.client as client:
        assert client.lpop(f"rq:queue:{NAME}") == job_id(RACE).encode()
        job = job_of(redis)
        job.set_status(JobStatus.STARTED)
        with client.pipeline() as together:
            run = Execution.create(job, 60, together)
            together.execute()
        client.delete(run.key)  # it ends by itself, unlike the lists that name it
        job.heartbeat(datetime.now(UTC) - heard_of, 60)


def test_what_is_due_is_queued_until_it_is_done(
    settings: Settings, connection: Connection, queue: IngestQueue, redis: Server
) -> None:
    """Once; again when Redis has forgotten; and not before the session is over."""
    assert scheduling.enqueue(settings, queue) == (("2099-1",), (), {})
    assert scheduling.enqueue(settings, queue) == ((), ("2099-1",), {})
    with redis.client as client:
        client.flushall()
    assert scheduling.enqueue(settings, queue) == (("2099-1",), (), {})
    queue.discard(RACE)
    ask(
        connection,
        "update public.calendar_events set starts_at = now() - interval '2 hours' returning 1",
    )
    assert scheduling.enqueue(settings, queue) == ((), (), {})
    assert administration.read_calendar(settings, 2099)["status"].to_list() == ["live"]


@pytest.mark.parametrize(("silent_s", "is_again"), [(LEASE_S - 30, False), (LEASE_S + 30, True)])
def test_a_job_of_a_dead_worker_is_given_to_another(
    settings: Settings,
    connection: Connection,
    queue: IngestQueue,
    redis: Server,
    *,
    silent_s: int,
    is_again: bool,
) -> None:
    """G: `started` for ever in RQ's eyes, and its attempt never ended; after the lease, at once."""
    scheduling.enqueue(settings, queue)
    taken(redis, timedelta(seconds=silent_s))
    start_attempt(connection, RACE)
    age_attempt(connection, silent_s)
    expected = ("2099-1",)
    done = scheduling.enqueue(settings, queue)
    assert (done.enqueued if is_again else done.waiting) == expected
    assert done.noted == {}
    assert told(connection)[NAME_OF_RACE] == ("scheduled", None, 1)
    assert queue.place(RACE).state is (State.waiting if is_again else State.running)
    if is_again:
        job_of(redis).delete()  # as RQ's worker does, which fails if a dead one's run is named
    queue.discard(RACE)
    with redis.client as client:
        assert client.keys(f"*{job_id(RACE)}*") == []


def test_a_job_that_was_lost_before_it_began_is_queued_again(
    settings: Settings, connection: Connection, queue: IngestQueue, redis: Server
) -> None:
    """Its worker took it and died: it is in no list any more, and still `queued`."""
    scheduling.enqueue(settings, queue)
    with redis.client as client:
        client.lpop(f"rq:queue:{NAME}")
        assert scheduling.enqueue(settings, queue).waiting == ("2099-1",)
        job = job_of(redis)
        job.enqueued_at = datetime.now(UTC) - timedelta(seconds=LEASE_S + 1)
        job.save()
        assert scheduling.enqueue(settings, queue).enqueued == ("2099-1",)
        assert client.llen(f"rq:queue:{NAME}") == 1


def test_a_cut_off_attempt_without_a_job_is_made_again(
    settings: Settings, connection: Connection, queue: IngestQueue
) -> None:
    """The worker was killed and Redis emptied; the database knows."""
    start_attempt(connection, RACE)
    age_attempt(connection, LEASE_S - 30)
    assert scheduling.enqueue(settings, queue) == ((), ("2099-1",), {})
    age_attempt(connection, LEASE_S + 30)
    assert scheduling.enqueue(settings, queue) == (("2099-1",), (), {})


def test_a_session_that_kills_its_workers_is_given_up(
    settings: Settings, connection: Connection, queue: IngestQueue
) -> None:
    """G: a poison job ends after the calendar's attempts, with a reason; a person must look."""
    tried = "update public.calendar_events set attempts = $1::integer returning 1"
    ask(connection, tried, MAX_ATTEMPTS - 2)
    for _attempt in range(2):
        start_attempt(connection, RACE)
        age_attempt(connection, LEASE_S + 30)
        queue.discard(RACE)
        done = scheduling.enqueue(settings, queue)
    reason = "the last of 8 attempts was cut off: its process or machine ended"
    assert done == ((), (), {"2099-1": reason})
    assert told(connection)[NAME_OF_RACE] == ("failed", reason, MAX_ATTEMPTS)
    assert scheduling.enqueue(settings, queue) == ((), (), {})


@pytest.mark.parametrize("counted", [0, 1])
def test_what_a_failed_job_says_is_noted_once(
    settings: Settings, connection: Connection, queue: IngestQueue, redis: Server, counted: int
) -> None:
    """Whether or not the ingest had counted its attempt; then it rests as after any failure."""
    scheduling.enqueue(settings, queue)
    for _attempt in range(counted):
        start_attempt(connection, RACE)
    job = job_of(redis)
    job.meta["reason"] = "killed at password=hunter2"
    job.save_meta()  # type: ignore[no-untyped-call]
    job.set_status(JobStatus.FAILED)
    done = scheduling.enqueue(settings, queue)
    assert (done.enqueued, list(done.noted)) == ((), ["2099-1"])
    assert told(connection)[NAME_OF_RACE] == ("failed", "killed at password=…", 1)
    assert scheduling.enqueue(settings, queue) == ((), (), {})
    assert queue.place(RACE).state is State.absent


def test_what_redis_holds_cannot_stop_the_scheduler(
    settings: Settings, connection: Connection, queue: IngestQueue, redis: Server
) -> None:
    """A job that cannot be read is replaced."""
    with redis.client as client:
        client.hset(f"rq:job:{job_id(RACE)}", mapping={"data": b"\xff", "status": "no such"})
    assert scheduling.enqueue(settings, queue).enqueued == ("2099-1",)
    assert queue.place(RACE) == (State.waiting, None, 0)


def test_without_a_queue_sessions_are_ingested_here(
    settings: Settings, connection: Connection, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For who has cron and no Redis; a failure has its reason, and the next pass has nothing."""
    monkeypatch.setenv("DRIVEGRADE_PROVIDERS", "simulated")
    assert run("schedule", "--once", "--here")[0] == 0
    assert told(connection)[NAME_OF_RACE] == ("ingested", None, 1)
    assert scheduling.ingest_here(settings) == ((), (), {})
    hold_season(settings, RACE)
    nobody = settings.model_copy(update={"providers": "simulated_not"})
    failed = scheduling.ingest_here(nobody)
    assert list(failed.noted) == ["2099-1"]
    status, reason, attempts = told(connection)[NAME_OF_RACE]
    assert (status, attempts) == ("failed", 1)
    assert "simulated_not" in str(reason)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--once"], "drivegrade schedule --once --here"),
        ([], "--once or --loop"),
        (["--once", "--loop"], "--once or --loop"),
    ],
)
def test_a_schedule_that_cannot_be_says_what_to_do(
    arguments: list[str], said: str, run: Run
) -> None:
    """No queue, or nothing to do."""
    code, _, errors = run("schedule", *arguments)
    assert code in {2, QueueError.exit_code}
    assert said in errors


def test_a_step_that_fails_does_not_stop_the_others(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is done at its time, in the loop; what failed is logged, and done again."""
    stop_asked = threading.Event()
    done: list[str] = []

    def fail() -> str:
        done.append("fail")
        raise DriveGradeError("away")

    def break_down() -> str:
        done.append("break down")
        raise ValueError("a bug")

    def last() -> str:
        done.append("last")
        if done.count("fail") >= 3:
            stop_asked.set()
        return "did it"

    steps = [Step("a", 0.01, fail), Step("b", 600, break_down), Step("c", 0.01, last)]
    with caplog.at_level(logging.INFO, "drivegrade.schedule"):
        scheduling.run_until(stop_asked, settings, steps)
    assert done.count("fail") >= 3
    assert done.count("break down") == 1
    assert "a: away" in caplog.messages
    assert "c: did it" in caplog.messages
    assert [type(error) for error in scheduling.run_once(steps)] == [DriveGradeError, ValueError]


def test_the_steps_are_what_the_settings_allow(settings: Settings, queue: IngestQueue) -> None:
    """The calendar first, then the sessions, then the cache, if there is one."""
    cached = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1")})

    def named(of: Settings, *, is_syncing: bool) -> dict[str, float]:
        steps = scheduling.steps_of(of, queue, is_syncing=is_syncing)
        return {step.name: step.every_s for step in steps}

    assert named(settings, is_syncing=False) == {"sessions": 60}
    assert named(cached, is_syncing=True) == {"calendar": 86_400, "sessions": 60, "cache": 300}


def test_the_loop_outlives_its_redis(
    settings: Settings, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """It logs that the queue is away, goes on, and enqueues when it is there."""
    stop_asked = threading.Event()
    with redis_server() as server, ThreadPoolExecutor(1) as pool:
        server.end()
        away = IngestQueue(parse_redis_url(SecretStr(server.url)), LEASE_S)
        steps = scheduling.steps_of(settings, away, is_syncing=False, every_s=0.1)
        loop = pool.submit(scheduling.run_until, stop_asked, settings, steps)
        try:
            wait_until(lambda: "ConnectionError. Nothing is lost" in caplog.text, "a line")
            server.start()
            wait_until(lambda: away.place(RACE).state is State.waiting, "a job")
        finally:
            stop_asked.set()
        loop.result()
        away.close()


def test_without_the_network_the_rest_is_done(
    settings: Settings, connection: Connection, queue: IngestQueue
) -> None:
    """The calendar cannot be fetched; what is due is enqueued all the same."""
    offline = settings.model_copy(update={"offline": True})
    failed = scheduling.run_once(scheduling.steps_of(offline, queue, is_syncing=True))
    assert [type(error) for error in failed] == [ProviderError]
    assert queue.place(RACE).state is State.waiting
