"""Selling part of a position as it gains: what is booked, what is told, and what ends a take profit without a sale."""

from __future__ import annotations

from decimal import Decimal

import pytest

from apps.agents.models import AgentState
from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import exit_intents, exit_runner, trading_state
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import LedgerEntry, Transaction
from tests import factories
from tests.trading import adjusting, closing
from tests.trading.adjusting import fire, fire_at, holding, now, taking

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


def sales_of(position: Position) -> list[Transaction]:
    return list(Transaction.objects.filter(position=position, input_mint=position.mint).order_by("transaction_time"))


def received(sale: Transaction) -> Decimal:
    return sale.output_amount - sale.protocol_fee_sol - sale.network_fee_sol


def test_a_level_sells_its_share_of_all_tokens_bought_and_leaves_the_position_open(market):
    position = holding(market, taking())
    before = adjusting.sol(position)
    intent = fire_at(market, position, "take_profit", "60")

    (outcome,) = exit_runner.run_due()

    assert (outcome.booked, outcome.reason) == (True, "take_profit")
    (sale,) = sales_of(position)
    after, got = now(position), received(sale)
    quarter = (position.purchase_amount / 4).quantize(Decimal(1).scaleb(-position.decimals), rounding="ROUND_DOWN")
    cost = Decimal("0.25") * position.total_invested_sol
    assert sale.is_take_profit and sale.input_amount == quarter
    assert after.remaining_amount == position.remaining_amount - quarter
    assert abs(after.remaining_cost_sol - (position.total_invested_sol - cost)) <= Decimal("2e-9")
    assert after.proceeds_sol == got
    assert after.realized_profit_sol == got - (position.remaining_cost_sol - after.remaining_cost_sol)
    assert (after.take_profit_levels_hit, after.generation, after.peak_generation) == (1, 2, 1)
    assert after.last_take_profit_at is not None and after.closed_at is None and not after.moon_bag_activated
    assert (after.purchase_amount, after.purchase_price) == (position.purchase_amount, position.purchase_price)
    assert adjusting.sol(position) == before + got
    assert adjusting.ended(intent) == ("done", "")
    assert intent.transaction_id == sale.pk
    assert AgentState.objects.get(agent_id=position.agent_id).open_positions == 1
    assert closing.differences() == []


def test_every_fee_of_a_partial_sale_is_a_ledger_line_of_its_own(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    exit_runner.run_due()
    (sale,) = sales_of(position)
    lines = dict(LedgerEntry.objects.filter(transaction=sale, mint=SOL_MINT).values_list("reason", "delta"))
    assert lines["swap"] == sale.output_amount
    assert lines.get("protocol_fee", Decimal(0)) == -sale.protocol_fee_sol
    assert lines.get("network_fee", Decimal(0)) == -sale.network_fee_sol


def test_the_intent_keeps_the_figures_of_its_sale(market):
    position = holding(market, taking([(50, 25), (100, 25)], bag=(100, 10)))
    intent = fire_at(market, position, "take_profit", "110")
    exit_runner.run_due()
    intent.refresh_from_db()
    (sale,) = sales_of(position)
    after, booked = now(position), intent.details["booked"]
    assert intent.details["source"] == "jupiter"
    assert Decimal(booked["priceSol"]) == sale.input_price
    assert Decimal(booked["soldTokens"]) == sale.input_amount
    assert Decimal(booked["netSol"]) == received(sale)
    assert Decimal(booked["feesSol"]) == sale.protocol_fee_sol + sale.network_fee_sol
    assert Decimal(booked["costSol"]) == position.remaining_cost_sol - after.remaining_cost_sol
    assert Decimal(booked["profitSol"]) == after.realized_profit_sol
    assert Decimal(booked["averagePriceSol"]) == position.purchase_price
    assert Decimal(booked["remainingTokens"]) == after.remaining_amount
    assert Decimal(booked["moonBagTokens"]) == after.moon_bag_amount > 0
    assert booked["levelsHit"] == "2"


def test_the_feed_shows_a_partial_sale_at_once(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    exit_runner.run_due()
    told = OutboxMessage.objects.get(stream=f"agent:{position.agent_id}", kind="position_update").payload
    assert told["eventType"] == "position_updated"
    assert told["position"]["takeProfitLevelsHit"] == 1
    assert told["position"]["takeProfitTransactionIds"] == [str(sale.pk) for sale in sales_of(position)]
    assert told["position"]["remainingAmount"] == float(now(position).remaining_amount)
    assert not OutboxMessage.objects.filter(kind="trade_closed").exists()


def test_levels_passed_at_once_are_one_sale(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "110")
    exit_runner.run_due()
    (sale,) = sales_of(position)
    assert sale.input_amount == now(position).remaining_amount == position.purchase_amount / 2
    assert now(position).take_profit_levels_hit == 2


def test_the_last_level_without_a_bag_ends_the_position_as_any_sale_of_everything_does(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    exit_runner.run_due()
    fire_at(market, position, "take_profit", "210")
    exit_runner.run_due()

    after, trade = now(position), ClosedTrade.objects.get()
    first, last = sales_of(position)
    assert (after.remaining_amount, after.remaining_cost_sol) == (Decimal(0), Decimal(0))
    assert after.take_profit_levels_hit == 3
    assert (after.close_reason, trade.close_reason) == ("take_profit", "take_profit")
    assert after.closed_at == trade.sale_time == last.transaction_time
    assert trade.sale_transaction_id == last.pk
    assert trade.profit_sol == received(first) + received(last) - position.total_invested_sol
    assert after.realized_profit_sol == trade.profit_sol
    assert AgentState.objects.get(agent_id=position.agent_id).open_positions == 0
    kinds = OutboxMessage.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["position_update", "position_update", "trade_closed"]
    gone = OutboxMessage.objects.filter(kind="position_update").latest("id")
    assert gone.payload == {"eventType": "position_closed", "positionId": str(position.pk)}
    assert closing.differences() == []


def test_a_moon_bag_is_set_aside_kept_by_every_level_and_sold_by_a_close_alone(market):
    position = holding(market, taking([(50, 50), (100, 40)], bag=(100, 10)))
    fire_at(market, position, "take_profit", "60")
    exit_runner.run_due()
    fire_at(market, position, "take_profit", "150")
    exit_runner.run_due()

    bag = now(position)
    assert bag.moon_bag_activated and bag.closed_at is None
    assert bag.remaining_amount == bag.moon_bag_amount == position.purchase_amount / 10
    nothing = fire(position, "take_profit", price := market.price_of(position.mint))
    exit_runner.run_due()
    assert adjusting.ended(nothing) == ("cancelled", "EXHAUSTED")
    exit_intents.fire([FiredExit(position.pk, "stop_loss", bag.generation, trigger_price_sol=price)])
    exit_runner.run_due()
    assert now(position).close_reason == "stop_loss"
    assert closing.differences() == []


def test_a_take_profit_the_quote_does_not_confirm_sells_nothing(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "51")
    adjusting.price_at(market, position, "49")
    before = adjusting.snapshot()

    exit_runner.run_due()

    assert adjusting.ended(intent) == ("cancelled", "NOT_REACHED")
    assert adjusting.snapshot() == before


def test_a_price_that_rose_further_sells_the_intended_levels_only(market):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    adjusting.price_at(market, position, "250")
    exit_runner.run_due()
    (sale,) = sales_of(position)
    assert sale.input_amount == position.purchase_amount / 4
    assert now(position).take_profit_levels_hit == 1


def test_a_take_profit_shares_its_quote_with_a_close_of_the_same_token(market):
    token = market.add_token(**adjusting.DEEP)
    profit = holding(market, taking([(50, 50), (100, 50)]), token=token, invested="2")
    closed = holding(market, taking(), token=token, invested="1")
    fire_at(market, profit, "take_profit", "60")
    exit_intents.fire([FiredExit(closed.pk, "manual", 1)])

    assert [outcome.reason for outcome in exit_runner.run_due()] == ["manual", "take_profit"]

    (part,), (whole,) = sales_of(profit), sales_of(closed)
    assert part.input_amount == whole.input_amount
    assert part.swap_payload == whole.swap_payload
    assert (now(profit).closed_at, now(closed).close_reason) == (None, "manual")
    assert closing.differences() == []


def test_rules_that_changed_since_the_firing_decide(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    adjusting.set_config(position, taking([(70, 25)]))
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "NOT_REACHED")


def test_a_broken_configuration_takes_no_profit(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    adjusting.set_config(position, {"takeProfit": {"levels": "none"}})
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "CONFIG_ERROR")


def test_a_position_that_was_filled_since_the_firing_ends_its_take_profit(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    factories.add_to(position, invested="0.5", price=str(position.purchase_price))
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "GENERATION_CHANGED")
    assert sales_of(position) == []


def test_a_take_profit_that_finds_no_quote_is_tried_again_until_it_lapses(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    market.fault("jupiter_quote", "server_error", status=503)
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("due", "PROVIDER_UNAVAILABLE")

    adjusting.age(intent, 9)
    exit_runner.run_due()
    assert adjusting.ended(intent)[0] == "due"
    adjusting.age(intent, 10.1)
    exit_runner.run_due()

    assert adjusting.ended(intent) == ("cancelled", "LAPSED")
    assert intent.details["lastError"] == "PROVIDER_UNAVAILABLE"
    assert sales_of(position) == [] and closing.differences() == []


def test_a_take_profit_in_the_hands_of_a_dead_process_lapses_with_its_lease(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    assert len(exit_intents.lease_adjusts()) == 1
    adjusting.age(intent, 11)
    assert exit_intents.cancel_lapsed() == 0
    ExitIntent.objects.update(lease_until=intent.created_at)
    assert exit_intents.cancel_lapsed() == 1


def test_halted_exits_let_a_take_profit_lapse(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    trading_state.set_state(state="halted", exits_enabled=False, actor=None)
    assert exit_runner.run_due() == []
    adjusting.age(intent, 11)
    trading_state.set_state(state="active", actor=None)
    assert exit_runner.run_due() == []
    assert adjusting.ended(intent) == ("cancelled", "LAPSED")
    assert sales_of(position) == []


@pytest.mark.parametrize("state", ["reducing", "halted"])
def test_profit_is_taken_while_only_buys_are_stopped(market, state):
    position = holding(market, taking())
    fire_at(market, position, "take_profit", "60")
    trading_state.set_state(state=state, exits_enabled=True, actor=None)
    assert [outcome.booked for outcome in exit_runner.run_due()] == [True]


def test_a_cancelled_take_profit_rests_for_three_seconds(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "40")
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "NOT_REACHED")
    again = adjusting.fired_of(position, "take_profit", adjusting.price_at(market, position, "60"))

    assert exit_intents.fire([again]) == {}
    adjusting.rested(intent, 2.5)
    assert exit_intents.fire([again]) == {}
    adjusting.rested(intent, 3.1)
    assert list(exit_intents.fire([again])) == [position.pk]


def test_one_adjust_resting_keeps_back_neither_the_other_nor_a_close(market):
    position = holding(market, {**taking(), **adjusting.adding()})
    intent = fire_at(market, position, "take_profit", "40")
    exit_runner.run_due()
    assert adjusting.ended(intent)[0] == "cancelled"
    dca = adjusting.fired_of(position, "dca", market.price_of(position.mint))
    assert list(exit_intents.fire([dca])) == [position.pk]
    assert list(exit_intents.fire([FiredExit(position.pk, "stop_loss", 1)])) == [position.pk]


def test_an_adjust_beside_an_open_close_is_not_taken_up(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    market.fault("jupiter_quote", "server_error", status=503)
    factories.make_intent(position, reason="stop_loss")

    (outcome,) = exit_runner.run_due()

    assert (outcome.exit.reason, outcome.booked) == ("stop_loss", False)
    assert adjusting.ended(intent) == ("due", "")
