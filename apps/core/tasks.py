"""What workers do for the house: carry the feed (a sweep of worker-default, see `core.relay`) and prune it."""

from __future__ import annotations

from celery import shared_task

from apps.core import outbox, relay, sweep

_relay = relay.Relay()
sweep.register("outbox", queue="default", every=1.0, run=_relay.run, pause=_relay.pause)


@shared_task(name="core.prune_outbox")
def prune_outbox() -> int:
    """Remove feed messages published more than an hour ago; Beat calls this every ten minutes."""
    return outbox.prune_outbox()
