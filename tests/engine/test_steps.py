"""What holds for every step of the engine, and proof that each check can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from tests.engine.steps import COMPONENT_STEPS, STEPS, Lazy, Step, World, world

RESTATED = Path(__file__).parent / "restated"
PROFILE_STEPS = (*COMPONENT_STEPS, *(step for step in STEPS if step.name == "grades"))

Check = Callable[[Step, World], None]


def gives_its_schema(step: Step, world: World) -> None:
    """The plan announces the declared columns and dtypes, and keeps its word."""
    plan = step.run({name: table.lazy() for name, table in world.items()})
    assert plan.collect_schema() == step.schema
    assert plan.collect().schema == step.schema


def runs_no_python(step: Step, world: World) -> None:
    """No row ever passes through the interpreter."""
    plan = step.run({name: table.lazy() for name, table in world.items()})
    words = plan.explain(optimized=False).lower()
    assert "python" not in words
    assert "map_" not in words


def ignores_row_order(step: Step, world: World) -> None:
    """Shuffled tables in chunks of any length give bitwise the same rows."""
    shuffled = {
        name: chunked(table.sample(fraction=1.0, shuffle=True, seed=11))
        for name, table in world.items()
    }
    assert_frame_equal(step.frame(shuffled), step.frame(world), check_exact=True)


def chunked(table: pl.DataFrame) -> pl.DataFrame:
    """Cut a table into chunks, the first of a single row."""
    cuts = sorted({0, 1, table.height // 3, table.height})
    parts = [table.slice(start, end - start) for start, end in pairwise(cuts)]
    return pl.concat(parts, rechunk=False)


def runs_alike_streamed(step: Step, world: World) -> None:
    """The streaming engine gives bitwise the same rows."""
    plan = step.run({name: table.lazy() for name, table in world.items()})
    streamed = plan.collect(engine="streaming").sort(step.key)
    assert_frame_equal(streamed, step.frame(world), check_exact=True)


def grades_a_session_alone(step: Step, world: World) -> None:
    """A session's rows do not depend on which others are computed with it."""
    together = step.frame(world)
    sessions = together["session_id"].unique()
    assert len(sessions) > 1
    for session in sessions:
        alone = {
            name: table.filter(pl.col("session_id") == session)
            if "session_id" in table.columns
            else table
            for name, table in world.items()
        }
        of_session = together.filter(pl.col("session_id") == session)
        assert_frame_equal(step.frame(alone), of_session, check_exact=True)


def agrees_with_sql(step: Step, world: World) -> None:
    """An independent restatement in DuckDB SQL agrees to 1e-9."""
    with duckdb.connect() as connection:
        for name, table in world.items():
            connection.register(name, table)
        found = connection.sql((RESTATED / f"{step.name}.sql").read_text(encoding="utf-8")).pl()
    restated = found.select(pl.col(name).cast(dtype) for name, dtype in step.schema.items())
    assert_frame_equal(
        restated.sort(step.key), step.frame(world), check_exact=False, rel_tol=0, abs_tol=1e-9
    )


def joins_profiles_like_a_loop(step: Step, world: World) -> None:
    """All profiles in one plan, or one plan a profile: bitwise the same."""
    one_by_one = [
        step.frame({**world, "profiles": world["profiles"].filter(pl.col("profile_name") == name)})
        for name in world["profiles"]["profile_name"]
    ]
    assert_frame_equal(pl.concat(one_by_one).sort(step.key), step.frame(world), check_exact=True)


CHECKS: tuple[Check, ...] = (
    gives_its_schema,
    runs_no_python,
    ignores_row_order,
    runs_alike_streamed,
    grades_a_session_alone,
    agrees_with_sql,
)


def faulty(step: Step, fault: Callable[[pl.LazyFrame, Lazy], pl.LazyFrame]) -> Step:
    """Give a step a deliberate fault."""
    return replace(step, run=lambda tables: fault(step.run(tables), tables))


RUNS = count()
"""Another number at every call."""

FAULTS: dict[Check, Callable[[pl.LazyFrame, Lazy], pl.LazyFrame]] = {
    gives_its_schema: lambda plan, _: plan.with_columns(extra=pl.lit(1)),
    runs_no_python: lambda plan, _: plan.with_columns(
        pl.col("driver_id").map_elements(lambda name: name, return_dtype=pl.String)
    ),
    ignores_row_order: lambda plan, t: plan.join(
        t["entries"].select(leak=pl.col("driver_id").first()), how="cross"
    ),
    runs_alike_streamed: lambda plan, _: plan.map_batches(
        lambda part: part.with_columns(leak=pl.lit(next(RUNS))),
        streamable=True,
        validate_output_schema=False,
    ),
    grades_a_session_alone: lambda plan, _: plan.with_columns(leak=pl.len()),
    agrees_with_sql: lambda plan, _: plan.with_columns(cs.float() + 1e-6).slice(1),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_step(step: Step, check: Check) -> None:
    """Schema, no Python, any row order, either engine, alone as among others, and as SQL has it."""
    check(step, dict(world()))


@pytest.mark.parametrize("check", FAULTS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_each_check_finds_its_fault(step: Step, check: Check) -> None:
    """A step that has the very fault a check is for does not pass it."""
    with pytest.raises(AssertionError):
        check(faulty(step, FAULTS[check]), dict(world()))


@pytest.mark.parametrize("step", PROFILE_STEPS, ids=lambda step: step.name)
def test_profiles_join_like_a_loop(step: Step) -> None:
    """A thousand profiles at once are a thousand profiles one by one."""
    joins_profiles_like_a_loop(step, dict(world()))


@pytest.mark.parametrize("step", PROFILE_STEPS, ids=lambda step: step.name)
def test_a_leak_between_profiles_is_found(step: Step) -> None:
    """A value that depends on how many profiles there are differs in the loop."""
    with pytest.raises(AssertionError):
        joins_profiles_like_a_loop(
            faulty(step, lambda plan, _: plan.with_columns(leak=pl.len())), dict(world())
        )
