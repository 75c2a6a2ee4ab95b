"""What may not move a grade, over drawn sessions and the whole chain from tables to grades.

An example is a session (`tests.reliability.strategies`): one plan grades all of them, under two
profiles of model v1 and two of model v2, and every row of every session is compared.

    number  claim                            held here, for both models, and besides
    E01-02  row order, chunks                test_the_order_and_chunking…; v1 each step: test_steps
    E03     1, 2, 8 threads                  test_the_number_of_threads…
    E04     streaming = in-memory            test_both_engines…; v1 each step: test_steps
    E05     one block = many                 test_blocks…; v2 history: engine/v2/test_invariants
    E06     = a plain loop over rows         test_a_plain_loop…; v1 each step as SQL: test_steps
    E07     profiles together = one by one   test_profiles…; v1 components: test_steps
    E08     a race more moves no other       test_a_later_race…
    E09     the same event twice is refused  test_the_same_event_twice…
    E10     the clock's zero                 test_the_zero_of_the_clock…; a second on every lap,
                                             which does move v2: engine/v2/test_invariants
    E11     scale                            test_twice_as_long…
    E12-13  names, a swap of two             test_names…; v2 simulated: engine/v2/test_invariants
    E14     better is never worse            test_a_penalty_more…, test_a_better_raw_value…
    E15     ranges, no NaN                   test_every_grade_is_in_range
    E16     equals are equal                 test_twins…
    E17     weights                          test_a_weight_of_zero…
    E18     through the lake                 test_the_way_through_the_lake…

A faster lap can lower a grade of model v1, whose consistency is the distance from what car and
form let one expect, so E14 holds for what it is claimed of: penalties in both, raw values in v2.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import DERIVED, NORMALIZED, SESSION, TABLES, SessionKey
from engine.v1.calibration import profile_frame
from engine.v1.grade import grade, published
from engine.v1.inputs import derive
from engine.v2.calibration import profile_frame_v2
from engine.v2.grade import COMPONENTS_V2_SCHEMA, grade_v2
from loaders import lake
from loaders.grading import track_difficulty
from loaders.previous import NOTHING, previous
from tests.engine.test_steps import chunked
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.reliability.plain_grade import plain_v1, plain_v2
from tests.reliability.strategies import PEOPLE, digest, drawn, graded, in_order
from tests.soak import chance, runs
from tests.test_architecture import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from loaders.profiles import Profile
    from tests.reliability.strategies import Graded, Tables
    from tests.soak import Figure

EXAMPLES: Final = runs(200, 2_000)

ROUNDING: Final = 1e-9
"""What names leave in grades of model v2: its rating sums in their order."""

LIGHT: Final = V2_PROFILE.model_copy(
    update={
        "name": "light",
        "weights": V2_PROFILE.weights.model_copy(update={"racecraft": 0.0}),
    }
)
"""Model v2 without racecraft in the total."""

HALF: Final = V2_PROFILE.model_copy(
    update={
        "name": "half",
        "weights": V2_PROFILE.weights.model_copy(
            update={name: share / 2 for name, share in V2_PROFILE.weights.model_dump().items()}
        ),
    }
)
"""Model v2 with half of every weight."""

PROFILES: Final[tuple[Profile, ...]] = (BASELINE_PROFILE, STRICT_PROFILE, V2_PROFILE, LIGHT)

SCORES: Final = ("consistency_score", "team_strategy_score", "racecraft_score", "penalty_score")


@cache
def expected() -> Graded:
    """Everything that is derived from the drawn sessions as they are."""
    return graded(drawn(EXAMPLES), PROFILES)


def same(found: Graded, wanted: Graded, abs_tol: float = 0.0) -> None:
    """Compare all derived tables, bit for bit or nearly.

    The ratings' state, which lists people in an order of its own, and the fingerprint of the
    inputs, which is over names, are compared bit for bit or not at all.
    """
    for name in DERIVED:
        if abs_tol and name == "rating_states":
            continue
        left, right = found[name], wanted[name]
        if abs_tol:
            left, right = (frame.drop("inputs_hash", strict=False) for frame in (left, right))
        assert_frame_equal(left, right, check_exact=not abs_tol, rel_tol=0.0, abs_tol=abs_tol)


def of(frames: Mapping[str, pl.DataFrame], sessions: pl.Series) -> Graded:
    """Take the rows of some sessions."""
    return {n: f.filter(pl.col("session_id").is_in(sessions.implode())) for n, f in frames.items()}


def by_time(tables: Tables) -> pl.Series:
    """List the drawn sessions in the order they were driven."""
    return tables["sessions"].sort("season", "round")["session_id"]


def test_the_examples_are_odd_enough(figure: Figure) -> None:
    """Every oddity is among them, and most sessions have totals under both models."""
    tables, found = drawn(EXAMPLES), expected()["driver_metrics"]
    sizes = tables["entries"].group_by(SESSION).len()["len"]
    assert tables["sessions"].height == EXAMPLES
    assert sizes.min() == 1
    laps = tables["laps"]
    assert laps["session_id"].n_unique() < EXAMPLES
    for column in ("track_status", "sector1_time_ms", "lap_end_ms", "lap_time_ms"):
        assert 0 < laps[column].null_count() < laps.height, column
    for model in ("v1", "v2"):
        totals = found.filter(model_version=model).drop_nulls("total_grade")
        assert totals["session_id"].n_unique() > EXAMPLES // 2, model
        assert totals["total_grade"].n_unique() > EXAMPLES, model
    figure("E01-E18", f"{EXAMPLES} sessions each, {found.height} grades under 4 profiles")


def test_the_order_and_chunking_of_rows_change_nothing() -> None:
    """E01, E02: shuffled and cut into chunks, not a bit of anything derived moves."""
    shuffled = {
        name: chunked(table.sample(fraction=1.0, shuffle=True, seed=7))
        for name, table in drawn(EXAMPLES).items()
    }
    same(graded(shuffled, PROFILES), expected())


THREADS = """
import polars as pl
from tests.profiles import BASELINE_PROFILE
from tests.profiles_v2 import V2_PROFILE
from tests.reliability.strategies import digest, drawn, graded
print(pl.thread_pool_size(), digest(graded(drawn(20), [BASELINE_PROFILE, V2_PROFILE])))
"""


def test_the_number_of_threads_changes_nothing() -> None:
    """E03: with eight threads, in a soak with one too, 20 sessions give what they give here."""
    here = digest(graded(drawn(20), [BASELINE_PROFILE, V2_PROFILE]))
    for threads in (1, 8)[runs(1, 0) :]:
        environment = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
        told = subprocess.run(
            [sys.executable, "-c", THREADS],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert told.stdout.split() == [str(threads), here]


def test_both_engines_give_the_same() -> None:
    """E04: model v2 streamed, and model v1 in memory, which the chain streams."""
    tables = drawn(EXAMPLES)
    with pl.Config(engine_affinity="streaming"):
        same(graded(tables, PROFILES), expected())
    lazy = {name: frame.lazy() for name, frame in tables.items()}
    plans = derive(lazy, track_difficulty())
    whole = dict(zip(plans, pl.collect_all(plans.values(), engine="in-memory"), strict=True))
    inputs, passes = whole["driver_inputs"].lazy(), whole["overtakes"].lazy()
    profiles = profile_frame([BASELINE_PROFILE, STRICT_PROFILE]).lazy()
    metrics = published(grade(inputs, passes, profiles), inputs).collect(engine="in-memory")
    wanted = expected()["driver_metrics"].filter(model_version="v1")
    key = TABLES["driver_metrics"].primary_key()
    columns = [name for name in wanted.columns if name in metrics.columns]
    found = metrics.select(pl.col(name).cast(wanted.schema[name]) for name in columns)
    assert_frame_equal(found.sort(key), wanted.select(columns), check_exact=True)


def test_blocks_through_the_lake_are_the_whole(tmp_path: Path) -> None:
    """E05, E18: half of the sessions graded and stored, the rest gone on from what was read back.

    Parquet and back moves no bit of the first half. Of the second, model v1 does not move by a
    bit either; model v2 adds what it read of seasons before in another order.
    """
    tables, ids = drawn(EXAMPLES), by_time(drawn(EXAMPLES))
    halves = ids[: EXAMPLES // 2], ids[EXAMPLES // 2 :]
    first = of(tables, halves[0])
    lake.write(tmp_path, keys(halves[0]), first)
    seen = lake.snapshot(tmp_path)
    back = {name: seen.scan(name).collect() for name in NORMALIZED}
    one = graded(back, PROFILES)
    same(one, of(expected(), halves[0]))
    lake.write(tmp_path, keys(halves[0]), {name: one[name] for name in DERIVED})
    before = previous(lake.snapshot(tmp_path), keys(halves[1])[0], [V2_PROFILE, LIGHT])
    assert before.states.height == 4
    two, wanted = graded(of(tables, halves[1]), PROFILES, before), of(expected(), halves[1])
    same(two, wanted, ROUNDING)
    of_v1 = pl.col("model_version") == "v1"
    metrics = (frames["driver_metrics"].filter(of_v1) for frames in (two, wanted))
    assert_frame_equal(*metrics, check_exact=True)


def keys(ids: pl.Series) -> list[SessionKey]:
    """Read session ids."""
    return [SessionKey.parse(session_id) for session_id in ids]


def test_a_plain_loop_gives_the_same() -> None:
    """E06: consistency and total of model v1, and all scores of v2, row by row in plain Python."""
    found = expected()["driver_metrics"]
    inputs = {(r["session_id"], r["driver_id"]): r for r in expected()["driver_inputs"].to_dicts()}
    evidence = {
        (r["session_id"], r["driver_id"], r["profile_name"]): r
        for r in expected()["grade_evidence"].to_dicts()
    }
    compared = 0
    for row in found.to_dicts():
        entry = (row["session_id"], row["driver_id"])
        if row["model_version"] == "v1":
            first = BASELINE_PROFILE if row["profile_name"] == "baseline" else STRICT_PROFILE
            wanted = plain_v1(inputs[entry], row["racecraft_score"], first)
        else:
            second = V2_PROFILE if row["profile_name"] == "v2" else LIGHT
            wanted = plain_v2(evidence[*entry, row["profile_name"]], second)
        for name, value in wanted.items():
            assert (row[name] is None) == (value is None), (row, name)
            assert value is None or math.isclose(row[name], value, rel_tol=0, abs_tol=1e-9), name
            compared += value is not None
    assert compared > 10 * EXAMPLES


def test_profiles_together_are_profiles_one_by_one() -> None:
    """E07: four profiles of two models in one plan; not a bit."""
    chosen: tuple[Profile, ...] = (STRICT_PROFILE, LIGHT)
    for profile in chosen:
        found = graded(drawn(EXAMPLES), [profile])
        for name in DERIVED:
            wanted = expected()[name]
            if "profile_name" in wanted.columns:
                wanted = wanted.filter(profile_name=profile.name)
            assert_frame_equal(found[name], wanted, check_exact=True)


def test_a_later_race_moves_no_other() -> None:
    """E08: without the last fifth of all sessions, nothing of the others moves by a bit.

    Under model v1 neither without every second one; v2 goes on from the sessions before.
    """
    tables, ids = drawn(EXAMPLES), by_time(drawn(EXAMPLES))
    for kept, profiles in ((ids[: EXAMPLES * 4 // 5], PROFILES), (ids[::2], PROFILES[:2])):
        named = [profile.name for profile in profiles]
        wanted = {
            name: frame.filter(pl.col("profile_name").is_in(named))
            if "profile_name" in frame.columns
            else frame
            for name, frame in of(expected(), kept).items()
        }
        same(graded(of(tables, kept), profiles), wanted)


def test_the_same_event_twice_is_refused() -> None:
    """E09: in one set of tables, under either model, and after the state that it left."""
    tables = of(drawn(EXAMPLES), by_time(drawn(EXAMPLES))[:1])
    twice = {name: pl.concat([frame, frame]) for name, frame in tables.items()}
    for profile in (BASELINE_PROFILE, V2_PROFILE):
        with pytest.raises(ContractError, match="primary_key"):
            graded(twice, [profile])
    states = expected()["rating_states"].filter(profile_name="v2")
    again = states.filter(session_id=by_time(tables)[-1])
    with pytest.raises(ContractError, match="later"):
        graded(tables, [V2_PROFILE], NOTHING._replace(states=again))


def test_the_zero_of_the_clock_changes_nothing() -> None:
    """E10: all clocks of all sessions 1 h 23 min later, not a bit of a grade or its evidence."""
    tables = dict(drawn(EXAMPLES))
    tables["laps"] = tables["laps"].with_columns(pl.col("lap_start_ms", "lap_end_ms") + 4_980_000)
    same(graded(tables, PROFILES), expected())


def without_clocks(tables: Tables) -> dict[str, pl.DataFrame]:
    """Forget when any lap began and ended."""
    nothing = pl.lit(None, pl.Int32)
    laps = tables["laps"].with_columns(lap_start_ms=nothing, lap_end_ms=nothing)
    return {**tables, "laps": laps}


def test_twice_as_long_is_twice_as_far() -> None:
    """E11: all times doubled, deltas of model v1 double exactly, and paces of v2 stay.

    A gap of twice the seconds is another gap, so racecraft may differ: what is compared is what
    the formulas allow, lap deltas in s and paces in %.
    """
    plain = without_clocks(drawn(EXAMPLES))
    times = [name for name in plain["laps"].columns if name.endswith("_ms")]
    doubled = {**plain, "laps": plain["laps"].with_columns(pl.col(times) * 2)}
    profiles = (BASELINE_PROFILE, V2_PROFILE)
    found, wanted = graded(doubled, profiles), graded(plain, profiles)
    deltas = [frames["driver_inputs"]["lap_deltas_s"].explode() for frames in (found, wanted)]
    assert deltas[0].equals(deltas[1] * 2)
    assert deltas[0].abs().max() != 0.0
    columns = ("clean_laps", "pace_pct", "pace_se_pct", "dispersion_pct")
    paces = (frames["grade_evidence"].select(columns) for frames in (found, wanted))
    assert_frame_equal(*paces, rel_tol=0.0, abs_tol=100 * ROUNDING)  # the fit is iterated


def named(frames: Mapping[str, pl.DataFrame], names: Mapping[str, str]) -> Graded:
    """Give drivers, opponents too, other names."""
    return {
        name: frame.with_columns(
            pl.col(*(c for c in ("driver_id", "opponent_id") if c in frame.columns)).replace(names)
        )
        if "driver_id" in frame.columns
        else frame
        for name, frame in frames.items()
    }


@pytest.mark.parametrize("swapped", [False, True], ids=["E12 reversed", "E13 two swapped"])
def test_names_only_name(*, swapped: bool) -> None:
    """E12, E13: other names, other rows, same grades; two who swap all their data swap grades."""
    reversed_names = {name: f"x{99 - number}" for number, name in enumerate(PEOPLE)}
    names = {PEOPLE[0]: PEOPLE[1], PEOPLE[1]: PEOPLE[0]} if swapped else reversed_names
    found, wanted = (
        graded(named(drawn(EXAMPLES), names), PROFILES),
        in_order(named(expected(), names)),
    )
    for frames in (found, wanted):  # on one lap passes are numbered by the name of who was passed
        passes = frames["overtakes"].drop("overtake_number")
        frames["overtakes"] = passes.sort("session_id", "driver_id", "lap_number", "opponent_id")
    same(found, wanted, ROUNDING)
    assert not found["driver_metrics"].equals(expected()["driver_metrics"])


def test_a_penalty_more_raises_no_grade() -> None:
    """E14: 30 s more for one driver of every session; his total never rises, under no profile."""
    tables = dict(drawn(EXAMPLES))
    chosen = tables["entries"].group_by(SESSION).agg(pl.all().sort_by("driver_id").first())
    text = pl.format("STOP-AND-GO PENALTY FOR CAR {} (ABC) - SPEEDING", "driver_number")
    rows = chosen.select(
        *SESSION, message=text, message_number=pl.lit(900, pl.Int32), lap_number=pl.lit(4, pl.Int16)
    )
    tables["race_control"] = pl.concat([tables["race_control"], rows], how="diagonal")
    found, key = graded(tables, PROFILES)["driver_metrics"], TABLES["driver_metrics"].primary_key()
    both = found.join(expected()["driver_metrics"], on=key, suffix="_before", nulls_equal=True)
    both = both.join(chosen.select(*SESSION, "driver_id"), on=[*SESSION, "driver_id"])
    assert both.filter(pl.col("total_grade") > pl.col("total_grade_before")).is_empty()
    fell = both.filter(pl.col("total_grade") < pl.col("total_grade_before"))
    assert set(fell["profile_name"]) == {profile.name for profile in PROFILES}


def test_a_better_raw_value_lowers_no_grade() -> None:
    """E14: of pace, racecraft or burden; drawn far beyond what any race gave."""
    rng, rows = chance("E14"), []
    for number in range(EXAMPLES):
        values = [rng.gauss(0, 3) for _ in range(3)]
        entry = {"session_id": "2025-1", "car_pct": rng.gauss(0, 1)}
        for step in range(4):
            better = [
                v + sign * (step == part)
                for part, (v, sign) in enumerate(zip(values, (1, 1, -1), strict=True), 1)
            ]
            raw = dict(
                zip(("pace_against_car_pct", "racecraft_raw", "penalties_raw"), better, strict=True)
            )
            rows.append(
                {
                    **dict.fromkeys(COMPONENTS_V2_SCHEMA),
                    **entry,
                    **raw,
                    "driver_id": f"d{number:05}_{step}",
                }
            )
    components = pl.DataFrame(rows, schema=COMPONENTS_V2_SCHEMA)
    totals = grade_v2(components, profile_frame_v2([V2_PROFILE])).sort("driver_id")["total_grade"]
    by_step = totals.reshape((EXAMPLES, 4)).arr.to_struct().struct.unnest()
    for step in range(1, 4):
        assert (by_step[f"field_{step}"] >= by_step["field_0"]).all(), step
        assert (by_step[f"field_{step}"] > by_step["field_0"]).any(), step


def test_every_grade_is_in_range() -> None:
    """E15: no NaN, no infinity, every score in 0..1, every total within its weights."""
    for name in DERIVED:
        for column in expected()[name].select(cs.float()):
            assert column.drop_nulls().is_finite().all(), (name, column.name)
    found = expected()["driver_metrics"]
    for scores in SCORES:
        assert found[scores].drop_nulls().is_between(0.0, 1.0).all(), scores
    totals = found["total_grade"].drop_nulls()
    assert totals.is_between(-0.10, 1.0).all()
    second = found.filter(model_version="v2").drop_nulls("total_grade")
    for ends in (
        ("grade_low", "grade"),
        ("grade", "grade_high"),
        ("total_grade_low", "total_grade"),
    ):
        assert (second[ends[0]] <= second[ends[1]]).all(), ends
    assert second["grade"].is_between(0.0, 100.0).all()


def test_twins_have_the_same_scores() -> None:
    """E16: a second driver with the same car, laps, stops and name in the stewards' messages.

    Nobody's clock is known, because two cars at one place at one time would be ahead of each
    other: what is compared is pace, strategy and penalties.
    """
    tables = without_clocks(drawn(EXAMPLES))
    tables["race_control"] = tables["race_control"].clear()
    one, twin = PEOPLE[0], "driver_twin"
    doubled = {
        name: pl.concat([frame, frame.filter(driver_id=one).with_columns(driver_id=pl.lit(twin))])
        if "driver_id" in frame.columns
        else frame
        for name, frame in tables.items()
    }
    metrics = graded(doubled, PROFILES)["driver_metrics"]
    compared = ["session_id", "profile_name", "expected_delta_s", *SCORES, "total_grade"]
    first, second = (metrics.filter(driver_id=name).select(compared) for name in (one, twin))
    assert first.height > EXAMPLES
    assert first["total_grade"].drop_nulls().len() > 0
    assert_frame_equal(first, second, rel_tol=0.0, abs_tol=ROUNDING)


def test_a_weight_of_zero_is_an_absent_score() -> None:
    """E17: racecraft of no weight adds nothing, and half of every weight is half of the total."""
    found = expected()["driver_metrics"].filter(profile_name="light").drop_nulls("total_grade")
    weights = V2_PROFILE.weights
    consistency = weights.consistency * found["consistency_score"]
    without = consistency - weights.penalty * found["penalty_score"].fill_null(0.5)
    assert (found["total_grade"] - without).abs().max() == 0.0
    assert found["racecraft_score"].n_unique() > EXAMPLES
    components = expected()["grade_evidence"].filter(profile_name="v2")
    scored = components.drop("car_pct").rename({"scored_car_pct": "car_pct"})
    both = grade_v2(
        scored.select(COMPONENTS_V2_SCHEMA.names()), profile_frame_v2([V2_PROFILE, HALF])
    ).drop_nulls("total_grade")
    whole, half = (
        both.filter(profile_name=name).sort("session_id", "driver_id")["total_grade"]
        for name in ("v2", "half")
    )
    assert (whole - half * 2).abs().max() == 0.0
