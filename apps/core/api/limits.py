"""Rate limits of routes: fixed windows, shared by all processes, answered with Retry-After.

Limits are settings, read at each call: a bench or a bulk user raises them there.
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


def check(name: str, identity: str, *, per_minute: int) -> None:
    """Count one request of `identity` against the limit called `name`.

    Raises:
        RateLimited: this minute is full; says when the next begins.
    """
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    key = redis.name("limit", name, identity, str(window))
    if redis.count(key, seconds=WINDOW_SECONDS) > per_minute:
        raise RateLimited(max(1, math.ceil((window + 1) * WINDOW_SECONDS - now)))


def client_address(request: HttpRequest | Request) -> str:
    """Return the caller's address: behind one trusted proxy the last X-Forwarded-For entry, else the connection's."""
    if settings.TRUST_PROXY:
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
        last = forwarded.rsplit(",", 1)[-1].strip()
        if last:
            return last[:64]
    return str(request.META.get("REMOTE_ADDR") or "unknown")
