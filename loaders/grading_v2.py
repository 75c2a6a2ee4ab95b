"""Grading with model v2: from tables and what was known before to grades and their evidence.

The engine's steps in their order, each collected once:

    clean laps → pace fit → pace of the entries → ratings → laps at risk → circuit terms
    → expectations → racecraft;  slow laps → burden;  pit cycles;  → components → grades

Profiles that differ only in what makes a raw value a score share all but the last step.

A race is graded from what was known before it: `loaders.previous`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import ENTRY, EVIDENCE, SESSION, polars_schema
from engine.v2.calibration import profile_frame_v2, quantile_frame
from engine.v2.clean_laps import is_clean
from engine.v2.grade import SCORED, components, for_people, grade_v2
from engine.v2.mistakes import penalty_burden, slow_laps
from engine.v2.pace import clean_laps, entry_pace, pace_fit, session_pace
from engine.v2.passes import (
    circuit_terms,
    laps_at_risk,
    pass_counts,
    pass_events,
)
from engine.v2.pit_cycles import driver_pit_cycles, pit_cycles, team_pit_cycles
from engine.v2.racecraft import drives, racecraft
from engine.v2.rating import STATE_SCHEMA, Rating, rate
from loaders.previous import NOTHING, Previous, gradings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.v2.calibration import CalibrationProfileV2

    Frames = dict[str, pl.DataFrame]

GRADING: Final = ("profile_name", "model_version")
"""What evidence is keyed by, besides what it is evidence of."""

UPSTREAM: Final = ("clean_laps", "pace", "rating", "passes", "start", "mistakes")
"""Parts of a profile that raw values depend on; the others only make them scores."""


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
    parts = [Chain(tables, alike, before).graded() for alike in _alike(profiles)]
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
    """Raw values of sessions, and what they come from, under profiles that share constants.

    Args:
        tables: as for `grade_tables_v2`.
        profiles: those that differ only in what makes raw values scores.
        before: what was known before; a state of one of them is that of all.
    """

    def __init__(
        self,
        tables: Mapping[str, pl.LazyFrame],
        profiles: Sequence[CalibrationProfileV2],
        before: Previous,
    ) -> None:
        self.profiles, profile = profiles, profiles[0]
        self.profile = profile
        known = before.states["profile_name"].unique().to_list()
        named = next((p.name for p in profiles if p.name in known), profile.name)
        self.state = before.states.filter(profile_name=named)
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
        self.races = self._rate(qualifying.clear(), has_qualifying=False)
        self.rating = self._rate(qualifying, has_qualifying=True)
        self._race(tables, before.counts.filter(profile_name=named).drop("profile_name"))

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

    def graded(self) -> Frames:
        """Give grades and evidence under all the profiles."""
        parts = components(
            self.races.entries.lazy(),
            self.pace.lazy(),
            self.racecraft.lazy(),
            self.burden.lazy(),
            self.profile.rating,
        )
        scored = grade_v2(parts, profile_frame_v2(self.profiles).lazy())
        raw = {
            "grade_evidence": self._entry_evidence(parts.collect()),
            "session_evidence": self._session_evidence(),
            "pass_events": self.events,
            "slow_laps": self.slow,
            "pit_cycles": self.cycles,
            "rating_states": self._states(),
        }
        names = gradings(self.profiles)
        found = {
            name: frame.join(names, how="cross").select(
                pl.col(column).cast(dtype) for column, dtype in polars_schema(name).items()
            )
            for name, frame in raw.items()
        }
        people = for_people(scored, quantile_frame(self.profiles).lazy())
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

    def _states(self) -> pl.DataFrame:
        return pl.concat(
            rating.states.with_columns(has_qualifying=pl.lit(value=has_qualifying))
            for rating, has_qualifying in ((self.races, False), (self.rating, True))
        )

    def _state_sessions(self) -> pl.DataFrame:
        """Say after which session stood the state that each session was rated from."""
        kept = self.rating.states["session_id"].to_list()
        first = self.state["session_id"].to_list()[:1] or [None]
        return pl.DataFrame(
            {"session_id": kept, "state_session_id": [*first, *kept[:-1]][: len(kept)]},
            schema={"session_id": pl.String(), "state_session_id": pl.String()},
        )
