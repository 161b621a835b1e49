"""The headers that protect: those of JSON answers, of pages by kind, and CORS for the pages of known origins.

JSON answers carry what helmet sets by default, with a stricter policy: nothing in them is ever run. Pages may load
nothing from elsewhere; the admin's Alpine evaluates expressions, and the documentation's pages carry their own script.
"""

from __future__ import annotations

from django.conf import settings

_METHODS = "GET,POST,PUT,DELETE,PATCH,OPTIONS"
_REQUEST_HEADERS = "Content-Type,Authorization,X-API-Key,Idempotency-Key,X-Request-Id"
_EXPOSED = (
    "X-Total-Count,X-Total-Capped,X-Next-Cursor,Link,Retry-After,x-request-id,Idempotent-Replayed,"
    "RateLimit-Limit,RateLimit-Remaining,RateLimit-Reset"
)

_EVERYWHERE = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
if settings.SECURE_HSTS_SECONDS:  # browsers heed it over TLS alone, so it does no harm behind a proxy that ends TLS
    _EVERYWHERE["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains"

#: What every JSON answer says beside its own headers.
PROTECTION = {
    **_EVERYWHERE,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def _policy(scripts: str, *, styles: str = "'self' 'unsafe-inline'", workers: str = "'none'") -> str:
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' data:; font-src 'self' data:;"
        f" connect-src 'self'; worker-src {workers}; manifest-src 'self'; object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'self'"
    )


_STRICT = _policy("'self'", styles="'self'")
#: By the beginning of the path; the first that fits.
_POLICIES = (
    ("/admin", _policy("'self' 'unsafe-eval'")),
    ("/desk", _STRICT),
    ("/api/v1", _policy("'self'")),
    ("/api/", _policy("'self' 'unsafe-inline'", workers="blob:")),
)


def of_page(path: str) -> dict[str, str]:
    """Return the headers of an HTML page at `path`."""
    policy = next((policy for beginning, policy in _POLICIES if path.startswith(beginning)), _STRICT)
    return {**_EVERYWHERE, "Content-Security-Policy": policy}


def cors_headers(origin: str | None, *, preflight: bool = False) -> dict[str, str]:
    """Return the headers that let pages of a known origin read an answer; none for a request without an origin."""
    if origin is None:
        return {}
    headers = {"Vary": "Origin"}
    if origin not in settings.CORS_ORIGINS:
        return headers
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Allow-Credentials"] = "true"
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if preflight:
        headers["Access-Control-Allow-Methods"] = _METHODS
        headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
        headers["Access-Control-Max-Age"] = "600"
    return headers
