"""Wake-ups of trading: each task does what the sweep would do a second later. No task is the record of anything."""

from __future__ import annotations

from functools import partial

from celery import shared_task
from celery import signals as celery_signals
from django.conf import settings

from apps.core import sweep
from apps.signals import queue as signals
from apps.trading.services import dead_tokens, entries, exit_runner, retention, snapshots, write_off
from apps.trading.services import watch as watching


@shared_task(name="trading.process_signal")
def process_signal(signal_id: int) -> None:
    """Trade one signal for its owner's agents."""
    entries.process_signal(signal_id)


def take_due_signals() -> None:
    """Trade every signal nobody is working on: lost wake-ups, dead workers, outages."""
    for signal_id in signals.due_ids():
        entries.process_signal(signal_id)


sweep.register("signals", queue="trading", every=1.0, run=take_due_signals)


@shared_task(name="trading.watch")
def watch(shard: int) -> None:
    """Watch the held tokens of one shard once; Beat asks for it each second, the sweep when Beat is late."""
    watching.tick(shard)


@shared_task(name="trading.run_exits")
def run_exits() -> None:
    """Take every due close, take profit and DCA, and let this process book it."""
    exit_runner.start_due()


@shared_task(name="trading.write_off")
def write_off_dead_tokens() -> None:
    """Write off what an operator, or the settings, want written off."""
    write_off.run()


@shared_task(name="trading.snapshot_balances")
def snapshot_balances() -> None:
    """Write this hour's balance snapshots."""
    snapshots.snapshot_balances()


@shared_task(name="trading.prune")
def prune() -> None:
    """Remove what is past its time."""
    retention.prune()


@shared_task(name="trading.prune_prices")
def prune_prices() -> None:
    """Remove old ticks and candles."""
    retention.prune_prices()


@celery_signals.worker_shutdown.connect
def finish_exits(**_: object) -> None:
    """Let sales under way end with the worker: what is cut off waits for its lease."""
    exit_runner.stop(2.0)


sweep.register("exits", queue="critical", every=1.0, run=exit_runner.start_due)
sweep.register("dead tokens", queue="default", every=15.0, run=dead_tokens.check)
sweep.register("write-offs", queue="default", every=5.0, run=write_off.run)
for _shard in range(settings.PRICE_SHARDS):
    sweep.register(f"watch {_shard}", queue=f"prices.{_shard}", every=1.0, run=partial(watching.tick, _shard))
