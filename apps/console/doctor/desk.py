"""What runs on this machine: database, Redis, processes, prices, providers' plans, and how old the last backup is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from apps.accounts.models import AuditEntry
from apps.console import health
from apps.console.backup.making import MADE
from apps.console.doctor.findings import Finding, fail, needed, ok, warn
from apps.core import formatting, heartbeats
from apps.core.http.usage import calls_left
from apps.prices.models import Tick

ORDERS = "orders"
PRICE_LATE_SECONDS = 30
BACKUP_OLD = timedelta(days=1)
#: A provider's clock this far ahead of ours means that ours is wrong.
CLOCK_SECONDS = 5
_WITHOUT_KEY = "keyless"


def services() -> Iterator[Finding]:
    """Look at database, Redis and workers, as `/api/v1/health` tells them."""
    _, told = health.report()
    database = told["services"]["database"]
    pending = (told["migrations"] or {}).get("pending", 0)
    if database["status"] != "healthy":
        yield fail("database", "It does not answer.", "Start the desk, or look at DATABASE_URL.")
        return
    if pending:
        yield fail("database", f"{pending} migrations are not applied.", "manage.py migrate")
    else:
        yield ok("database", f"Answers in {database['latency']} ms, schema complete.")
    if told["services"]["redis"]["status"] == "healthy":
        yield ok("redis", "Answers.")
    else:
        yield warn("redis", "Does not answer: trading goes on, wake-ups and screens are slower.", "Look at REDIS_URL.")
    silent = [worker["name"] for worker in told["services"]["queue"]["workers"] if not worker["alive"]]
    if silent:
        yield fail("processes", f"Not heard of: {', '.join(silent)}.", "Start the desk (make up), or that process.")
    else:
        yield ok("processes", f"{told['services']['queue']['workerCount']} workers are alive.")


def orders_process(*, live: bool) -> Iterator[Finding]:
    """Look for the process that drives live orders."""
    ages = [sign.age_seconds for sign in heartbeats.signs() if sign.name == ORDERS]
    if ages and min(ages) < heartbeats.GONE_SECONDS:
        yield ok("orders", "The process that drives live orders is alive.")
    else:
        yield needed("orders", "Nobody drives live orders.", "Start manage.py run_orders.", now=live)


def prices(*, live: bool) -> Iterator[Finding]:
    """Look at the newest price: how old it is, and whether its provider's clock agrees with ours."""
    newest = Tick.objects.order_by("-id").first()
    if newest is None:
        yield warn("prices", "No price has been stored yet.", "Wait for the first poll; hold or trade a token.")
        return
    age = (datetime.now(UTC) - newest.received_at).total_seconds()
    if age > PRICE_LATE_SECONDS:
        yield needed(
            "prices", f"The newest price is {formatting.duration(age)} old.", "Look at worker-prices.", now=live
        )
    else:
        yield ok("prices", f"The newest price is {age:.1f} s old, from {newest.source}.")
    ahead = 0.0 if newest.provider_at is None else (newest.provider_at - newest.received_at).total_seconds()
    if ahead > CLOCK_SECONDS:
        yield fail(
            "clock", f"{newest.source}'s clock is {ahead:.0f} s ahead of ours.", "Set this machine's clock (NTP)."
        )


def budgets() -> Iterator[Finding]:
    """Look at what the providers' plans still allow."""
    for provider in ("jupiter", "dexscreener"):
        plan = calls_left(provider)
        if plan is None:
            yield ok("budget", f"{provider}: a plan without limits.")
        elif plan.left is None:
            yield warn("budget", f"{provider}: nobody knows how many calls are left.", "Look at Redis.")
        elif plan.left == 0:
            yield warn(
                "budget", f"{provider}: the {plan.plan} plan is used up for now.", "Take a larger plan (JUPITER_PLAN)."
            )
        else:
            yield ok("budget", f"{provider}: {plan.left} of {plan.limit} calls left in {plan.window_seconds:.0f} s.")
        if provider == "jupiter" and plan is not None and plan.plan == _WITHOUT_KEY:
            yield warn(
                "budget",
                f"Jupiter is asked without a key: {plan.limit} calls a minute for prices, quotes and swaps together.",
                "Set JUPITER_API_KEY and JUPITER_PLAN.",
            )


def backups() -> Iterator[Finding]:
    """Look for the last backup in the audit log."""
    made = AuditEntry.objects.filter(action=MADE).order_by("-id").first()
    if made is None:
        yield warn("backup", "This desk was never backed up.", "manage.py backup FOLDER (make backup)")
        return
    age = timezone.now() - made.at
    where = made.after["target"] if made.after else ""
    if age > BACKUP_OLD:
        yield warn(
            "backup",
            f"The last one is {formatting.duration(age.total_seconds())} old: {where}.",
            "manage.py backup FOLDER",
        )
    else:
        yield ok("backup", f"{formatting.duration(age.total_seconds())} old: {where}.")
