"""`manage.py api_tables docs/api.md`: write the page's tables anew; `--check` only says whether they would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from drf_spectacular.generators import SchemaGenerator

from apps.console import api_tables


class Command(BaseCommand):
    help = "Write the tables of scopes and error codes into a page."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("page", type=Path)
        parser.add_argument("--check", action="store_true", help="Write nothing; fail if something would change.")

    def handle(self, *args: Any, **options: Any) -> None:
        page: Path = options["page"]
        document = SchemaGenerator().get_schema(request=None, public=True)
        written = page.read_text(encoding="utf-8")
        wanted = api_tables.with_tables(written, document)
        if options["check"] and wanted != written:
            raise CommandError(f"{page} is not what the code says: make schema")
        page.write_text(wanted, encoding="utf-8")
