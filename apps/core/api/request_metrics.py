"""What each HTTP request tells Prometheus: how many by route, how they ended, how long they took.

The path is the route's template, never what a client sent; what no route serves is one word. Series are kept at hand:
two look-ups and two additions are what a request pays.
"""

from __future__ import annotations

import re
from functools import lru_cache

from prometheus_client import Counter, Histogram

from apps.core.metrics_registry import API_REQUESTS, API_SECONDS

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_PARAMETER = re.compile(r"<[^>]+>")
_UNKNOWN = "unknown"


def record(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one request of a route as the resolver names it (`api/v1/agents/<str:agent_id>`), None where none fits."""
    path = _path(route)
    known = method if method in _METHODS else "OTHER"
    _counter(known, path, status).inc()
    _histogram(known, path).observe(seconds)


@lru_cache(maxsize=2048)
def _path(route: str | None) -> str:
    """Return the path of a route as a label.

    >>> _path("api/v1/agents/<str:agent_id>/config"), _path("admin/trading/position/<path:object_id>/change/")
    ('/api/v1/agents/:id/config', '/admin')
    >>> _path(None), _path("^api(/.*)?$")
    ('unknown', 'unknown')
    """
    if route is None or not re.match(r"[a-z]", route):
        return _UNKNOWN
    if route.startswith("admin/"):
        return "/admin"
    return "/" + _PARAMETER.sub(":id", route)


@lru_cache(maxsize=8192)
def _counter(method: str, path: str, status: int) -> Counter:
    return API_REQUESTS.labels(method, path, str(status))


@lru_cache(maxsize=8192)
def _histogram(method: str, path: str) -> Histogram:
    return API_SECONDS.labels(method, path)
