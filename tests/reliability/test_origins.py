"""H05: only the known services are asked; for anything else no socket is opened."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from engine.tables import SessionKey
from loaders.providers import ProviderError, jolpica, openf1
from loaders.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.soak import Figure

SESSION = SessionKey(2024, 1)

STRANGERS = (
    "https://api.jolpi.ca@127.0.0.1/",
    "https://api.jolpi.ca.example.org/",
    "https://api.j\u043elpi.ca/",  # a Cyrillic letter
    "https://api.jolpi.ca\\@example.org/",
    "https://2130706433/",  # 127.0.0.1 as one number
    "https://0x7f.1/",
    "https://[::ffff:127.0.0.1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.1.1/",
    "http://api.openf1.org/v1",
)
"""Refused even where this machine may be asked."""

THIS_MACHINE = ("http://127.0.0.1:9/", "http://localhost:9/", "http://[::1]:9/")
"""Refused unless a replay is allowed."""


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Where a connection was tried, or a name looked up; none is made."""
    tried: list[object] = []

    def record(*where: object, **_: object) -> None:
        tried.append(where)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", record)
    monkeypatch.setattr(socket, "create_connection", record)
    monkeypatch.setattr(socket, "getaddrinfo", record)
    return tried


def test_nobody_else_is_asked(dialled: list[object], tmp_path: Path, figure: Figure) -> None:
    """H05: ten other origins, and this machine without leave, by both providers."""
    cases = [(url, True) for url in STRANGERS] + [(url, False) for url in THIS_MACHINE]
    for url, may_loop in cases:
        settings = Settings(
            home=tmp_path, openf1_url=url, jolpica_url=url, allow_loopback=may_loop, offline=False
        )
        for provider in (openf1, jolpica):
            with pytest.raises(ProviderError, match="the address of the service"):
                provider.fetch(SESSION, settings)
    assert dialled == []
    figure("H05", f"{len(cases)} origins refused by 2 providers, 0 sockets opened")


def test_the_guard_sees_a_socket(dialled: list[object], tmp_path: Path) -> None:
    """H05, control: a known origin is dialled, so an empty list means something."""
    settings = Settings(home=tmp_path, http_timeout_s=0.2)
    with pytest.raises(ProviderError):
        jolpica.fetch(SESSION, settings)
    assert dialled
