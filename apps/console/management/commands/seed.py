"""What a desk needs before it opens: an administrator, the schedules, and on a demo desk somebody who trades."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.accounts.models import User
from apps.accounts.services import users
from apps.console import demo
from apps.trading.services import schedules


class Command(BaseCommand):
    help = "Prepare the desk: first administrator, schedules, demo desk. Runs at every start; changes nothing twice."

    def handle(self, *args: Any, **options: Any) -> None:
        users.ensure_administrator(email=settings.ADMIN_EMAIL, password=settings.ADMIN_PASSWORD)
        schedules.ensure_schedules()
        if settings.DEMO_DESK:
            owner = User.objects.filter(is_superuser=True).order_by("created_at").first()
            made = [] if owner is None else demo.ensure(owner)
            if made:
                self.stdout.write(f"demo_desk_made agents={len(made)}")
