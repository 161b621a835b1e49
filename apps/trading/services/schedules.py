"""What Beat does and how often: rows an operator edits in the admin afterwards, made once if they are not there.

Watches of shards this desk no longer has are removed: their queues have no worker any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction as database
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from apps.accounts.services import audit
from apps.trading.services import watch


@dataclass(frozen=True, slots=True)
class Schedule:
    """A periodic task: every `every`, or at `minute` (and `hour`, UTC); a run that starts later is dropped."""

    name: str
    task: str
    description: str
    expires: timedelta
    every: timedelta | None = None
    minute: str = "*"
    hour: str = "*"
    arguments: str = "[]"
    queue: str | None = None


_DEMO = (
    Schedule(
        name="Make the demo's live agent",
        task="console.demo_live",
        description="Funds an agent on the sandbox chain as soon as the signer has a key for it; then does nothing.",
        every=timedelta(seconds=3),
        expires=timedelta(seconds=3),
    ),
)


def wanted() -> list[Schedule]:
    """Return every schedule a desk needs."""
    watches = [
        Schedule(
            name=f"Watch positions, shard {shard}",
            task=watch.TASK,
            description="Fetches prices of held tokens and fires stops. The worker ticks by itself when this is late.",
            every=timedelta(seconds=1),
            expires=timedelta(seconds=1),
            arguments=f"[{shard}]",
            queue=f"prices.{shard}",
        )
        for shard in range(settings.PRICE_SHARDS)
    ]
    return [
        *watches,
        *(_DEMO if settings.DEMO_DESK else ()),
        Schedule(
            name="Snapshot balances",
            task="trading.snapshot_balances",
            description="What every wallet is worth, for the curves; written again within the hour it replaces.",
            minute="0",
            expires=timedelta(minutes=30),
        ),
        Schedule(
            name="Remove what is past its time",
            task="trading.prune",
            description="Old ticks, verdicts without a trade, cancelled exits, duplicate keys. Never rows of money.",
            minute="17",
            hour="3",
            expires=timedelta(hours=6),
        ),
        Schedule(
            name="Remove old prices",
            task="trading.prune_prices",
            description="Ticks older than a day, candles of a minute older than a week. Prices grow fastest of all.",
            minute="47",
            expires=timedelta(minutes=50),
        ),
        Schedule(
            name="Compare live wallets with the chain",
            task="wallets.reconcile",
            description="What the chain holds beyond a live wallet's books, or less, stops its buys and is told.",
            every=timedelta(minutes=1),
            expires=timedelta(seconds=50),
        ),
        Schedule(
            name="Remove published feed messages",
            task="core.prune_outbox",
            description="Messages of the live feed that everybody has had.",
            every=timedelta(minutes=10),
            expires=timedelta(minutes=9),
        ),
        Schedule(
            name="Remove old webhook deliveries",
            task="notify.prune",
            description="Events told two weeks ago, with their deliveries and attempts. What is pending stays.",
            minute="27",
            hour="3",
            expires=timedelta(hours=6),
        ),
    ]


def ensure_schedules() -> list[str]:
    """Make the schedules that are missing and return their names; what is there is the operator's and stays.

    Watches of former shards go; a shard that comes back gets a new one.
    """
    _remove_former_watches()
    made = []
    for schedule in wanted():
        with database.atomic():
            if PeriodicTask.objects.filter(name=schedule.name).exists():
                continue
            task = PeriodicTask.objects.create(
                name=schedule.name,
                task=schedule.task,
                description=schedule.description,
                args=schedule.arguments,
                queue=schedule.queue,
                expire_seconds=int(schedule.expires.total_seconds()),
                interval=_interval(schedule.every),
                crontab=None if schedule.every is not None else _crontab(schedule),
            )
            _record("schedule.created", task, after={"name": task.name, "task": task.task, "when": str(task.schedule)})
            made.append(schedule.name)
    return made


def _remove_former_watches() -> None:
    shards = [f"[{shard}]" for shard in range(settings.PRICE_SHARDS)]
    for former in PeriodicTask.objects.filter(task=watch.TASK).exclude(args__in=shards):
        with database.atomic():
            _record("schedule.deleted", former, before={"name": former.name, "task": former.task, "args": former.args})
            former.delete()  # one by one: Beat learns of each


def _record(action: str, task: PeriodicTask, *, before: Any = None, after: Any = None) -> None:
    """Log a schedule that comes or goes without anybody's doing: the desk's start makes and removes them."""
    audit.record(actor=None, action=action, object_type="periodictask", object_id=task.pk, before=before, after=after)


def _interval(every: timedelta | None) -> IntervalSchedule | None:
    if every is None:
        return None
    seconds = int(every.total_seconds())
    return IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)[0]


def _crontab(schedule: Schedule) -> CrontabSchedule:
    return CrontabSchedule.objects.get_or_create(
        minute=schedule.minute, hour=schedule.hour, day_of_week="*", day_of_month="*", month_of_year="*", timezone="UTC"
    )[0]
