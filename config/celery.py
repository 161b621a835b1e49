"""The Celery application every worker, Beat and Flower run."""

import os
from typing import Any

from celery import Celery, signals

from config import memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("soldesk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def _keep_logging(**_options: Any) -> None:
    """Logging is Django's (`config.settings.logs`); a receiver here keeps Celery from setting up its own."""


@signals.worker_ready.connect
def _settle_memory(**_options: Any) -> None:
    memory.settle()
