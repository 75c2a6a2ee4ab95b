"""Rating: the filter of drivers and cars, worked by hand where it can be."""

from __future__ import annotations

import io
import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import ENTRY, SessionKey
from engine.v2.rating import RATING_SCHEMA, STATE_SCHEMA, RatingConstants, qualifying_pace, rate

TWO = RatingConstants(min_drivers=2)
"""Two cars are a field: what the filter does with them can be worked by hand."""

QUALIFYING = pl.Schema(
    {
        "session_id": pl.String(),
        "driver_id": pl.String(),
        "q1_ms": pl.Int32(),
        "q2_ms": pl.Int32(),
        "q3_ms": pl.Int32(),
    }
)

Weekend = dict[str, tuple[str, float | None]]
"""Team and pace, in %, by driver."""


class World:
    """Sessions with entries and paces, added one by one."""

    def __init__(self) -> None:
        self.sessions: list[dict[str, object]] = []
        self.rows: list[dict[str, object]] = []
        self.times: list[dict[str, object]] = []

    def add(self, session_id: str, weekend: Weekend, laps: float = 50.0) -> World:
        """Add a session."""
        season, number, kind = SessionKey.parse(session_id)
        self.sessions.append(
            {"session_id": session_id, "season": season, "round": number, "session_kind": kind}
        )
        self.rows += [
            {
                "session_id": session_id,
                "driver_id": driver,
                "team_id": team,
                "pace_pct": pace,
                "effective_laps": None if pace is None else laps,
            }
            for driver, (team, pace) in weekend.items()
        ]
        return self

    def qualify(self, session_id: str, **best: tuple[int | None, ...]) -> World:
        """Add a race's qualifying: times of its segments, in ms, by driver."""
        self.times += [
            {"session_id": session_id, "driver_id": driver}
            | dict(zip(("q1_ms", "q2_ms", "q3_ms"), times, strict=False))
            for driver, times in best.items()
        ]
        return self

    def rate(
        self,
        constants: RatingConstants = TWO,
        state: pl.DataFrame | None = None,
        sessions: pl.DataFrame | None = None,
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rate all sessions, or some: entries and states."""
        rows = pl.DataFrame(self.rows, schema_overrides={"pace_pct": pl.Float64()})
        held = pl.DataFrame(self.sessions) if sessions is None else sessions
        times = pl.DataFrame(self.times, schema=QUALIFYING)
        return rate(rows, rows, held, times, state=state, constants=constants)


def values(entries: pl.DataFrame, session_id: str, column: str) -> dict[str, float]:
    """A session's values of a column by driver."""
    found = entries.filter(session_id=session_id)
    return dict(zip(found["driver_id"], found[column], strict=True))


def history(seasons: int = 5, seed: int = 1) -> World:
    """Seasons of four rounds, four teams, two drivers each, who come, go, change and return."""
    rng = np.random.default_rng(seed)
    world = World()
    skill = rng.normal(0, 0.3, 20)
    for season in range(2000, 2000 + seasons):
        absent = season % 4
        teams = rng.permutation([f"d{n:02}" for n in range(12) if n % 4 != absent])[:8]
        for number in range(1, 5):
            weekend: Weekend = {
                driver: (f"t{place // 2}", skill[int(driver[1:])] + place // 2 + rng.normal(0, 0.3))
                for place, driver in enumerate(teams)
            }
            sprint = f"{season}-{number}-sprint"
            if number == 2:
                world.add(sprint, weekend, laps=15.0)
            world.add(f"{season}-{number}", weekend)
            times = rng.integers(80_000, 82_000, (8, 3)).tolist()
            world.qualify(f"{season}-{number}", **dict(zip(teams, map(tuple, times), strict=True)))
    return world


def test_two_in_one_car_are_rated_by_their_difference() -> None:
    """Car and day cancel: of a difference δ the part 2p² / (2p² + 2r) is the drivers'."""
    found, _ = World().add("2000-1", {"ann": ("x", -0.1), "bea": ("x", 0.1)}).rate()
    prior = TWO.driver_sd**2 + TWO.driver_round_sd**2
    error = TWO.pace_sd**2 + TWO.pace_lap_sd**2 / 50.0
    rating = values(found, "2000-1", "rating_pct")
    assert rating["ann"] == pytest.approx(0.1 * prior / (prior + error))
    assert rating["bea"] == pytest.approx(-rating["ann"])
    assert values(found, "2000-1", "rating_before_pct") == {"ann": 0.0, "bea": 0.0}
    variance = (2 * prior + 2 * prior * error / (prior + error)) / 4
    assert values(found, "2000-1", "rating_variance")["ann"] == pytest.approx(variance, abs=1e-4)
    assert values(found, "2000-1", "pace_against_car_pct") == {
        "ann": pytest.approx(0.1),
        "bea": pytest.approx(-0.1),
    }


def test_two_cars_share_a_difference_by_what_is_known_of_them() -> None:
    """δ is split over drivers, cars, the day and error in proportion to their variances."""
    weekend: Weekend = {"ann": ("x", -0.5), "bea": ("y", 0.5)}
    found, _ = World().add("2000-1", weekend).rate()
    driver = TWO.driver_sd**2 + TWO.driver_round_sd**2
    car = TWO.team_sd**2 + TWO.car_round_sd**2
    day, error = TWO.team_day_sd**2, TWO.pace_sd**2 + TWO.pace_lap_sd**2 / 50.0
    total = driver + car + day + error
    cars = values(found, "2000-1", "car_pct")
    assert values(found, "2000-1", "rating_pct")["ann"] == pytest.approx(0.5 * driver / total)
    assert cars["ann"] == pytest.approx(-0.5 * (car + day) / total)
    assert cars["bea"] == pytest.approx(-cars["ann"])
    against = values(found, "2000-1", "pace_against_car_pct")
    assert against["ann"] == pytest.approx(0.5 * (driver + error) / total)
    spread = (car + day) * (1 - (car + day) / total / 2)
    assert values(found, "2000-1", "car_variance")["ann"] == pytest.approx(spread, abs=0.02)


def test_one_odd_race_moves_no_state_far() -> None:
    """Four times as far out, an observation that is already doubted moves the state less."""
    moved = []
    for pace in (4.0, 16.0):
        found, _ = World().add("2000-1", {"ann": ("x", -pace), "bea": ("x", pace)}).rate()
        moved.append(values(found, "2000-1", "rating_pct")["ann"])
    assert 0 < moved[1] < moved[0]


def test_qualifying_is_seen_before_the_race() -> None:
    """Faster by δ in both: first the qualifying's share, then the race's of what is left."""
    world = World().add("2000-1", {"ann": ("x", -0.1), "bea": ("x", 0.1)})
    best = {
        name: round(90_000 * math.exp(pct / 100)) for name, pct in (("ann", -0.1), ("bea", 0.1))
    }
    world.qualify("2000-1", **{name: (ms,) for name, ms in best.items()})
    delta = 50 * math.log(best["bea"] / best["ann"])
    prior = TWO.driver_sd**2 + TWO.driver_round_sd**2
    seen = TWO.pace_sd**2 + TWO.pace_lap_sd**2 / TWO.qualifying_laps
    raced = TWO.pace_sd**2 + TWO.pace_lap_sd**2 / 50.0
    expected = delta * prior / (prior + seen)
    left = prior * seen / (prior + seen)
    expected += (0.1 - expected) * left / (left + raced)
    rating = values(world.rate()[0], "2000-1", "rating_pct")
    assert rating["ann"] == pytest.approx(expected, abs=1e-9)


def test_segments_of_qualifying_are_put_on_one_track() -> None:
    """The track gains 1 % from Q1 to Q2: a driver out in Q1 loses nothing by that."""
    times = pl.DataFrame(
        {
            "session_id": ["2000-1"] * 4,
            "driver_id": ["ann", "bea", "cid", "dot"],
            "q1_ms": [90_900, 91_809, 90_900, None],
            "q2_ms": [90_000, 90_900, None, 89_100],
            "q3_ms": [None, 90_000, None, None],
        },
        schema_overrides=QUALIFYING,
    )
    found = qualifying_pace(times).sort("driver_id")["qualifying_pct"].to_numpy()
    best = [90.9, 91.809, 90.9, 89.1 * 1.01]
    assert found == pytest.approx(100 * np.log(best))
    nobody = times.with_columns(q1_ms=None, q2_ms=None, q3_ms=None)
    assert qualifying_pace(nobody.cast(QUALIFYING)).is_empty()


def test_winters_wear_cars_and_age_states() -> None:
    """A winter takes 30 % of a car's lead; both states grow less certain by what it adds."""
    weekend: Weekend = {"ann": ("x", -0.5), "bea": ("y", 0.5)}
    idle: Weekend = {"ann": ("x", None), "bea": ("y", None)}
    found, _ = World().add("2000-1", weekend).add("2001-1", idle).rate()
    _, states = World().add("2000-1", weekend).rate()
    lead, variance = states["mean_pct"][0], states["covariance"][0]
    assert states["member_id"][0].to_list() == ["ann", "bea", "x", "y"]
    car = values(found, "2001-1", "car_before_pct")["ann"]
    assert car == pytest.approx(TWO.car_carry_over * lead[2])
    grown = variance[0] + TWO.driver_season_sd**2 + TWO.driver_round_sd**2
    assert values(found, "2001-1", "rating_variance")["ann"] == pytest.approx(grown)
    grown = TWO.car_carry_over**2 * variance[5] + TWO.car_season_sd**2 + TWO.car_round_sd**2
    assert values(found, "2001-1", "car_variance")["ann"] == pytest.approx(grown)
    assert values(found, "2001-1", "pace_against_car_pct") == {"ann": None, "bea": None}


def test_new_teams_are_expected_to_be_slow_but_not_in_the_first_season() -> None:
    """At the beginning all are new; later a new car is taken to be 0.8 % slower."""
    first: Weekend = {"ann": ("x", 0.0), "bea": ("y", 0.0)}
    later: Weekend = {"ann": ("x", 0.0), "bea": ("z", 0.0)}
    found, _ = World().add("2000-1", first).add("2001-1", later).rate()
    assert values(found, "2000-1", "car_before_pct")["bea"] == 0.0
    assert values(found, "2001-1", "car_before_pct")["bea"] == TWO.team_mean


def test_who_is_away_long_retires_and_returns_as_he_was() -> None:
    """Bea misses two seasons: out of the covariance, back with her mean, less certain."""
    both: Weekend = {"ann": ("x", -0.1), "bea": ("x", 0.1)}
    other: Weekend = {"ann": ("x", 0.0), "cid": ("x", 0.0)}
    world = World().add("2000-1", both).add("2001-1", other).add("2002-1", other)
    found, states = world.add("2003-1", {"bea": ("x", None), "cid": ("x", None)}).rate()
    active = [set(members) for members in states["member_id"]]
    assert ["bea" in members for members in active] == [True, True, False, True]
    assert states["retired_id"].to_list() == [[], [], ["bea"], []]
    rating = values(found, "2000-1", "rating_pct")["bea"]
    stayed = [states["mean_pct"][n][states["member_id"][n].to_list().index("bea")] for n in (0, 1)]
    assert stayed[0] == -rating
    assert values(found, "2003-1", "rating_before_pct")["bea"] == pytest.approx(-stayed[1])
    before = states["retired_variance"][2][0]
    grown = before + TWO.driver_season_sd**2 + TWO.driver_round_sd**2
    assert values(found, "2003-1", "rating_variance")["bea"] == pytest.approx(grown)


def test_a_state_holds_no_more_than_two_seasons_of_members() -> None:
    """However long the history, the covariance is of those seen lately."""
    world = World()
    for season in range(2000, 2030):
        pair: Weekend = {f"d{2 * season}": (f"t{season}", 0.1), f"d{2 * season + 1}": ("x", 0.0)}
        world.add(f"{season}-1", pair)
    _, states = world.rate()
    assert states["member_id"].list.len().max() == 7
    assert states["retired_id"].list.len()[-1] == 29 * 3 + 4 - 7


def test_a_sprint_comes_before_its_race_and_is_no_new_round() -> None:
    """The race starts from what the sprint showed, and a weekend adds its variance once."""
    weekend: Weekend = {"ann": ("x", -0.1), "bea": ("x", 0.1)}
    idle: Weekend = {"ann": ("x", None), "bea": ("x", None)}
    world = World().add("2000-1", idle | weekend).add("2000-2", idle).add("2000-2-sprint", idle)
    variance = {
        session: values(world.rate()[0], session, "rating_variance")["ann"]
        for session in ("2000-1", "2000-2-sprint", "2000-2")
    }
    added = TWO.driver_round_sd**2
    assert variance["2000-2-sprint"] - variance["2000-1"] == pytest.approx(added)
    assert variance["2000-2"] == variance["2000-2-sprint"]
    driven = World().add("2000-1", weekend).add("2000-1-sprint", weekend, laps=15.0).rate()[0]
    sprint = values(driven, "2000-1-sprint", "rating_pct")
    assert sprint["ann"] > 0
    assert values(driven, "2000-1", "rating_before_pct") == sprint


def test_nothing_is_rated_before_the_first_pace() -> None:
    """Entries and qualifying alone begin nothing; from the first race on, they count."""
    idle: Weekend = {"ann": ("x", None), "bea": ("x", None)}
    world = World().add("2000-1", idle).add("2001-1", {"ann": ("x", -0.1), "bea": ("x", 0.1)})
    for season in (2000, 2001, 2002):
        world.qualify(f"{season}-1", ann=(80_000,), bea=(80_500,))
    found, states = world.add("2002-1", idle).rate()
    assert found.filter(session_id="2000-1").null_count().row(0) == (0, 0, *[2] * 7)
    assert states["session_id"].to_list() == ["2001-1", "2002-1"]
    assert states["first_season"].to_list() == [2001, 2001]
    after = values(found, "2002-1", "rating_pct")["ann"]
    assert after > values(found, "2001-1", "rating_pct")["ann"]


def test_nothing_looks_ahead() -> None:
    """What stands at a session stays, whatever comes later."""
    world = history()
    found, states = world.rate(RatingConstants())
    early = pl.DataFrame(world.sessions).filter(pl.col("season") < 2003)
    before, before_states = world.rate(RatingConstants(), sessions=early)
    assert_frame_equal(before, found.join(before, on=ENTRY, how="semi"), check_exact=True)
    assert_frame_equal(before_states, states.head(before_states.height), check_exact=True)


def test_any_state_gives_the_rest() -> None:
    """Cut anywhere, stored and read again, the rest comes out the same."""
    world = history()
    found, states = world.rate(RatingConstants())
    order = states["session_id"].to_list()
    assert states.schema == STATE_SCHEMA
    assert found.schema == RATING_SCHEMA
    held = pl.DataFrame(world.sessions)
    for cut in range(0, len(order) - 1, 3):
        file = io.BytesIO()
        states.slice(cut, 1).write_parquet(file)
        file.seek(0)
        left = held.filter(pl.col("session_id").is_in(order[cut + 1 :]))
        rest, rest_states = world.rate(RatingConstants(), pl.read_parquet(file), left)
        expected = found.filter(pl.col("session_id").is_in(order[cut + 1 :]))
        assert_frame_equal(rest, expected, check_exact=True)
        assert_frame_equal(rest_states, states.slice(cut + 1), check_exact=True)


def test_rows_and_names_change_nothing() -> None:
    """Shuffled rows give the same bits; renamed drivers and teams the same values to 1e-12."""
    world, mixed = history(3), history(3)
    expected, _ = world.rate(RatingConstants())
    rng = np.random.default_rng(2)
    for rows in (mixed.rows, mixed.sessions, mixed.times):
        rng.shuffle(rows)
    assert_frame_equal(mixed.rate(RatingConstants())[0], expected, check_exact=True)
    for row in (*mixed.rows, *mixed.times):
        row["driver_id"] = f"e{11 - int(str(row['driver_id'])[1:]):02}"
    for row in mixed.rows:
        row["team_id"] = f"u{3 - int(str(row['team_id'])[1:])}"
    renamed = expected.with_columns(
        driver_id=pl.format(
            "e{}",
            (11 - pl.col("driver_id").str.tail(2).cast(pl.Int32)).cast(pl.String).str.zfill(2),
        )
    ).sort(ENTRY)
    found, _ = mixed.rate(RatingConstants())
    assert_frame_equal(found, renamed, check_exact=False, rel_tol=0, abs_tol=1e-12)


def test_skill_is_found_whatever_the_car() -> None:
    """Drivers who change cars every season: skill correlates with the rating, cars with cars."""
    rng = np.random.default_rng(9)
    skill, world = rng.normal(0, 0.25, 16), World()
    for season in range(2000, 2006):
        drivers = rng.permutation(16)
        for number in range(1, 13):
            world.add(
                f"{season}-{number}",
                {
                    f"d{driver:02}": (
                        f"t{place // 2}",
                        skill[driver] + 0.4 * (place // 2) + rng.normal(0, 0.3),
                    )
                    for place, driver in enumerate(drivers.tolist())
                },
            )
    found, _ = world.rate(RatingConstants())
    last = found.filter(session_id="2005-12")
    assert np.corrcoef(last["rating_pct"], -skill)[0, 1] > 0.85
    teams = pl.DataFrame(world.rows).filter(session_id="2005-12").select("driver_id", "team_id")
    cars = last.join(teams, on="driver_id").sort("team_id")["car_pct"].to_numpy()
    assert np.corrcoef(cars, np.repeat(np.arange(8), 2))[0, 1] > 0.97


def test_sessions_not_later_than_the_state_are_refused() -> None:
    """The error names them and says from where to go on."""
    world = history(2)
    _, states = world.rate(RatingConstants())
    for place, expected in (
        (1, r"(?s)2 of 10 .* after 2000-2-sprint: 2000-1, 2000-2-sprint\n.*Go on from"),
        (2, r"(?s)3 of 10 .* after 2000-2: 2000-1, 2000-2-sprint, 2000-2\n.*Go on from"),
        (6, r"(?s)7 of 10 .* after 2001-2-sprint: 2000-1, .*Go on from"),
    ):
        with pytest.raises(ContractError, match=expected):
            world.rate(RatingConstants(), states.slice(place, 1))


def test_no_sessions_give_no_rows() -> None:
    """Nothing to rate is nothing rated."""
    world = history(1)
    found, states = world.rate(sessions=pl.DataFrame(world.sessions).head(0))
    assert found.is_empty()
    assert found.schema == RATING_SCHEMA
    assert states.schema == STATE_SCHEMA
