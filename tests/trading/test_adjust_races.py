"""Two real transactions at once: closes against take profits and DCAs, sellers against each other, a person joining."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection, transaction

from apps.core import bulk
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import exit_intents, exit_runner, exits
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import Transaction
from tests import factories
from tests.desk import wait_until
from tests.trading import adjusting, closing
from tests.trading.adjusting import adding, fire, fire_at, holding, now, taking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Run `work` beside the test, on a connection of its own; wait for it at the end."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(60)
        assert not thread.is_alive()


class Pause:
    """Lets a booking stop right before it marks its intents done, with every lock it takes in its hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._go_on = threading.Event(), threading.Event()
        finish = exit_intents.finish

        def paused(done: Mapping[int, UUID], booked: Mapping[int, Mapping[str, str]]) -> None:
            self.reached.set()
            assert self._go_on.wait(60)
            finish(done, booked)

        monkeypatch.setattr(exit_intents, "finish", paused)

    def wait(self) -> None:
        assert self.reached.wait(60)

    def end(self) -> None:
        self._go_on.set()


def waits_for_a_lock() -> bool:
    return bool(bulk.fetch_all("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))


def stop_loss(position: Position) -> FiredExit:
    return FiredExit(position.pk, "stop_loss", 1, trigger_price_sol=Decimal("0.00001"))


def fire_stop(position: Position) -> None:
    with transaction.atomic():
        exit_intents.fire([stop_loss(position)])


def test_a_stop_that_fires_while_a_take_profit_is_booked_sells_what_is_left(market, monkeypatch):
    position = holding(market, taking())
    profit = fire_at(market, position, "take_profit", "60")
    pause = Pause(monkeypatch)

    with in_thread(exit_runner.run_due):
        pause.wait()
        with in_thread(lambda: fire_stop(position)):
            wait_until(waits_for_a_lock)
            pause.end()

    assert adjusting.ended(profit)[0] == "done"
    assert ExitIntent.objects.get(kind="close").status == "due"
    exit_runner.run_due()
    sold = Transaction.objects.filter(input_mint=position.mint).values_list("is_take_profit", "input_amount")
    assert sorted(sold) == [
        (False, position.purchase_amount - position.purchase_amount / 4),
        (True, position.purchase_amount / 4),
    ]
    assert ClosedTrade.objects.get().close_reason == "stop_loss"
    assert closing.differences() == []


def test_a_stop_that_fires_while_a_dca_is_booked_falls(market, monkeypatch):
    position = holding(market, adding())
    dca = fire_at(market, position, "dca", "-25")
    pause = Pause(monkeypatch)

    with in_thread(exit_runner.run_due):
        pause.wait()
        with in_thread(lambda: fire_stop(position)):
            wait_until(waits_for_a_lock)
            pause.end()

    exit_runner.run_due()
    assert adjusting.ended(dca)[0] == "done"
    assert adjusting.ended(ExitIntent.objects.get(kind="close")) == ("cancelled", "DCA_AFTER_STOP")
    assert now(position).closed_at is None and closing.differences() == []


@pytest.mark.parametrize(("reason", "percent"), [("take_profit", "60"), ("dca", "-25")])
def test_a_stop_that_fires_while_an_adjust_waits_for_its_quote_bars_it(market, reason, percent):
    position = holding(market, {**taking(), **adding()})
    adjust = fire_at(market, position, reason, percent)
    market.fault("jupiter_quote", "latency", latency_ms=1500)
    outcomes = []

    with in_thread(lambda: outcomes.extend(exit_runner.run_due())):
        wait_until(lambda: adjusting.ended(adjust)[0] == "leased")
        fire_stop(position)
    market.clear_faults()
    exit_runner.run_due()

    assert [outcome.code for outcome in outcomes] == ["LEASE_LOST"]
    assert adjusting.ended(adjust) == ("cancelled", "BARRED_BY_CLOSE")
    assert now(position).close_reason == "stop_loss"
    assert Transaction.objects.filter(position=position).count() == 2
    assert closing.differences() == []


def test_a_person_who_closes_while_profit_is_taken_gets_the_rest_sold(market, monkeypatch):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    pause = Pause(monkeypatch)
    results = []

    def close() -> None:
        results.append(exits.close_position(position=now(position), reason="manual", actor=None))

    with in_thread(exit_runner.run_due):
        pause.wait()
        with in_thread(close):
            wait_until(waits_for_a_lock)
            pause.end()

    (result,) = results
    assert result.input_amount == position.purchase_amount - position.purchase_amount / 4
    assert result.profit_loss_sol == now(position).realized_profit_sol
    assert closing.differences() == []


def test_a_person_who_closes_what_the_last_level_is_selling_gets_that_sale(market, monkeypatch):
    position = holding(market, taking([(50, 100)]))
    fire_at(market, position, "take_profit", "60")
    pause = Pause(monkeypatch)
    results = []

    def close() -> None:
        results.append(exits.close_position(position=now(position), reason="manual", actor=None))

    with in_thread(exit_runner.run_due):
        pause.wait()
        with in_thread(close):
            wait_until(waits_for_a_lock)
            pause.end()

    trade = ClosedTrade.objects.get()
    assert trade.close_reason == "take_profit"
    assert [result.historical_swap_id for result in results] == [trade.pk]
    assert Transaction.objects.filter(input_mint=position.mint).count() == 1
    assert closing.differences() == []


def test_several_sellers_at_once_book_every_adjust_once(market):
    tokens = market.add_tokens(2, **adjusting.DEEP)
    rising = [holding(market, taking(), token=tokens[0], invested=f"0.{n}") for n in range(1, 7)]
    falling = [holding(market, adding(), token=tokens[1], invested=f"0.{n}") for n in range(1, 7)]
    up, down = adjusting.price_at(market, rising[0], "60"), adjusting.price_at(market, falling[0], "-25")
    for position in rising:
        fire(position, "take_profit", up)
    for position in falling:
        fire(position, "dca", down)
    outcomes = []

    def work() -> None:
        outcomes.extend(exit_runner.run_due(limit=5))
        outcomes.extend(exit_runner.run_due())

    with in_thread(work), in_thread(work), in_thread(work):
        pass

    assert sum(outcome.booked for outcome in outcomes) == 12
    assert Transaction.objects.filter(is_take_profit=True).count() == 6
    assert Transaction.objects.filter(is_dca=True).count() == 6
    assert set(Position.objects.values_list("generation", flat=True)) == {2}
    assert closing.differences() == []


def test_a_seller_whose_lease_ran_out_books_no_adjust_twice(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    exit_intents.lease_adjusts()
    ExitIntent.objects.update(lease_until=factories.timezone.now())
    assert [outcome.booked for outcome in exit_runner.run_due()] == [True]
    assert exit_runner.run_due() == []
    assert Transaction.objects.filter(is_take_profit=True).count() == 1
