"""What happens to the bytes of a refused session."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from engine.errors import ContractError
from engine.tables import SessionKey
from loaders.quarantine import remember, watching

if TYPE_CHECKING:
    from pathlib import Path

RACE = SessionKey(2025, 1)


def receive(
    folder: Path, *parts: tuple[str, bytes], error: Exception | None = None, source: str = "openf1"
) -> None:
    """Receive some bytes of a session, then perhaps fail."""
    with watching(folder, RACE, source):
        for name, content in parts:
            assert remember(name, content) == content
        if error is not None:
            raise error


def test_bytes_and_reason_are_kept(tmp_path: Path) -> None:
    """Every reply as it came, in order, and the error that names the place."""
    parts = (
        ("https://host/v1/laps?session_key=9693", b'[{"lap_number": -1}]'),
        ("../../evil\x00", b"\xff"),
    )
    with pytest.raises(ContractError) as caught:
        receive(tmp_path, *parts, error=ContractError("laps: 1 row breaks 1 rule"))
    (place,) = (tmp_path / "2025-1").iterdir()
    assert str(place) in str(caught.value)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {path.name: path.read_bytes() for path in place.iterdir()} == {
        "001-https-host-v1-laps-session-key-9693": b'[{"lap_number": -1}]',
        "002-evil": b"\xff",
        "reason.txt": b"laps: 1 row breaks 1 rule\n",
    }


def test_a_good_session_leaves_nothing(tmp_path: Path) -> None:
    """Nor does an error that is not about the rows."""
    receive(tmp_path, ("laps", b"[]"))
    with pytest.raises(OSError, match="no network"):
        receive(tmp_path, ("laps", b"[]"), error=OSError("no network"))
    assert list(tmp_path.iterdir()) == []


def test_sessions_do_not_mix(tmp_path: Path) -> None:
    """What came in before, or outside of any session, is not among the bytes of this one."""
    remember("outside", b"x")
    receive(tmp_path, ("earlier", b"y"))
    with pytest.raises(ContractError):
        receive(tmp_path, error=ContractError("nothing came"), source="fastf1")
    (place,) = (tmp_path / "2025-1").iterdir()
    assert [path.name for path in place.iterdir()] == ["reason.txt"]
