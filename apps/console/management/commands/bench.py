"""Measure the running desk."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.console.bench import report, signals


class Command(BaseCommand):
    help = "Measure the running desk. Every bench prints a table and, with --json FILE, one JSON object."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        sending = what.add_parser("signals", help="signal sent -> first and last trade committed")
        sending.add_argument("--agents", default="1,10,100,500,1000", help="numbers of agents, comma-separated")
        sending.add_argument("--runs", type=int, default=20, help="signals per number of agents")
        sending.add_argument("--sustained", action="store_true", help="20 signals at 2 per second, 50 agents each")
        sending.add_argument("--json", dest="json_file", help="write the figures to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SANDBOX_URL:
            raise CommandError("The bench trades on the sandbox: start the desk with SOLDESK_DEMO=1")
        if options["sustained"]:
            rows = signals.measure_sustained(self._say)
        else:
            counts = [int(text) for text in options["agents"].split(",")]
            rows = signals.measure(counts, options["runs"], self._say)
        report.publish("signals", rows, self.stdout, options["json_file"])
        if any(row.failures or row.extra.get("duplicates") or row.extra.get("wrong_balances") for row in rows):
            raise CommandError("The bench met failures, duplicates or wrong balances: see the table")

    def _say(self, text: str) -> None:
        self.stderr.write(text)
