"""Making the report of a race: read, draw, write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loaders.profiles import DEFAULT
from loaders.report.drawings import race_drawings
from loaders.report.page import race_page
from loaders.report.race import read_race

if TYPE_CHECKING:
    from engine.tables import SessionKey
    from loaders.report.page import Trail
    from loaders.report.race import RaceResult
    from loaders.settings import Settings


def make_report(
    settings: Settings, session: SessionKey, profile: str = DEFAULT, trail: Trail | None = None
) -> tuple[str, RaceResult]:
    """Make the report of a race.

    Args:
        settings: where the lake is.
        session: the race or sprint.
        profile: bundled profile or JSON file that it was graded with.
        trail: links to the pages above, where the page is served.

    Returns:
        The page as HTML, and what it was made from.

    Raises:
        ReportError: the lake has no such session.
        ProfileError: there is no such profile.
        LakeError: the lake cannot be read, or changes again and again while it is.
    """
    race = read_race(settings, session, profile)
    drawings = race_drawings(settings, session, profile) if race.is_v2 and race.graded else ()
    return race_page(race, drawings, trail), race
