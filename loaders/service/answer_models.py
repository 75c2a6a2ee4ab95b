"""What the API answers: every field with its meaning and unit, as OpenAPI shows it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Total = Annotated[float, Field(ge=-1, le=1)]
Score = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Kind = Literal["race", "sprint"]
Compound = Annotated[str, Field(pattern="^[A-Z]{3,20}$")]
Status = Literal["graded", "not_graded", "scheduled", "live", "failed"]

STATUS_MEANING = (
    "graded; not_graded: its data is stored, its grades under this profile are not; scheduled, "
    "live: nothing is stored yet; failed: its data could not be fetched"
)


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid")


class Fault(Answer):
    """What went wrong."""

    code: str = Field(description="name of the error, for programs", examples=["unknown_race"])
    message: str = Field(description="what is wrong, for people")
    request_id: str = Field(description="id of the request, as in the header x-request-id")


class ErrorAnswer(Answer):
    """The answer of every request that failed."""

    error: Fault


class Session(Answer):
    """A Grand Prix or a sprint."""

    season: int = Field(description="championship year")
    round: int = Field(description="round within the season, testing not counted")
    session_kind: Kind = Field(description="Grand Prix (race) or sprint")
    session_id: str = Field(
        description="{season}-{round}, with -sprint for a sprint", examples=["2025-1"]
    )
    event_name: str = Field(description="name of the event", examples=["Australian Grand Prix"])
    starts_at: datetime | None = Field(description="scheduled start, UTC; null if not known")


class Race(Session):
    """The session that an answer is about."""

    circuit_name: str | None = Field(description="name of the circuit")
    scheduled_laps: int | None = Field(description="planned distance, laps")
    data_source: str | None = Field(description="provider of the data; null if none is stored")


class Lap(Answer):
    """A driver's lap."""

    driver: str = Field(description="three-letter code; the id of a driver who has none")
    lap: int = Field(description="1 is the first lap")
    lap_ms: int | None = Field(description="lap time, ms; null if it was not timed")
    compound: Compound | None = Field(description="tyre compound")
    stint_no: int | None = Field(description="1 is the first stint")
    pit: bool = Field(description="the lap ended in the pit lane")


class Stint(Answer):
    """A driver's laps on a set of tyres."""

    driver: str = Field(description="three-letter code; the id of a driver who has none")
    stint_no: int = Field(description="1 is the first stint")
    compound: Compound | None = Field(description="tyre compound")
    laps: int = Field(description="laps stored")
    avg_lap_ms: int | None = Field(
        description="mean of the timed laps, without the first of the session, in- and out-laps, "
        "ms; null if there is none"
    )


class Scores(Answer):
    """The grade of a drive and its parts."""

    total_grade: Total | None = Field(
        description="weighted sum of the scores; null if there is too little evidence"
    )
    total_grade_low: Total | None = Field(
        description="lower end of its 90 % interval; null under model v1"
    )
    total_grade_high: Total | None = Field(
        description="upper end of its 90 % interval; null under model v1"
    )
    grade: Percent | None = Field(
        description="0 to 100: per cent of the drives of the training seasons that are below; "
        "null under model v1"
    )
    grade_low: Percent | None = Field(description="lower end of its 90 % interval")
    grade_high: Percent | None = Field(description="upper end of its 90 % interval")
    consistency: Score | None = Field(description="score, 0 to 1; null without evidence")
    team_strategy: Score | None = Field(description="score, 0 to 1; null without evidence")
    racecraft: Score | None = Field(description="score, 0 to 1; null without evidence")
    penalties: Score | None = Field(description="score, 0 to 1; null without evidence")


class Grading(Answer):
    """What graded a drive."""

    source: Literal["drive_grade_db"] = Field(description="where the grade comes from")
    profile_name: str = Field(description="calibration profile", examples=["v2"])
    profile_version: int = Field(description="its version")
    model_version: str = Field(description="grading model", examples=["v2"])
    data_source: str = Field(description="provider of the laps", examples=["fastf1"])
    graded_at: datetime = Field(description="when it was graded, UTC")


class DriverGrade(Scores, Grading):
    """A driver's grade in a session."""

    driver: str = Field(description="three-letter code; the id of a driver who has none")
    driver_id: str = Field(description="stable id of the driver", examples=["max_verstappen"])
    driver_name: str = Field(description="full name of the driver")
    team_id: str = Field(description="stable id of the constructor")
    team_name: str = Field(description="constructor's name that day")
    finish_position: int | None = Field(description="place in the official order")


class _About(Answer):
    """A session, and what is known of its grades."""

    race: Race
    last_updated: datetime = Field(
        description="when the data was loaded, or the calendar's entry changed, UTC"
    )
    status: Status = Field(description=STATUS_MEANING)
    status_reason: str | None = Field(description="why there are no grades; null if there are")
    data_hash: str | None = Field(description="names the loaded data; null if none is stored")
    driver_pace_grades: list[DriverGrade] = Field(description="best first; never guessed")


class Analytics(_About):
    """All about a session: laps, stints and grades."""

    laps: list[Lap] = Field(description="by driver and lap")
    stints: list[Stint] = Field(description="by driver and stint")


class SessionGrades(_About):
    """The grades of a session."""


class Page(Answer):
    """A page of a list."""

    next_cursor: str | None = Field(
        description="`cursor` of the next page; null if this is the last one"
    )


class ListedRace(Race):
    """A session in the list of all."""

    status: Status = Field(description=STATUS_MEANING)
    status_reason: str | None = Field(description="why nothing is stored; null if it is")
    drivers_entered: int = Field(description="drivers entered; 0 if nothing is stored")
    drivers_graded: int = Field(description="drivers graded under the active profile")


class Races(Page):
    """Sessions, the last one first."""

    races: list[ListedRace] = Field(description="the last one first")


class Driver(Answer):
    """A driver."""

    driver_id: str = Field(description="stable id of the driver")
    driver_code: str | None = Field(description="three-letter code; null in old seasons")
    driver_name: str = Field(description="full name of the driver")


class Drive(Session, Scores, Grading):
    """A driver's grade in one of the sessions driven."""

    team_id: str = Field(description="stable id of the constructor")
    team_name: str = Field(description="constructor's name that day")
    grid_position: int | None = Field(description="place on the grid; null from the pit lane")
    finish_position: int | None = Field(description="place in the official order")


class DriverGrades(Page):
    """A driver's grades."""

    driver: Driver = Field(description="who")
    grades: list[Drive] = Field(description="by session, the last one first")


class Standing(Answer):
    """A driver's or a constructor's season."""

    rank: int | None = Field(description="by total_grade_mean; null with too few graded races")
    subject_id: str = Field(description="stable id of the driver or constructor")
    subject_name: str = Field(description="name in the season's last session")
    team_name: str = Field(description="constructor in the season's last session")
    profile_name: str = Field(description="calibration profile")
    profile_version: int | None = Field(description="its version; null if there are several")
    model_version: str = Field(description="grading model; models are not mixed")
    races_entered: int = Field(description="driver-races entered")
    races_graded: int = Field(description="driver-races graded")
    races_counted: int = Field(description="of those, driven for a quarter of the winner's laps")
    points: float | None = Field(description="championship points of these sessions")
    total_grade_sum: float | None = Field(description="sum over all graded driver-races")
    total_grade_mean: float | None = Field(description="mean over the counted ones")
    total_grade_best: float | None = Field(description="best of the counted ones")
    total_grade_worst: float | None = Field(description="worst of the counted ones")
    consistency_mean: float | None = Field(description="mean score over the counted ones")
    team_strategy_mean: float | None = Field(description="mean score over the counted ones")
    racecraft_mean: float | None = Field(description="mean score over the counted ones")
    penalties_mean: float | None = Field(description="mean score over the counted ones")


class Standings(Answer):
    """A season by its grades."""

    season: int = Field(description="championship year")
    session_kind: Kind = Field(description="Grands Prix (race) or sprints")
    of: Literal["drivers", "teams"] = Field(description="who is ranked")
    status: Literal["graded", "not_graded", "scheduled"] = Field(
        description="not_graded: no session is graded under this profile; scheduled: none is stored"
    )
    last_updated: datetime | None = Field(description="last load of the season, UTC")
    standings: list[Standing] = Field(description="by model and rank, unranked ones last")


class Stop(Answer):
    """A driver's visit to the pit lane."""

    driver: str = Field(description="three-letter code; the id of a driver who has none")
    stop_no: int = Field(description="1 is the first visit")
    lap: int = Field(description="the in-lap")
    pit_lane_ms: int | None = Field(description="pit entry to exit, ms")
    stationary_ms: int | None = Field(description="time at rest in the box, ms")
    compound_before: Compound | None = Field(description="tyres that were taken off")
    compound_after: Compound | None = Field(description="tyres that were fitted")
    tyre_life_laps: int | None = Field(description="age of those taken off, laps")
    optimal_lap: float | None = Field(description="lap that the field's stops suggest")
    late_laps: float | None = Field(description="positive is later than that, laps")
    is_under_red_flag: bool | None = Field(description="free stop under a red flag")
    is_neutralized: bool | None = Field(description="under a safety car or the like")
    cost_s: float | None = Field(description="in- and out-lap beyond the own pace, s")
    field_cost_s: float | None = Field(description="median of the field's comparable stops, s")
    lost_s: float | None = Field(description="positive is slower than the field's stops, s")


class Strategy(Answer):
    """The stops of a session against the field's."""

    race: Race
    last_updated: datetime = Field(
        description="when the data was loaded, or the calendar's entry changed, UTC"
    )
    status: Status = Field(description=STATUS_MEANING)
    status_reason: str | None = Field(description="why there are no grades; null if there are")
    stints: list[Stint] = Field(description="by driver and stint")
    stops: list[Stop] = Field(description="by driver and lap")


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"] = Field(description="the process answers")


class Readiness(Answer):
    """Whether the service can answer questions."""

    status: Literal["ready", "not_ready"] = Field(description="whether to send it requests")
    reasons: list[Literal["database_unavailable", "migrations_pending", "outbox_delayed"]] = Field(
        description="why it is not ready, and what is slow though it is"
    )
