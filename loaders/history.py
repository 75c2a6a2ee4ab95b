"""All of history at once: a dump's sessions into the lake.

Every Grand Prix since 1950 and every sprint is parsed in one go, whatever its era knows: a race of
1955 is a session with entries and without laps. Lap times begin in 1996, pit stops and qualifying
in 1994; what an era lacks is null. A race that has no results yet is no session.

All changed sessions are written at once, so that the lake has the whole dump or none of it. What
was derived from the rows that went, grades included, goes with them; regrading makes it again.
PostgreSQL is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import DERIVED, NORMALIZED, SESSION, SessionKey, empty
from loaders import lake
from loaders.history_rows import lap_sources, usable
from loaders.providers.jolpica_dump import dump_tables, read_dump
from loaders.providers.jolpica_tables import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from loaders.history_rows import LeftOut
    from loaders.lake import Snapshot
    from loaders.settings import Settings

STATES: Final = ("new", "changed", "unchanged", "kept")

COUNTED: Final = ("entries", "laps", "pit_stops", "qualifying")
"""Tables whose rows a report counts; the drivers of a season are counted with its entries."""

SESSIONS_SCHEMA: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "season": pl.Int16(),
        "round": pl.Int16(),
        "session_kind": pl.String(),
        "state": pl.Enum(STATES),
        "lake_source": pl.String(),
        "entries": pl.Int64(),
        "laps": pl.Int64(),
        "pit_stops": pl.Int64(),
        "qualifying": pl.Int64(),
        "laps_source": pl.String(),
        "derived_laps": pl.Int64(),
    }
)
"""One row per session of the dump, in order: what became of it, the provider that the lake had it
from before (null if it had not), rows in the dump, and which of its tables the laps are from
(null without laps)."""

SEASONS_SCHEMA: Final = pl.Schema(
    {
        "season": pl.Int16(),
        "races": pl.Int64(),
        "sprints": pl.Int64(),
        "drivers": pl.Int64(),
        "entries": pl.Int64(),
        "laps": pl.Int64(),
        "pit_stops": pl.Int64(),
        "qualifying": pl.Int64(),
    }
)
"""One row per season of the dump: what the lake has of it now. `drivers` are distinct."""


@dataclass(frozen=True)
class HistoryReport:
    """What an import did.

    Attributes:
        sessions: `SESSIONS_SCHEMA`.
        seasons: `SEASONS_SCHEMA`.
        left_out: rows of the dump that were not taken, by table and reason.
        not_in_dump: sessions that the lake has from Jolpica in the dump's seasons, which the dump
            has not; they were left in the lake.
    """

    sessions: pl.DataFrame
    seasons: pl.DataFrame
    left_out: tuple[LeftOut, ...]
    not_in_dump: tuple[str, ...]

    def count(self, state: str) -> int:
        """Count the sessions of one of `STATES`."""
        return self.sessions.filter(state=state).height

    @property
    def kept(self) -> dict[str, str]:
        """Session → provider that the lake has it from, of the sessions that were kept."""
        return dict(
            self.sessions.filter(state="kept").select("session_id", "lake_source").iter_rows()
        )

    @property
    def derived_laps(self) -> dict[str, int]:
        """Session → laps whose time the dump derived (`loaders.history_rows.DERIVED_SOURCES`)."""
        rows = self.sessions.filter(pl.col("derived_laps") > 0)
        return dict(rows.select("session_id", "derived_laps").iter_rows())

    def as_row(self) -> dict[str, object]:
        """Flatten for JSON: counts by state and season, and what is worth a look."""
        return {
            **{state: self.count(state) for state in STATES},
            "seasons": self.seasons.to_dicts(),
            "kept_from": self.kept,
            "derived_laps": self.derived_laps,
            "left_out": [left._asdict() for left in self.left_out],
            "not_in_dump": list(self.not_in_dump),
        }


def _quiet(step: str) -> None:
    """Tell nobody of a step."""


def import_history(
    path: Path,
    settings: Settings,
    *,
    replace: bool = False,
    progress: Callable[[str], None] = _quiet,
) -> HistoryReport:
    """Bring the sessions of a dump into the lake; a second time changes nothing.

    A session is kept as the lake has it if it came from another provider, which knows more, or if
    it has laps or qualifying there and the dump has none of it. Sessions that the dump does not
    have stay; so does all qualifying if the dump lacks that table.

    Args:
        path: a folder or zip of the dump (`loaders.providers.jolpica_dump.read_dump`).
        settings: where the lake lies.
        replace: write also the sessions that would be kept.
        progress: is told each step before it begins.

    Raises:
        ProviderError: the dump cannot be read, lacks a table, or has no results.
        ContractError: a table lacks a column, a key stands twice, or values break a contract that
            cannot be kept by leaving out rows.
        LakeError: the lake is damaged, or the disk refused.

        After any of them the lake is as it was.
    """
    progress(f"reading {path}")
    source = f"the dump {path}"
    used = usable(read_dump(path), source)
    progress("parsing the sessions")
    tables = dict(dump_tables(used.dump, source))
    if "qualifying" not in used.dump:
        del tables["qualifying"]
    tables["sessions"] = tables["sessions"].join(tables["entries"], on=SESSION, how="semi")
    progress("comparing them with the lake")
    seen = lake.snapshot(settings.lake)
    sessions, not_in_dump = _compared(tables, seen, replace=replace)
    progress("writing the lake")
    _write(seen, tables, sessions)
    return HistoryReport(
        sessions=_described(sessions, tables, lap_sources(used.dump)),
        seasons=_seasons(lake.snapshot(settings.lake), set(sessions["season"])),
        left_out=used.left_out,
        not_in_dump=not_in_dump,
    )


def _compared(
    tables: Mapping[str, pl.DataFrame], seen: Snapshot, *, replace: bool
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Say what is to become of each session, and which sessions of Jolpica the dump lacks.

    Returns:
        The key, `state` and `lake_source` of each session; and ids in order.
    """
    seasons = set(tables["sessions"]["season"])
    there = {
        name: lake.collect(seen.scan(name, seasons), seen.lake)
        for name in tables
        if name in seen.manifest.files
    }
    stored = there.get("sessions", empty("sessions")).select(*SESSION, lake_source="data_source")
    lost = [
        session_id
        for name in {"laps", "qualifying"} & there.keys()
        for session_id in there[name].join(tables[name], on=SESSION, how="anti")["session_id"]
    ]
    same = _digests(tables).join(_digests(there), on=["session_id", "digest"], how="semi")
    is_richer = (pl.col("lake_source") != SOURCE) | pl.col("session_id").is_in(lost)
    state = (
        pl.when(pl.col("lake_source").is_null())
        .then(pl.lit("new"))
        .when(pl.col("session_id").is_in(same["session_id"].to_list()))
        .then(pl.lit("unchanged"))
        .when(is_richer & (not replace))
        .then(pl.lit("kept"))
        .otherwise(pl.lit("changed"))
    )
    sessions = (
        tables["sessions"]
        .select(*SessionKey._fields, *SESSION)
        .join(stored, on=SESSION, how="left")
        .with_columns(state=state.cast(pl.Enum(STATES)))
    )
    missing = stored.filter(lake_source=SOURCE).join(sessions, on=SESSION, how="anti")
    keys = sorted(SessionKey.parse(session_id) for session_id in missing["session_id"])
    return sessions, tuple(key.session_id for key in keys)


def _digests(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Digest the rows of each session over all tables: equal for equal rows in any order."""
    if not tables:
        return pl.DataFrame(schema={"session_id": pl.String, "digest": pl.UInt64})
    by_table = [
        frame.select(*SESSION, row=frame.hash_rows(seed=number))
        for number, frame in enumerate(tables.get(name, empty(name)) for name in NORMALIZED)
    ]
    return pl.concat(by_table).group_by(SESSION).agg(digest=pl.col("row").sum())


def _write(seen: Snapshot, tables: Mapping[str, pl.DataFrame], sessions: pl.DataFrame) -> None:
    """Write the new and the changed sessions; what was derived from the changed ones goes."""
    chosen = sessions.filter(pl.col("state").is_in(["new", "changed"]))
    if chosen.is_empty():
        return
    rows = {name: frame.join(chosen, on=SESSION, how="semi") for name, frame in tables.items()}
    if "changed" in chosen["state"]:
        rows |= {name: empty(name) for name in DERIVED}
    keys = [SessionKey(*key) for key in chosen.select(SessionKey._fields).iter_rows()]
    lake.write(seen.lake, keys, rows, since=seen)


def _described(
    sessions: pl.DataFrame, tables: Mapping[str, pl.DataFrame], sources: pl.DataFrame
) -> pl.DataFrame:
    """Add to each session its rows in the dump and where its laps are from."""
    for name in COUNTED:
        rows = tables.get(name, empty(name)).group_by(SESSION).agg(pl.len().alias(name))
        sessions = sessions.join(rows, on=SESSION, how="left")
    of_race = sources.with_columns(session_id=pl.format("{}-{}", "season", "round"))
    counts = pl.col(*COUNTED, "derived_laps").fill_null(0)
    return (
        sessions.join(of_race.drop("season", "round"), on=SESSION, how="left")
        .with_columns(counts)
        .sort("season", "round", pl.col("session_kind") == "race")
        .select(SESSIONS_SCHEMA.names())
        .cast(SESSIONS_SCHEMA)
    )


def _seasons(seen: Snapshot, seasons: Collection[int]) -> pl.DataFrame:
    """Count what the lake has of the seasons: `SEASONS_SCHEMA`."""
    season = pl.col("session_id").str.head(4).cast(pl.Int16).alias("season")
    kind = pl.col("session_kind")
    plans = [
        seen.scan("sessions", seasons)
        .group_by("season")
        .agg(races=(kind == "race").sum(), sprints=(kind == "sprint").sum()),
        seen.scan("entries", seasons)
        .group_by(season)
        .agg(drivers=pl.col("driver_id").n_unique(), entries=pl.len()),
        *(
            seen.scan(name, seasons).group_by(season).agg(pl.len().alias(name))
            for name in COUNTED[1:]
        ),
    ]
    counted = plans[0]
    for plan in plans[1:]:
        counted = counted.join(plan, on="season", how="left")
    return (
        lake.collect(counted, seen.lake)
        .fill_null(0)
        .sort("season")
        .select(SEASONS_SCHEMA.names())
        .cast(SEASONS_SCHEMA)
    )
