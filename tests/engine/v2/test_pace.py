"""Pace: the fit of driver, lap, tyres and traffic, and what must not move it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.tables import ENTRY, LAP, polars_schema
from engine.v2.pace import PaceConstants, clean_laps, entry_pace, pace_fit, session_pace
from loaders.providers import simulated
from loaders.settings import Settings
from tests.frames import SESSION_ID, frame
from tests.soak import runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from engine.tables import SessionKey

    Floats = NDArray[np.float64]


def race(pct: Floats, session_id: str = SESSION_ID, **columns: Floats) -> pl.DataFrame:
    """Laps 2 on of a race, from 90 s times percentages, driver × lap; NaN is no lap.

    Args:
        pct: 100 ln(lap time / 90 s).
        session_id: the race's.
        columns: further columns of the laps, driver × lap.
    """
    drivers, numbers = np.indices(pct.shape)
    made = pl.DataFrame(
        {
            "driver_id": pl.Series(drivers.ravel()).cast(pl.String).str.zfill(2),
            "lap_number": numbers.ravel() + 2,
            "lap_time_ms": np.round(90_000 * np.exp(pct / 100)).ravel(),
            **{
                name: np.broadcast_to(values, pct.shape).ravel() for name, values in columns.items()
            },
        }
    ).fill_nan(None)
    schema = polars_schema("laps")
    return (
        made.with_columns(session_id=pl.lit(session_id))
        .with_columns(pl.lit(None).alias(name) for name in schema if name not in made.columns)
        .with_columns(session_id=pl.lit(session_id))
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        .drop_nulls("lap_time_ms")
    )


def fit(table: pl.DataFrame) -> pl.DataFrame:
    """Every lap with its terms, in the order of the key."""
    return pace_fit(clean_laps(table.lazy())).collect(engine="in-memory").sort(LAP)


def paces(table: pl.DataFrame) -> pl.DataFrame:
    """Every driver's pace, in the order of the key."""
    return entry_pace(fit(table).lazy()).collect(engine="in-memory").sort(ENTRY)


def pace_pct(table: pl.DataFrame) -> Floats:
    """Paces in the order of the drivers."""
    return paces(table)["pace_pct"].to_numpy()


def is_lap(driver: int, lap: int) -> pl.Expr:
    """Whether a row is that lap."""
    return (pl.col("driver_id") == f"{driver:02}") & (pl.col("lap_number") == lap)


def noisy_race(seed: int, session_id: str = SESSION_ID) -> pl.DataFrame:
    """Eight drivers, 40 laps, two stops, tyres that fade, traffic, spins and noise."""
    rng = np.random.default_rng(seed)
    shape = (8, 40)
    stops = rng.integers(8, 32, size=(8, 2))
    laps = np.arange(40)
    stopped = (laps == stops[:, :1]) | (laps == stops[:, 1:])
    starts = np.maximum.accumulate(np.where(stopped, laps, 0), axis=1)
    age = laps - starts + 1.0
    pct = rng.normal(0, 0.5, (8, 1)) - 0.03 * laps + 0.05 * age + rng.normal(0, 0.3, shape)
    pct += np.where(rng.random(shape) < 0.03, 4.0, 0.0)
    clock = np.cumsum(90_000 * np.exp(pct / 100), axis=1) + 1500 * np.arange(8)[:, None]
    return race(pct, session_id, lap_end_ms=np.round(clock), is_out_lap=stopped.astype(float))


def test_terms_of_a_race_without_noise_are_found_again() -> None:
    """Lap times that are a driver's factor times a lap's, in whole ms: nothing is left over."""
    drivers, laps = np.array([100, 101, 102]), np.array([100, 103, 101, 100, 102, 101])
    table = race(np.zeros((3, 6))).with_columns(
        lap_time_ms=pl.Series(9 * np.outer(drivers, laps).ravel(), dtype=pl.Int32)
    )
    found = fit(table)
    pace = 100 * np.log(drivers / 100)
    assert paces(table)["pace_pct"].to_list() == pytest.approx(pace - pace.mean(), abs=1e-7)
    assert found["residual_pct"].abs().max() == pytest.approx(0, abs=1e-7)
    first = found.filter(driver_id="01")
    lap = (first["lap_pct"] + first["tyre_pct"]).to_numpy()
    assert lap - lap[0] == pytest.approx(100 * np.log(laps / 100), abs=1e-7)
    terms = ("level_pct", "driver_pct", "lap_pct", "tyre_pct", "in_traffic_pct", "residual_pct")
    total = found.select(pl.sum_horizontal(terms)).to_series()
    times = 100 * (found["lap_time_ms"] / 1000).log()
    assert (total - times).abs().max() == pytest.approx(0, abs=1e-7)


def test_one_outlier_moves_no_ones_pace() -> None:
    """A lap 4 % too slow among 20: the mean would move by 0.2 %, the pace does by 0.01 at most."""
    rng = np.random.default_rng(5)
    pct = np.array([0.0, 0.5, 1.0, 1.5])[:, None] + rng.normal(0, 0.1, (4, 20))
    spun = pct.copy()
    spun[1, 7] += 4.0
    assert pace_pct(race(spun)) == pytest.approx(pace_pct(race(pct)), abs=0.02)
    lap = fit(race(spun)).filter(driver_id="01", lap_number=9)
    assert lap["shortfall_pct"][0] == pytest.approx(4.0, abs=0.3)
    assert lap["weight"][0] < 0.1


def test_old_tyres_are_not_the_drivers_fault() -> None:
    """0.06 % a lap is found, and 20 laps, which cost 1.2 %, move a pace by 0.12 at most."""
    ages = np.array([1, 6, 11, 21, 21, 1])[:, None] + np.arange(30)
    ages = np.where(np.arange(30) >= np.array([8, 14, 20, 11, 25, 17])[:, None], ages - 15, ages)
    pct = np.array([0.0, 0.2, 0.4, 0.4, 0.6, 0.8])[:, None] + 0.06 * ages
    table = race(pct, tyre_life_laps=ages.clip(0).astype(float))
    slope = session_pace(fit(table).lazy()).collect()["tyre_slope_pct_per_lap"][0]
    assert slope == pytest.approx(0.06, abs=0.005)
    found = pace_pct(table)
    assert found - found[0] == pytest.approx([0.0, 0.2, 0.4, 0.4, 0.6, 0.8], abs=0.12)


def test_compounds_are_told_apart_where_they_are_known() -> None:
    """Softs 0.8 % faster: with the compound known, the driver on them longest is not the faster."""
    soft_laps = np.array([6, 12, 18, 24, 30])[:, None]
    is_soft = np.arange(36) < soft_laps
    pct = np.where(is_soft, -0.8, 0.0) + np.zeros((5, 36))
    table = race(pct, tyre_life_laps=np.full((5, 36), 10.0))
    known = table.with_columns(
        compound=pl.when(pl.Series(is_soft.ravel())).then(pl.lit("SOFT")).otherwise(pl.lit("HARD"))
    ).cast({"compound": polars_schema("laps")["compound"]})
    assert np.ptp(pace_pct(known)) < 0.1
    assert np.ptp(pace_pct(table)) > 0.4


def test_traffic_is_not_the_drivers_fault() -> None:
    """Laps begun within 1.5 s of another car cost 0.5 %: the pace is the same without them."""
    rng = np.random.default_rng(3)
    follows = rng.random((6, 60)) < np.array([0, 0.1, 0.3, 0.5, 0.7, 0.9])[:, None]
    gaps = np.where(follows, 1.0, 3.0)
    laps = clean_laps(race(0.5 * follows + np.zeros((6, 60))).lazy()).with_columns(
        gap_ahead_s=pl.Series(gaps.ravel()), is_in_traffic=pl.Series(follows.ravel())
    )
    fitted = pace_fit(laps).collect(engine="in-memory")
    assert fitted["traffic_pct"][0] == pytest.approx(0.5, abs=0.1)
    found = entry_pace(fitted.lazy()).collect()["pace_pct"].to_numpy()
    assert np.ptp(found) < 0.1


def test_few_laps_are_no_pace() -> None:
    """Four clean laps give none, five do; the count is given either way."""
    pct = np.zeros((4, 12))
    pct[0, 4:] = np.nan
    pct[1, 5:] = np.nan
    found = paces(race(pct))
    assert found["clean_laps"].to_list() == [4, 5, 12, 12]
    for name in ("pace_pct", "pace_se_pct", "effective_laps"):
        assert found[name].is_null().to_list() == [True, False, False, False]


def test_a_steady_race_weighs_more() -> None:
    """Laps · min(1.5, 0.5 / max(σ, 0.2)): 1.5 for a race without noise, 0.5 / σ for a wild one."""
    rng = np.random.default_rng(1)
    steady, wild = np.zeros((5, 20)), rng.normal(0, 1.5, (5, 20))
    assert paces(race(steady))["effective_laps"].to_list() == [30.0] * 5
    fitted = fit(race(wild))
    spread, clean = fitted["spread_pct"][0], fitted.filter(driver_id="00")["residual_pct"].count()
    assert spread > 0.9
    weight = entry_pace(fitted.lazy()).collect().sort(ENTRY)["effective_laps"][0]
    assert weight == pytest.approx(clean * 0.5 / spread)


def test_rows_partitions_and_company_change_no_bit() -> None:
    """Shuffled, in chunks, streamed or alone, a race has the same fit to the last bit."""
    both = pl.concat([noisy_race(1), noisy_race(2, "2025-2")])
    expected = fit(both)
    shuffled = both.sample(fraction=1.0, shuffle=True, seed=4)
    chunks = pl.concat([shuffled.head(1), shuffled.slice(1, 200), shuffled.slice(201)])
    assert chunks.n_chunks() > 1
    assert_frame_equal(fit(chunks), expected, check_exact=True)
    streamed = pace_fit(clean_laps(noisy_race(1).lazy())).collect(engine="streaming").sort(LAP)
    numbers = ("session_key", "entry_key")
    alone = expected.filter(session_id=SESSION_ID)
    assert_frame_equal(streamed.drop(numbers), alone.drop(numbers), check_exact=True)
    assert_frame_equal(paces(chunks), paces(both), check_exact=True)


def test_names_change_no_bit() -> None:
    """Renamed, in another order of the alphabet, every driver keeps his pace."""
    table = noisy_race(3)
    names = {f"{n:02}": f"{(5 * n + 3) % 8:02}" for n in range(8)}
    renamed = table.with_columns(pl.col("driver_id").replace_strict(names))
    expected = paces(table).with_columns(pl.col("driver_id").replace_strict(names)).sort(ENTRY)
    assert_frame_equal(paces(renamed), expected, check_exact=True)


def test_a_longer_track_changes_no_pace() -> None:
    """All times doubled, with the gaps of before: the same percentages."""
    table = noisy_race(6).with_columns(lap_end_ms=None, position=None)
    table = table.cast(polars_schema("laps"))
    doubled = table.with_columns(pl.col("lap_time_ms") * 2)
    assert pace_pct(doubled) == pytest.approx(pace_pct(table), abs=1e-7)


def test_a_constant_on_all_lap_times_moves_no_one() -> None:
    """A second more on every lap: seconds between drivers stay, though of a longer lap."""
    table = noisy_race(7)
    slower = table.with_columns(
        pl.col("lap_time_ms") + 1000, pl.col("lap_end_ms") + 1000 * pl.col("lap_number")
    )
    shrunk = 90.0 / 91.0
    assert pace_pct(slower) == pytest.approx(pace_pct(table) * shrunk, abs=0.01)


def test_safety_car_laps_are_as_if_not_driven() -> None:
    """Three neutralized laps in the middle change no pace, whoever gained or lost on them."""
    table = noisy_race(8)
    is_neutral = pl.col("lap_number").is_between(18, 20)
    slow = pl.col("lap_time_ms") + 30_000 + pl.col("driver_id").cast(pl.Int32) * 500
    neutral = table.with_columns(
        track_status=pl.when(is_neutral).then(pl.lit("4")),
        lap_time_ms=pl.when(is_neutral).then(slow).otherwise("lap_time_ms"),
    )
    untimed = table.with_columns(lap_time_ms=pl.when(~is_neutral).then("lap_time_ms"))
    assert_frame_equal(paces(neutral), paces(untimed), check_exact=True)


def test_a_faster_lap_does_not_lower_the_pace() -> None:
    """Any lap of any driver, 0.2 s faster: his pace gains, or stays within a 20th of its error.

    It is no sharper than that because a lap also tells of the tyres and of its lap number, which
    others share.
    """
    table = noisy_race(11)
    cases = [(driver, lap) for driver in range(8) for lap in range(3, 42, runs(12, 6))]
    faster = [
        table.with_columns(
            pl.col("lap_time_ms") - 200 * is_lap(driver, lap).cast(pl.Int32),
            session_id=pl.lit(f"{1960 + driver}-{lap}"),
        )
        for driver, lap in cases
    ]
    found = paces(pl.concat(faster)).partition_by("session_id", as_dict=True)
    before = paces(table)
    own = [found[f"{1960 + driver}-{lap}",]["pace_pct"].to_numpy()[driver] for driver, lap in cases]
    changes = own - before["pace_pct"].to_numpy()[[driver for driver, _ in cases]]
    assert changes.max() <= before["pace_se_pct"].to_numpy().min() / 20
    assert np.mean(changes) < 0


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_standard_errors_say_how_sure_a_pace_is(correlation: float) -> None:
    """Of 600 simulated drivers about 90 % lie within 1.645 errors of their true pace."""
    rng = np.random.default_rng(20)
    races, truths = [], []
    for number in range(60):
        truth = rng.normal(0, 0.5, 10)
        noise = rng.normal(0, 0.4, (10, 60))
        for lap in range(1, 60):
            noise[:, lap] *= np.sqrt(1 - correlation**2)
            noise[:, lap] += correlation * noise[:, lap - 1]
        races.append(race(truth[:, None] + noise, f"{1960 + number}-1"))
        truths.append(truth - truth.mean())
    found = paces(pl.concat(races)).with_columns(
        pl.col("pace_pct") - pl.col("pace_pct").mean().over("session_id"),
        truth_pct=pl.Series(np.concatenate(truths)),
    )
    missed = ((found["pace_pct"] - found["truth_pct"]).abs() / found["pace_se_pct"]).to_numpy()
    assert 0.87 <= np.mean(missed < 1.645) <= 0.94


def test_a_race_of_one_lap_has_no_pace() -> None:
    """Half points behind the safety car: rows, but nothing in them."""
    rows = [
        {"driver_id": driver, "lap_number": 1, "lap_time_ms": 200_000, "track_status": "4"}
        for driver in ("ann", "bea")
    ]
    fitted = fit(frame("laps", rows))
    assert fitted["refused_for"].to_list() == ["first_lap"] * 2
    terms = ("level_pct", "driver_pct", "lap_pct", "tyre_pct", "residual_pct", "shortfall_pct")
    assert fitted.select(terms).null_count().row(0) == (2,) * len(terms)
    assert entry_pace(fitted.lazy()).collect()["clean_laps"].to_list() == [0, 0]
    assert session_pace(fitted.lazy()).collect()["clean_laps"].to_list() == [0]


def test_no_laps_give_no_rows() -> None:
    """A session of which only the classification is known."""
    nothing = frame("laps", [])
    assert fit(nothing).is_empty()
    assert paces(nothing).is_empty()


def test_constants_are_used() -> None:
    """Two laps suffice if that is what is asked."""
    pct = np.zeros((4, 12))
    pct[0, 2:] = np.nan
    constants = PaceConstants(min_laps=2)
    fitted = pace_fit(clean_laps(race(pct).lazy()), constants)
    found = entry_pace(fitted, constants).collect(engine="in-memory")
    assert found["pace_pct"].null_count() == 0


@pytest.mark.parametrize("session", simulated.sessions(), ids=lambda key: key.session_id)
def test_bundled_weekends(session: SessionKey, golden: Callable[[str, pl.DataFrame], None]) -> None:
    """The sessions that `drivegrade demo` shows."""
    golden(f"pace/{session.session_id}", paces(simulated.fetch(session, Settings())["laps"]))
