"""What Jolpica's classification says, which FastF1 passes on: status and start, in our words."""

from __future__ import annotations

import polars as pl

from engine.tables import NO_START


def entry_status(letter: pl.Expr, text: pl.Expr, laps: pl.Expr) -> pl.Expr:
    """How the session ended, from the letter of the place first and the status text second.

    The text of a disqualified or withdrawn car often names only the reason ("Driveshaft"). Who
    withdrew on the road retired; who was running at the end but not classified was lapped. Since
    2025 the text is one of few, of which "Retired" stands for accidents and failures alike.

    Args:
        letter: place as text, a number for the classified, else R, D, E, W, F or N.
        text: status in words, null if not known.
        laps: laps credited, null if not known.

    Returns:
        One of `engine.tables.ENTRY_STATUSES` as text, never null.
    """
    withdrew = ((letter == "W") | (text == "Withdrew")) & (laps.fill_null(0) == 0)
    is_lapped = text.str.contains(r"^\+\d+ Laps?$") | text.is_in(["Lapped", "Not classified"])
    unqualified = text.is_in(["Did not qualify", "Did not prequalify", "107% Rule"])
    return (
        pl.when(letter.is_in(["D", "E"]) | text.is_in(["Disqualified", "Excluded"]))
        .then(pl.lit("disqualified"))
        .when((letter == "F") | unqualified)
        .then(pl.lit("did_not_qualify"))
        .when((text == "Did not start") | withdrew)
        .then(pl.lit("did_not_start"))
        .when(text == "Finished")
        .then(pl.lit("finished"))
        .when(is_lapped)
        .then(pl.lit("lapped"))
        .when(text.is_not_null() | (letter == "R"))
        .then(pl.lit("retired"))
        .otherwise(pl.lit("unknown"))
    )


def is_pit_lane_start(grid: pl.Expr) -> pl.Expr:
    """A start from the pit lane is written as grid 0; null if the grid is not known.

    Reads the column `status`: who did not start, did not start from the pit lane.
    """
    no_start = pl.col("status").is_in(NO_START)
    return pl.when(no_start).then(pl.lit(value=False)).when(grid >= 0).then(grid == 0)
