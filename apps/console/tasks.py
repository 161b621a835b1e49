"""What Beat asks of console; only a demo desk has a schedule for it."""

from __future__ import annotations

import structlog
from celery import shared_task
from django.conf import settings

from apps.accounts.models import User
from apps.console import demo_live
from apps.core.errors import SoldeskError

log = structlog.get_logger(__name__)


@shared_task(name="console.demo_live")
def make_demo_live() -> None:
    """Take the next step towards the demo's live agent; what stands in the way is tried again at the next look."""
    owner = User.objects.filter(is_superuser=True).order_by("created_at").first()
    if not settings.DEMO_DESK or owner is None:
        return
    try:
        demo_live.ensure(owner)
    except SoldeskError as error:
        log.info("demo_live_waits", code=error.code)
