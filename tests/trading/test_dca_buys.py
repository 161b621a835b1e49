"""Adding to a position as it falls: what is booked and started over, and what the gate and the money refuse."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.agents.models import AgentState
from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import dca_booking, exit_intents, exit_lots, exit_runner, quoting, trading_state
from apps.trading.services.dca_booking import Purchase
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import Transaction
from tests import factories
from tests.desk import wait_until
from tests.trading import adjusting, closing
from tests.trading.adjusting import adding, fire, fire_at, holding, now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sellers_at_rest():
    yield
    exit_runner.stop()


def buys_of(position: Position) -> list[Transaction]:
    return list(Transaction.objects.filter(position=position, is_dca=True).order_by("transaction_time"))


def debit(buy: Transaction) -> Decimal:
    return buy.input_amount + buy.network_fee_sol


def test_a_dca_adds_tokens_and_starts_average_peak_stop_and_levels_over(market):
    position = holding(market, adding(), take_profit_levels_hit=0)
    tick = factories.make_tick(closing.stored_by_mint(position.mint), "1")
    Position.objects.filter(pk=position.pk).update(peak_price_sol=position.purchase_price * 2)
    balance = adjusting.sol(position)
    intent = fire_at(market, position, "dca", "-25")

    (outcome,) = exit_runner.run_due()

    assert (outcome.booked, outcome.reason) == (True, "dca")
    (buy,) = buys_of(position)
    after = now(position)
    assert abs(buy.input_amount - Decimal("0.375")) < Decimal("0.00001")
    assert after.purchase_amount == after.remaining_amount == position.purchase_amount + buy.output_amount
    assert after.total_invested_sol == after.remaining_cost_sol == position.total_invested_sol + debit(buy)
    assert abs(after.purchase_price - after.total_invested_sol / after.purchase_amount) < Decimal("1e-23")
    assert (after.dca_count, after.generation, after.peak_generation) == (1, 2, 2)
    assert after.peak_price_sol == buy.output_price
    assert after.peak_from_tick == tick.pk
    assert after.stop_percent == -32
    assert abs(after.stop_price_sol - after.purchase_price * Decimal("0.68")) < Decimal("1e-23")
    assert after.last_dca_at == after.stop_updated_at == buy.transaction_time
    assert (after.take_profit_start_level, after.take_profit_total_levels) == (0, 4)
    assert adjusting.sol(position) == balance - debit(buy)
    assert adjusting.ended(intent) == ("done", "")
    assert intent.transaction_id == buy.pk
    assert AgentState.objects.get(agent_id=position.agent_id).open_positions == 1
    assert closing.differences() == []


def test_a_dca_keeps_the_signal_of_the_purchase_and_the_feed_shows_it_at_once(market):
    agent = factories.make_agent(config=adding())
    token = market.add_token(**adjusting.DEEP)
    signal = factories.make_signal(agent.user, closing.stored(token), status="done", finished_at=agent.created_at)
    position = closing.hold(agent, token, signal=signal)
    fire_at(market, position, "dca", "-25")
    exit_runner.run_due()
    (buy,) = buys_of(position)
    assert buy.signal_id == signal.pk
    told = OutboxMessage.objects.get(stream=f"agent:{agent.pk}", kind="position_update").payload
    assert told["eventType"] == "position_updated"
    assert told["position"]["dcaCount"] == 1
    assert told["position"]["dcaTransactionIds"] == [str(buy.pk)]
    assert told["position"]["purchasePrice"] == float(now(position).purchase_price)


def test_the_intent_keeps_the_figures_of_its_buy(market):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    exit_runner.run_due()
    intent.refresh_from_db()
    (buy,) = buys_of(position)
    after, booked = now(position), {name: Decimal(text) for name, text in intent.details["booked"].items()}
    assert booked == {
        "priceSol": buy.output_price,
        "boughtTokens": buy.output_amount,
        "debitSol": debit(buy),
        "feesSol": buy.network_fee_sol + buy.protocol_fee_sol,
        "averagePriceSol": after.purchase_price,
        "remainingTokens": after.remaining_amount,
        "dcaNumber": 1,
        "stopPercent": after.stop_percent,
        "stopPriceSol": after.stop_price_sol,
    }


def test_without_a_stop_a_dca_sets_none(market):
    position = holding(market, adding(stopLoss={"enabled": False}))
    fire_at(market, position, "dca", "-25")
    exit_runner.run_due()
    after = now(position)
    assert (after.dca_count, after.stop_percent, after.stop_price_sol) == (1, None, None)


def test_many_agents_add_to_one_token_with_few_quotes(market):
    token = market.add_token(**adjusting.DEEP)
    positions = [
        holding(market, adding([(-20, 40 + number)]), token=token, invested=str(Decimal("0.5") + Decimal(number) / 10))
        for number in range(7)
    ]
    for position in positions:
        fire(position, "dca", closing.at(position, "-25"))
    adjusting.price_at(market, positions[0], "-25")

    outcomes = exit_runner.run_due()

    assert [outcome.booked for outcome in outcomes] == [True] * 7
    buys = [buy for position in positions for buy in buys_of(position)]
    assert len({buy.swap_payload["requestId"] for buy in buys}) <= 3
    for buy in buys:
        lamports = int(buy.input_amount.scaleb(9))
        whole_in, whole_out = int(buy.swap_payload["inAmount"]), int(buy.swap_payload["outAmount"])
        assert int(buy.output_amount.scaleb(token.decimals)) == whole_out * lamports // whole_in
    assert closing.differences() == []


def test_one_buy_is_clipped_to_the_largest_purchase(market):
    limits = {"minimumAgentBalance": 0.5, "maxPurchasePerToken": 0.2, "maxPriceImpact": 0.05}
    position = holding(market, adding(purchaseLimits=limits))
    fire_at(market, position, "dca", "-25")
    exit_runner.run_due()
    assert [buy.input_amount for buy in buys_of(position)] == [Decimal("0.2")]


def test_too_high_an_impact_is_tried_again_with_less_and_given_up_in_the_end(market):
    shallow = market.add_token(liquidity_sol="20")
    position, refused = (holding(market, adding(), token=shallow) for _ in range(2))
    price = adjusting.price_at(market, position, "-25")
    wanted = price * position.remaining_amount / 2
    whole = market.order(input_mint=SOL_MINT, output_mint=shallow.mint, amount=int(wanted.scaleb(9)))
    for one, limit in ((position, -Decimal(whole["priceImpactPct"]) * Decimal("0.95")), (refused, Decimal("0.0001"))):
        limits = {"minimumAgentBalance": 0.5, "maxPurchasePerToken": 2, "maxPriceImpact": float(limit)}
        adjusting.set_config(one, adding(purchaseLimits=limits))
    intents = [fire(one, "dca", price) for one in (position, refused)]

    exit_runner.run_due()

    (buy,) = buys_of(position)
    assert abs(buy.input_amount / wanted - Decimal("0.9")) < Decimal("0.001")
    assert [adjusting.ended(intent) for intent in intents] == [("done", ""), ("cancelled", "PRICE_IMPACT_TOO_HIGH")]
    assert buys_of(refused) == []


def poor(position: Position) -> None:
    wallet = position.wallet
    factories.fund(wallet, str(Decimal("0.3") - adjusting.sol(position)))


def just_short(position: Position) -> None:
    factories.fund(position.wallet, str(Decimal("0.7") - adjusting.sol(position)))


def pause(position: Position) -> None:
    type(position.agent).objects.filter(pk=position.agent_id).update(automated_trading_simulation=False)


def go_live(position: Position) -> None:
    type(position.agent).objects.filter(pk=position.agent_id).update(trading_mode="live", automated_trading_live=True)


def halt(position: Position) -> None:
    trading_state.set_state(agent=position.agent, state="halted", actor=None)


def reduce_only(position: Position) -> None:
    trading_state.set_state(state="reducing", actor=None)


def added_lately(position: Position) -> None:
    Position.objects.filter(pk=position.pk).update(last_dca_at=timezone.now() - timedelta(seconds=29))


def switch_off(position: Position) -> None:
    adjusting.set_config(position, adding(dca={"enabled": False}))


REFUSALS = {
    "INSUFFICIENT_BALANCE": poor,
    "VIOLATES_MINIMUM_BALANCE": just_short,
    "PAUSED": pause,
    "TRADING_MODE_MISMATCH": go_live,
    "TRADING_HALTED": halt,
    "TRADING_REDUCING": reduce_only,
    "COOLDOWN": added_lately,
    "DISABLED": switch_off,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refused_dca_is_cancelled_with_its_code_and_changes_nothing(market, code):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    REFUSALS[code](position)
    before = adjusting.snapshot()
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", code)
    assert adjusting.snapshot() == before


@pytest.mark.parametrize("code", [code for code in REFUSALS if code != "TRADING_MODE_MISMATCH"])
def test_what_changes_between_quote_and_booking_is_seen_under_the_lock(market, code):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    purchase = quoted(position)
    REFUSALS[code](position)
    before = adjusting.snapshot()
    (outcome,) = dca_booking.book_purchases([purchase], sol_usd=None)
    assert (outcome.booked, outcome.code) == (False, code)
    assert adjusting.ended(intent) == ("cancelled", code)
    assert adjusting.snapshot() == before


def quoted(position: Position) -> Purchase:
    """Lease a position's DCA and return it with its quote."""
    (lot,) = exit_lots.take(limit=10).buys
    found = quoting.begin(lot.mint, lot.wanted).result(10)
    share = found.shares[position.pk]
    return Purchase(lot.exits[0], share.quote, share.lamports)


def test_a_bounce_before_the_quote_buys_nothing(market):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-21")
    adjusting.price_at(market, position, "-19")
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "NOT_REACHED")
    assert buys_of(position) == []


def test_two_dcas_of_one_wallet_share_what_it_holds(market):
    agent = factories.make_agent(sol="2.9", config=adding())
    positions = [closing.hold(agent, token) for token in market.add_tokens(2, **adjusting.DEEP)]
    for position in positions:
        fire_at(market, position, "dca", "-21")

    outcomes = exit_runner.run_due()

    assert sorted(outcome.code for outcome in outcomes) == ["", "VIOLATES_MINIMUM_BALANCE"]
    assert sum(len(buys_of(position)) for position in positions) == 1
    assert closing.differences() == []


def test_fees_count_when_the_balance_is_short(market):
    limits = {"minimumAgentBalance": 0.1, "maxPurchasePerToken": 2, "maxPriceImpact": 0.05}
    position = holding(market, adding(purchaseLimits=limits), sol="1.5")
    fire_at(market, position, "dca", "-25")
    exit_runner.run_due()
    (buy,) = buys_of(position)
    assert adjusting.sol(position) == Decimal("1.5") - position.total_invested_sol - debit(buy) >= 0


def test_a_dca_refused_for_money_rests_for_a_minute(market):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    poor(position)
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "INSUFFICIENT_BALANCE")
    again = adjusting.fired_of(position, "dca", market.price_of(position.mint))
    adjusting.rested(intent, 59)
    assert exit_intents.fire([again]) == {}
    adjusting.rested(intent, 60.1)
    assert list(exit_intents.fire([again])) == [position.pk]


def test_a_stop_that_fired_before_a_dca_falls(market):
    position = holding(market, adding())
    fire_at(market, position, "dca", "-25")
    purchase = quoted(position)
    stop = factories.make_intent(position, reason="stop_loss")
    ExitIntent.objects.filter(pk=stop.pk).update(status="cancelled")
    dca_booking.book_purchases([purchase], sol_usd=None)
    ExitIntent.objects.filter(pk=stop.pk).update(status="due")

    exit_runner.run_due()

    assert adjusting.ended(stop) == ("cancelled", "DCA_AFTER_STOP")
    assert not ClosedTrade.objects.exists() and closing.differences() == []


def test_a_dca_without_a_quote_is_tried_again_until_it_lapses(market):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    market.fault("jupiter_quote", "server_error", status=503)
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("due", "PROVIDER_UNAVAILABLE")
    adjusting.age(intent, 11)
    exit_runner.run_due()
    assert adjusting.ended(intent) == ("cancelled", "LAPSED")


def test_a_hanging_quote_of_a_dca_delays_no_sale(market):
    slow = holding(market, adding())
    fire_at(market, slow, "dca", "-25")
    market.fault("jupiter_quote", "hang", mints=[slow.mint])
    assert exit_runner.start_due() == 1
    stopped = holding(market, {})
    exit_intents.fire([FiredExit(stopped.pk, "stop_loss", 1)])

    assert exit_runner.start_due() == 1
    wait_until(lambda: now(stopped).closed_at is not None)

    assert ExitIntent.objects.get(position=slow).status == "leased"


def test_a_wallet_that_was_reset_gets_no_dca(market):
    position = holding(market, adding())
    intent = fire_at(market, position, "dca", "-25")
    purchase = quoted(position)
    Position.objects.filter(pk=position.pk).update(epoch=0)
    (outcome,) = dca_booking.book_purchases([purchase], sol_usd=None)
    assert outcome.code == "WALLET_RESET"
    assert adjusting.ended(intent) == ("cancelled", "WALLET_RESET")
    assert not Transaction.objects.filter(is_dca=True, input_mint=SOL_MINT).exists()
