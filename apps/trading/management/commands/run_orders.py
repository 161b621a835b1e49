"""`manage.py run_orders`: drive live orders until stopped. The rules are `apps.trading.services.live`'s."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import structlog
import uvloop
from django.core.management.base import BaseCommand

from apps.core import heartbeats, metrics_page
from apps.trading.services.live import running

log = structlog.get_logger(__name__)

HEARTBEAT = "orders"


class Command(BaseCommand):
    """Run the orders process; SIGTERM and SIGINT stop it, and the next one goes on where it was."""

    requires_system_checks = []  # the web process checks routes and pages; this one has none
    help = "Bring live orders to the chain: build, have signed, send, resolve, book."

    def handle(self, *args: Any, **options: Any) -> None:
        heartbeats.start(HEARTBEAT)
        metrics_page.serve()
        uvloop.run(_run())
        heartbeats.stop()


async def _run() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("orders_started")
    await running.run(stop)
    log.info("orders_stopped")
