"""`manage.py createuser E-MAIL`: make a user; the password is asked for, or read from standard input."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.management.passwords import ask_password
from apps.accounts.services import users
from apps.core.errors import SoldeskError


class Command(BaseCommand):
    help = "Make a user. The password is asked for; without a terminal it is the first line of standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--admin", action="store_true", help="an administrator: may enter the admin and do all")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = users.create_user(
                email=options["email"], password=ask_password(), actor=None, staff=options["admin"]
            )
        except SoldeskError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"Made {user.email}.")
