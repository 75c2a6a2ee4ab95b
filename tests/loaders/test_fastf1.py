"""FastF1: what its tables become, what its process may not do, and real races."""

from __future__ import annotations

import os
import pickle
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import ContractError
from engine.tables import NORMALIZED, SessionKey, polars_schema
from loaders.providers import ProviderError, fastf1_child
from loaders.providers.fastf1 import (
    fetch,
    parse_entries,
    parse_laps,
    parse_pit_stops,
    parse_race_control,
    parse_session,
    parse_weather,
)
from loaders.providers.fastf1_cache import private_cache
from loaders.providers.fastf1_raw import UnusableError, raw_frame, raw_schema
from loaders.settings import Settings
from tests.real_races import FOLDERS, RACES, copy_cache, official_classification

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RealRace

RACE = SessionKey(2024, 5)
NORRIS = {"DriverNumber": "4", "DriverId": "norris", "TeamId": "mclaren"}
PIASTRI = {"DriverNumber": "81", "DriverId": "piastri", "TeamId": "mclaren"}


def raw(table: str, *rows: dict[str, Any]) -> pl.DataFrame:
    """A raw table as the child process leaves it; columns not given are null."""
    return pl.DataFrame(list(rows), schema=raw_schema(table))


def results(*rows: dict[str, Any]) -> pl.DataFrame:
    """Raw results of cars that all have a driver, a name and a team."""
    named = {"FullName": "Lando Norris", "TeamName": "McLaren"}
    return raw("results", *({**named, **NORRIS, **row} for row in rows))


def entry(**row: Any) -> dict[str, Any]:
    """The one entry that one row of raw results becomes."""
    return parse_entries(RACE, results(row), raw("laps")).row(0, named=True)


ENTRIES = parse_entries(RACE, results({"Status": "Finished"}), raw("laps"))


def lap(**row: Any) -> dict[str, Any]:
    """The one lap that one row of raw laps becomes."""
    laps = raw("laps", {"DriverNumber": "4", "LapNumber": 1.0, **row})
    return parse_laps(RACE, laps, ENTRIES).row(0, named=True)


# --- classification -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "text", "laps", "status"),
    [
        ("F", "Engine", 0.0, "did_not_qualify"),  # the letter says more than the reason
        ("1", "Finished", 57.0, "finished"),
        ("12", "+1 Lap", 56.0, "lapped"),
        ("15", "+12 Laps", 45.0, "lapped"),
        ("12", "Lapped", 56.0, "lapped"),
        ("N", "+8 Laps", 49.0, "lapped"),
        ("N", "Not classified", 49.0, "lapped"),
        ("R", "Engine", 12.0, "retired"),
        ("R", "Collision", 0.0, "retired"),
        ("17", "Collision damage", 54.0, "retired"),
        ("R", "Retired", 46.0, "retired"),
        ("R", None, 46.0, "retired"),
        ("D", "Disqualified", 56.0, "disqualified"),
        ("D", "Suspension", 56.0, "disqualified"),
        ("E", "Underweight", 0.0, "disqualified"),
        ("W", "Driveshaft", 0.0, "did_not_start"),
        ("W", "Withdrew", 0.0, "did_not_start"),
        ("W", "Did not start", 0.0, "did_not_start"),
        ("17", "Withdrew", 55.0, "retired"),
        ("R", "Withdrew", 47.0, "retired"),
        ("F", "Did not qualify", 0.0, "did_not_qualify"),
        ("F", "107% Rule", 0.0, "did_not_qualify"),
        (None, None, None, "unknown"),
    ],
)
def test_status_follows_the_letter_then_the_text(
    letter: str | None, text: str | None, laps: float | None, status: str
) -> None:
    """The letter decides for disqualified and withdrawn cars, whose text may name a reason only."""
    parsed = entry(ClassifiedPosition=letter, Status=text, Laps=laps)
    assert parsed["status"] == status
    assert parsed["status_text"] == text


def test_a_retired_car_can_be_classified() -> None:
    """A number is a classified place (90 % of the distance), a letter is not."""
    retired = {"Status": "Collision", "Position": 17.0}
    assert entry(ClassifiedPosition="17", **retired)["is_classified"] is True
    assert entry(ClassifiedPosition="R", **retired)["is_classified"] is False
    assert entry(ClassifiedPosition=None, **retired)["is_classified"] is None


def test_position_counts_retired_cars_too() -> None:
    """The official order goes on behind the last finisher."""
    assert entry(ClassifiedPosition="R", Position=20.0, Status="Engine")["position"] == 20


@pytest.mark.parametrize(
    ("grid", "text", "place", "from_the_pits"),
    [
        (3.0, "Finished", 3, False),
        (0.0, "Finished", None, True),
        (0.0, "Did not start", None, False),
        (5.0, "Did not start", 5, False),
        (-1.0, "Finished", None, None),
        (None, "Finished", None, None),
    ],
)
def test_grid_zero_is_the_pit_lane(
    grid: float | None, text: str, place: int | None, from_the_pits: bool | None
) -> None:
    """Grid 0 is a start from the pit lane; -1 and nothing mean that the grid is not known."""
    parsed = entry(GridPosition=grid, Status=text)
    assert parsed["grid_position"] == place
    assert parsed["is_pit_lane_start"] is from_the_pits


def test_race_time_adds_the_gap_to_the_winners_time() -> None:
    """The winner drove 90 minutes; second is 0.895 s behind; lapped cars have no time."""
    order = results(
        {"ClassifiedPosition": "1", "Time": 5_400_000},
        {"ClassifiedPosition": "2", "Time": 895, **PIASTRI},
        {"ClassifiedPosition": "3", "DriverNumber": "1", "DriverId": "max_verstappen"},
    )
    parsed = parse_entries(RACE, order, raw("laps"))
    assert dict(parsed.select("driver_id", "race_time_ms").iter_rows()) == {
        "norris": 5_400_000,
        "piastri": 5_400_895,
        "max_verstappen": None,
    }


def test_who_is_not_classified_has_no_race_time() -> None:
    """A disqualified car crossed the line, but its time does not count; a negative gap is none."""
    order = results(
        {"ClassifiedPosition": "1", "Time": 5_400_000},
        {"ClassifiedPosition": "D", "Time": 2_225, **PIASTRI},
        {"ClassifiedPosition": "18", "Time": -90, "DriverNumber": "1", "DriverId": "sainz"},
    )
    parsed = parse_entries(RACE, order, raw("laps")).filter(pl.col("driver_id") != "norris")
    assert parsed["race_time_ms"].to_list() == [None, None]


def test_a_car_without_team_id_takes_that_of_its_team_mate() -> None:
    """Both cars say McLaren, one says which constructor that is."""
    order = results({}, {**PIASTRI, "TeamId": None})
    assert parse_entries(RACE, order, raw("laps"))["team_id"].to_list() == ["mclaren", "mclaren"]


def test_a_car_that_drove_without_an_identity_is_refused() -> None:
    """Its laps would belong to nobody; the message names the car."""
    order = results({}, {**PIASTRI, "DriverId": None})
    with pytest.raises(ProviderError, match="2024-5: car 81 has no driver or team id"):
        parse_entries(RACE, order, raw("laps", {"DriverNumber": "81"}))


def test_a_car_number_twice_is_refused() -> None:
    """Its laps would belong to two drivers."""
    order = results({}, {**PIASTRI, "DriverNumber": "4"})
    with pytest.raises(ProviderError, match=r"car 4 .* is there twice"):
        parse_entries(RACE, order, raw("laps"))


def test_a_foreign_driver_is_left_out() -> None:
    """FastF1 has listed drivers of support series; they have neither a result nor a lap."""
    order = results({}, {**PIASTRI, "DriverId": None})
    assert parse_entries(RACE, order, raw("laps"))["driver_id"].to_list() == ["norris"]


# --- laps ---------------------------------------------------------------------------------------


def test_a_lap_keeps_clocks_and_durations_in_ms() -> None:
    """A lap that began 1 h into the stream and took 1:30.123."""
    parsed = lap(LapStartTime=3_600_000, Time=3_690_123, LapTime=90_123, Stint=2.0, TyreLife=7.0)
    assert (parsed["lap_start_ms"], parsed["lap_end_ms"]) == (3_600_000, 3_690_123)
    assert (parsed["lap_time_ms"], parsed["stint_number"]) == (90_123, 2)
    assert parsed["tyre_life_laps"] == 7


@pytest.mark.parametrize("column", ["LapTime", "Sector1Time", "Sector2Time", "Sector3Time"])
def test_no_time_is_not_a_time(column: str) -> None:
    """Nothing on track takes no time: a zero is a placeholder."""
    assert (
        parse_laps(RACE, raw("laps", {"DriverNumber": "4", "LapNumber": 1.0, column: 0}), ENTRIES)
        .select(pl.col("^.*_time_ms$").is_null().all())
        .row(0)
        == (True,) * 4
    )


@pytest.mark.parametrize(
    ("compound", "parsed"),
    [("SOFT", "SOFT"), ("HYPERSOFT", "HYPERSOFT"), ("WET", "WET")]
    + [(word, None) for word in ("UNKNOWN", "TEST_UNKNOWN", None)],
)
def test_words_for_an_unknown_compound_are_null(compound: str | None, parsed: str | None) -> None:
    """A compound is what was painted on the tyre, or nothing."""
    assert lap(Compound=compound)["compound"] == parsed


def test_a_compound_nobody_knows_is_refused() -> None:
    """It would be lost silently; the message says where to add it."""
    with pytest.raises(ContractError, match=r"(?s)laps: values from fastf1 2024-5.*engine/tables"):
        lap(Compound="C6")


def test_a_tyre_of_which_nothing_is_known_is_not_fresh() -> None:
    """FastF1 fills the flag in by default; it counts only beside a compound or an age."""
    assert lap(FreshTyre=True)["is_fresh_tyre"] is None
    assert lap(FreshTyre=True, TyreLife=1.0)["is_fresh_tyre"] is True
    assert lap(FreshTyre=False, Compound="SOFT")["is_fresh_tyre"] is False


def test_a_driver_without_tyre_data_has_no_stints() -> None:
    """FastF1 puts all his laps into stint 1; one known tyre is enough to believe its count."""
    laps = [{"DriverNumber": "4", "LapNumber": number, "Stint": 1.0} for number in (1.0, 2.0)]
    unknown = parse_laps(RACE, raw("laps", *laps), ENTRIES)
    known = parse_laps(RACE, raw("laps", laps[0], {**laps[1], "Compound": "HARD"}), ENTRIES)
    assert unknown["stint_number"].to_list() == [None, None]
    assert known["stint_number"].to_list() == [1, 1]


def test_track_status_names_each_code_once() -> None:
    """Green, yellow, safety car, green again: three codes in the order seen."""
    assert lap(TrackStatus="1241")["track_status"] == "124"
    assert lap(TrackStatus=None)["track_status"] is None


def test_in_lap_and_out_lap_follow_the_pit_clocks() -> None:
    """A lap that ends in the pit lane is an in-lap, one that begins there an out-lap."""
    assert lap(PitInTime=100)["is_in_lap"]
    assert not lap(PitInTime=100)["is_out_lap"]
    assert lap(PitOutTime=100)["is_out_lap"]


def test_the_phantom_lap_of_a_car_that_did_not_start_is_dropped() -> None:
    """FastF1 adds a first lap to cars without one; a car that crashed on it keeps it."""
    phantom = raw("laps", {"DriverNumber": "4", "LapNumber": 1.0, "FastF1Generated": True})
    absent = parse_entries(RACE, results({"Status": "Did not start"}), raw("laps"))
    crashed = parse_entries(RACE, results({"Status": "Accident"}), raw("laps"))
    assert parse_laps(RACE, phantom, absent).is_empty()
    assert parse_laps(RACE, phantom, crashed)["is_generated"].to_list() == [True]


def test_a_lap_listed_twice_is_refused() -> None:
    """The contract's key is driver and lap."""
    row = {"DriverNumber": "4", "LapNumber": 1.0}
    with pytest.raises(ContractError, match="laps: 2 rows from fastf1 2024-5 break 1 rule"):
        parse_laps(RACE, raw("laps", row, row), ENTRIES)


# --- pit stops ----------------------------------------------------------------------------------


def stint_of_five(**changes: dict[str, Any]) -> pl.DataFrame:
    """Five laps of one car; `lap_3={"PitInTime": …}` changes one, in any order."""
    return raw(
        "laps",
        *(
            {"DriverNumber": "4", "LapNumber": float(number), **changes.get(f"lap_{number}", {})}
            for number in (4, 2, 5, 1, 3)
        ),
    )


def test_a_visit_joins_the_in_lap_and_the_next_out_lap() -> None:
    """In at 300.0 s on lap 3, out at 322.5 s on lap 4: one visit of 22.5 s, whatever the order."""
    laps = stint_of_five(lap_3={"PitInTime": 300_000}, lap_4={"PitOutTime": 322_500})
    visits = parse_pit_stops(RACE, laps, ENTRIES)
    assert visits.rows(named=True) == [
        {
            "session_id": "2024-5",
            "driver_id": "norris",
            "lap_number": 3,
            "pit_in_ms": 300_000,
            "pit_out_ms": 322_500,
            "pit_lane_time_ms": 22_500,
            "stationary_time_ms": None,
        }
    ]


def test_two_visits_in_a_row_are_kept_apart() -> None:
    """Lap 3 ends and lap 4 both begins and ends in the pit lane."""
    laps = stint_of_five(
        lap_3={"PitInTime": 300_000},
        lap_4={"PitOutTime": 320_000, "PitInTime": 400_000},
        lap_5={"PitOutTime": 430_000},
    )
    assert parse_pit_stops(RACE, laps, ENTRIES).select("lap_number", "pit_lane_time_ms").rows() == [
        (3, 20_000),
        (4, 30_000),
    ]


def test_who_retires_in_the_pits_has_no_exit() -> None:
    """The visit is there, its end is not."""
    visits = parse_pit_stops(RACE, stint_of_five(lap_5={"PitInTime": 500_000}), ENTRIES)
    assert visits.select("lap_number", "pit_out_ms", "pit_lane_time_ms").rows() == [(5, None, None)]


def test_an_exit_after_a_gap_in_the_laps_belongs_to_no_visit() -> None:
    """Lap 4 is missing, so the exit on lap 5 may belong to another entry."""
    laps = stint_of_five(lap_3={"PitInTime": 300_000}, lap_5={"PitOutTime": 500_000})
    visits = parse_pit_stops(RACE, laps.filter(pl.col("LapNumber") != 4), ENTRIES)
    assert visits.select("lap_number", "pit_out_ms").rows() == [(3, None)]


def test_a_start_from_the_pit_lane_is_no_visit() -> None:
    """The car left the lane on lap 1 without having entered it."""
    laps = stint_of_five(lap_1={"PitOutTime": 10_000})
    assert parse_pit_stops(RACE, laps, ENTRIES).is_empty()


# --- session, race control, weather -------------------------------------------------------------


def test_the_start_is_told_in_utc_and_the_date_at_the_track() -> None:
    """Las Vegas: 22:00 on Saturday at UTC−8 is 06:00 on Sunday in UTC."""
    facts = raw(
        "facts",
        {
            "event_name": "Las Vegas Grand Prix",
            "starts_local": datetime(2023, 11, 18, 22),  # noqa: DTZ001 -- local, as FastF1 has it
            "gmt_offset": -8 * 3_600_000,
            "scheduled_laps": 50,
        },
    )
    parsed = parse_session(SessionKey(2023, 21), facts).row(0, named=True)
    assert parsed["started_at"] == datetime(2023, 11, 19, 6, tzinfo=UTC)
    assert parsed["session_date"] == date(2023, 11, 18)
    assert (parsed["session_id"], parsed["data_source"]) == ("2023-21", "fastf1")


def test_an_event_of_which_only_the_name_is_known_leaves_the_rest_null() -> None:
    """FastF1 may lack the session info and Jolpica's answer."""
    parsed = parse_session(SessionKey(2024, 5, "sprint"), raw("facts", {"event_name": "China"}))
    unknown = ("circuit_id", "session_date", "started_at", "scheduled_laps", "meeting_key")
    assert parsed.select(unknown).row(0) == (None,) * 5
    assert parsed["session_id"].item() == "2024-5-sprint"


def test_messages_are_numbered_in_the_order_they_were_sent() -> None:
    """The stream repeats late messages; text that is no car number is none."""
    messages = raw(
        "race_control",
        {"Time": datetime(2024, 5, 5, 20, 1), "Message": "CHEQUERED FLAG"},  # noqa: DTZ001
        {"Time": datetime(2024, 5, 5, 20), "Message": "CAR 4", "RacingNumber": "4"},  # noqa: DTZ001
        {"Time": None, "Message": "CAR X", "RacingNumber": "X"},
        {"Time": None, "Message": None},
    )
    parsed = parse_race_control(RACE, messages)
    assert parsed.select("message_number", "message", "driver_number").rows() == [
        (1, "CAR 4", 4),
        (2, "CHEQUERED FLAG", None),
        (3, "CAR X", None),
    ]
    assert parsed["sent_at"][0] == datetime(2024, 5, 5, 20, tzinfo=UTC)


def test_weather_has_one_reading_a_moment() -> None:
    """The first of two readings at 60.0 s stays; a reading without a clock is none."""
    readings = [{"Time": 60_000, "AirTemp": 20.0}, {"Time": 60_000, "AirTemp": 21.0}, {}]
    parsed = parse_weather(RACE, raw("weather", *readings))
    assert parsed.select("session_clock_ms", "air_temperature_degc").rows() == [(60_000, 20.0)]


@pytest.mark.parametrize("table", ["race_control", "weather"])
def test_a_table_fastf1_did_not_load_is_empty_under_its_contract(table: str) -> None:
    """Some races have no messages or no weather; that is no error."""
    parse = {"race_control": parse_race_control, "weather": parse_weather}[table]
    parsed = parse(RACE, raw_frame(table, None))
    assert parsed.is_empty()
    assert parsed.schema == polars_schema(table)


# --- the door: pandas to Polars -----------------------------------------------------------------


def test_nothing_leaves_pandas_as_a_placeholder() -> None:
    """NaN, NaT, None, blanks and their texts are null; 1.4995 ms and 1.5 ms round to 1 and 2."""
    door = pd.DataFrame(
        {column: [None, None] for column in raw_schema("laps")}, dtype="object"
    ).assign(
        DriverNumber=["4", " 81 "],
        LapTime=pd.to_timedelta([1_499_500, 1_500_000], unit="ns"),
        PitInTime=pd.to_timedelta([None, 90], unit="s"),
        TyreLife=[float("nan"), 3.0],
        Deleted=[None, True],
        IsPersonalBest=pd.Series([float("nan"), False], dtype="object"),
        Compound=["nan", ""],
        TrackStatus=["None", "1"],
    )
    parsed = raw_frame("laps", door)
    assert parsed.schema == raw_schema("laps")
    assert parsed.select("DriverNumber", "LapTime", "PitInTime", "TyreLife").rows() == [
        ("4", 1, None, None),
        ("81", 2, 90_000, 3.0),
    ]
    assert parsed.select("Deleted", "IsPersonalBest", "Compound", "TrackStatus").rows() == [
        (None, None, None, None),
        (True, False, None, "1"),
    ]


def facts_of(event_date: date, jolpica_date: date | None) -> pl.DataFrame:
    """What is known of an event that two sources date."""
    dates = {"event_date": event_date, "jolpica_date": jolpica_date}
    return raw("facts", {"event_name": "Miami Grand Prix", **dates})


def test_a_place_without_a_classified_winner_is_not_a_result() -> None:
    """FastF1 numbers the cars by their last laps when Jolpica has no result yet."""
    facts = facts_of(date(2026, 5, 3), None)
    laps = raw("laps", {"DriverNumber": "4"})
    fastf1_child.trust(facts, results({"Position": 1.0, "ClassifiedPosition": "1"}), laps)
    with pytest.raises(UnusableError, match="no official classification"):
        fastf1_child.trust(facts, results({"Position": 1.0}), laps)


def test_timing_and_results_of_two_races_are_not_mixed() -> None:
    """A renumbered calendar shows in the dates; a day is a time zone, a week is another race."""
    winner, laps = results({"ClassifiedPosition": "1"}), raw("laps", {"DriverNumber": "4"})
    fastf1_child.trust(facts_of(date(2026, 5, 3), date(2026, 5, 4)), winner, laps)
    with pytest.raises(UnusableError, match="results would be of two races"):
        fastf1_child.trust(facts_of(date(2026, 5, 3), date(2026, 5, 10)), winner, laps)


def test_a_load_that_returns_nothing_is_no_session() -> None:
    """`Session.load` comes back normally with nothing in it."""
    facts = facts_of(date(2026, 5, 3), None)
    with pytest.raises(UnusableError, match="without laps"):
        fastf1_child.trust(facts, results({}), raw("laps"))
    with pytest.raises(UnusableError, match="without results"):
        fastf1_child.trust(facts, raw("results"), raw("laps", {"DriverNumber": "4"}))


# --- the cache folder ---------------------------------------------------------------------------


def test_a_new_cache_folder_is_private(tmp_path: Path) -> None:
    """Whoever can write a pickle there could run code here."""
    folder = private_cache(tmp_path / "home" / "fastf1-cache")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_copied_cache_that_others_can_only_read_is_used(tmp_path: Path) -> None:
    """Mode 0755 is what a plain copy gets."""
    tmp_path.chmod(0o755)
    (tmp_path / "a.ff1pkl").touch(0o644)
    assert private_cache(tmp_path) == tmp_path


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_one_file_that_others_can_write_spoils_the_cache(tmp_path: Path, mode: int) -> None:
    """The message names the file and the remedy."""
    tmp_path.chmod(0o755)
    planted = tmp_path / "2025" / "a.ff1pkl"
    planted.parent.mkdir(mode=0o755)
    planted.touch()
    planted.chmod(mode)
    with pytest.raises(UnusableError, match=r"a\.ff1pkl .*writable by") as error:
        private_cache(tmp_path)
    assert "chmod -R go-w" in error.value.remedy


def test_a_cache_of_another_user_is_refused(tmp_path: Path) -> None:
    """Only root can give a folder away, so only root can set this up."""
    if os.getuid() != 0:
        pytest.skip("needs root to give a folder to another user")
    os.chown(tmp_path, 12_345, -1)
    with pytest.raises(UnusableError, match="belongs to"):
        private_cache(tmp_path)


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()
    with pytest.raises(UnusableError, match="cannot be made"):
        private_cache(tmp_path / "file")


# --- the child process, with the real library ---------------------------------------------------


def test_offline_without_a_cache_there_is_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error says what is missing and what FastF1 said; the terminal stays clean."""
    with pytest.raises(ProviderError) as error:
        fetch(SessionKey(2025, 1), Settings(home=tmp_path, offline=True))
    text = str(error.value)
    assert text.startswith("fastf1 2025-1: the schedule of 2025 is out of reach")
    assert "Failed to load schedule from FastF1 backend!" in text
    assert "Nothing was loaded. Check the network; offline, the schedule must be in" in text
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "fastf1-cache").stat().st_mode & 0o777 == 0o700


def test_a_process_without_an_answer_is_killed_at_the_limit(tmp_path: Path) -> None:
    """However far it has come; nothing of it is left, nor of what it wrote for us."""
    with pytest.raises(ProviderError, match=r"no answer within 0\.5 s, the child process was kil"):
        fetch(SessionKey(2025, 1), Settings(home=tmp_path, fastf1_timeout_s=0.5))
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if str(tmp_path).encode() in command]


# --- real races ---------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize("session", RACES, ids=lambda key: key.session_id)
def test_the_classification_is_the_official_one(
    real_race: RealRace, realdata: Path, session: SessionKey
) -> None:
    """Place, grid, team, points, laps, time and status equal the history tables, car by car."""
    expected = official_classification(realdata, session)
    got = real_race(session)["entries"].select(expected.columns)
    assert_frame_equal(got, expected.cast(got.schema), check_exact=True)


@pytest.mark.realdata
@pytest.mark.parametrize("session", RACES, ids=lambda key: key.session_id)
def test_every_table_of_a_race_fits_together(real_race: RealRace, session: SessionKey) -> None:
    """All six tables are there; laps and visits belong to entries; visits to in-laps."""
    tables = real_race(session)
    assert set(tables) == set(NORMALIZED)
    key = ["driver_id", "lap_number"]
    assert tables["laps"].join(tables["entries"], on="driver_id", how="anti").is_empty()
    in_laps = tables["laps"].filter("is_in_lap").select(key)
    assert_frame_equal(tables["pit_stops"].select(key), in_laps)
    clocks = tables["laps"].select((pl.col("lap_end_ms") > pl.col("lap_start_ms")).all())
    assert clocks.item()


@pytest.mark.realdata
def test_australia_2025(real_race: RealRace) -> None:
    """Twenty entries, 927 laps, a wet race with three safety cars, won in 1:42:06.304."""
    tables = real_race(SessionKey(2025, 1))
    session = tables["sessions"].row(0, named=True)
    assert session["circuit_id"] == "albert_park"
    assert session["started_at"] == datetime(2025, 3, 16, 4, tzinfo=UTC)
    assert (session["scheduled_laps"], session["meeting_key"]) == (57, 1254)
    assert session["f1_session_key"] == 9693
    assert tables["entries"].height == 20
    assert tables["laps"].height == 927
    assert "INTERMEDIATE" in tables["laps"]["compound"].unique()
    winner = tables["entries"].filter(pl.col("position") == 1)
    assert winner.select("driver_id", "race_time_ms").row(0) == ("norris", 6_126_304)
    assert tables["weather"].height == 178
    assert tables["race_control"]["message"][-1] == "CHEQUERED FLAG"


@pytest.mark.realdata
def test_monaco_2024_stops_on_lap_one(real_race: RealRace) -> None:
    """A red flag on lap 1: four cars are out on it, the others wait in the pit lane."""
    tables = real_race(SessionKey(2024, 8))
    first = tables["laps"].filter(pl.col("lap_number") == 1)
    assert first.select(pl.col("track_status").str.contains("5").sum()).item() >= 16
    assert first["is_generated"].sum() == 4
    waited = tables["pit_stops"].filter(pl.col("lap_number") == 1)["pit_lane_time_ms"]
    assert waited.len() == 16
    assert waited.min() > 20 * 60 * 1000  # type: ignore[operator]


@pytest.mark.realdata
def test_canada_2024_has_no_messages(real_race: RealRace) -> None:
    """Without race control nobody knows of deleted laps; two Saubers start from the pit lane."""
    tables = real_race(SessionKey(2024, 9))
    assert tables["race_control"].is_empty()
    assert tables["laps"]["is_deleted"].is_null().all()
    from_the_pits = tables["entries"].filter("is_pit_lane_start")["driver_id"].to_list()
    assert from_the_pits == ["bottas", "zhou"]


@pytest.mark.realdata
def test_belgium_2021_is_one_classified_lap(real_race: RealRace) -> None:
    """Three laps behind the safety car, one counted, half points; the tyres are not known."""
    tables = real_race(SessionKey(2021, 12))
    assert tables["laps"].height == 60
    assert tables["laps"]["compound"].is_null().all()
    assert tables["entries"]["completed_laps"].unique().to_list() == [1]
    assert tables["entries"]["points"].max() == 12.5


@pytest.mark.realdata
def test_azerbaijan_2023_has_no_weather(real_race: RealRace) -> None:
    """What FastF1 lacks is an empty table, not an error."""
    assert real_race(SessionKey(2023, 4))["weather"].is_empty()


@pytest.mark.realdata
def test_china_2025_disqualified_three(real_race: RealRace) -> None:
    """Leclerc, Hamilton and Gasly drove the distance and were taken out of the result."""
    out = real_race(SessionKey(2025, 2))["entries"].filter(pl.col("status") == "disqualified")
    assert out["driver_id"].to_list() == ["gasly", "hamilton", "leclerc"]
    assert not out["is_classified"].any()


@pytest.mark.realdata
def test_australia_2026_has_22_cars(real_race: RealRace) -> None:
    """Two of them did not start and have no lap."""
    tables = real_race(SessionKey(2026, 1))
    assert tables["entries"].height == 22
    absent = tables["entries"].filter(pl.col("status") == "did_not_start")["driver_id"].to_list()
    assert absent == ["hulkenberg", "piastri"]
    assert not tables["laps"]["driver_id"].is_in(absent).any()


@pytest.mark.realdata
def test_a_sprint_that_is_not_cached_is_told(realdata: Path, tmp_path: Path) -> None:
    """With only the calendar and the results at hand."""
    with pytest.raises(ProviderError, match=r"2025-2-sprint: FastF1 came back .* without"):
        fetch(SessionKey(2025, 2, "sprint"), copy_cache(realdata, tmp_path))


class _Deadly:
    """A pickle that ends the process that reads it."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (7,)


@pytest.mark.realdata
def test_a_planted_pickle_kills_the_child_only(realdata: Path, tmp_path: Path) -> None:
    """Reading FastF1's cache runs code; what it does to the process stays in the child."""
    settings = copy_cache(realdata, tmp_path, SessionKey(2025, 1))
    planted = next((tmp_path / FOLDERS[SessionKey(2025, 1)]).rglob("session_info.ff1pkl"))
    planted.write_bytes(pickle.dumps(_Deadly()))
    with pytest.raises(ProviderError, match=r"2025-1: the child process died \(exit code 7\)"):
        fetch(SessionKey(2025, 1), settings)
