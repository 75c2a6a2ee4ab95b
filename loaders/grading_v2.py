"""Grading with model v2: from tables and what was known before to grades and their evidence.

The engine's steps in their order, each collected once:

    clean laps → pace fit → pace of the entries → ratings → laps at risk → circuit terms
    → expectations → racecraft;  slow laps → burden;  pit cycles;  → components → grades

Profiles that differ only in what makes a raw value a score share all but the last step.

A race is graded from what was known before it: the state of the ratings after the session before,
and the passes of eight seasons. Both are tables of the lake (`Previous`), so that a race graded
alone has the grade that a regrade of all history gives it.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from engine.tables import ENTRY, EVIDENCE, SESSION, SessionKey, polars_schema
from engine.v2.calibration import MODEL_VERSION_V2, profile_frame_v2, quantile_frame
from engine.v2.clean_laps import is_clean
from engine.v2.grade import SCORED, components, for_people, grade_v2
from engine.v2.mistakes import penalty_burden, slow_laps
from engine.v2.pace import clean_laps, entry_pace, pace_fit, session_pace
from engine.v2.passes import (
    CIRCUIT_SEASONS,
    PASS_COUNTS_SCHEMA,
    circuit_terms,
    laps_at_risk,
    pass_counts,
    pass_events,
)
from engine.v2.pit_cycles import driver_pit_cycles, pit_cycles, team_pit_cycles
from engine.v2.racecraft import drives, racecraft
from engine.v2.rating import STATE_SCHEMA, Rating, rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from engine.v2.calibration import CalibrationProfileV2
    from loaders.lake import Snapshot

    Frames = dict[str, pl.DataFrame]

GRADING: Final = ("profile_name", "model_version")
"""What evidence is keyed by, besides what it is evidence of."""

UPSTREAM: Final = ("clean_laps", "pace", "rating", "passes", "start", "mistakes")
"""Parts of a profile that raw values depend on; the others only make them scores."""


class Previous(NamedTuple):
    """What grading goes on from.

    Attributes:
        states: rows of `rating_states`, at most one per profile and kind of rating, all after the
            same session.
        counts: `profile_name` and `PASS_COUNTS_SCHEMA` of the seasons before.
    """

    states: pl.DataFrame
    counts: pl.DataFrame


NOTHING: Final = Previous(
    pl.DataFrame(schema=polars_schema("rating_states")),
    pl.DataFrame(schema={"profile_name": pl.String(), **PASS_COUNTS_SCHEMA}),
)
"""Before the first session of all."""


def previous(
    seen: Snapshot,
    first: SessionKey,
    profiles: Sequence[CalibrationProfileV2],
    held_on: date | None = None,
) -> Previous:
    """Read what a lake knows of the time before a session, under some profiles.

    The state is that after the newest session before it; where a profile has none there under
    its version, it begins anew.

    Args:
        seen: the lake.
        first: the session.
        profiles: whose states and passes are wanted.
        held_on: its date: a session of its kind on the same day is itself, under the round that
            it had before it was renumbered.
    """
    seasons = range(first.season - CIRCUIT_SEASONS, first.season)
    named = [profile.name for profile in profiles]
    is_ours = pl.col("profile_name").is_in(named) & (pl.col("model_version") == MODEL_VERSION_V2)
    counted = (
        seen.scan("session_evidence", seasons)
        .filter(is_ours & (pl.col("at_risk_laps") > 0))
        .join(seen.scan("sessions", seasons).select(*SESSION, "season", "circuit_id"), on=SESSION)
        .drop_nulls("circuit_id")
        .select("profile_name", "season", "circuit_id", "at_risk_laps", "passes")
        .cast(PASS_COUNTS_SCHEMA)
    )
    itself = (pl.col("session_kind") == first.session_kind) & (
        pl.col("session_date") == pl.lit(held_on, pl.Date)
    )
    same = seen.scan("sessions", [first.season]).filter(itself).select(SESSION)
    states = seen.scan("rating_states").select(SESSION).unique()
    there = states.join(same, on=SESSION, how="anti").collect()["session_id"]
    before = [key for key in in_order(map(SessionKey.parse, there)) if _order(key) < _order(first)]
    state = NOTHING.states
    if before:
        versions = pl.DataFrame(
            [(p.name, p.version) for p in profiles],
            schema={"profile_name": pl.String(), "profile_version": pl.Int32()},
            orient="row",
        )
        state = (
            seen.scan("rating_states", sessions=[before[-1]])
            .filter(is_ours)
            .join(versions.lazy(), on=versions.columns, how="semi")
            .collect()
        )
    return Previous(state, counted.collect())


def in_order(sessions: Iterable[SessionKey]) -> list[SessionKey]:
    """Sort sessions by time: a sprint comes before its Grand Prix."""
    return sorted(sessions, key=_order)


def _order(key: SessionKey) -> tuple[int, int, bool]:
    """Place of a session in time."""
    return key.season, key.round, key.session_kind == "race"


def grade_tables_v2(
    tables: Mapping[str, pl.LazyFrame],
    profiles: Sequence[CalibrationProfileV2],
    before: Previous = NOTHING,
) -> Frames:
    """Grade any number of sessions that follow one another.

    Args:
        tables: the frames of `engine.tables.NORMALIZED` by name, and `strategy_events` and
            `penalty_events` of them.
        profiles: what to grade with, each under a name of its own.
        before: what was known before the first of them.

    Returns:
        The frames of `engine.tables.EVIDENCE` by name, and `grades`: what
        `engine.v2.grade.for_people` gives, but for the raw values, which are evidence. Only
        sessions with laps are graded; all are rated.

    Raises:
        ProfileError: there is no profile, or two share a name.
        ContractError: a session is not later than the state.
    """
    parts = [Chain(tables, alike[0], before).graded(alike) for alike in _alike(profiles)]
    return {name: pl.concat(part[name] for part in parts) for name in (*EVIDENCE, "grades")}


def _alike(
    profiles: Sequence[CalibrationProfileV2],
) -> Iterator[list[CalibrationProfileV2]]:
    """Group profiles that differ only in what makes raw values scores."""

    def upstream(profile: CalibrationProfileV2) -> str:
        return profile.model_dump_json(include=set(UPSTREAM))

    for _, alike in groupby(sorted(profiles, key=upstream), key=upstream):
        yield list(alike)


class Chain:
    """Raw values of sessions under the constants of a profile, and what they come from."""

    def __init__(
        self, tables: Mapping[str, pl.LazyFrame], profile: CalibrationProfileV2, before: Previous
    ) -> None:
        self.profile = profile
        self.sessions, self.entries = pl.collect_all([tables["sessions"], tables["entries"]])
        laps = tables["laps"]
        self.fit = pace_fit(clean_laps(laps, profile.clean_laps), profile.pace).collect(
            engine="in-memory"  # a plan of many small steps on whole columns
        )
        self.pace, self.shared = pl.collect_all(
            [
                entry_pace(self.fit.lazy(), profile.pace),
                session_pace(self.fit.lazy(), profile.pace),
            ],
            engine="in-memory",
        )
        qualifying = tables["qualifying"].collect()
        self.state = before.states.filter(profile_name=profile.name)
        self.races = self._rate(qualifying.clear(), has_qualifying=False)
        self.rating = self._rate(qualifying, has_qualifying=True)
        self._race(tables, before.counts.filter(profile_name=profile.name).drop("profile_name"))

    def _rate(self, qualifying: pl.DataFrame, *, has_qualifying: bool) -> Rating:
        state = self.state.filter(has_qualifying=has_qualifying).select(STATE_SCHEMA.names())
        return rate(
            self.pace,
            self.entries,
            self.sessions,
            qualifying,
            state=None if state.is_empty() else state,
            constants=self.profile.rating,
        )

    def _race(self, tables: Mapping[str, pl.LazyFrame], counts: pl.DataFrame) -> None:
        """Find passes, slow laps and pit cycles."""
        fit, pace = self.fit.lazy(), self.pace.lazy()
        sessions, entries = self.sessions.lazy(), self.entries.lazy()
        self.at_risk = laps_at_risk(
            tables["laps"], entries, sessions, fit, self.races.entries.lazy()
        ).collect()
        counted = pass_counts(self.at_risk.lazy(), sessions)
        self.terms = circuit_terms(pl.concat([counts.lazy(), counted]), sessions).collect()
        self.events = pass_events(self.at_risk, self.terms, self.profile.passes)
        slow = slow_laps(fit, entries, self.profile.mistakes)
        driven = entries.join(tables["laps"].select(SESSION).unique(), on=SESSION, how="semi")
        started, self.slow, self.burden, self.cycles = pl.collect_all(
            [
                drives(tables["laps"], driven),
                slow,
                penalty_burden(
                    driven,
                    pace,
                    slow,
                    tables["penalty_events"],
                    tables["race_control"],
                    constants=self.profile.mistakes,
                ),
                pit_cycles(tables["strategy_events"], fit, pace),
            ]
        )
        self.racecraft = racecraft(started, self.events, self.profile.start)

    def graded(self, profiles: Sequence[CalibrationProfileV2]) -> Frames:
        """Give grades and evidence under profiles that share the constants of the raw values."""
        parts = components(
            self.races.entries.lazy(),
            self.pace.lazy(),
            self.racecraft.lazy(),
            self.burden.lazy(),
            self.profile.rating,
        )
        scored = grade_v2(parts, profile_frame_v2(profiles).lazy())
        names = pl.DataFrame(
            {"profile_name": [p.name for p in profiles]}, schema={"profile_name": pl.String()}
        ).with_columns(model_version=pl.lit(MODEL_VERSION_V2))
        raw = {
            "grade_evidence": self._entry_evidence(parts.collect()),
            "session_evidence": self._session_evidence(),
            "pass_events": self.events,
            "slow_laps": self.slow,
            "pit_cycles": self.cycles,
        }
        keyed = {name: frame.join(names, how="cross") for name, frame in raw.items()}
        keyed["rating_states"] = self._states(profiles)
        found = {
            name: keyed[name].select(pl.col(c).cast(t) for c, t in polars_schema(name).items())
            for name in EVIDENCE
        }
        people = for_people(scored, quantile_frame(profiles).lazy())
        found["grades"] = people.drop(SCORED.values()).collect()
        return found

    def _entry_evidence(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Bring together what a driver's grade was made of."""
        published = self.rating.entries.select(
            *ENTRY,
            "rating_pct",
            "rating_before_pct",
            "car_pct",
            "car_before_pct",
            rating_se_pct=pl.col("rating_variance").sqrt(),
            car_se_pct=pl.col("car_variance").sqrt(),
        )
        cycles = self.cycles.lazy()
        by_driver, by_team = pl.collect_all(
            [driver_pit_cycles(cycles), team_pit_cycles(cycles, self.entries.lazy())]
        )
        refused = self.fit.group_by(ENTRY).agg(refused_laps=(~is_clean()).sum().cast(pl.Int32))
        return (
            parts.rename({"car_pct": "scored_car_pct"})
            .join(self._state_sessions(), on=SESSION, how="left")
            .join(self.pace, on=ENTRY, how="left")
            .join(refused, on=ENTRY, how="left")
            .join(published, on=ENTRY, how="left")
            .join(self.racecraft.drop("racecraft_raw", "racecraft_variance"), on=ENTRY, how="left")
            .join(self.burden.drop("penalties_raw"), on=ENTRY, how="left")
            .join(by_driver.rename({"stops": "compared_stops"}), on=ENTRY, how="left")
            .join(self.entries.select(*ENTRY, "team_id"), on=ENTRY)
            .join(
                by_team.select(*SESSION, "team_id", team_pit_cycle_lost_s="pit_cycle_lost_s"),
                on=[*SESSION, "team_id"],
                how="left",
            )
            .with_columns(pl.col("clean_laps", "refused_laps").fill_null(0))
        )

    def _session_evidence(self) -> pl.DataFrame:
        counted = self.at_risk.group_by(SESSION).agg(
            at_risk_laps=pl.len().cast(pl.Int32),
            passes=pl.col("is_passed").sum().cast(pl.Int32),
        )
        return (
            self.shared.join(counted, on=SESSION, how="left")
            .join(self.terms, on=SESSION, how="left")
            .with_columns(pl.col("at_risk_laps", "passes").fill_null(0))
        )

    def _states(self, profiles: Sequence[CalibrationProfileV2]) -> pl.DataFrame:
        names = pl.DataFrame(
            [(p.name, p.version) for p in profiles],
            schema={"profile_name": pl.String(), "profile_version": pl.Int32()},
            orient="row",
        ).with_columns(model_version=pl.lit(MODEL_VERSION_V2))
        kinds = (
            rating.states.with_columns(has_qualifying=pl.lit(value=has_qualifying))
            for rating, has_qualifying in ((self.races, False), (self.rating, True))
        )
        return pl.concat(kinds).join(names, how="cross")

    def _state_sessions(self) -> pl.DataFrame:
        """Say after which session stood the state that each session was rated from."""
        kept = self.rating.states["session_id"].to_list()
        first = self.state["session_id"].to_list()[:1] or [None]
        return pl.DataFrame(
            {"session_id": kept, "state_session_id": [*first, *kept[:-1]][: len(kept)]},
            schema={"session_id": pl.String(), "state_session_id": pl.String()},
        )
