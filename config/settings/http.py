"""Static files and what the HTTP layer allows."""

from config.env import BASE_DIR, env

STATIC_URL = "/static/"
#: Where a deployment has collected them; elsewhere they are served from where they lie.
STATIC_ROOT = env.static_root
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_MAX_AGE = 3600
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
APPEND_SLASH = False
PORT = env.port
WEB_THREADS = env.web_threads
CORS_ORIGINS = [origin.strip() for origin in env.cors_origin.split(",") if origin.strip()] or (
    [] if env.production else ["http://localhost:3000"]
)
TRUST_PROXY = env.trust_proxy
REQUESTS_PER_MINUTE = env.requests_per_minute
