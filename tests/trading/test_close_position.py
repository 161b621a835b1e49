"""Closing a position by hand: the sale, its profit, joining, waiting, and what may stand in the way."""

from __future__ import annotations

import socket
import threading
from decimal import Decimal

import pytest
from django.db import connection

from apps.accounts.models import AuditEntry
from apps.agents.models import AgentState
from apps.core import wake
from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.trading import errors
from apps.trading.models import ClosedTrade, CloseReason, ExitIntent, Position
from apps.trading.services import exit_intents, exit_runner, exits, trading_state
from apps.trading.services.watch import ShardWatch
from apps.wallets.models import Balance, LedgerEntry, Transaction
from tests import factories
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)


def balance(agent, mint: str = SOL_MINT) -> Decimal:
    return Balance.objects.get(wallet=factories.wallet_of(agent), mint=mint).amount


def close(position: Position, **options):
    return exits.close_position(position=position, reason=CloseReason.MANUAL, actor=position.agent.user, **options)


def test_a_close_sells_exactly_what_the_position_holds_and_books_the_whole_result(market):
    agent, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, position.purchase_price * 2)
    before = balance(agent)

    result = close(position)

    closed = Position.objects.get(pk=position.pk)
    sale = Transaction.objects.get(pk=result.transaction_id)
    trade = ClosedTrade.objects.get(pk=result.historical_swap_id)
    received = sale.output_amount - sale.protocol_fee_sol - sale.network_fee_sol
    assert [closed.remaining_amount, closed.remaining_cost_sol, closed.generation] == [0, 0, 2]
    assert closed.closed_at is not None and closed.close_reason == "manual"
    assert result.input_amount == sale.input_amount == position.remaining_amount
    assert balance(agent, position.mint) == 0
    assert balance(agent) == before + received
    assert closed.proceeds_sol == received
    assert trade.profit_sol == result.profit_loss_sol == received - position.total_invested_sol > 0
    assert closed.realized_profit_sol == trade.profit_sol
    assert AgentState.objects.get(agent=agent).open_positions == 0
    assert closing.differences() == []


def test_every_fee_of_a_sale_is_a_ledger_line_of_its_own(market):
    _, (position,) = closing.agent_holding(market)
    result = close(position)
    sale = Transaction.objects.get(pk=result.transaction_id)
    lines = dict(LedgerEntry.objects.filter(transaction=sale, mint=SOL_MINT).values_list("reason", "delta"))
    assert lines["swap"] == sale.output_amount
    assert lines.get("protocol_fee", Decimal(0)) == -sale.protocol_fee_sol
    assert lines.get("network_fee", Decimal(0)) == -sale.network_fee_sol


def test_the_sale_keeps_the_signal_of_the_purchase(market):
    agent = factories.make_agent()
    token = market.add_token()
    signal = factories.make_signal(agent.user, closing.stored(token), status="done", finished_at=agent.created_at)
    position = closing.hold(agent, token, signal=signal)
    result = close(position)
    assert Transaction.objects.get(pk=result.transaction_id).signal_id == signal.pk
    assert ClosedTrade.objects.get(pk=result.historical_swap_id).signal_id == signal.pk


def test_the_feed_tells_the_agent_and_the_user_in_the_same_transaction(market):
    agent, (position,) = closing.agent_holding(market)
    result = close(position)
    told = OutboxMessage.objects.get(stream=f"agent:{agent.pk}", kind="position_update")
    assert told.payload == {"eventType": "position_closed", "positionId": str(position.pk)}
    trade = OutboxMessage.objects.get(stream=f"user:{agent.user_id}", kind="trade_closed").payload
    assert trade["trade"]["id"] == str(result.historical_swap_id)
    assert trade["trade"]["closeReason"] == "manual"


def test_usd_figures_are_empty_while_sol_usd_is_unknown(market):
    _, (position,) = closing.agent_holding(market)
    result = close(position)
    assert result.profit_loss_usd is None
    assert Transaction.objects.get(pk=result.transaction_id).value_usd is None


def test_a_close_is_asked_for_in_the_audit_log(market):
    agent, (position,) = closing.agent_holding(market)
    close(position)
    entry = AuditEntry.objects.get(action="position.close_requested")
    assert (entry.actor_id, entry.object_id) == (agent.user_id, str(position.pk))


def test_a_close_joins_a_stop_that_is_due_and_returns_its_sale(market):
    _, (position,) = closing.agent_holding(market)
    stop = factories.make_intent(position, reason=CloseReason.STOP_LOSS)
    intent = exits.request_close(position=position, reason=CloseReason.MANUAL, actor=None)
    assert intent.pk == stop.pk
    result = exits.wait_for_close(intent=intent)
    assert ClosedTrade.objects.get(pk=result.historical_swap_id).close_reason == "stop_loss"
    assert ExitIntent.objects.count() == 1


def test_a_close_makes_a_doubted_stop_certain(market):
    _, (position,) = closing.agent_holding(market)
    factories.make_intent(position, needs_confirmation=True, details={"stopPriceSol": "0.0000000001"})
    result = close(position)
    assert ClosedTrade.objects.get(pk=result.historical_swap_id).close_reason == "manual"


def test_closing_a_closed_position_is_refused_and_changes_nothing(market):
    _, (position,) = closing.agent_holding(market)
    close(position)
    with pytest.raises(errors.PositionNotFound):
        close(position)
    assert ExitIntent.objects.count() == 1
    assert Transaction.objects.filter(position=position).count() == 2


def test_a_close_waits_for_a_worker_and_sells_by_itself_only_if_none_comes(market):
    _, (position,) = closing.agent_holding(market)
    intent = exits.request_close(position=position, reason=CloseReason.MANUAL, actor=None)
    assert [leased.id for leased in exit_intents.lease_due()] == [intent.pk]
    with pytest.raises(errors.ClosePending) as pending:
        exits.wait_for_close(intent=intent, timeout_seconds=0.5)
    assert pending.value.status == 202
    assert pending.value.extra["intentId"] == intent.pk
    assert Position.objects.get(pk=position.pk).closed_at is None


def test_a_close_that_cannot_be_quoted_in_time_stays_due(market):
    _, (position,) = closing.agent_holding(market)
    market.fault("jupiter_quote", "server_error", status=503)
    with pytest.raises(errors.ClosePending):
        close(position, timeout_seconds=0.8)
    intent = ExitIntent.objects.get()
    assert intent.status == "due"
    assert intent.last_error == "PROVIDER_UNAVAILABLE"
    assert closing.differences() == []


def test_two_closes_at_once_sell_once(market):
    _, (position,) = closing.agent_holding(market)
    results, failures = [], []

    def one() -> None:
        try:
            results.append(close(Position.objects.get(pk=position.pk)).transaction_id)
        except errors.PositionNotFound as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) + len(failures) == 4
    assert len(set(results)) == 1
    assert Transaction.objects.filter(position=position).count() == 2
    assert closing.differences() == []


def test_a_halt_of_exits_refuses_a_close(market):
    agent, (position,) = closing.agent_holding(market)
    trading_state.set_state(agent=agent, state="halted", exits_enabled=False, actor=None)
    with pytest.raises(errors.ExitsHalted):
        close(position)
    assert not ExitIntent.objects.exists()


@pytest.mark.parametrize("state", ["reducing", "halted"])
def test_a_close_goes_on_while_only_entries_are_stopped(market, state):
    _, (position,) = closing.agent_holding(market)
    trading_state.set_state(state=state, exits_enabled=True, actor=None)
    assert close(position).position_id == position.pk


@pytest.fixture
def redis_away(settings, monkeypatch):
    """Nobody listens where Redis should be, for the desk and for Celery."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}/0"
        settings.REDIS_URL = url
        settings.CELERY_BROKER_URL = url
        monkeypatch.setattr(wake, "_waker", wake._Waker())
        yield


def test_stops_fire_and_positions_close_while_redis_is_away(market, redis_away):
    _, (stopped, manual) = closing.agent_holding(market, 2)
    market.set_price(stopped.mint, closing.at(stopped, "-40"))
    watch = ShardWatch(0, shards=1)
    assert watch.tick().fired == 1
    watch.tick()
    exit_runner.run_due()
    close(manual)
    assert not Position.objects.filter(closed_at=None).exists()
    assert closing.differences() == []


def test_a_close_is_sold_by_the_first_pass_when_nothing_is_in_the_way(market):
    _, positions = closing.agent_holding(market, 2)
    close(positions[0])
    exits.request_close(position=positions[1], reason=CloseReason.MANUAL, actor=None)
    (outcome,) = exit_runner.run_due()
    assert outcome.booked
    assert not Position.objects.filter(closed_at=None).exists()
