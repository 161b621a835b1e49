"""`manage.py doctor`: is everything there to trade with real money, and if not, what is to be done. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandParser

from apps.console import place
from apps.console.doctor import run
from apps.console.doctor.findings import Finding, Level

_MARKS = {Level.OK: "  ok  ", Level.WARN: " warn ", Level.FAIL: " FAIL "}


class Command(BaseCommand):
    help = "Look at keys, nodes, clocks, budgets, fees, caps, processes and backups; exit code 1 when something fails."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        place.here()  # asks the nodes in the background, while everything else is looked at
        found = run.examine()
        self.stdout.write(_json(found) if options["json"] else _lines(found))
        if any(item.level is Level.FAIL for item in found):
            raise SystemExit(1)


def _lines(found: list[Finding]) -> str:
    width = max(len(item.area) for item in found)
    lines = [f"This desk is on: {place.here().word}", ""]
    for item in found:
        lines.append(f"[{_MARKS[item.level]}] {item.area:<{width}}  {item.sentence}")
        if item.remedy:
            lines.append(f"{'':<{width + 12}}→ {item.remedy}")
    counts = {level: sum(item.level is level for item in found) for level in Level}
    lines += ["", f"{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, {counts[Level.FAIL]} in the way."]
    return "\n".join(lines)


def _json(found: list[Finding]) -> str:
    document = {
        "place": place.here().word,
        "healthy": all(item.level is not Level.FAIL for item in found),
        "findings": [asdict(item) for item in found],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
