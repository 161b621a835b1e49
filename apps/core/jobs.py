"""What Celery's tasks tell: their time and how they ended, by queue and task; and the lines they write name them.

Hooked up by `install`. A wake-up carries the id of the request that caused it (`core.wake`), and every line a task
writes carries that id, the task's own and its name.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from celery import signals

from apps.core.logs import REQUEST_ID
from apps.core.metrics_registry import JOB_SECONDS, JOBS

_STARTED = "soldesk_started"


def install() -> None:
    """Measure and name every task of this process from now on."""
    signals.task_prerun.connect(_begin, dispatch_uid="soldesk-jobs")
    signals.task_postrun.connect(_end, dispatch_uid="soldesk-jobs")


def _begin(task_id: str, task: Any, **_details: Any) -> None:
    structlog.contextvars.clear_contextvars()
    caused_by = task.request.get(REQUEST_ID)
    known = {} if caused_by is None else {REQUEST_ID: caused_by}
    structlog.contextvars.bind_contextvars(task_id=task_id, task=task.name, **known)
    setattr(task.request, _STARTED, time.perf_counter())


def _end(task: Any, state: str, **_details: Any) -> None:
    took = time.perf_counter() - task.request.get(_STARTED, time.perf_counter())
    status = "success" if state == "SUCCESS" else "failed"
    queue = (task.request.delivery_info or {}).get("routing_key") or "none"
    JOBS.labels(queue, task.name, status).inc()
    JOB_SECONDS.labels(queue, task.name, status).observe(took)
    structlog.contextvars.clear_contextvars()
