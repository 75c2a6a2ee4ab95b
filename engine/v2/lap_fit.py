"""Lap fit: every clean lap explained by who drove it and when, for all races at once.

    100 ln(lap time) = m_r + a_i + b_l + d_r (age − 10) + k_c + g_c (age − 10) + t_r T + e

a is the driver's pace in the race; b the lap's (fuel, weather, state of the track); d the loss a
lap of tyre age; k and g what a compound differs from the race's tyres, in level and slope, in
sessions whose source knows compounds; T is 1 on a lap begun in traffic, else 0.

1. `PASSES` times, each term in turn takes from the residual e what it explains: b and a the
   weighted mean of e over their laps, d and t its least squares on age and traffic freed of driver
   and lap (from the fourth pass on), k and g likewise over the laps on the compound. d is shrunk
   to a known slope, t to a known loss, k and g to none.
2. From the fifth pass on a lap has Huber's weight, min(1, 1.5 σ_r / |e|). The robust scale σ_r is
   1.4826 times the median |e| of the race, renewed every fourth pass.

Percentages are 100 · ln(time): 1 is about a hundredth of a lap time, negative is faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import COMPOUNDS, LAP
from engine.v2.clean_laps import MS_PER_S, is_clean, keyed
from engine.v2.exact_sums import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PASSES: Final = 25
"""Passes over the terms."""

SWEEPS: Final = 6
"""Alternating means that free age and traffic of driver and lap."""

FIRST_TERMS_PASS: Final = 3
FIRST_WEIGHTS_PASS: Final = 4
SCALE_PASSES: Final = (4, 8, 12, 16, 20)
"""Passes, counted from 0, from which tyres and traffic are fitted and laps weighted, and in which
the robust scale is renewed."""

SORTED_KEYS: Final = ("session_key", "entry_key")
"""Keys that the rows are sorted by."""

LAP_NUMBERS: Final = 256
"""More than a session has laps: one integer then names a session's lap."""

AGE_CENTRE_LAPS: Final = 10.0
"""Age from which the loss of the tyres is counted."""

MAD_TO_SIGMA: Final = 1.4826
"""Makes a median absolute deviation comparable to a standard deviation."""

SMALLEST_LIMIT_PCT: Final = 1e-6
"""Added to 1.5 σ, so that a race without noise has weights."""

BITS: Final = 30
"""Sums of values rounded to 2⁻³⁰, about 1e-9, are exact up to 2²³."""

FOUND: Final = {
    "m": "session_key",
    "a": "entry_key",
    "b": "lap_key",
    "d": "session_key",
    "t": "session_key",
    "k": "compound_key",
    "g": "compound_key",
    "sigma": "session_key",
}
"""What the fit finds, and the group of laps that share it."""

NO_PRIOR: Final = (0.0, 0.0)
"""A term that is shrunk to nothing."""


@dataclass(frozen=True)
class PaceConstants:
    """Constants of the pace fit.

    Attributes:
        min_laps: clean laps below which a driver has no pace.
        quantile: share of a driver's residuals below the level that is called his pace.
        huber: robust scales beyond which a lap counts less.
        tyre_slope_pct_per_lap: loss a lap of tyre age that a race's is shrunk to, that of
            1996-2014, where compounds are not known and fuel burns off.
        tyre_slope_laps2: weight of that slope, in squared laps of age freed of driver and lap.
        traffic_pct: loss in traffic that a race's is shrunk to.
        traffic_laps: weight of that loss, in laps.
        compound_laps: weight of "no difference in level" of a compound, in laps.
        compound_slope_laps2: weight of "no difference in slope", in squared laps.
        reference_spread_pct: robust scale of a race whose laps count as they are.
        smallest_spread_pct: robust scale below which laps gain no further weight.
        max_lap_weight: most that a clean lap of a steady race counts.
    """

    min_laps: int = 5
    quantile: float = 0.35
    huber: float = 1.5
    tyre_slope_pct_per_lap: float = -0.0044
    tyre_slope_laps2: float = 200.0
    traffic_pct: float = 0.3
    traffic_laps: float = 20.0
    compound_laps: float = 3.0
    compound_slope_laps2: float = 300.0
    reference_spread_pct: float = 0.5
    smallest_spread_pct: float = 0.2
    max_lap_weight: float = 1.5


DEFAULTS: Final = PaceConstants()


def pace_fit(laps: pl.LazyFrame, constants: PaceConstants = DEFAULTS) -> pl.LazyFrame:
    """Fit all terms to every lap of any number of sessions.

    No session's fit depends on another's, nor any bit on the order of rows.

    Args:
        laps: `engine.v2.clean_laps.clean_laps`, any order.
        constants: of the fit.

    Returns:
        The given rows and columns, the numbers `session_key` and `entry_key` that stand for their
        session and entry, and, in %, the terms `level_pct` (m, from a lap time in s),
        `driver_pct` (a), `lap_pct` (b), `tyre_pct` (d, k and g at the lap's age), `in_traffic_pct`
        (t T) and `residual_pct` (e): they add up to 100 ln(lap time in s). The residual and its
        `weight` (0 to 1) are null for a lap that is not clean, a and b for a driver and a lap
        number without clean laps. `shortfall_pct` is e + t T for any timed lap that has all other
        terms: what it cost against driver, lap and tyres. `field_cars` counts the clean laps of
        the lap number. Of the session: `spread_pct` (σ), `tyre_slope_pct_per_lap` (d) and
        `traffic_pct` (t), null without clean laps.
    """
    knows_compounds = pl.col("compound").is_not_null().any().over("session_key")
    known = _with_regressors(keyed(laps)).cache()  # read by four branches
    return pl.concat(
        _described(_fitted(known.filter(those), constants, with_compounds=with_compounds))
        for those, with_compounds in ((knows_compounds, True), (~knows_compounds, False))
    )


def _fitted(laps: pl.LazyFrame, used: PaceConstants, *, with_compounds: bool) -> pl.LazyFrame:
    """Run the passes over the clean laps, and give the others the terms that they share."""
    keys = ("lap_key", "compound_key") if with_compounds else ("lap_key",)
    fit = _prepared(_sortable(laps.filter(is_clean()), keys))
    slope = (used.tyre_slope_pct_per_lap, used.tyre_slope_laps2)
    traffic = (used.traffic_pct, used.traffic_laps)
    for number in range(PASSES):
        fit = _explain(fit, "lap_key", b=NO_PRIOR)
        fit = _explain(fit, "entry_key", a=NO_PRIOR)
        if number >= FIRST_TERMS_PASS:
            fit = _explain(fit, "session_key", d=slope, t=traffic)
        if number >= FIRST_TERMS_PASS and with_compounds:
            fit = _explain(fit, "compound_key", k=(0.0, used.compound_laps))
            fit = _explain(fit, "compound_key", g=(0.0, used.compound_slope_laps2))
        if number in SCALE_PASSES:
            fit = fit.with_columns(sigma=_robust_scale())
        if number >= FIRST_WEIGHTS_PASS:
            fit = fit.with_columns(w=_huber_weight(used)).with_columns(
                w_rounded=rounded(pl.col("w"), BITS)
            )
    shared = [pl.col(term).max().over(key) for term, key in FOUND.items()]
    return pl.concat([fit, laps.filter(~is_clean())], how="diagonal").with_columns(shared)


def _with_regressors(laps: pl.LazyFrame) -> pl.LazyFrame:
    """Add what the terms are multiplied by, and the keys of their groups."""
    compound = pl.col("compound").to_physical().cast(pl.Int32)
    return laps.with_columns(
        time=100.0 * (pl.col("lap_time_ms") * (1.0 / MS_PER_S)).log(),
        age=pl.col("tyre_age_laps") - AGE_CENTRE_LAPS,
        traffic=pl.col("is_in_traffic").cast(pl.Float64),
        known=pl.col("compound").is_not_null().cast(pl.Float64),
        lap_key=pl.col("session_key") * LAP_NUMBERS + pl.col("lap_number"),
        compound_key=pl.col("session_key") * len(COMPOUNDS) + compound,
    ).with_columns(known_age=pl.col("known") * pl.col("age"))


def _sortable(laps: pl.LazyFrame, keys: Iterable[str]) -> pl.LazyFrame:
    """Add, for keys that the rows are not sorted by, the sorted key and the ways there and back.

    Summing over a sorted key is several times as fast.
    """
    for key in keys:
        laps = laps.with_columns(pl.col(key).arg_sort().alias(f"{key}_there")).with_columns(
            pl.col(key).gather(f"{key}_there").set_sorted().alias(f"{key}_sorted"),
            pl.col(f"{key}_there").arg_sort().alias(f"{key}_back"),
        )
    return laps


def _prepared(clean: pl.LazyFrame) -> pl.LazyFrame:
    """Begin the fit: all terms 0, every lap of weight 1; age and traffic freed: `z_`."""
    level = rounded(pl.col("time"), BITS).sum().over("session_key") / pl.len().over("session_key")
    fit = clean.with_columns(
        **dict.fromkeys("abdtkg", pl.lit(0.0)),
        w=pl.lit(1.0),
        w_rounded=pl.lit(1.0),
        m=level,
        e=pl.col("time") - level,
        z_age=pl.col("age").cast(pl.Float64),
        z_traffic="traffic",
        entry_key_laps=pl.len().over("entry_key"),
        lap_key_laps=pl.len().over("lap_key"),
    )
    freed = ("z_age", "z_traffic")
    for key in ("entry_key", "lap_key") * SWEEPS:
        sums = {f"{z}_sum": rounded(pl.col(z), BITS) for z in freed}
        laps = pl.col(f"{key}_laps")
        fit = _summed(fit, key, sums).with_columns(
            pl.col(z) - pl.col(f"{z}_sum") / laps for z in freed
        )
    return fit


_REGRESSORS: Final[Mapping[str, pl.Expr | None]] = {
    "a": None,
    "b": None,
    "d": pl.col("age"),
    "t": pl.col("traffic"),
    "k": pl.col("known"),
    "g": pl.col("known_age"),
}
"""What a term is multiplied by in the lap's time; None is 1."""

_FREED: Final[Mapping[str, pl.Expr | None]] = {
    **_REGRESSORS,
    "d": pl.col("z_age"),
    "t": pl.col("z_traffic"),
    "g": pl.col("known") * pl.col("z_age"),
}
"""The same, freed of driver and lap: what the residual is compared with."""


def _explain(fit: pl.LazyFrame, key: str, **priors: tuple[float, float]) -> pl.LazyFrame:
    """Make terms the shrunk least squares of the residual over a group, and take it off.

    Args:
        fit: the laps as they are.
        key: column of the group.
        priors: by term, the value it is shrunk to and the weight of that.
    """
    sums, changes = {}, {}
    left = pl.col("e")
    for term, (prior, prior_weight) in priors.items():
        top, bottom, change = f"{term}_top", f"{term}_bottom", pl.col(f"{term}_change")
        freed = _FREED[term]
        weighted = _times(pl.col("w"), freed)
        sums[top] = rounded(weighted * pl.col("e"), BITS)
        sums[bottom] = pl.col("w_rounded") if freed is None else rounded(weighted * freed, BITS)
        changes[f"{term}_change"] = (
            pl.col(top) + (prior - pl.col(term)) * prior_weight if prior_weight else pl.col(top)
        ) / (pl.col(bottom) + prior_weight)
        left = left - _times(change, _REGRESSORS[term])
    return (
        _summed(fit, key, sums)
        .with_columns(**changes)
        .with_columns(left, *(pl.col(term) + pl.col(f"{term}_change") for term in priors))
    )


def _summed(fit: pl.LazyFrame, key: str, values: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    """Add the sums of values over a group, by name."""
    if key in SORTED_KEYS:
        sums = {name: pl.col(name).sum().over(key) for name in values}
        return fit.with_columns(**values).with_columns(**sums)
    there = {name: value.gather(f"{key}_there") for name, value in values.items()}
    back = {n: pl.col(n).sum().over(f"{key}_sorted").gather(f"{key}_back") for n in values}
    return fit.with_columns(**there).with_columns(**back)


def _times(value: pl.Expr, regressor: pl.Expr | None) -> pl.Expr:
    return value if regressor is None else value * regressor


def _robust_scale() -> pl.Expr:
    """σ of the race's residuals, in %; of an even number of laps the upper median counts."""
    return (MAD_TO_SIGMA * pl.col("e").abs().quantile(0.5, "higher")).over("session_key")


def _huber_weight(used: PaceConstants) -> pl.Expr:
    """Weight of the lap: 1 up to the limit, then falling with the residual."""
    limit = used.huber * pl.col("sigma") + SMALLEST_LIMIT_PCT
    return 1.0 / (pl.col("e").abs() / limit).clip(lower_bound=1.0)


def _described(fit: pl.LazyFrame) -> pl.LazyFrame:
    """Name the terms and take away what only the passes needed."""
    of_compound = (pl.col("k") + pl.col("g") * pl.col("age")).fill_null(0.0)
    tyre = pl.col("d") * pl.col("age") + of_compound
    expected = pl.col("m") + pl.col("a") + pl.col("b") + tyre
    return fit.select(
        *LAP,
        "session_key",
        "entry_key",
        "lap_time_ms",
        "compound",
        "stint_number",
        "tyre_age_laps",
        "gap_ahead_s",
        "is_in_traffic",
        "level_ms",
        "refused_for",
        level_pct="m",
        driver_pct="a",
        lap_pct="b",
        tyre_pct=tyre,
        in_traffic_pct=pl.col("t") * pl.col("traffic"),
        residual_pct="e",
        weight="w",
        field_cars=is_clean().sum().over("lap_key").cast(pl.Int32),
        spread_pct="sigma",
        tyre_slope_pct_per_lap="d",
        traffic_pct="t",
        shortfall_pct=pl.col("time") - expected,
    )
