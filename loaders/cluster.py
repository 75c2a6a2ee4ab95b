"""Past one machine: seasons graded by the processes of a Ray cluster.

The very same `loaders.grading.grade_tables` runs in each process on one season at a time; the
grades are those of a local regrade to the last bit. Starting Ray costs more than grading all of
history locally, so this pays for thousands of profiles or a larger engine, not for a season.

Tables travel as Arrow: the machines of a cluster share no disk. Only the process that was started
by hand reads and writes the lake, so one that dies leaves what a local regrade would, and the
next goes on from there. A season whose process dies is graded again by another.

Without further ado the processes are this machine's, on the loopback interface only. A cluster:

    ray start --head --port=6379                       on one machine
    ray start --address=HEAD:6379                      on each of the others
    RAY_ADDRESS=HEAD:6379 RAY_AUTH_MODE=token drivegrade regrade --all --engine ray

Every machine needs the same version of this package and of Polars (a process with another refuses
to grade) and the token that ``ray get-auth-token --generate`` makes on the head, because a head
lets in nobody without. Ray runs the code of whoever may reach its
ports: keep them in a private network.
"""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import polars.selectors as cs

from engine.errors import DriveGradeError
from engine.tables import polars_schema
from loaders.grading import engine_fingerprint, grade_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from loaders.profiles import Profile
    from loaders.regrade import Frames, Piece

    Task = Callable[..., Mapping[str, pa.Table]]

ADDRESS_VARIABLE: Final = "RAY_ADDRESS"
"""Environment variable that names the cluster to use; Ray's own."""

MAX_RETRIES: Final = 3
"""How often a season is graded again after its process died."""

PIECES_PER_CPU: Final = 2
"""Seasons sent out at once, so that no process waits and not all of history is in transit."""

LOOPBACK: Final = "127.0.0.1"
"""Where processes that are started here listen."""

CONNECT_TIMEOUT_S: Final = 5.0
"""How long a cluster may take to answer at its address, in s."""

_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tell nobody
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on any system: listen on loopback only
}
"""What Ray reads from the environment, when its first module is imported."""

_WORKER_ENVIRONMENT: Final = {"POLARS_MAX_THREADS": "1"}
"""A process for each CPU, so a thread for each process."""


class ClusterError(DriveGradeError):
    """Ray is not installed, could not be started or reached, or lost a season for good."""

    exit_code = 10


class RayGrader:
    """Grades the pieces of a regrade on a cluster that is connected to: `loaders.regrade.Grader`.

    Attributes:
        is_by_season: each season is a piece of its own.
    """

    is_by_season: bool = True

    def __init__(self, ray: Any, task: Task) -> None:
        self._ray = ray
        self._task = ray.remote(max_retries=MAX_RETRIES, num_cpus=1)(task)

    def __call__(
        self, pieces: Iterable[Piece], profiles: Sequence[Profile]
    ) -> Iterator[tuple[Piece, Frames]]:
        """Grade pieces in parallel, and give each as soon as it is graded.

        Raises:
            DriveGradeError: what `grade_tables` raised, as it raised it.
            ClusterError: processes died `MAX_RETRIES` times more on one season, or the cluster
                was lost.
        """
        waiting = iter(pieces)
        running: dict[Any, Piece] = {}
        limit = PIECES_PER_CPU * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        while True:
            for piece in islice(waiting, limit - len(running)):
                tables = {name: to_arrow(frame) for name, frame in piece.read().items()}
                running[self._task.remote(tables, profiles, piece.source, _version())] = piece
            if not running:
                return
            (done, *_), _ = self._ray.wait(list(running), num_returns=1)
            piece = running.pop(done)
            yield piece, self._result(done, piece)

    def _result(self, done: object, piece: Piece) -> Frames:
        try:
            tables = self._ray.get(done)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, DriveGradeError):
                raise cause from None
            seasons = ", ".join(map(str, piece.seasons))
            raise ClusterError(
                f"season {seasons} was not graded by the cluster: {error}\nWhat was graded before "
                "is written. Try again, with the same version installed on every machine, or "
                "without --engine ray."
            ) from error
        return {name: from_arrow(name, table) for name, table in tables.items()}


def grade_piece(
    tables: Mapping[str, pa.Table],
    profiles: Sequence[Profile],
    source: str,
    version: str,
) -> dict[str, pa.Table]:
    """Grade one piece; runs in a process of the cluster.

    Args:
        tables: the frames of `engine.tables.NORMALIZED` by name, as `to_arrow` gave them.
        profiles: what to grade with.
        source: where the tables come from, for messages.
        version: what computes grades where the regrade was started.

    Returns:
        The frames of `engine.tables.DERIVED` by name, as `to_arrow` gives them.

    Raises:
        ClusterError: what computes grades here is another version.
        ContractError: what `grade_tables` raises.
    """
    if (here := _version()) != version:
        raise ClusterError(
            f"machine {platform.node()} would grade otherwise than the one the regrade was "
            f"started on\n  there: {version}\n  here:  {here}\nNothing was graded. Install the "
            "same versions of drive-grade and Polars on every machine."
        )
    lazy = {name: from_arrow(name, table).lazy() for name, table in tables.items()}
    graded = grade_tables(lazy, profiles, source)
    return {name: to_arrow(frame) for name, frame in graded.items()}


@contextmanager
def cluster(task: Task = grade_piece) -> Iterator[RayGrader]:
    """Connect to the cluster that `RAY_ADDRESS` names, or to processes started for the while.

    Args:
        task: what is run for each piece, with the arguments of `grade_piece`.

    Raises:
        ClusterError: Ray is not installed, or could not be started or reached.
    """
    address = os.environ.get(ADDRESS_VARIABLE)
    ray = _import_ray(is_local=not address or address.startswith(("127.", "localhost:")))
    options = {"log_to_driver": False, "logging_level": "ERROR"}
    # Ray's sockets lie below this folder, and a socket's path has at most 104 to 107 characters
    short = "/tmp" if Path("/tmp").is_dir() else None  # noqa: S108 - a folder of our own in it
    with tempfile.TemporaryDirectory(prefix="ray-", dir=short, ignore_cleanup_errors=True) as home:
        if not address:
            options |= {"address": "local", "include_dashboard": False, "_temp_dir": home}
        try:
            if address:
                _see_open(address)
            ray.init(**options, runtime_env={"env_vars": _WORKER_ENVIRONMENT})
        except Exception as error:  # a plain one if the start takes too long
            ray.shutdown()
            where = f"the cluster at {address}" if address else "on this machine"
            raise ClusterError(
                f"Ray could not be reached or started: {where}: {error}\nNothing was graded. Set "
                f"{ADDRESS_VARIABLE} to a running cluster, or unset it, or grade without "
                "--engine ray."
            ) from error
        try:
            if not address and (here := ray.util.get_node_ip_address()) != LOOPBACK:
                raise ClusterError(
                    f"Ray listens on {here}, where others reach it\nNothing was graded. Import "
                    "Ray nowhere before this, or start a cluster yourself and set "
                    f"{ADDRESS_VARIABLE}."
                )
            yield RayGrader(ray, task)
        finally:
            ray.shutdown()


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """Make a frame an Arrow table that any version reads: enums as text, no string views."""
    text = frame.with_columns(cs.enum().cast(pl.String))
    return text.to_arrow(compat_level=pl.CompatLevel.oldest())


def from_arrow(name: str, table: pa.Table) -> pl.DataFrame:
    """Make an Arrow table the frame it was, with the dtypes of its contract."""
    return pl.DataFrame(table).cast(polars_schema(name))


def _see_open(address: str) -> None:
    """See that something listens at ``host:port``: Ray itself would try for minutes.

    Raises:
        OSError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()


def _version() -> str:
    """Name what grades are computed by: the engine's source, and Polars."""
    return f"engine {engine_fingerprint()[:16]}, Polars {pl.__version__}"


def _import_ray(*, is_local: bool) -> Any:
    """Import Ray, told to keep to itself.

    Raises:
        ClusterError: it is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        if is_local or name == "RAY_USAGE_STATS_ENABLED":
            os.environ.setdefault(name, value)
    try:
        import ray  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise ClusterError(
            "--engine ray needs Ray, which is not installed. Install it with: "
            "pip install 'drive-grade[ray]'"
        ) from error
    return ray
