"""What may be asked: every parameter with its bounds; any other is refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_PAGE = 200
DEFAULT_PAGE = 50

MAX_DRIVERS = 30
"""Drivers of one filter; with the longest ids the address is still shorter than 2 kB."""


def _digits(value: Any) -> Any:
    """Let only plain digits be a number: `+1`, `1.0` and `1_0` are none."""
    if isinstance(value, str) and not re.fullmatch("[0-9]{1,6}", value, re.ASCII):
        raise ValueError("it must be a number in digits")
    return value


Season = Annotated[
    int,
    Path(ge=1950, le=2100, description="championship year", examples=[2099]),
    BeforeValidator(_digits),
]
Round = Annotated[
    int,
    Path(alias="round", ge=1, le=40, description="round within the season", examples=[1]),
    BeforeValidator(_digits),
]
DriverId = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9_-]{1,50}$",
        description="stable id of the driver, as in driver_id of grades",
        examples=["max_verstappen"],
    ),
]
DriverRef = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,50}$")]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE), BeforeValidator(_digits)]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{1,2}(-sprint)?$")]


class NoParameters(BaseModel):
    """No parameter at all."""

    model_config = ConfigDict(extra="forbid")


class Profiled(NoParameters):
    """Grades under which profile."""

    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None = Field(
        None, description="a stored calibration profile; the active one without it"
    )


class OfSession(Profiled):
    """Which of a weekend's sessions."""

    session: Literal["race", "sprint"] = Field("race", description="Grand Prix or sprint")


class OfDrivers(OfSession):
    """Which drivers of a session."""

    drivers: Annotated[list[DriverRef], Field(max_length=MAX_DRIVERS)] = Field(
        default_factory=list,
        description="only these, by code or driver_id, in any case; repeat the parameter for "
        "several; all without it",
        examples=[["VER", "HAM"]],
    )


class Paged(NoParameters):
    """Which page of a list."""

    season: Annotated[int, Field(ge=1950, le=2100), BeforeValidator(_digits)] | None = Field(
        None, description="championship year; all without it"
    )
    limit: Limit = Field(DEFAULT_PAGE, description="rows at most")
    cursor: Cursor | None = Field(
        None, description="next_cursor of the page before; the first page without it"
    )

    def after(self) -> tuple[int, int, str] | tuple[None, None, None]:
        """Give the season, round and kind that the page before ended with."""
        if self.cursor is None:
            return None, None, None
        season, round_number, *kind = self.cursor.split("-")
        return int(season), int(round_number), (kind or ["race"])[0]


class OfDriver(Paged, Profiled):
    """Which of a driver's grades."""


class OfSeason(OfSession):
    """Which standings of a season."""

    of: Literal["drivers", "teams"] = Field("drivers", description="who is ranked")
