"""A first race: load it, grade it, look at what the grade rests on, and move a weight.

    marimo edit docs/notebooks/first_race.py

It works on the simulated weekends that come with the project, in a folder of its own, without a
network. The first cell says what to change for real races.
"""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Drive Grade: a first race")

with app.setup:
    import tempfile
    import warnings
    from pathlib import Path

    import marimo as mo
    import polars as pl

    from loaders import library as dg


@app.cell
def _():
    mo.md("""
    # A first race

    The races here are **simulated**: nobody in them exists. For real ones, leave the settings
    away everywhere below, which takes your own folder and all sources, and load `dg.load_race(2023,
    10)`; or take a FastF1 session that you have loaded: `dg.from_fastf1(session)`.
    """)


@app.cell
def _():
    settings = dg.Settings(home=Path(tempfile.mkdtemp()), providers="simulated")
    return (settings,)


@app.cell
def _(settings):
    with warnings.catch_warnings():
        # Nothing is known before the first race of all, and the library says so.
        warnings.simplefilter("ignore", dg.NothingKnownWarning)
        dg.keep(dg.load_race(2099, 1, settings=settings), settings=settings)
    race = dg.load_race(2099, 2, settings=settings)
    grades = dg.keep(race, settings=settings)
    mo.vstack([mo.md(f"## Grades\n\n`{race!r}`"), mo.ui.table(grades, selection=None)])
    return grades, race


@app.cell
def _(grades):
    mo.md(f"""
    A grade is the share of the driver-races of 1996–2014 that were worse, with a 90 % interval.
    The best here, {grades["driver_name"][0]}, was better than {grades["grade"][0]:.0f} % of them;
    one race leaves it open between {grades["grade_low"][0]:.0f} and
    {grades["grade_high"][0]:.0f}.

    ## What a grade rests on
    """)


@app.cell
def _(grades):
    driver = mo.ui.dropdown(
        dict(zip(grades["driver_name"], grades["driver_id"], strict=True)),
        value=grades["driver_name"][0],
        label="driver",
    )
    driver  # noqa: B018 - shown
    return (driver,)


@app.cell
def _(driver, race, settings):
    rests_on = dg.evidence(race, settings=settings)
    measured = rests_on["grade_evidence"].filter(driver_id=driver.value)
    passes = rests_on["pass_events"].filter(pl.col("is_passed"), driver_id=driver.value)
    mo.vstack(
        [
            mo.ui.table(
                measured.select(
                    *("clean_laps", "pace_against_car_pct", "pace_against_car_se_pct"),
                    *("attack", "defence", "start_places", "slow_laps", "penalty_s"),
                ),
                selection=None,
            ),
            mo.md(f"Passes made, and how likely each was ({passes.height}):"),
            mo.ui.table(passes.select("lap_number", "opponent_id", "gap_s", "expectation")),
        ]
    )
    return measured, passes


@app.cell
def _():
    weight = mo.ui.slider(0.0, 1.0, 0.05, value=0.45, label="weight of racecraft")
    mo.vstack([mo.md("## Move a weight"), weight])
    return (weight,)


@app.cell
def _(grades, race, settings, weight):
    shares = {"racecraft": weight.value, "consistency": round(1 - weight.value, 2)}
    changed = dg.grade(race, dg.profile("v2", name="mine", weights=shares), settings=settings)
    ranked = [
        frame.select("driver_name", "total_grade", rank=pl.col("total_grade").rank(descending=True))
        for frame in (grades, changed)
    ]
    moved = (
        ranked[0]
        .join(ranked[1], on="driver_name", suffix="_changed")
        .drop_nulls()
        .with_columns(places=pl.col("rank") - pl.col("rank_changed"))
        .sort("rank_changed")
    )
    mo.vstack([mo.md(f"Weights: `{shares}`"), mo.ui.table(moved, selection=None)])
    return changed, moved


@app.cell
def _(settings):
    answer = dg.sql(
        """
        select driver_name, count(*) as races, round(avg(grade), 1) as mean_grade
        from grades
        group by driver_id, driver_name
        order by mean_grade desc nulls last, driver_name
        limit 5
        """,
        settings=settings,
    )
    mo.vstack([mo.md("## Ask the lake\n\nDuckDB, no server."), mo.ui.table(answer, selection=None)])
    return (answer,)


if __name__ == "__main__":
    app.run()
