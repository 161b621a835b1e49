"""`manage.py setpassword E-MAIL`: give a user a new password; every session of theirs ends."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.management.passwords import ask_password
from apps.accounts.models import User
from apps.accounts.services import users
from apps.core.errors import SoldeskError


class Command(BaseCommand):
    help = "Give a user a new password and end their sessions. Asked for, or the first line of standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        user = User.objects.filter(email=email).first()
        if user is None:
            raise CommandError(f"There is no user {email}.")
        try:
            users.set_password(user=user, password=ask_password(), actor=None)
        except SoldeskError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{user.email} has a new password; their sessions ended.")
