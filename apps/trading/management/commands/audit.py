"""`manage.py audit`: work the books out a second time and print what differs; exit code 1 when anything does."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandParser

from apps.trading.services import audit_books, audit_chain
from apps.trading.services.audit_books import AuditReport

_SHOWN_PER_CHECK = 20


class Command(BaseCommand):
    help = "Recompute every balance, position, profit and counter from the ledger and print the differences."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--books-only", action="store_true", help="ask no node what live wallets hold")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        report = audit_books.audit_books()
        if not options["books_only"]:
            report = replace(report, checks=(*report.checks, audit_chain.audit_chain()))
        self.stdout.write(_json(report) if options["json"] else _table(report))
        if report.differences:
            raise SystemExit(1)


def _table(report: AuditReport) -> str:
    width = max(len(check.title) for check in report.checks)
    lines = [f"{'check':<{width}}  {'rows':>9}  differences"]
    for check in report.checks:
        lines.append(f"{check.title:<{width}}  {check.rows:>9,}  {len(check.differences):>11,}")
        lines += [f"    {difference}" for difference in check.differences[:_SHOWN_PER_CHECK]]
        if len(check.differences) > _SHOWN_PER_CHECK:
            lines.append(f"    and {len(check.differences) - _SHOWN_PER_CHECK:,} more")
    total = len(report.differences)
    lines.append("")
    lines.append(f"{total:,} difference{'' if total == 1 else 's'}  ({report.took_seconds:.2f} s)")
    return "\n".join(lines)


def _json(report: AuditReport) -> str:
    document = {
        "differences": len(report.differences),
        "tookSeconds": round(report.took_seconds, 3),
        "checks": [asdict(check) for check in report.checks],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
