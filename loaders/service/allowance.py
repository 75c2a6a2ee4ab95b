"""How many requests an address may make in a minute; in memory, for this process."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from pyrate_limiter import Duration, InMemoryBucket, Rate, RateItem

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ADDRESSES: Final = 2000
"""Addresses that are remembered; the one seen longest ago is forgotten first."""

IPV6_PREFIX: Final = 64
"""Bits of an IPv6 address that tell who asks; a household has all the others."""


class Allowance:
    """Counts requests by address over the last minute."""

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody.

        Args:
            per_minute: requests of an address; 0 for any number.
            clock: seconds, from whenever.
        """
        self._rates = [Rate(per_minute, Duration.MINUTE)] if per_minute else []
        self._clock = clock
        self._buckets: OrderedDict[str, InMemoryBucket] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Count a request: 0 if it is allowed, else seconds until one is."""
        if not self._rates:
            return 0
        name = _who(address)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = InMemoryBucket(self._rates)
            if len(self._buckets) > MAX_ADDRESSES:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        item = RateItem("", int(self._clock() * 1000))
        bucket.leak(item.timestamp)
        if bucket.put(item):
            return 0
        waiting = bucket.waiting(item)
        return max(1, math.ceil(waiting / 1000)) if isinstance(waiting, int) else 60


def _who(address: str) -> str:
    """Give the part of an address that tells who asks."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], IPV6_PREFIX), strict=False))
    except ValueError:
        return address
