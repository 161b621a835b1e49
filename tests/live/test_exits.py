"""Exits of live positions: reserved as orders, sold by the chain's word, tried again until the tokens are gone."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.core.money import SOL_MINT
from apps.trading.models import ClosedTrade, ExitIntent, Order, OrderPurpose, Position, State
from apps.trading.services import exit_runner, exits
from apps.trading.services.live import settling
from apps.wallets.models import LiveKey
from tests import factories
from tests.live import trading
from tests.trading import adjusting
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market):
    return market.add_token(**adjusting.DEEP)


def hold(token, **options) -> Position:
    """Open a live position of one SOL, landed as quoted."""
    return trading.hold(token, **options)


def test_a_fired_stop_becomes_an_order_of_everything_without_waiting_for_a_quote(token):
    position = hold(token)
    intent = trading.fire_stop(position)

    exit_runner.run_due()

    order = Order.objects.get(purpose=OrderPurpose.CLOSE)
    intent.refresh_from_db()
    balance = position.wallet.balances.get(mint=token.mint)
    assert (order.side, order.intent_id, order.position_id, order.attempt) == ("sell", intent.pk, position.pk, 1)
    assert balance.held == order.held_amount == position.remaining_amount
    assert balance.amount == 0
    assert (intent.status, intent.lease_until) == ("leased", None)
    assert differences() == []


def test_a_landed_sale_ends_its_position_with_what_came_in(token):
    position = hold(token)
    intent = trading.fire_stop(position)
    exit_runner.run_due()
    order = trading.sign(Order.objects.get(purpose=OrderPurpose.CLOSE))
    swap = trading.landed(order, lamports=800_000_000, protocol_fee_lamports=1_000_000)
    before = trading.sol_lamports(position.agent)

    settling.settle_landed([(order.pk, swap)])

    position.refresh_from_db()
    intent.refresh_from_db()
    trade = ClosedTrade.objects.get()
    assert trading.sol_lamports(position.agent) == before + swap.wallet_lamports_delta
    assert position.close_reason == "stop_loss"
    assert position.proceeds_sol == Decimal(swap.wallet_lamports_delta).scaleb(-9)
    assert trade.profit_sol == position.proceeds_sol - position.total_invested_sol
    assert (intent.status, intent.transaction_id) == ("done", trade.sale_transaction_id)
    position.agent.state.refresh_from_db()
    assert position.agent.state.open_positions == 0
    assert differences() == []


def test_a_sale_that_fails_is_tried_again_further_from_the_price_until_the_tokens_are_gone(token):
    position = hold(token)
    intent = trading.fire_stop(position)
    terms = []
    for _ in range(3):
        exit_runner.run_due()
        order = trading.sign(Order.objects.get(status="reserved"))
        terms.append((order.attempt, order.slippage_bps))
        swap = trading.landed(order, error='{"InstructionError":[3,{"Custom":6001}]}')
        settling.settle_landed([(order.pk, swap)])
        order.refresh_from_db()
        assert (order.status, order.code) == ("failed", "SLIPPAGE_EXCEEDED")
        assert differences() == []
    exit_runner.run_due()
    last = trading.sign(Order.objects.get(status="reserved"))
    settling.settle_landed([(last.pk, trading.landed(last))])

    intent.refresh_from_db()
    assert terms == [(1, 200), (2, 400), (3, 800)]
    assert (last.attempt, last.slippage_bps) == (4, 1_000)
    assert intent.status == "done"
    assert Position.objects.get().closed_at is not None
    assert differences() == []


def test_a_sale_of_less_than_all_sells_the_rest_under_the_same_intent(token):
    position = hold(token)
    intent = trading.fire_stop(position)
    exit_runner.run_due()
    order = trading.sign(Order.objects.get(status="reserved"))
    part = int(order.in_base_units) // 3
    settling.settle_landed([(order.pk, trading.landed(order, tokens=part, lamports=300_000_000))])
    intent.refresh_from_db()
    position.refresh_from_db()
    assert (intent.status, position.closed_at) == ("due", None)
    assert differences() == []

    exit_runner.run_due()

    rest = trading.sign(Order.objects.get(status="reserved"))
    assert rest.in_base_units == order.in_base_units - part
    settling.settle_landed([(rest.pk, trading.landed(rest, lamports=600_000_000))])
    assert ClosedTrade.objects.get().sale_transaction == Order.objects.get(pk=rest.pk).transaction
    assert differences() == []


def test_without_the_key_a_close_stays_due_and_says_so(token):
    position = hold(token)
    LiveKey.objects.update(loaded=False)
    intent = trading.fire_stop(position)

    exit_runner.run_due()

    intent.refresh_from_db()
    assert (intent.status, intent.last_error) == ("due", "WALLET_NOT_LOADED")
    assert not Order.objects.filter(side="sell").exists()
    assert differences() == []


def test_a_close_takes_back_a_take_profit_that_is_not_signed_and_sells_everything(market, token):
    position = hold(token, config={**trading.ONE_SOL, **adjusting.taking()})
    profit = adjusting.fire_at(market, position, "take_profit", "60")
    exit_runner.run_due()
    order = Order.objects.get(purpose=OrderPurpose.TAKE_PROFIT)
    assert (order.status, order.inputs["levels"]) == ("reserved", 1)

    intent = trading.fire_stop(position)
    exit_runner.run_due()

    order.refresh_from_db()
    profit.refresh_from_db()
    close = Order.objects.get(purpose=OrderPurpose.CLOSE)
    assert (order.status, order.code) == ("failed", "BARRED_BY_CLOSE")
    assert profit.status == "cancelled"
    assert close.intent_id == intent.pk
    assert close.held_amount == position.remaining_amount
    assert differences() == []


def test_a_doubted_stop_is_judged_by_the_live_quote(token):
    position = hold(token)
    level = position.stop_price_sol
    disproved = trading.fire_stop(
        position, needs_confirmation=True, trigger_price_sol=level, details={"stopPriceSol": str(level)}
    )

    exit_runner.run_due()

    disproved.refresh_from_db()
    assert (disproved.status, disproved.last_error) == ("cancelled", "BAD_TICK")
    assert not Order.objects.filter(side="sell").exists()
    assert differences() == []


def test_while_exits_are_halted_nothing_unsigned_is_sold(token):
    position = hold(token)
    intent = trading.fire_stop(position)
    exit_runner.run_due()
    factories.set_state(State.HALTED, exits_enabled=False)

    exit_runner.run_due()

    intent.refresh_from_db()
    assert Order.objects.get(purpose=OrderPurpose.CLOSE).code == "EXITS_HALTED"
    assert intent.status == "due"
    assert position.wallet.balances.get(mint=token.mint).held == 0
    assert differences() == []


def test_a_manual_close_joins_the_order_that_is_under_way(token):
    position = hold(token)
    intent = trading.fire_stop(position)
    exit_runner.run_due()

    joined = exits.request_close(position=position, reason="manual", actor=position.agent.user)
    exit_runner.run_due()

    assert joined.pk == intent.pk
    assert Order.objects.filter(side="sell").count() == 1


def test_a_position_sold_out_while_a_buy_may_still_land_stays_open_and_sells_what_lands(market, token):
    position, dca, close = sold_out_under_a_buy(market, token)
    close.refresh_from_db()
    position.refresh_from_db()
    assert position.remaining_amount == 0
    assert position.closed_at is None
    assert (close.status, close.last_error) == ("due", "BUY_UNRESOLVED")
    assert differences() == []

    settling.settle_landed([(dca.pk, trading.landed(dca, tokens=5_000_000))])
    ExitIntent.objects.filter(pk=close.pk).update(due_at=close.created_at)
    exit_runner.run_due()

    last = trading.sign(Order.objects.get(status="reserved"))
    assert last.in_base_units == 5_000_000
    settling.settle_landed([(last.pk, trading.landed(last))])
    position.refresh_from_db()
    assert position.close_reason == "manual"
    assert differences() == []


def test_a_position_sold_out_ends_when_its_last_buy_brings_nothing(market, token):
    position, dca, close = sold_out_under_a_buy(market, token)

    settling.settle_ended([(dca.pk, "expired", "EXPIRED")])

    position.refresh_from_db()
    close.refresh_from_db()
    assert position.close_reason == "manual"
    assert close.status == "done"
    assert ClosedTrade.objects.get().sale_transaction_id == close.transaction_id
    position.agent.state.refresh_from_db()
    assert position.agent.state.open_positions == 0
    assert position.wallet.balances.get(mint=SOL_MINT).held == 0
    assert differences() == []


def sold_out_under_a_buy(market, token) -> tuple[Position, Order, ExitIntent]:
    """Return a position whose tokens are sold while a DCA of it is on its way, with that order and the close."""
    position = hold(token, config={**trading.ONE_SOL, **adjusting.adding()})
    adjusting.fire_at(market, position, "dca", "-30")
    exit_runner.run_due()
    dca = trading.sign(Order.objects.get(purpose=OrderPurpose.DCA))
    close = exits.request_close(position=position, reason="manual", actor=position.agent.user)
    exit_runner.run_due()
    sale = trading.sign(Order.objects.get(purpose=OrderPurpose.CLOSE))
    settling.settle_landed([(sale.pk, trading.landed(sale))])
    return position, dca, close
