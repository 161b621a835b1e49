"""Measure the running desk."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.console.bench import api, book, exits, feed, live, live_desk, report, signals

_COUNTED = ("duplicates", "wrong_balances", "sold_twice")


class Command(BaseCommand):
    help = "Measure the running desk. Every bench prints a table and, with --json FILE, one JSON object."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        sending = what.add_parser("signals", help="signal sent -> first and last trade committed")
        sending.add_argument("--agents", default="1,10,100,500,1000", help="numbers of agents, comma-separated")
        sending.add_argument("--runs", type=int, default=20, help="signals per number of agents")
        sending.add_argument("--sustained", action="store_true", help="20 signals at 2 per second, 50 agents each")
        selling = what.add_parser("exits", help="price -> exit fired, taken up, sold; the book by itself")
        selling.add_argument("--positions", default="1000,10000,100000,1000000", help="sizes of the book by itself")
        selling.add_argument("--rounds", type=int, default=20, help="batches of prices per size")
        selling.add_argument("--held", type=int, default=10_000, help="positions held while single stops fire")
        selling.add_argument("--runs", type=int, default=40, help="single stops")
        selling.add_argument("--crowd", type=int, default=1_000, help="stops that fire on one tick")
        selling.add_argument("--only", choices=["book", "desk"], help="half of it")
        alone = what.add_parser("book", help="the book by itself, on the empty database this runs on")
        alone.add_argument("--positions", default="1000,10000,100000,1000000")
        alone.add_argument("--rounds", type=int, default=20)
        asking = what.add_parser("api", help="requests per second, lists over large books, beside hanging requests")
        bare = what.add_parser("api-here", help="the same, on the empty database this runs on")
        for each in (asking, bare):
            each.add_argument("--parts", default=",".join(api.PARTS), help="some of it, comma-separated")
            each.add_argument("--transactions", type=int, default=1_000_000)
            each.add_argument("--closed-trades", type=int, default=100_000)
            each.add_argument("--seconds", type=float, default=5.0, help="of load per kind of request")
        watching = what.add_parser("feed", help="price tick -> last WebSocket client")
        watching.add_argument("--clients", default="200,1000", help="numbers of sockets, comma-separated")
        watching.add_argument("--ticks", type=int, default=40, help="ticks per number of sockets")
        watching.add_argument("--client-processes", type=int, default=1, help="processes the sockets are shared among")
        trading = what.add_parser(
            "live", help="signal -> sent, stop -> landed, 100 live agents, kill -9; on its own desk"
        )
        inside = what.add_parser("live-here", help="the same, on the desk this runs on, which must be nobody's")
        for each in (trading, inside):
            each.add_argument("--runs", type=int, default=20, help="orders one after the other, bought and stopped out")
            each.add_argument("--agents", type=int, default=100, help="live agents on one signal")
            each.add_argument("--crowds", type=int, default=5, help="signals to all of them")
            each.add_argument("--kills", type=int, default=3, help="kill -9 of the orders process, and of the signer")
        trading.add_argument("--slot-ms", type=int, default=400, help="pace of the local chain")
        for each in (sending, selling, alone, asking, bare, watching, trading, inside):
            each.add_argument("--json", dest="json_file", help="write the figures to this file")

    def handle(self, *args: Any, **options: Any) -> None:
        what = options["what"]
        if what == "api":
            self._api_on_its_own(options)
            return
        if what == "live":
            self._live_on_its_own(options)
            return
        if what == "api-here":
            call_command("migrate", verbosity=0)
            rows = api.measure(
                parts=options["parts"].split(","),
                transactions=options["transactions"],
                closed_trades=options["closed_trades"],
                seconds=options["seconds"],
                say=self._say,
            )
        elif what == "book":
            call_command("migrate", verbosity=0)
            rows = book.measure(_numbers(options["positions"]), options["rounds"], self._say)
        elif what == "live-here":
            names = ("runs", "agents", "crowds", "kills")
            rows = live.measure(**{name: options[name] for name in names}, say=self._say)
        elif what == "exits":
            rows = self._exits(options)
        elif what == "feed":
            rows = self._feed(options)
        else:
            rows = self._signals(options)
        report.publish(what, rows, self.stdout, options["json_file"])
        if any(row.failures or any(row.extra.get(name) for name in _COUNTED) for row in rows):
            raise CommandError("The bench met failures, duplicates or wrong balances: see the table")

    def _signals(self, options: dict[str, Any]) -> list[report.Row]:
        _need_sandbox()
        if options["sustained"]:
            return signals.measure_sustained(self._say)
        return signals.measure(_numbers(options["agents"]), options["runs"], self._say)

    def _exits(self, options: dict[str, Any]) -> list[report.Row]:
        if options["only"] != "book":
            _need_sandbox()
        if options["only"] != "desk":
            self._book_on_its_own(options)
        if options["only"] == "book":
            return []
        return exits.measure(options["held"], options["runs"], options["crowd"], self._say)

    def _feed(self, options: dict[str, Any]) -> list[report.Row]:
        _need_sandbox()
        clients = _numbers(options["clients"])
        return feed.measure(clients, options["ticks"], options["client_processes"], self._say)

    def _api_on_its_own(self, options: dict[str, Any]) -> None:
        names = ("parts", "transactions", "closed_trades", "seconds")
        given = [f"--{name.replace('_', '-')}={options[name]}" for name in names]
        _on_empty_services("api-here", *given, *([f"--json={options['json_file']}"] if options["json_file"] else []))

    def _live_on_its_own(self, options: dict[str, Any]) -> None:
        given = [f"--{name}={options[name]}" for name in ("runs", "agents", "crowds", "kills")]
        given += [f"--json={options['json_file']}"] if options["json_file"] else []
        with live_desk.running(options["agents"] + 1, options["slot_ms"] / 1000) as environment:
            command = [sys.executable, "manage.py", "bench", "live-here", *given]
            code = subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=False).returncode
        if code:
            raise CommandError("The bench live failed")

    def _book_on_its_own(self, options: dict[str, Any]) -> None:
        _on_empty_services("book", f"--positions={options['positions']}", f"--rounds={options['rounds']}")

    def _say(self, text: str) -> None:
        self.stderr.write(text)


def _on_empty_services(*bench: str) -> None:
    """Run a bench on services that live as long as it takes: nobody's desk is filled with it."""
    command = [sys.executable, "manage.py", "bench", *bench]
    scratch = [sys.executable, "-m", "config.runtime", "scratch", "--", *command]
    if subprocess.run(scratch, cwd=settings.BASE_DIR, check=False).returncode:
        raise CommandError(f"The bench {bench[0]} failed")


def _need_sandbox() -> None:
    if not settings.SANDBOX_URL:
        raise CommandError("The bench trades on the sandbox: start the desk with SOLDESK_DEMO=1")


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]
