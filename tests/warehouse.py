"""A warehouse for tests: a temporary embedded server, sessions made by hand, and raw questions."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from engine.tables import EVIDENCE, SessionKey, empty
from engine.v1.calibration import MODEL_VERSION
from engine.v2.calibration import MODEL_VERSION_V2
from loaders.embedded import embedded_postgres
from loaders.postgres import load_session
from loaders.profiles import import_profile, model_of
from loaders.settings import Settings
from tests.frames import frame
from tests.profiles import BASELINE_PROFILE
from tests.profiles_v2 import V2_PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from loaders.connection import Connection
    from loaders.postgres import LoadReport
    from loaders.profiles import Profile

MELBOURNE = SessionKey(2025, 1)
DRIVERS = ("norris", "piastri")

EMPTY = """
do $$
declare
    counter regclass;
begin
    delete from core.races;
    delete from public.calendar_events;
    delete from core.event_aliases;
    delete from core.seasons;
    delete from core.circuits;
    delete from core.teams;
    delete from core.drivers;
    delete from config.calibration_profiles;
    for counter in
        select format('%I.%I', schemaname, sequencename) from pg_sequences
        where last_value is not null
    loop
        perform setval(counter, 1, false);
    end loop;
end $$
"""
"""Few rows are deleted thirty times as fast as all tables are truncated."""

ROWS_OF = """
create or replace function pg_temp.rows_of(target regclass) returns setof text
language plpgsql as $$
begin
    return query execute format(
        'select concat_ws('' '', ctid, xmin, stored) from %s as stored order by ctid', target
    );
end $$
"""

SNAPSHOT = """
select
    format('%I.%I', schemaname, tablename) as table_name,
    (
        select string_agg(row_text, E'\\n')
        from pg_temp.rows_of(format('%I.%I', schemaname, tablename)::regclass) as row_text
    ) as rows
from pg_tables
where schemaname in ('core', 'config', 'ops')
    or (schemaname = 'public' and tablename not like '\\_pogo%')
order by 1
"""
"""Every row with its place on disk and the transaction that wrote it."""


@contextmanager
def temporary_warehouse() -> Iterator[Settings]:
    """Settings of a new embedded server, which runs as long as the block."""
    with tempfile.TemporaryDirectory(prefix="drivegrade-") as folder:
        settings = Settings(home=Path(folder), database_url=None)
        with embedded_postgres(settings.home / "pg"):
            yield settings


def ask(connection: Connection, sql: str, *parameters: object) -> pl.DataFrame:
    """Answer a question, or do something, outside of the code under test; committed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        answer = cursor.fetch_polars()
    connection.commit()
    return answer


def start_over(connection: Connection) -> None:
    """Empty the warehouse, and import the baseline profile."""
    ask(connection, EMPTY)
    import_profile(connection, BASELINE_PROFILE)


def snapshot(connection: Connection) -> dict[str, str]:
    """Give every table's rows as text; equal snapshots mean that nothing was written between."""
    ask(connection, ROWS_OF)
    return {str(table): str(rows) for table, rows in ask(connection, SNAPSHOT).rows()}


def session_tables(
    session: SessionKey = MELBOURNE,
    drivers: Iterable[str] = DRIVERS,
    lap_count: int = 3,
    **tables: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Write all tables of a session: every lap takes 90 s and the tyres change after the first.

    Args:
        session: which session.
        drivers: ids of those who took part; each has its own team.
        lap_count: laps of each driver.
        tables: frames that replace the written ones.
    """
    return {**_session_tables(session, tuple(drivers), lap_count), **tables}


@cache
def _session_tables(
    session: SessionKey, drivers: tuple[str, ...], lap_count: int
) -> dict[str, pl.DataFrame]:
    here = {"session_id": session.session_id}
    by_driver = [{**here, "driver_id": driver} for driver in drivers]
    laps = [lap_row(row, lap) for row in by_driver for lap in range(1, lap_count + 1)]
    passes = [{**row, "overtake_number": 1, "kind": "on_track"} for row in by_driver[1:]]
    return {
        "sessions": frame("sessions", [session_row(session)]),
        "entries": frame("entries", [entry_row(row) for row in by_driver]),
        "laps": frame("laps", laps),
        "pit_stops": frame("pit_stops", [{**row, "lap_number": 1} for row in by_driver]),
        "race_control": frame("race_control", [{**here, "message_number": 1, "message": "GO"}]),
        "weather": frame("weather", [{**here, "session_clock_ms": 0, "humidity_pct": 40.5}]),
        "filled_columns": frame("filled_columns", []),
        "overtakes": frame("overtakes", [{**row, "opponent_id": drivers[0]} for row in passes]),
        "strategy_events": frame("strategy_events", [stop_row(row) for row in by_driver]),
        "penalty_events": frame("penalty_events", [penalty_row(row) for row in by_driver[:1]]),
        "driver_metrics": frame("driver_metrics", [metrics_row(row) for row in by_driver]),
        **{name: empty(name) for name in ("qualifying", *EVIDENCE)},
    }


def lap_row(row: Mapping[str, object], lap_number: int) -> dict[str, object]:
    """Write a lap: the first on softs that were three laps old, the others on new ones."""
    return {
        **row,
        "lap_number": lap_number,
        "lap_time_ms": 90_000,
        "stint_number": min(lap_number, 2),
        "compound": "SOFT" if lap_number == 1 else "INTERMEDIATE",
        "tyre_life_laps": 3 if lap_number == 1 else lap_number - 1,
    }


def session_row(session: SessionKey) -> dict[str, object]:
    """Write a session that knows its circuit and its event's key; each round has another key."""
    return {
        "session_id": session.session_id,
        **session._asdict(),
        "circuit_id": "albert_park",
        "circuit_name": "Albert Park",
        "meeting_key": 1253 + session.round + 100 * (session.season - 2025),
    }


def entry_row(row: Mapping[str, object], **values: object) -> dict[str, object]:
    """Write the entry of a driver, whose team and code follow from the id."""
    driver = str(row["driver_id"])
    return {
        **row,
        "driver_name": driver.title(),
        "driver_code": driver[:3].upper(),
        "team_id": f"team_of_{driver}",
        "points": 25.0,
        **values,
    }


def stop_row(row: Mapping[str, object]) -> dict[str, object]:
    """Write the one stop of a driver."""
    return {**row, "stop_number": 1, "actual_lap": 1, "is_under_red_flag": False}


def penalty_row(row: Mapping[str, object]) -> dict[str, object]:
    """Write a penalty of five seconds."""
    return {
        **row,
        "penalty_number": 1,
        "kind": "time",
        "time_loss_s": 5.0,
        "message": "5 SECOND TIME PENALTY",
        "source": "race_control",
    }


def metrics_row(row: Mapping[str, object], **values: object) -> dict[str, object]:
    """Write a grade of 0.5 under the baseline profile."""
    scores = ("consistency", "team_strategy", "racecraft")
    return {
        **row,
        "profile_name": BASELINE_PROFILE.name,
        "profile_version": BASELINE_PROFILE.version,
        "model_version": MODEL_VERSION,
        "expected_delta_s": -0.25,
        **{f"{score}_raw": 0.5 for score in scores},
        **{f"{score}_score": 0.5 for score in scores},
        "penalties_raw": 0.0,
        "penalty_score": 0.0,
        "on_track_events": 1,
        "pit_cycle_events": 0,
        "total_grade": 0.5,
        "data_source": "hand",
        "inputs_hash": "0" * 64,
        **values,
    }


def graded_v2(
    drivers: Iterable[str] = DRIVERS, **values: Mapping[str, object]
) -> dict[str, pl.DataFrame]:
    """Write grades of 40 in Melbourne under model v2 without racecraft, and what they rest on.

    The last driver was behind the first on lap 2, the first was slow on lap 3, and all stopped;
    Bearman qualified and did not start.

    Args:
        drivers: who is graded, in running order.
        values: table → what its first row has instead.
    """
    grading = {"profile_name": V2_PROFILE.name, "model_version": MODEL_VERSION_V2}
    keys: list[dict[str, object]] = [{"driver_id": driver, **grading} for driver in drivers]
    first, last = keys[0], keys[-1]
    chase = {
        "lap_number": 2, "opponent_id": first["driver_id"], "gap_s": 0.5, "race_share": 0.5,
        "car_difference_pct": 0.1, "tyre_age_difference_laps": 1, "circuit_term": 0.2,
        "has_overtaking_aid": True, "is_team_mate": False, "is_passed": False,
    }  # fmt: skip
    rows: dict[str, list[dict[str, object]]] = {
        "driver_metrics": [{**V2_GRADE, **key} for key in keys],
        "grade_evidence": [{**key, "clean_laps": 2, "refused_laps": 1} for key in keys],
        "session_evidence": [{**grading, "clean_laps": 4, "at_risk_laps": 1, "passes": 0}],
        "pass_events": [{**last, **chase, "expectation": 0.25}][: len(keys) - 1],
        "slow_laps": [{**first, "lap_number": 3, "shortfall_pct": 1.5, "loss_pct": 1.0}],
        "pit_cycles": [
            {**key, "stop_number": 1, "lap_number": 1, "is_neutralized": False, "cost_s": 20.0}
            for key in keys
        ],
        "qualifying": [
            {"driver_id": driver, "position": place}
            for place, driver in enumerate([*drivers, "bearman"], start=1)
        ],
    }
    for name, changed in values.items():
        rows[name][0] |= changed
    return {name: frame(name, given) for name, given in rows.items()}


V2_GRADE: Mapping[str, object] = {
    "profile_version": V2_PROFILE.version,
    "consistency_score": 0.5, "penalty_score": 0.5,
    "total_grade": -0.2, "total_grade_low": -0.25, "total_grade_high": -0.15,
    "grade": 40.0, "grade_low": 30.0, "grade_high": 50.0,
    "has_team_strategy_evidence": False, "has_racecraft_evidence": False,
    "data_source": "hand", "inputs_hash": "0" * 64,
}  # fmt: skip
"""Values of a grade below 0, which only model v2 gives."""


def load(
    connection: Connection,
    tables: Mapping[str, pl.DataFrame],
    session: SessionKey = MELBOURNE,
    *,
    data_hash: str = "first",
    profile: Profile = BASELINE_PROFILE,
    force: bool = False,
) -> LoadReport:
    """Load a session graded with a profile."""
    return load_session(
        connection,
        session,
        tables,
        data_hash=data_hash,
        profile=profile,
        model_version=model_of(profile),
        force=force,
    )


NAMED_ROWS = """
create or replace function pg_temp.named_rows(target regclass) returns setof text
language plpgsql as $$
begin
    return query execute format(
        $sql$
        select concat_ws(' ', races.slug, entries.driver_id, (row_json - array[
            'race_id', 'entry_id', 'load_id', 'graded_at', 'loaded_at', 'updated_at',
            'activated_at', 'first_seen_at', 'created_at', 'outbox_id'
        ])::text)
        from (select to_jsonb(stored) as row_json from %s as stored) as stored
        left join core.entries on entries.entry_id = (row_json ->> 'entry_id')::bigint
        left join core.races
            on races.race_id = coalesce(entries.race_id, (row_json ->> 'race_id')::bigint)
        order by 1
        $sql$,
        target
    );
end $$
"""

DUMP = """
select
    format('%I.%I', schemaname, tablename) as table_name,
    (
        select string_agg(row_text, E'\\n')
        from pg_temp.named_rows(format('%I.%I', schemaname, tablename)::regclass) as row_text
    ) as rows
from pg_tables
where schemaname in ('core', 'config', 'ops')
    or (schemaname = 'public' and tablename not like '\\_pogo%')
order by 1
"""


def dump(connection: Connection) -> dict[str, str]:
    """Give every table's rows as text, under names instead of numbers and without times."""
    ask(connection, NAMED_ROWS)
    return {str(table): str(rows) for table, rows in ask(connection, DUMP).rows()}


def together(*sessions: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Put the tables of sessions together."""
    return {name: pl.concat([tables[name] for tables in sessions]) for name in sessions[0]}
