"""Profiles are versioned, never change once stored, and one of them is active."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from engine.errors import ProfileError
from loaders.postgres import connect
from loaders.profiles import (
    BUNDLED,
    activate,
    bundled_files,
    ensure_profiles,
    get_profile,
    import_profile,
    list_profiles,
    read_profile,
)
from tests.profiles import BASELINE_PROFILE, STRICT_PROFILE
from tests.warehouse import EMPTY, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loaders.connection import Connection
    from loaders.settings import Settings

LENIENT = BASELINE_PROFILE.model_copy(update={"consistency_tolerance": 6.25})


@pytest.fixture
def connection(warehouse_settings: Settings) -> Iterator[Connection]:
    """A warehouse without profiles."""
    with connect(warehouse_settings) as connection:
        ask(connection, EMPTY)
        yield connection


def stored(connection: Connection) -> list[tuple[str, int, bool]]:
    """Name, version and whether it is active."""
    profiles = list_profiles(connection)
    return profiles.select("profile_name", "profile_version", "is_active").rows()


def test_a_profile_comes_back_as_it_went(connection: Connection) -> None:
    """Every constant, to the last bit."""
    odd = BASELINE_PROFILE.model_copy(update={"pace_boost_cap": 0.1 + 0.2, "name": "odd"})
    assert import_profile(connection, odd) == ("odd", 1, True)
    assert get_profile(connection, "odd") == odd


def test_the_same_constants_are_the_same_version(connection: Connection) -> None:
    """Whatever version the file claims; nothing is written."""
    import_profile(connection, BASELINE_PROFILE)
    again = BASELINE_PROFILE.model_copy(update={"version": 9})
    assert import_profile(connection, again) == ("baseline", 1, False)
    assert stored(connection) == [("baseline", 1, False)]


def test_other_constants_are_the_next_version(connection: Connection) -> None:
    """The old version stays as it was; going back to its constants finds it again."""
    import_profile(connection, BASELINE_PROFILE)
    assert import_profile(connection, LENIENT) == ("baseline", 2, True)
    newest = get_profile(connection, "baseline")
    assert newest == LENIENT.model_copy(update={"version": 2})
    assert import_profile(connection, BASELINE_PROFILE) == ("baseline", 1, False)


def test_importers_never_share_a_version(
    warehouse_settings: Settings, connection: Connection
) -> None:
    """Four people store four different profiles of one name at once."""

    def store(number: int) -> int:
        with connect(warehouse_settings) as own:
            other = BASELINE_PROFILE.model_copy(update={"stint_target_laps": float(number)})
            return import_profile(own, other)[1]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(store, range(1, 5))) == [1, 2, 3, 4]


def test_exactly_one_profile_is_active(connection: Connection) -> None:
    """Activating one puts the other out, also between versions of one name."""
    for profile in (BASELINE_PROFILE, LENIENT, STRICT_PROFILE):
        import_profile(connection, profile)
    assert activate(connection, "baseline", 1) == ("baseline", 1)
    assert activate(connection, "strict") == ("strict", 1)
    assert activate(connection, "baseline") == ("baseline", 2)
    assert activate(connection, "baseline") == ("baseline", 2)
    assert stored(connection) == [
        ("baseline", 2, True),
        ("baseline", 1, False),
        ("strict", 1, False),
    ]
    assert get_profile(connection, None) == LENIENT.model_copy(update={"version": 2})


def test_the_database_refuses_a_second_active_profile(connection: Connection) -> None:
    """Whoever writes past this code."""
    import_profile(connection, BASELINE_PROFILE)
    import_profile(connection, STRICT_PROFILE)
    with pytest.raises(connection.IntegrityError, match="calibration_profiles_one_active"):
        ask(connection, "update config.calibration_profiles set is_active = true")
    connection.rollback()


def test_activating_at_once_leaves_one_active(
    warehouse_settings: Settings, connection: Connection
) -> None:
    """The last one wins, and nobody sees an error."""
    names = ("baseline", "strict") * 2
    import_profile(connection, BASELINE_PROFILE)
    import_profile(connection, STRICT_PROFILE)

    def choose(name: str) -> None:
        with connect(warehouse_settings) as own:
            activate(own, name)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(choose, names))
    assert sum(is_active for _, _, is_active in stored(connection)) == 1


def test_an_unknown_profile_is_refused_with_what_there_is(connection: Connection) -> None:
    """The active one stays."""
    import_profile(connection, BASELINE_PROFILE)
    activate(connection, "baseline")
    for name, version in (("basline", None), ("baseline", 2)):
        with pytest.raises(ProfileError, match=f"'{name}.* there are: baseline 1"):
            activate(connection, name, version)
    with pytest.raises(ProfileError, match="'basline' is stored; there are: baseline 1"):
        get_profile(connection, "basline")
    assert stored(connection) == [("baseline", 1, True)]


def test_no_active_profile_is_a_clear_refusal(connection: Connection) -> None:
    """Never a default that nobody chose."""
    import_profile(connection, BASELINE_PROFILE)
    with pytest.raises(ProfileError, match="no calibration profile is active"):
        get_profile(connection)


def test_a_stored_profile_of_another_time_is_refused(connection: Connection) -> None:
    """A row that lacks a constant is not filled up with a guess."""
    ask(
        connection,
        "insert into config.calibration_profiles (profile_name, profile_version, body, is_active) "
        'values (\'old\', 1, \'{"name": "old", "version": 1}\', true)',
    )
    with pytest.raises(ProfileError, match=r"cannot be used: .*penalty_normalizer: Field required"):
        get_profile(connection)


def test_the_bundled_profiles_are_there_after_the_first_use(connection: Connection) -> None:
    """`v2` is active; doing it again changes nothing."""
    for _ in range(2):
        ensure_profiles(connection)
        bundled = [path.stem for path in bundled_files()]
        assert sorted(name for name, _, _ in stored(connection)) == bundled
        assert get_profile(connection).name == "v2"


def test_somebodys_choice_is_left_alone(connection: Connection) -> None:
    """Also when the bundled profile has changed since: its next version waits to be chosen."""
    import_profile(connection, STRICT_PROFILE)
    import_profile(connection, LENIENT)
    activate(connection, "strict")
    ensure_profiles(connection, BUNDLED)
    assert get_profile(connection).name == "strict"
    assert ("baseline", 2, False) in stored(connection)


def test_a_folder_without_the_default_is_refused_whole(
    connection: Connection, tmp_path: Path
) -> None:
    """If nothing can be activated, nothing is imported either."""
    (tmp_path / "strict.json").write_text(STRICT_PROFILE.model_dump_json())
    with pytest.raises(ProfileError, match="'v2' is stored"):
        ensure_profiles(connection, tmp_path)
    assert stored(connection) == []


def test_a_profile_is_read_from_a_file_or_by_name(tmp_path: Path) -> None:
    """A path as text or as Path, or the name of a bundled one."""
    path = tmp_path / "mine.json"
    path.write_text(STRICT_PROFILE.model_dump_json())
    assert read_profile(path) == read_profile(str(path)) == STRICT_PROFILE
    assert read_profile("baseline") == BASELINE_PROFILE


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: Input should be an object"),
        ('{"name": "x"}', "consistency_tolerance: Field required"),
        (BASELINE_PROFILE.model_dump_json().replace("4.1", '"4.1"'), "consistency_tolerance: "),
        (BASELINE_PROFILE.model_dump_json().replace("12.0", "0"), "penalty_normalizer: "),
        (BASELINE_PROFILE.model_dump_json().replace("12.0", "NaN"), "penalty_normalizer: |JSON"),
        (BASELINE_PROFILE.model_dump_json().replace("pace_boost_cap", "pace_bost_cap"), "bost"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, body: str, says: str) -> None:
    """Text for a number, a divisor of zero, a misspelt constant: the file and field are named."""
    path = tmp_path / "mine.json"
    path.write_text(body)
    with pytest.raises(ProfileError, match=f"mine.json: .*({says})"):
        read_profile(path)


def test_a_missing_file_is_refused_with_what_is_bundled() -> None:
    """Also a name that would leave the folder."""
    for name in ("basline", "../calibration/baseline", "no/such.json"):
        with pytest.raises(ProfileError, match=r"cannot be read; .*: .*baseline"):
            read_profile(name)
