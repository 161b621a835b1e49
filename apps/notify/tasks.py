"""Wake-ups of notify: sweeps of worker-default read the outbox and send what is due; tasks only make it sooner."""

from __future__ import annotations

from celery import shared_task
from celery import signals as celery_signals

from apps.core import sweep
from apps.notify.services import courier, retention
from apps.notify.services.intake import Intake

_intake = Intake()


def read_outbox() -> int:
    """Make deliveries of what was committed, and let them be sent at once."""
    made = _intake.run()
    if made:
        sweep.nudge(courier.SWEEP)
    return made


@shared_task(name="notify.deliver")
def deliver() -> None:
    """Let this worker's sweep send what is due now."""
    sweep.nudge(courier.SWEEP)


@shared_task(name="notify.prune")
def prune() -> None:
    """Remove messages, deliveries and attempts past their time."""
    retention.prune()


@celery_signals.worker_shutdown.connect
def finish_deliveries(**_: object) -> None:
    """Let attempts under way end with the worker: what is cut off waits for its lease."""
    courier.stop(2.0)


sweep.register("webhook intake", queue="default", every=1.0, run=read_outbox, pause=_intake.pause)
sweep.register(courier.SWEEP, queue="default", every=1.0, run=courier.start_due)
