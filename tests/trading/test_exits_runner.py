"""Selling what is due: shared quotes, chunks, failures that wait alone, races, halts, positions that changed."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from apps.core import bulk, relay
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import exit_intents, exit_runner, sale_booking, trading_state, wallet_reset
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import Transaction
from tests import factories
from tests.desk import wait_until
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


def fire(*positions: Position, **fields) -> list[ExitIntent]:
    return [factories.make_intent(position, **fields) for position in positions]


def is_closed(position: Position) -> bool:
    return Position.objects.get(pk=position.pk).closed_at is not None


def due_now() -> None:
    """Let no back-off stand in the way of the next pass."""
    ExitIntent.objects.filter(status="due").update(due_at=timezone.now())


def holders(market, number: int, **options) -> list[Position]:
    """Return positions of as many agents in one token, of different sizes."""
    token = market.add_token(**options)
    user = factories.make_user()
    return [
        closing.hold(factories.make_agent(user), token, invested=str(Decimal("0.5") + Decimal(n) / 10))
        for n in range(number)
    ]


def test_positions_of_one_token_share_quotes_pro_rata(market):
    positions = holders(market, 8)
    fire(*positions)

    outcomes = exit_runner.run_due()

    assert all(outcome.booked for outcome in outcomes) and len(outcomes) == 8
    sales = Transaction.objects.filter(input_mint=positions[0].mint)
    quoted = {sale.swap_payload["inAmount"] for sale in sales}
    assert len(quoted) <= 3
    for sale in sales:
        units = int(sale.input_amount.scaleb(positions[0].decimals))
        whole_in, whole_out = int(sale.swap_payload["inAmount"]), int(sale.swap_payload["outAmount"])
        assert int(sale.output_amount.scaleb(9)) == whole_out * units // whole_in
    assert closing.differences() == []


def test_a_hanging_quote_of_one_token_delays_no_other(market):
    _, positions = closing.agent_holding(market, 3)
    market.fault("jupiter_quote", "hang", count=1)
    fire(*positions)

    assert exit_runner.start_due() == 3
    wait_until(lambda: sum(map(is_closed, positions)) == 2)
    assert exit_runner.start_due() == 0

    (stuck,) = [position for position in positions if not is_closed(position)]
    assert ExitIntent.objects.get(position=stuck).status == "leased"  # its quote still hangs
    wait_until(lambda: ExitIntent.objects.get(position=stuck).status == "due")
    due_now()
    exit_runner.start_due()
    wait_until(lambda: is_closed(stuck))
    assert closing.differences() == []


def test_a_token_whose_quotes_hang_leaves_room_for_the_others_however_many_hold_it(market, monkeypatch):
    monkeypatch.setattr(exit_runner, "MOST_SALES", 4)
    monkeypatch.setattr(exit_runner, "MOST_BESIDE_HANGING", 1)
    hung, (other,) = holders(market, 12), holders(market, 1)
    market.fault("jupiter_quote", "latency", latency_ms=40_000, mints=[hung[0].mint])
    fire(*hung)
    assert exit_runner.start_due() == 4
    fire(other)
    time.sleep(1.0)

    assert exit_runner.start_due() == 2

    wait_until(lambda: is_closed(other))
    assert [is_closed(position) for position in hung] == [False] * 12
    market.clear_faults()
    wait_until(lambda: ExitIntent.objects.filter(status="leased").count() == 0)

    def sold() -> bool:
        due_now()
        exit_runner.start_due()
        return all(map(is_closed, hung))

    wait_until(sold)
    assert closing.differences() == []


def test_a_failed_sale_stays_due_with_a_growing_pause_and_succeeds_later(market):
    _, (position,) = closing.agent_holding(market)
    (intent,) = fire(position)
    market.fault("jupiter_quote", "server_error", status=500)
    pauses = []
    for _ in range(3):
        exit_runner.run_due()
        intent.refresh_from_db()
        assert (intent.status, is_closed(position)) == ("due", False)
        assert intent.last_error in ("PROVIDER_UNAVAILABLE", "PROVIDER_BREAKER_OPEN")
        pauses.append((intent.due_at - timezone.now()).total_seconds())
        due_now()
    assert pauses[0] < pauses[1] < pauses[2] <= 2.0

    market.clear_faults()

    def sold() -> bool:
        due_now()
        exit_runner.run_due()
        return is_closed(position)

    wait_until(sold)
    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("done", "")
    assert intent.transaction_id == ClosedTrade.objects.get().sale_transaction_id
    assert closing.differences() == []


def test_two_sellers_at_once_sell_every_position_once(market):
    positions = holders(market, 12)
    fire(*positions)
    outcomes = []

    def sell() -> None:
        try:
            outcomes.extend(exit_runner.run_due(limit=7))
            outcomes.extend(exit_runner.run_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=sell) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcome.exit.position_id for outcome in outcomes if outcome.booked) == sorted(
        position.pk for position in positions
    )
    assert Transaction.objects.filter(input_mint=positions[0].mint).count() == 12
    assert closing.differences() == []


def test_a_seller_that_died_leaves_the_close_to_the_next_when_its_lease_ends(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    (leased,) = exit_intents.lease_due()
    assert exit_runner.run_due() == []
    ExitIntent.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert [outcome.booked for outcome in exit_runner.run_due()] == [True]
    assert leased.attempts == 1 and ExitIntent.objects.get().attempts == 2


def test_a_seller_that_lost_its_lease_books_nothing(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    (slow,) = exit_intents.lease_due()
    ExitIntent.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (quick,) = exit_intents.lease_due()
    units = int(position.remaining_amount.scaleb(position.decimals))
    quote = quote_of(market, position, units)

    (late,) = sale_booking.book_sales([sale_booking.Sale(slow, quote, units)], sol_usd=None)
    assert (late.booked, late.code) == (False, "LEASE_LOST")
    (first,) = sale_booking.book_sales([sale_booking.Sale(quick, quote, units)], sol_usd=Decimal(150))
    assert first.booked
    (again,) = sale_booking.book_sales([sale_booking.Sale(quick, quote, units)], sol_usd=None)
    assert not again.booked
    trade = ClosedTrade.objects.get()
    assert trade.profit_usd == (trade.profit_sol * 150).quantize(Decimal("1e-8"))
    assert closing.differences() == []


def quote_of(market, position: Position, units: int):
    from apps.core.http import call_loop
    from apps.core.money import SOL_MINT
    from apps.trading.adapters import jupiter

    return call_loop.run(jupiter.quote(position.mint, SOL_MINT, units, lane="exit", deadline_seconds=5))


def test_a_wallet_short_of_tokens_waits_alone_with_its_code(market):
    positions = holders(market, 4)
    short = positions[1]
    bulk.execute(
        "WITH gone AS (INSERT INTO ledger_entry (wallet_id, epoch, mint, delta, reason)"
        " VALUES (%(wallet)s, 1, %(mint)s, -1, 'adjustment'))"
        " UPDATE balance SET amount = amount - 1 WHERE wallet_id = %(wallet)s AND mint = %(mint)s",
        {"wallet": short.wallet_id, "mint": short.mint},
    )
    fire(*positions)

    exit_runner.run_due()

    assert [is_closed(position) for position in positions] == [True, False, True, True]
    intent = ExitIntent.objects.get(position=short)
    assert (intent.status, intent.last_error) == ("due", "INSUFFICIENT_BALANCE")
    assert closing.differences() == []


def test_a_position_that_shrank_since_the_quote_is_quoted_again_for_what_remains(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    (leased,) = exit_intents.lease_due()
    units = int(position.remaining_amount.scaleb(position.decimals))
    quote = quote_of(market, position, units * 2)
    (outcome,) = sale_booking.book_sales([sale_booking.Sale(leased, quote, units * 2)], sol_usd=None)
    assert (outcome.booked, outcome.code) == (False, "AMOUNT_CHANGED")
    exit_intents.give_back([leased], outcome.code, at_once=True)
    assert [again.booked for again in exit_runner.run_due()] == [True]


def test_a_dca_cancels_a_stop_that_fired_before_it_but_no_other_close(market):
    _, (stopped, manual) = closing.agent_holding(market, 2)
    fire(stopped)
    fire(manual, reason="manual")
    Position.objects.update(generation=2, peak_generation=2)

    exit_runner.run_due()

    intent = ExitIntent.objects.get(position=stopped)
    assert (intent.status, intent.last_error) == ("cancelled", "DCA_AFTER_STOP")
    assert (is_closed(stopped), is_closed(manual)) == (False, True)


def test_a_partial_sale_does_not_cancel_a_stop(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    Position.objects.update(generation=2)
    exit_runner.run_due()
    assert is_closed(position)


def test_a_close_of_a_position_that_is_gone_is_cancelled(market):
    _, (position,) = closing.agent_holding(market)
    factories.close_position(position, proceeds="1")
    fire(position)
    exit_runner.run_due()
    intent = ExitIntent.objects.get()
    assert (intent.status, intent.last_error) == ("cancelled", "POSITION_CLOSED")
    assert closing.differences() == []


def test_halted_exits_wait_without_being_tried_and_are_sold_when_they_come_back(market):
    agent, (position,) = closing.agent_holding(market)
    (intent,) = fire(position)
    trading_state.set_state(agent=agent, state="halted", exits_enabled=False, actor=None)
    assert exit_runner.run_due() == []
    intent.refresh_from_db()
    assert (intent.status, intent.attempts) == ("due", 0)

    trading_state.set_state(agent=agent, state="active", actor=None)
    assert [outcome.booked for outcome in exit_runner.run_due()] == [True]


def test_a_halt_between_quote_and_booking_books_nothing(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    (leased,) = exit_intents.lease_due()
    units = int(position.remaining_amount.scaleb(position.decimals))
    trading_state.set_state(state="halted", exits_enabled=False, actor=None)
    (outcome,) = sale_booking.book_sales(
        [sale_booking.Sale(leased, quote_of(market, position, units), units)], sol_usd=None
    )
    assert (outcome.booked, outcome.code) == (False, "EXITS_HALTED")


def test_a_wallet_reset_while_a_close_is_being_sold_books_nothing(market):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    (leased,) = exit_intents.lease_due()
    units = int(position.remaining_amount.scaleb(position.decimals))
    quote = quote_of(market, position, units)
    wallet_reset.reset_wallet(wallet=position.wallet, actor=None)

    (outcome,) = sale_booking.book_sales([sale_booking.Sale(leased, quote, units)], sol_usd=None)

    assert not outcome.booked
    assert Transaction.objects.filter(input_mint=position.mint).count() == 0
    assert ExitIntent.objects.get().last_error == "WALLET_RESET"
    assert closing.differences() == []


def test_an_open_close_bars_and_cancels_adjusts(market):
    _, (position,) = closing.agent_holding(market)
    adjust = factories.make_intent(position, kind="adjust", reason="take_profit")
    exit_intents.fire([FiredExit(position.pk, "stop_loss", 1)])
    adjust.refresh_from_db()
    assert (adjust.status, adjust.last_error) == ("cancelled", "BARRED_BY_CLOSE")


def test_firing_twice_leaves_one_open_close(market):
    _, (position,) = closing.agent_holding(market)
    assert len(exit_intents.fire([FiredExit(position.pk, "stop_loss", 1)])) == 1
    assert exit_intents.fire([FiredExit(position.pk, "stale_trade", 1)]) == {}
    assert ExitIntent.objects.get().reason == "stop_loss"


def test_a_judgement_of_a_position_that_has_changed_since_fires_nothing(market):
    _, (position,) = closing.agent_holding(market)
    assert exit_intents.fire([FiredExit(position.pk, "stop_loss", 7)]) == {}


def test_a_lock_that_is_held_too_long_leaves_the_close_due(market, settings):
    _, (position,) = closing.agent_holding(market)
    fire(position)
    with agent_state_locked(position):
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        (outcome,) = exit_runner.run_due()
        assert (outcome.booked, outcome.code) == (False, "DATABASE_BUSY")
    connection.close()
    due_now()
    assert [again.booked for again in exit_runner.run_due()] == [True]


@contextmanager
def agent_state_locked(position: Position):
    other = relay.open_connection("test")
    try:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM agent_state WHERE agent_id = %s FOR UPDATE", [position.agent_id])
        yield
    finally:
        other.close()


def test_more_than_a_chunk_of_positions_sell_together(market):
    token = market.add_token(liquidity_sol="100000")
    user = factories.make_user()
    positions = [closing.hold(factories.make_agent(user), token, invested="0.1") for _ in range(260)]
    exit_intents.fire([FiredExit(position.pk, "stop_loss", 1) for position in positions])

    exit_runner.run_due()

    assert ClosedTrade.objects.filter(close_reason="stop_loss").count() == 260
    assert closing.differences() == []


def test_a_stop_judged_before_a_partial_sale_is_fired_and_one_judged_before_a_dca_is_not(market):
    _, (sold, added) = closing.agent_holding(market, 2)
    for position, fields in ((sold, {"generation": 2}), (added, {"generation": 2, "peak_generation": 2})):
        Position.objects.filter(pk=position.pk).update(**fields)
    fired = exit_intents.fire([FiredExit(position.pk, "stop_loss", 1) for position in (sold, added)])
    assert set(fired) == {sold.pk}
    assert ExitIntent.objects.get().generation == 2


def test_an_agent_somebody_holds_keeps_no_other_from_being_sold(market):
    token = market.add_token()
    held, *others = [closing.hold(factories.make_agent(sol="10"), token) for _ in range(5)]
    exit_intents.fire([FiredExit(position.pk, "stop_loss", 1) for position in (held, *others)])
    other = relay.open_connection("test")
    try:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM agent_state WHERE agent_id = %s FOR NO KEY UPDATE", [held.agent_id])
        outcomes = {item.exit.position_id: item for item in exit_runner.run_due()}
    finally:
        other.close()
    assert {key for key, item in outcomes.items() if item.booked} == {position.pk for position in others}
    assert (outcomes[held.pk].action, outcomes[held.pk].code) == ("wait", "DATABASE_BUSY")
    ExitIntent.objects.update(due_at=timezone.now())
    assert [item.booked for item in exit_runner.run_due()] == [True]
    assert closing.differences() == []
