"""Rate limits of routes: fixed windows, shared by all processes, answered with Retry-After.

Limits are settings, read at each call: a bench or a bulk user raises them there. Beside them one ceiling over all
routes keeps a caller from taking a web process for itself; it counts in the process's memory and costs no round trip.
"""

from __future__ import annotations

import math
import time

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from apps.core import redis
from apps.core.api.errors import RateLimited

WINDOW_SECONDS = 60
_MOST_ADDRESSES = 50_000


def check(name: str, identity: str, *, per_minute: int) -> None:
    """Count one request of `identity` against the limit called `name`.

    Raises:
        RateLimited: this minute is full; says when the next begins.
    """
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    key = redis.name("limit", name, identity, str(window))
    if redis.count(key, seconds=WINDOW_SECONDS) > per_minute:
        raise RateLimited(max(1, math.ceil((window + 1) * WINDOW_SECONDS - now)), limit=per_minute)


class _Ceiling:
    """Requests by address in this process's present minute. An addition that two threads lose matters to nobody."""

    def __init__(self) -> None:
        self._window = 0
        self._counts: dict[str, int] = {}

    def add(self, address: str, now: float) -> int:
        window = int(now // WINDOW_SECONDS)
        if window != self._window or len(self._counts) > _MOST_ADDRESSES:
            self._window, self._counts = window, {}
        counts = self._counts
        counts[address] = count = counts.get(address, 0) + 1
        return count


_ceiling = _Ceiling()


def ceiling_wait(request: HttpRequest) -> int | None:
    """Count a request against its caller's ceiling; return the seconds to wait where that is reached, else None."""
    most = settings.REQUESTS_PER_MINUTE
    if not most:
        return None
    now = time.time()
    if _ceiling.add(client_address(request), now) <= most:
        return None
    return max(1, math.ceil(WINDOW_SECONDS - now % WINDOW_SECONDS))


def client_address(request: HttpRequest | Request) -> str:
    """Return the caller's address: behind one trusted proxy the last X-Forwarded-For entry, else the connection's."""
    if settings.TRUST_PROXY:
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
        last = forwarded.rsplit(",", 1)[-1].strip()
        if last:
            return last[:64]
    return str(request.META.get("REMOTE_ADDR") or "unknown")
