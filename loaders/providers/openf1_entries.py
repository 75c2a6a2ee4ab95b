"""OpenF1's classification, with the ids that Jolpica gives its cars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.completeness import LAP_TOLERANCE
from loaders.providers import ProviderError
from loaders.providers.openf1_laps import is_second_lap
from loaders.providers.openf1_records import DRIVER, ORDER, SOURCE, contract, to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tables import SessionKey

LAPPED: Final = r"^\+\d+ LAPS?$"
"""A gap to the leader in laps."""

SECONDS: Final = r"^(\d{1,5}(?:\.\d{1,9})?)$"
"""A gap to the leader in s."""

STOPPED_LAPS: Final = 2
"""A classified car last timed so many of its laps before the winner finished had stopped: a car
that runs is timed again after the winner, or, on countback, less than a lap before."""

PENALTY_S: Final = 60.0
"""Penalties do not add up to more; race time and gap further apart are not of one unit, s."""

DRIVEN: Final = ("laps", "stints", "pit")
"""Endpoints whose cars took part, so that the classification has them."""


def parse_entries(
    session: SessionKey,
    raw: Mapping[str, pl.DataFrame],
    entrants: pl.DataFrame,
) -> pl.DataFrame:
    """Give the classification as last published: one row per car in it, times in ms.

    A car whose first lap began in the pit lane started there and has no place on the grid, unless
    most cars are marked so, which then means their laps to the grid. A car that did not start and
    has no identity was no entry.

    Args:
        session: which.
        raw: frames `session_result`, `drivers`, `laps`, `position` and `starting_grid`, the last
            that of the session's qualifying; without rows if it is not published.
        entrants: `driver_number`, `driver_id`, `driver_code`, `driver_name`, `team_id` and
            `team_name` of the session's entrants (`loaders.identity`).

    Raises:
        ProviderError: a car has no identity, or drove and is not classified; the endpoints or the
            services contradict each other about teams or times.
    """
    cars = _cars(session, raw, entrants)
    _check_agreement(session, cars)
    is_classified = pl.col("position").is_not_null()
    started_in_pit = pl.col("in_pit").fill_null(value=False)
    full_name = pl.concat_str("first_name", "last_name", separator=" ")
    return (
        cars.with_columns(status=_status())
        .select(
            pl.col(DRIVER, "driver_number", "team_id", "status", "points"),
            driver_code=pl.coalesce("name_acronym", "driver_code"),
            driver_name=pl.coalesce(full_name, "driver_name"),
            team_name=pl.coalesce("team_name", "team_name_right"),
            grid_position=pl.when(~started_in_pit).then("slot"),
            is_pit_lane_start=pl.when(started_in_pit | pl.col("slot").is_not_null()).then(
                started_in_pit
            ),
            position=pl.coalesce("position", _place_behind_the_classified()),
            is_classified=is_classified,
            status_text=pl.lit(None),
            completed_laps="number_of_laps",
            race_time_ms=pl.when(is_classified).then(_race_time_ms()),
        )
        .pipe(contract, "entries", session)
    )


def _cars(
    session: SessionKey, raw: Mapping[str, pl.DataFrame], entrants: pl.DataFrame
) -> pl.DataFrame:
    """Join what is known of each car in the classification; refuse cars nobody can name.

    Adds `slot` (grid), `in_pit` (started there), `last_place`, `crossed_at` and `lap_s` (the last
    timed lap) and the identity's columns. Excluded cars and non-starters have no `position`.
    """
    slots = raw["starting_grid"].select("driver_number", slot="position")
    cars = (
        raw["session_result"]
        .with_columns(position=pl.when(~pl.col("dsq") & ~pl.col("dns")).then("position"))
        .join(raw["drivers"], on="driver_number", how="left")
        .join(slots, on="driver_number", how="left")
        .join(_pit_lane_starters(raw), on="driver_number", how="left")
        .join(_last_places(raw["position"]), on="driver_number", how="left")
        .join(_last_crossings(raw), on="driver_number", how="left")
        .join(entrants.cast({"driver_number": pl.Int64}), on="driver_number", how="left")
    )
    is_unknown = pl.any_horizontal(pl.col(DRIVER, "team_id").is_null())
    cars = cars.filter(~(is_unknown & pl.col("dns")))
    nameless = cars.filter(is_unknown)["driver_number"]
    drove = pl.concat([raw[name].select("driver_number") for name in DRIVEN])["driver_number"]
    strangers = drove.filter(~drove.is_in(raw["session_result"]["driver_number"].to_list()))
    if nameless.len():
        raise _refusal(session, f"car {_list(nameless)} has no identity in Jolpica's entry list")
    if strangers.len():
        names = "laps, tyres or stops"
        raise _refusal(session, f"car {_list(strangers)} has {names} and is not in session_result")
    if cars.is_empty():
        raise _refusal(session, "nobody took part")
    return cars


def _refusal(session: SessionKey, fault: str) -> ProviderError:
    return ProviderError(
        f"{SOURCE} {session.session_id}: {fault}.\n"
        "Nothing was loaded. Try again when the services have corrected it."
    )


def _list(values: pl.Series) -> str:
    return ", ".join(str(value) for value in values.unique().sort())


def _check_agreement(session: SessionKey, cars: pl.DataFrame) -> None:
    """See that one team has one name, and that race times are the winner's plus the gaps.

    Raises:
        ProviderError: OpenF1 has a car in another team than Jolpica, or its times differ by more
            than penalties explain.
    """
    names = pl.col("team_name").drop_nulls().n_unique().over("team_id")
    torn = cars.filter(names > 1)
    if torn.height:
        named = _list(torn["team_name"].drop_nulls())
        raise _refusal(
            session, f"drivers gives the team {_list(torn['team_id'])} the names {named}"
        )
    own_s, told_s = pl.col("duration"), _told_race_time_s()
    far = cars.filter((own_s - told_s).abs() > PENALTY_S)["driver_number"]
    if far.len():
        fault = "duration and gap_to_leader of session_result differ by more than penalties explain"
        raise _refusal(session, f"car {_list(far)}: {fault}")


def _status() -> pl.Expr:
    """How the session ended: OpenF1's flags first, then laps and clock against the winner's.

    A car that stopped late is classified, and not flagged.
    """
    laps, place = pl.col("number_of_laps"), pl.col("position")
    winner_laps = laps.filter(place == 1).first()
    is_lapped = pl.col("gap_to_leader").str.contains(LAPPED).fill_null(value=False)
    behind_s = (
        pl.col("crossed_at").filter(place == 1).first() - pl.col("crossed_at")
    ).dt.total_milliseconds() / 1000
    stopped = (behind_s > STOPPED_LAPS * pl.col("lap_s")).fill_null(value=False)
    return (
        pl.when("dsq")
        .then(pl.lit("disqualified"))
        .when("dns")
        .then(pl.lit("did_not_start"))
        .when(pl.col("dnf") | stopped)
        .then(pl.lit("retired"))
        .when(is_lapped | (laps < winner_laps).fill_null(value=False))
        .then(pl.lit("lapped"))
        .when(place.is_not_null())
        .then(pl.lit("finished"))
        .otherwise(pl.lit("unknown"))
    )


def _race_time_ms() -> pl.Expr:
    """The winner's time plus the gap where that is a number of seconds, else the own time."""
    return to_ms(pl.coalesce(_told_race_time_s(), pl.col("duration")))


def _told_race_time_s() -> pl.Expr:
    """The winner's time plus the gap, s; null where the gap is no number of seconds."""
    winner_s = pl.col("duration").filter(pl.col("position") == 1).first()
    return winner_s + pl.col("gap_to_leader").str.extract(SECONDS).cast(pl.Float64)


def _place_behind_the_classified() -> pl.Expr:
    """Place of a car without one: retired cars by laps run, then non-starters, then excluded ones.

    Cars that ran equally far stand in their last running order; null where that is not known.
    """
    unplaced = pl.col("position").is_null()
    group = pl.when("dsq").then(2).when("dns").then(1).otherwise(0)
    laps = pl.when(pl.col("dsq") | pl.col("dns")).then(0).otherwise(-pl.col("number_of_laps"))
    tie = pl.struct(group.alias("group"), laps.alias("laps"), unplaced.alias("unplaced"))
    order = pl.struct(group.alias("group"), laps.alias("laps"), pl.col("last_place"))
    is_told = (pl.len().over(tie) == 1) | (
        pl.col("last_place").is_not_null().all().over(tie)
        & (pl.col("last_place").n_unique().over(tie) == pl.len().over(tie))
    )
    rank = pl.when(unplaced).then(order).rank("ordinal") + pl.col("position").count()
    return pl.when(unplaced & is_told & laps.is_not_null()).then(rank)


def _last_places(position: pl.DataFrame) -> pl.DataFrame:
    """Each car's last place in the running order: `driver_number`, `last_place`."""
    return (
        position.drop_nulls("position")
        .group_by("driver_number")
        .agg(last_place=pl.col("position").sort_by("date", "position").last())
    )


def _last_crossings(raw: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Each car's last timed lap that counts: `driver_number`, `crossed_at` (its end), `lap_s`.

    Cars of which later laps are credited than listed, but for one, are left out: they ran on.
    """
    credited = raw["session_result"].select("driver_number", "number_of_laps")
    ended_at = pl.col("date_start") + pl.duration(milliseconds=to_ms("lap_duration"))
    return (
        raw["laps"]
        .join(credited, on="driver_number")
        .filter(pl.col(ORDER) <= pl.col("number_of_laps"))
        .select("driver_number", "number_of_laps", ORDER, crossed_at=ended_at, lap_s="lap_duration")
        .drop_nulls()
        .sort(ORDER, "crossed_at", "lap_s")
        .unique("driver_number", keep="last", maintain_order=True)
        .filter(pl.col("number_of_laps") - pl.col(ORDER) <= LAP_TOLERANCE)
        .select("driver_number", "crossed_at", "lap_s")
    )


def _pit_lane_starters(raw: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Cars whose first lap began in the pit lane: `driver_number`, `in_pit`; none if most did.

    Where the row of a car that ran further holds its second lap, the mark is that lap's too.
    """
    credited = raw["session_result"].select("driver_number", "number_of_laps")
    sectors_ms = (to_ms(f"duration_sector_{number}") for number in (1, 2, 3))
    is_second = is_second_lap("driver_number", to_ms("lap_duration"), *sectors_ms)
    flag = pl.col("is_pit_out_lap") & ~(is_second & (pl.col("number_of_laps") > 1))
    first = (
        raw["laps"]
        .join(credited, on="driver_number")
        .with_columns(in_pit=flag.fill_null(value=False))
        .filter(pl.col(ORDER) == 1)
        .group_by("driver_number")
        .agg(pl.col("in_pit").any())
    )
    return first.filter("in_pit", pl.lit(first["in_pit"].sum() * 2 <= first.height))
