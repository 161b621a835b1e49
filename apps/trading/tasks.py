"""Wake-ups of trading: each task does what the sweep would do a second later. No task is the record of anything."""

from __future__ import annotations

from celery import shared_task

from apps.core import sweep
from apps.signals import queue as signals
from apps.trading.services import entries


@shared_task(name="trading.process_signal")
def process_signal(signal_id: int) -> None:
    """Trade one signal for its owner's agents."""
    entries.process_signal(signal_id)


def take_due_signals() -> None:
    """Trade every signal nobody is working on: lost wake-ups, dead workers, outages."""
    for signal_id in signals.due_ids():
        entries.process_signal(signal_id)


sweep.register("signals", queue="trading", every=1.0, run=take_due_signals)
