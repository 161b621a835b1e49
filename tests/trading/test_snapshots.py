"""Hourly balance snapshots, retention, and the schedules that ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from apps.prices.models import Tick
from apps.signals.models import SignalDedup
from apps.trading.models import BalanceSnapshot, ExitIntent, Position, SignalExecution, WatchProgress
from apps.trading.services import retention, schedules, snapshots, wallet_reset
from config.celery import app
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = datetime(2026, 11, 20, 9, tzinfo=UTC)


def test_a_snapshot_values_positions_at_their_last_price():
    agent = factories.make_agent(sol="10")
    token = factories.make_token()
    position = factories.make_position(agent, token, invested="1", price="0.001")
    now = timezone.now()
    factories.make_tick(token, "0.0009", at=now - timedelta(seconds=20))
    factories.make_tick(token, "0.002", at=now)

    assert snapshots.snapshot_balances() == 1

    row = BalanceSnapshot.objects.get()
    assert row.hour == now.replace(minute=0, second=0, microsecond=0)
    assert [row.sol_balance, row.positions_value_sol, row.portfolio_sol] == [9, 2, 11]
    assert row.unrealized_profit_sol == 1
    assert not row.estimated
    assert (row.agent_id, row.wallet_id, row.epoch) == (agent.pk, position.wallet_id, 1)


def test_the_last_snapshot_of_an_hour_stays():
    agent = factories.make_agent(sol="10")
    snapshots.snapshot_balances(at=HOUR + timedelta(minutes=5))
    factories.fund(factories.wallet_of(agent), "5")
    snapshots.snapshot_balances(at=HOUR + timedelta(minutes=50))
    snapshots.snapshot_balances(at=HOUR + timedelta(minutes=60))
    rows = BalanceSnapshot.objects.order_by("hour").values_list("hour", "sol_balance")
    assert list(rows) == [(HOUR, Decimal(15)), (HOUR + timedelta(hours=1), Decimal(15))]


@pytest.mark.parametrize("price", ["0.002", None])
def test_a_token_without_a_fresh_price_counts_at_its_last_one_and_is_called_estimated(price):
    agent = factories.make_agent(sol="10")
    token = factories.make_token()
    opened_at = timezone.now() - timedelta(hours=4)
    factories.make_position(agent, token, invested="1", price="0.001", opened_at=opened_at)
    if price is not None:
        factories.make_tick(token, price, at=timezone.now() - timedelta(hours=3))
    snapshots.snapshot_balances()
    row = BalanceSnapshot.objects.get()
    assert row.estimated
    assert row.positions_value_sol == (1 if price is None else 2)


def test_an_empty_wallet_has_a_snapshot_of_zero_and_a_new_epoch_its_own():
    agent = factories.make_agent(sol="3")
    wallet = factories.wallet_of(agent)
    snapshots.snapshot_balances(at=HOUR)
    wallet_reset.reset_wallet(wallet=wallet, actor=None)
    snapshots.snapshot_balances(at=HOUR)
    rows = BalanceSnapshot.objects.order_by("epoch").values_list("epoch", "portfolio_sol")
    assert list(rows) == [(1, Decimal(3)), (2, Decimal(0))]


def test_one_wallet_the_database_refuses_leaves_the_others_their_snapshot():
    rich, plain = factories.make_agent(), factories.make_agent(sol="1")
    token = factories.make_token()
    position = factories.make_position(rich, token)
    factories.make_tick(token, "9999999999999999")
    Position.objects.filter(pk=position.pk).update(remaining_amount=Decimal("9999999999999999999"))

    assert snapshots.snapshot_balances() == 1

    assert BalanceSnapshot.objects.get().agent_id == plain.pk


def test_retention_removes_what_is_past_its_time_and_nothing_of_money():
    agent = factories.make_agent()
    token = factories.make_token()
    old = timezone.now() - timedelta(days=40)
    factories.make_tick(token, "1", at=old)
    factories.make_tick(token, "1", at=old)
    factories.make_tick(token, "1")
    position = factories.make_position(agent, token)
    cancelled = factories.make_intent(position, status="cancelled", finished_at=old)
    done = factories.make_intent(position, status="done", finished_at=old)
    signals = [factories.make_signal(agent.user, token, status="done", signal_strength=n) for n in (1, 2, 3)]
    traded = factories.make_execution(signals[0], agent, verdict="executed", position=position)
    skipped = factories.make_execution(signals[1], agent, code="score")
    recent = factories.make_execution(signals[2], agent, code="score")
    SignalExecution.objects.filter(pk__in=[traded.pk, skipped.pk]).update(created_at=old)
    SignalDedup.objects.create(
        user=agent.user, token_address=token.mint, signal_type="x", signal_strength=1, expires_at=old
    )

    gone = retention.prune()

    assert {kind: count for kind, count in gone.items() if count} == {
        "ticks": 2,
        "executions": 1,
        "exit_intents": 1,
        "duplicate_keys": 1,
    }
    assert set(SignalExecution.objects.all()) == {traded, recent}
    assert ExitIntent.objects.get() == done
    assert cancelled.pk != done.pk


def test_prices_are_kept_for_their_time_and_ticks_until_the_watch_has_written_them_back():
    token, now = factories.make_token(), timezone.now()
    ages = {days: factories.make_tick(token, "1", at=now - timedelta(days=days)) for days in (4, 2, 1.5, 0.5, 0)}
    WatchProgress.objects.create(shards=1, shard=0, tick_id=ages[2].pk)
    for interval, days in (("1m", 8), ("1m", 6), ("1h", 300), ("1h", 3000)):
        factories.make_candle(token, "1", interval=interval, at=now - timedelta(days=days))

    assert retention.prune_prices() == {"ticks": 2, "minute_candles": 1, "hour_candles": 1}
    assert set(Tick.objects.all()) == {ages[1.5], ages[0.5], ages[0]}
    WatchProgress.objects.update(tick_id=ages[0].pk)
    assert retention.prune_prices()["ticks"] == 1
    assert set(Tick.objects.all()) == {ages[0.5], ages[0]}


def test_a_watch_that_is_gone_for_good_keeps_no_ticks_for_ever():
    token, now = factories.make_token(), timezone.now()
    for days in (5, 2, 0):
        factories.make_tick(token, "1", at=now - timedelta(days=days))
    WatchProgress.objects.create(shards=1, shard=0, tick_id=1)
    WatchProgress.objects.update(updated_at=now - timedelta(days=4))
    assert retention.prune_prices()["ticks"] == 2


def test_schedules_are_made_once_and_an_operators_change_stays(settings):
    settings.PRICE_SHARDS = 2
    made = schedules.ensure_schedules()
    assert "Watch positions, shard 1" in made and len(made) == 9
    watch = PeriodicTask.objects.get(name="Watch positions, shard 1")
    assert (watch.task, watch.args, watch.queue) == ("trading.watch", "[1]", "prices.1")
    assert (watch.interval.every, watch.expire_seconds) == (1, 1)

    PeriodicTask.objects.filter(name="Snapshot balances").update(enabled=False)
    assert schedules.ensure_schedules() == []
    assert not PeriodicTask.objects.get(name="Snapshot balances").enabled


def test_shards_that_are_added_get_their_watch_and_those_removed_lose_it(settings):
    def watched() -> list[tuple[str, str | None]]:
        return list(PeriodicTask.objects.filter(task="trading.watch").order_by("args").values_list("args", "queue"))

    schedules.ensure_schedules()
    assert watched() == [("[0]", "prices.0")]
    changed_before = PeriodicTasks.last_change()
    settings.PRICE_SHARDS = 3
    schedules.ensure_schedules()
    assert watched() == [("[0]", "prices.0"), ("[1]", "prices.1"), ("[2]", "prices.2")]
    settings.PRICE_SHARDS = 2
    schedules.ensure_schedules()
    assert watched() == [("[0]", "prices.0"), ("[1]", "prices.1")]
    assert PeriodicTasks.last_change() > changed_before


def test_every_schedule_names_a_task_that_exists():
    app.loader.import_default_modules()
    for schedule in schedules.wanted():
        assert schedule.task in app.tasks
