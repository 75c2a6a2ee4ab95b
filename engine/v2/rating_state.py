"""State of the rating after a session: what all later ratings rest on, as one row of a table.

A driver's state is how much slower he is than others in the same car, a team's how much slower
its car is, both in % of a lap time. Those seen lately are `active`: their means and the whole
covariance are kept. Who is not seen for longer keeps mean and variance alone, and returns with
them, older and less certain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from engine.tables import SessionKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from polars._typing import PolarsDataType

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


class Member(NamedTuple):
    """Whose state it is: a driver's or a team's."""

    is_driver: bool
    member_id: str


class Retired(NamedTuple):
    """State of a member that was not seen lately, as of the season it was last brought up to."""

    mean_pct: float
    variance: float
    season: int


STATE_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "first_season": pl.Int16(),
        "is_driver": pl.List(pl.Boolean()),
        "member_id": pl.List(pl.String()),
        "last_season": pl.List(pl.Int16()),
        "mean_pct": pl.List(pl.Float64()),
        "covariance": pl.List(pl.Float64()),
        "retired_is_driver": pl.List(pl.Boolean()),
        "retired_id": pl.List(pl.String()),
        "retired_season": pl.List(pl.Int16()),
        "retired_mean_pct": pl.List(pl.Float64()),
        "retired_variance": pl.List(pl.Float64()),
    }
)
"""One row per session. `covariance` is the lower triangle, row after row, over the members in the
order of `member_id`; `first_season` is that of the first observation of all."""


@dataclass
class RatingState:
    """State of all members after a session.

    Attributes:
        session: after which; None before the first.
        first_season: season of the first session that was observed; None before it.
        members: the active, in the order in which they came.
        last_season: season in which each was last entered.
        mean: their states, in %; a driver's and his team's add up to the pace expected of him.
        covariance: of those, in %².
        retired: all others ever seen.
    """

    session: SessionKey | None = None
    first_season: int | None = None
    members: list[Member] = field(default_factory=list)
    last_season: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    mean: Floats = field(default_factory=lambda: np.zeros(0))
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    retired: dict[Member, Retired] = field(default_factory=dict)

    def is_driver(self) -> NDArray[np.bool_]:
        """Which of the active are drivers."""
        return np.array([member.is_driver for member in self.members], dtype=bool)

    def add(self, member: Member, season: int, mean: float, variance: float) -> None:
        """Make a member active, independent of all others."""
        size = len(self.members)
        covariance = np.zeros((size + 1, size + 1))
        covariance[:size, :size] = self.covariance
        covariance[size, size] = variance
        self.members.append(member)
        self.last_season = np.append(self.last_season, season)
        self.mean = np.append(self.mean, mean)
        self.covariance = covariance

    def retire(self, keep: NDArray[np.bool_], season: int) -> None:
        """Let all but some of the active go, with mean and variance as they are in a season."""
        for place in np.flatnonzero(~keep):
            variance = float(self.covariance[place, place])
            state = Retired(float(self.mean[place]), variance, season)
            self.retired[self.members[place]] = state
        places = np.flatnonzero(keep)
        self.members = [self.members[place] for place in places]
        self.last_season, self.mean = self.last_season[keep], self.mean[keep]
        self.covariance = self.covariance[np.ix_(keep, keep)]


def states_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Make rows of `state_row` a frame of `STATE_SCHEMA`."""
    if not rows:
        return pl.DataFrame(schema=STATE_SCHEMA)
    return pl.DataFrame(
        [
            _list_column(name, [row[name] for row in rows], dtype.inner)
            if isinstance(dtype, pl.List)
            else pl.Series(name, [row[name] for row in rows], dtype=dtype)
            for name, dtype in STATE_SCHEMA.items()
        ]
    )


def _list_column(name: str, cells: Sequence[Any], inner: PolarsDataType) -> pl.Series:
    """Make lists, or arrays, a column: laid end to end and cut again, not one by one."""
    places = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    is_array = isinstance(cells[0], np.ndarray)
    values = np.concatenate(cells) if is_array else list(chain.from_iterable(cells))
    flat = pl.DataFrame([pl.Series("place", places), pl.Series(name, values, dtype=inner)])
    cut = flat.group_by("place").agg(name)
    every = pl.DataFrame({"place": np.arange(len(cells))})
    return every.join(cut, on="place", how="left", maintain_order="left")[name].fill_null([])


def state_row(state: RatingState) -> dict[str, Any]:
    """Write a state after a session as a row of `STATE_SCHEMA`."""
    if state.session is None:
        raise ValueError("a state before the first session has no row")
    retired = state.retired
    size = len(state.members)
    return {
        "session_id": state.session.session_id,
        "first_season": state.first_season,
        "is_driver": [member.is_driver for member in state.members],
        "member_id": [member.member_id for member in state.members],
        "last_season": state.last_season.copy(),
        "mean_pct": state.mean.copy(),
        "covariance": state.covariance[np.tri(size, dtype=bool)],
        "retired_is_driver": [member.is_driver for member in retired],
        "retired_id": [member.member_id for member in retired],
        "retired_season": [one.season for one in retired.values()],
        "retired_mean_pct": [one.mean_pct for one in retired.values()],
        "retired_variance": [one.variance for one in retired.values()],
    }


def read_state(row: pl.DataFrame) -> RatingState:
    """Read a state from a frame of one row of `STATE_SCHEMA`."""
    values = row.row(0, named=True)
    size = len(values["member_id"])
    covariance = np.zeros((size, size))
    covariance[np.tril_indices(size)] = values["covariance"]
    covariance += np.tril(covariance, -1).T
    retired = zip(
        map(Member, values["retired_is_driver"], values["retired_id"]),
        map(
            Retired,
            values["retired_mean_pct"],
            values["retired_variance"],
            values["retired_season"],
        ),
        strict=True,
    )
    return RatingState(
        session=SessionKey.parse(values["session_id"]),
        first_season=values["first_season"],
        members=list(map(Member, values["is_driver"], values["member_id"])),
        last_season=np.array(values["last_season"], dtype=np.int64),
        mean=np.array(values["mean_pct"], dtype=np.float64),
        covariance=covariance,
        retired=dict(retired),
    )
