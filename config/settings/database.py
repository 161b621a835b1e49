"""PostgreSQL and Redis, always by URL."""

from urllib.parse import parse_qsl, unquote, urlsplit

from config.env import env


def _postgres(url: str) -> dict[str, object]:
    """Return Django's settings for `postgresql://user:password@host:port/name`; a host may be a socket folder."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", None) or unquote(parts.hostname or "")
    port = query.pop("port", None) or parts.port or ""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port),
        "CONN_MAX_AGE": 600,
        "DISABLE_SERVER_SIDE_CURSORS": False,
        # Django binds parameters itself, so that only `core.fixed_sql` prepares anything.
        "OPTIONS": {"connect_timeout": 5, "application_name": "soldesk", "prepare_threshold": 2, **query},
    }


DATABASES = {"default": _postgres(env.database_url)}
REDIS_URL = env.redis_url
