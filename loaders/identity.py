"""Who drove which car for whom: Jolpica's ids of drivers and teams by car number.

Other sources know a car by its number and a driver by a code, both of which are reused. This is
the authority that turns them into the ids the tables are keyed by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from engine.tables import SessionKey
from loaders import jolpica_api
from loaders.http import open_client
from loaders.jolpica_api import Entered
from loaders.providers import ProviderError
from loaders.strict_json import validate_records

if TYPE_CHECKING:
    from loaders.settings import Settings

IDENTITIES: Final = pl.Schema(
    {
        "driver_number": pl.Int16(),
        "driver_id": pl.String(),
        "driver_code": pl.String(),
        "driver_name": pl.String(),
        "team_id": pl.String(),
        "team_name": pl.String(),
    }
)
"""Columns and dtypes of what `identities` returns."""


def identities(
    season: int, round_number: int, session_kind: str, settings: Settings
) -> pl.DataFrame:
    """Look up who is entered in a session.

    The session's own results are asked first; the weekend's qualifying stands in as long as they
    are not published.

    Args:
        season: championship year.
        round_number: round within it.
        session_kind: race or sprint.
        settings: where Jolpica answers, limits and cache.

    Returns:
        One row per entry, sorted by `driver_id`, columns as in `IDENTITIES`; a number or a code is
        null where Jolpica has none.

    Raises:
        ProviderError: Jolpica does not answer, has no entries yet, or has one twice.
        ContractError: its answer cannot be read.
    """
    session = SessionKey(season, round_number, session_kind)
    own = "results" if session_kind == "race" else "sprint"
    with open_client(jolpica_api.source(settings), settings) as client:
        rows = jolpica_api.ask(client, session, own).rows
        if not rows:
            rows = jolpica_api.ask(client, session, "qualifying").rows
    name = f"{jolpica_api.NAME} {session.session_id}"
    if not rows:
        raise ProviderError(
            f"{name}: neither results nor qualifying are there.\n"
            "Nothing was loaded. Try again when Jolpica has published them."
        )
    frame = parse_identities(validate_records(rows, Entered, name, "entries"))
    twice = frame.filter(
        pl.col("driver_id").is_duplicated()
        | (pl.col("driver_number").is_duplicated() & pl.col("driver_number").is_not_null())
    )
    if twice.height:
        raise ProviderError(
            f"{name}: {', '.join(twice['driver_id'].unique().sort())} or the number is there "
            "twice.\nNothing was loaded. Try again when Jolpica has corrected its list."
        )
    return frame


def parse_identities(entered: list[Entered]) -> pl.DataFrame:
    """Put entries into a table (`IDENTITIES`), one row each, sorted by `driver_id`."""
    return pl.DataFrame(
        [
            {
                "driver_number": None if row.number is None else int(row.number),
                "driver_id": row.driver.driver_id,
                "driver_code": row.driver.code,
                "driver_name": row.driver.full_name,
                "team_id": row.constructor.constructor_id,
                "team_name": row.constructor.name,
            }
            for row in entered
        ],
        schema=IDENTITIES,
    ).sort("driver_id")
