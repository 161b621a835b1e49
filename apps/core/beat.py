"""Beat's clock: django-celery-beat's database schedule, with a sign of life at each tick.

A thread would go on beating beside a clock that hangs; this says only that the schedule is being looked at.
"""

from __future__ import annotations

import time
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from apps.core import heartbeats


class Scheduler(DatabaseScheduler):
    """The scheduler named in CELERY_BEAT_SCHEDULER."""

    _next_sign = 0.0

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Run what is due and return the seconds until the next look."""
        seconds = super().tick(*args, **kwargs)
        if time.monotonic() >= self._next_sign:
            self._next_sign = time.monotonic() + heartbeats.EVERY_SECONDS
            heartbeats.write(heartbeats.BEAT)
        return seconds
