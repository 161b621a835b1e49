"""`manage.py stream_prices`: follow SOL/USD until stopped. The rules are `apps.prices.services.sol_usd_feed`'s."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import structlog
from django.core.management.base import BaseCommand

from apps.core import heartbeats, metrics_page
from apps.prices.services.sol_usd_feed import SolUsdFeed

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Run the SOL/USD feed in this process; SIGTERM and SIGINT stop it within a second."""

    requires_system_checks = []  # the web process checks routes and pages; this one has none
    help = "Follow SOL/USD: Pyth's stream, its polling fallback, then the price sources."

    def handle(self, *args: Any, **options: Any) -> None:
        heartbeats.start("streams")
        metrics_page.serve()
        asyncio.run(_follow())
        heartbeats.stop()


async def _follow() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("sol_usd_feed_started")
    await SolUsdFeed().run(stop)
    log.info("sol_usd_feed_stopped")
