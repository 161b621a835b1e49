"""`manage.py postman [--file docs/postman_collection.json]`: the Postman collection, made from the OpenAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from drf_spectacular.generators import SchemaGenerator

from apps.console import postman


class Command(BaseCommand):
    help = "Write the Postman collection of the API (Postman v2.1, which Insomnia imports too)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, help="Where to write it; without it, it is printed.")

    def handle(self, *args: Any, **options: Any) -> None:
        document = SchemaGenerator().get_schema(request=None, public=True)
        text = json.dumps(postman.collection(document), indent=1, ensure_ascii=False, default=str)
        if options["file"] is None:
            self.stdout.write(text)
        else:
            options["file"].write_text(text + "\n", encoding="utf-8")
