"""Celery: a wake-up, never the record. What must happen is a row; see CELERY_TASK_ROUTES for who owns which queue."""

from config.env import env

CELERY_BROKER_URL = env.redis_url
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
#: Celery would close the thread's connection after each task; opening one costs more than most tasks do. What breaks is
#: dropped before the next task (`core.database_links`).
CELERY_DB_REUSE_MAX = 10**9
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "trading.process_signal": {"queue": "trading"},
    "trading.run_exits": {"queue": "critical"},
    "trading.watch": {"queue": "prices.0"},
}
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
CELERY_BEAT_SCHEDULER = "apps.core.beat:Scheduler"
PRICE_SHARDS = env.price_shards
