"""`manage.py ensure_admin`: make the first administrator from ADMIN_EMAIL and ADMIN_PASSWORD when there is no user."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.accounts.services import users
from apps.core.errors import SoldeskError


class Command(BaseCommand):
    help = "Make the first administrator when there is no user at all; later runs change nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            made = users.ensure_administrator(email=settings.ADMIN_EMAIL, password=settings.ADMIN_PASSWORD)
        except SoldeskError as error:
            raise CommandError(f"{error.message} Set ADMIN_EMAIL and ADMIN_PASSWORD.") from None
        self.stdout.write(f"Made the administrator {made.email}." if made else "There are users: nothing changed.")
