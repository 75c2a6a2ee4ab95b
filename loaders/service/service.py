"""What answers requests: the database, the cache and the memory of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loaders.cache import Cache
from loaders.service.database import Database
from loaders.service.memo import Flights, Memo

if TYPE_CHECKING:
    from loaders.settings import Settings


class Service:
    """What the routes ask; opened by the first request, closed with the site.

    Attributes:
        settings: as they were given.
        database: connections that only read.
        cache: answers in Redis; None if no Redis is named.
        memo: encoded answers in memory.
        flights: work under way that is no answer.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare everything; nothing is opened yet.

        Raises:
            CacheError: REDIS_URL is malformed.
        """
        self.settings = settings
        self.database = Database(settings)
        self.cache = Cache.of(settings)
        self.memo = Memo(self.database)
        self.flights = Flights()

    def close(self) -> None:
        """Close all connections."""
        self.database.close()
        if self.cache is not None:
            self.cache.close()
