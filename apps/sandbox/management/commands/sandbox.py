"""`manage.py sandbox`: run the local market. It needs neither the database nor Redis."""

from __future__ import annotations

import logging
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.sandbox import options as sandbox_options
from apps.sandbox import server


class Command(BaseCommand):
    """Serve the sandbox until the process is told to stop."""

    help = "Run the local market: providers' wire shapes, a signal source, faults on demand, and a page to steer it."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the sandbox's own options."""
        sandbox_options.add_arguments(parser)

    def handle(self, *_args: Any, **arguments: Any) -> None:
        """Run; a wrong option or a taken port ends with one sentence."""
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
        try:
            server.run(sandbox_options.from_arguments(arguments))
        except (ValueError, server.CannotListen) as refused:
            raise CommandError(str(refused)) from refused
