"""Prices the watch must not believe, and how it finds out: null, stale, absurd, told by one source only, missing."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from apps.core.models import OutboxMessage
from apps.prices.models import Tick
from apps.trading.book.book import PositionBook
from apps.trading.models import ExitIntent, Position
from apps.trading.services import exit_runner, unwatchable
from apps.trading.services.watch import ShardWatch
from tests.desk import wait_until
from tests.prices import world
from tests.trading import closing
from tests.trading.closing import at

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered(market):
    world.forget()
    yield
    world.forget()


@pytest.fixture
def watch():
    watch = ShardWatch(0, shards=1)
    yield watch
    watch.close()


@pytest.mark.parametrize("kind", ["null_price", "missing_price", "stale_price"])
def test_a_null_missing_or_stale_price_fires_nothing_and_is_not_recorded(market, watch, kind):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    known = Tick.objects.count()
    market.set_price(position.mint, at(position, "-70"))
    market.fault("jupiter_price", kind, **({"age_seconds": 600} if kind == "stale_price" else {}))
    market.fault("dexscreener", "server_error", status=503)

    report = watch.tick()

    assert (report.fired, report.trusted) == (0, 0)
    assert Tick.objects.count() == known


def test_the_second_source_stands_in_for_a_price_the_first_does_not_have(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "-45"))
    market.fault("jupiter_price", "missing_price")
    assert watch.tick().fired == 1
    assert Tick.objects.get(mint=position.mint).source == "dexscreener"


@pytest.mark.parametrize("factor", ["0.01", "100"])
def test_an_absurd_price_from_one_source_sells_nothing_and_raises_no_peak(market, watch, factor):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.fault("jupiter_price", "absurd_price", factor=factor)

    for _ in range(3):
        watch.tick()
        exit_runner.run_due()

    after = Position.objects.get(pk=position.pk)
    assert after.closed_at is None
    assert after.peak_price_sol <= max(position.peak_price_sol, position.purchase_price * Decimal("1.01"))
    assert not ExitIntent.objects.exclude(status="cancelled", last_error="BAD_TICK").exists()


def test_an_absurd_price_nobody_else_knows_better_is_disproved_by_the_sell_quote(market, watch):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.fault("jupiter_price", "absurd_price", factor="0.01")
    market.fault("dexscreener", "server_error", status=503)

    assert watch.tick().fired == 1
    intent = ExitIntent.objects.get()
    assert intent.needs_confirmation
    assert intent.details["doubt"] == "wild_without_second_source"
    exit_runner.run_due()

    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("cancelled", "BAD_TICK")
    assert Position.objects.get(pk=position.pk).closed_at is None


def test_a_doubt_that_was_disproved_is_not_asked_again_at_once(market, watch):
    closing.agent_holding(market)
    watch.tick()
    market.fault("jupiter_price", "absurd_price", factor="0.01")
    market.fault("dexscreener", "server_error", status=503)
    watch.tick()
    exit_runner.run_due()
    assert watch.tick().fired == 0


def test_a_real_crash_only_one_source_tells_of_is_confirmed_by_the_sell_quote(market, watch):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.fault("dexscreener", "server_error", status=503)
    market.set_price(position.mint, at(position, "-80"))

    watch.tick()
    assert ExitIntent.objects.get().needs_confirmation
    exit_runner.run_due()

    assert Position.objects.get(pk=position.pk).close_reason == "stop_loss"
    assert closing.differences() == []


def test_a_real_pump_only_one_source_tells_of_is_believed_once_a_quote_agrees(market, watch):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.fault("dexscreener", "server_error", status=503)
    market.set_price(position.mint, at(position, "80"))
    assert (watch.tick().trusted, watch.tick().fired) == (0, 0)

    wait_until(lambda: watch.tick().trusted)

    assert Position.objects.get(pk=position.pk).peak_price_sol > at(position, "79")
    assert watch.tick().doubted == 0


def test_a_quote_never_confirms_an_absurd_price(market, watch):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.fault("dexscreener", "server_error", status=503)
    market.fault("jupiter_price", "absurd_price", factor="3")
    asked_until = time.monotonic() + 1.0
    while time.monotonic() < asked_until:
        assert watch.tick().trusted == 0
        time.sleep(0.1)
    assert Position.objects.get(pk=position.pk).peak_price_sol < at(position, "2")


def test_a_minute_without_sol_in_dollars_is_told_to_everyone_once():
    alarm = unwatchable.SolUsdAlarm()
    for now, known in ((0, False), (59, False), (60, False), (61, False), (62, True), (63, True)):
        alarm.note(known, now=float(now))
    codes = [row.payload["code"] for row in OutboxMessage.objects.filter(stream="global").order_by("id")]
    assert codes == ["SOL_USD_UNKNOWN", "SOL_USD_KNOWN"]


def test_a_minute_without_a_trusted_price_marks_the_positions_and_alerts_their_owner(market):
    agent, (position,) = closing.agent_holding(market)
    book = PositionBook(0, 1)
    book.synchronise()
    held = book.held()
    note = unwatchable.Unwatchable(0)

    assert note.note(held, (), now=100.0) == frozenset()
    assert note.note(held, (), now=159.0) == frozenset()
    assert note.note(held, (), now=160.0) == {position.mint}
    assert unwatchable.listed(0) == [position.mint]
    assert note.note(held, (), now=161.0) == {position.mint}
    assert note.note(held, {position.mint}, now=162.0) == frozenset()

    alerts = OutboxMessage.objects.filter(stream=f"user:{agent.user_id}", kind="alert").order_by("id")
    assert [alert.payload["code"] for alert in alerts] == ["POSITION_UNWATCHABLE", "POSITION_WATCHED_AGAIN"]
    assert alerts[0].payload["mint"] == position.mint
