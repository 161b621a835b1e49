"""Every way out of a position, end to end: bought on a signal, a chart played, the watch, the sellers, the books."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.trading.models import ClosedTrade, Position
from apps.trading.services import exit_runner
from apps.wallets.models import Balance
from tests import factories
from tests.prices import world
from tests.sandbox_server import SandboxControl, running_sandbox
from tests.trading.closing import differences
from tests.trading.playing import Played, Watching, bought, reasons

pytestmark = pytest.mark.django_db(transaction=True)

#: What quotes of a deep, free pool round off, as a fraction.
ROUNDING = Decimal("5e-5")


@pytest.fixture(scope="module")
def free_sandbox() -> Iterator[SandboxControl]:
    """A market without fees, so that a chart's figures are those of the rules' worked examples."""
    with running_sandbox("--no-autonomous", "--fee-bps", "0") as control:
        yield control


@pytest.fixture
def free_market(free_sandbox, settings) -> Iterator[SandboxControl]:
    settings.PROVIDERS = world.providers(free_sandbox)
    world.forget()
    yield free_sandbox
    world.forget()


@pytest.fixture
def watching() -> Iterator[Watching]:
    watching = Watching()
    yield watching
    watching.close()


def about(value: Decimal | None, expected: str) -> bool:
    return value is not None and abs(value / Decimal(expected) - 1) <= ROUNDING


def sol_of(played: Played) -> Decimal:
    return Balance.objects.get(wallet=factories.wallet_of(played.agent), symbol="SOL").amount


# Stop loss, in four modes

#: (peak in percent, where the stop then stands), twice for each mode.
TRAILS = {
    "fixed": ((60, "50"), (120, "110")),
    "exponential": ((60, "42.0763"), (120, "108")),
    "zones": ((60, "42"), (120, "96")),
    "custom": ((60, "20"), (120, "60")),
}


@pytest.mark.parametrize("mode", TRAILS)
def test_a_trailing_stop_sits_a_dip_out_above_its_level_and_sells_below_it(free_market, watching, mode):
    levels = [{"change": 100, "stopLoss": 60}, {"change": 50, "stopLoss": 20}]
    played = bought(free_market, watching, {"stopLoss": {"mode": mode, "trailingLevels": levels}})
    (first, first_stop), (second, second_stop) = TRAILS[mode]

    risen, dipped, higher, dipped_again, sold = played.play(
        Decimal(first),
        Decimal(first_stop) + Decimal("0.1"),
        Decimal(second),
        Decimal(second_stop) + Decimal("0.1"),
        Decimal(second_stop) - Decimal("0.1"),
    )

    assert abs(risen.stop_percent - Decimal(first_stop)) < Decimal("0.001")
    assert dipped.stop_percent == risen.stop_percent
    assert abs(higher.stop_percent - Decimal(second_stop)) < Decimal("0.001")
    assert dipped.closed_at is None and dipped_again.closed_at is None
    assert (sold.close_reason, sold.remaining_amount) == ("stop_loss", Decimal(0))
    (intent,) = played.intents
    assert (intent.reason, intent.status) == ("stop_loss", "done")
    assert about(Decimal(intent.details["peakPriceSol"]), str(sold.purchase_price * (100 + second) / 100))
    gain = (Decimal(second_stop) - Decimal("0.1")) / 100
    assert about(played.closed_trade.profit_sol, str(gain))
    assert about(sol_of(played), str(10 + gain))
    assert differences() == []


def test_the_stop_a_position_starts_with_sells_at_a_loss(free_market, watching):
    played = bought(free_market, watching, {"stopLoss": {"defaultPercentage": -32}})
    held, sold = played.play("-31.9", "-32.1")
    assert held.closed_at is None
    assert sold.close_reason == "stop_loss"
    assert about(played.closed_trade.profit_sol, "-0.321")
    assert about(played.closed_trade.change_percent, "-32.1")
    assert differences() == []


def test_a_gap_through_the_stop_sells_at_what_is_there(free_market, watching):
    played = bought(free_market, watching, {})
    (sold,) = played.play("-56")
    assert sold.close_reason == "stop_loss"
    assert about(sold.realized_profit_sol, "-0.56")
    assert differences() == []


def test_a_flash_crash_sells_although_the_price_is_back_before_anybody_sold(free_market, watching):
    played = bought(free_market, watching, {})
    played.chart("-40", "2")
    free_market.next_price(played.token.mint)
    watching.watch.tick()
    free_market.next_price(played.token.mint)
    watching.watch.tick()
    assert reasons(played.intents) == [("stop_loss", "due")]
    exit_runner.run_due()
    assert played.position.close_reason == "stop_loss"
    assert about(played.position.realized_profit_sol, "0.02")
    assert differences() == []


@pytest.mark.parametrize(
    ("source", "factor"), [("jupiter_price", "0.1"), ("jupiter_price", "10"), ("dexscreener", "0.1")]
)
def test_a_bad_tick_sells_nothing_and_raises_nothing(free_market, watching, source, factor):
    config = {"takeProfit": {"enabled": True, "mode": "aggressive"}}
    played = bought(free_market, watching, config)
    free_market.script(played.token.mint, {"percent": 0}, {"percent": 0, "told": {source: factor}}, "0%", speed=0)
    for _ in range(2):
        played.step()
        watching.look()
    position = played.position
    assert position.closed_at is None
    assert position.generation == 1
    assert about(position.peak_price_sol, str(position.purchase_price))
    assert not ClosedTrade.objects.exists()
    assert {status for _, status in reasons(played.intents)} <= {"cancelled"}
    assert differences() == []


# Stale close


def test_a_stale_trade_is_closed_at_its_age_inside_its_range_of_profit_only(free_market, watching):
    config = {"staleTrade": {"minHoldTimeMinutes": 1, "minProfitPercent": 1, "maxProfitPercent": 10}}
    played = bought(free_market, watching, config)
    assert played.play("5")[0].closed_at is None
    played.wait(61)
    assert [one.closed_at for one in played.play("0.9", "10.1")] == [None, None]
    (closed,) = played.play("5")
    assert closed.close_reason == "stale_trade"
    assert about(closed.realized_profit_sol, "0.05")
    assert Decimal(played.intents[-1].details["heldMinutes"]) >= 1
    assert differences() == []


# Take profit

TAKE_PROFIT = {"takeProfit": {"enabled": True, "mode": "moderate"}, "stopLoss": {"mode": "fixed"}}


def shares(positions: list[Position]) -> list[int]:
    """Return what remains of each, in thousandths of what was bought."""
    return [round(one.remaining_amount / one.purchase_amount * 1000) for one in positions]


def test_the_ladder_sells_level_by_level_and_keeps_the_moon_bag(free_market, watching):
    played = bought(free_market, watching, TAKE_PROFIT)
    rungs = played.play("49.9", "50.001", "150.001", "300.001", "400.001", "420")
    assert shares(rungs) == [1000, 750, 500, 250, 100, 100]
    assert [one.take_profit_levels_hit for one in rungs] == [0, 1, 2, 3, 4, 4]
    assert [one.moon_bag_activated for one in rungs] == [False, False, False, True, True, True]
    last = rungs[-1]
    assert about(last.moon_bag_amount, str(last.purchase_amount / 10))
    # 0.375 + 0.625 + 1 + 0.75 received for nine tenths of one SOL
    assert about(last.proceeds_sol, "2.75")
    assert about(last.realized_profit_sol, "1.85")
    assert about(last.remaining_cost_sol, "0.1")
    assert about(sol_of(played), "11.75")
    assert reasons(played.intents) == [("take_profit", "done")] * 4
    assert last.closed_at is None
    assert differences() == []


def test_a_jump_past_every_level_is_one_sale(free_market, watching):
    played = bought(free_market, watching, TAKE_PROFIT)
    (jumped,) = played.play("400.001")
    assert shares([jumped]) == [100]
    assert jumped.take_profit_levels_hit == 4
    assert len(played.fills) == 2
    assert about(jumped.realized_profit_sol, "3.6")
    assert differences() == []


def test_a_crash_sells_the_moon_bag_by_the_stop(free_market, watching):
    played = bought(free_market, watching, TAKE_PROFIT)
    *_, bag, crashed = played.play("50.001", "150.001", "300.001", "400.001", "300")
    assert bag.remaining_amount == bag.moon_bag_amount
    assert (crashed.close_reason, crashed.remaining_amount) == ("stop_loss", Decimal(0))
    # the bag's tenth at four times the price, on top of the ladder
    assert about(played.closed_trade.profit_sol, "2.15")
    assert about(sol_of(played), "12.15")
    assert differences() == []


def test_levels_that_sell_everything_without_a_bag_end_the_position(free_market, watching):
    levels = [{"targetPercent": 20, "sellPercent": 60}, {"targetPercent": 40, "sellPercent": 40}]
    config = {"takeProfit": {"enabled": True, "mode": "custom", "levels": levels, "moonBag": {"enabled": False}}}
    played = bought(free_market, watching, config)
    first, second = played.play("20.001", "40.001")
    assert shares([first]) == [400]
    assert (second.close_reason, second.remaining_amount) == ("take_profit", Decimal(0))
    assert about(played.closed_trade.profit_sol, "0.28")
    assert differences() == []


def test_a_take_profit_whose_price_has_gone_by_the_time_of_its_quote_sells_nothing(free_market, watching):
    played = bought(free_market, watching, TAKE_PROFIT)
    played.chart("50.001", "30")
    free_market.next_price(played.token.mint)
    watching.watch.tick()
    free_market.next_price(played.token.mint)
    exit_runner.run_due()
    assert played.position.generation == 1
    assert reasons(played.intents) == [("take_profit", "cancelled")]
    assert differences() == []


# DCA

DCA = {"dca": {"enabled": True, "mode": "moderate", "cooldownSeconds": 30}}


def test_dca_buys_at_each_drop_after_its_cool_down_and_no_oftener_than_it_has_levels(free_market, watching):
    played = bought(free_market, watching, DCA)
    start = played.position

    (first,) = played.play("-20.001")
    assert first.dca_count == 1
    assert about(first.total_invested_sol, "1.6")
    assert about(first.purchase_amount, str(start.purchase_amount * Decimal("1.75")))
    assert about(first.purchase_price, str(start.purchase_price * Decimal(1600) / 1750))
    assert first.stop_percent == Decimal(-32)
    assert about(first.stop_price_sol, str(first.purchase_price * Decimal("0.68")))
    assert about(first.peak_price_sol, str(start.purchase_price * Decimal("0.8")))

    assert played.play("-20.001")[0].dca_count == 1  # under the new average, but too soon
    played.wait(31)
    (second,) = played.play("-20.001")
    assert second.dca_count == 2
    assert about(second.total_invested_sol, "2.56")
    played.wait(31)
    assert played.play("-25")[0].dca_count == 2  # its levels are used up

    assert reasons(played.intents) == [("dca", "done")] * 2
    recovered = played.play("10")[0]
    assert recovered.closed_at is None
    assert recovered.generation == 3
    assert about(sol_of(played), "7.44")
    assert differences() == []


def test_what_dca_bought_is_sold_by_the_stop_of_the_new_average(free_market, watching):
    played = bought(free_market, watching, {**DCA, "stopLoss": {"mode": "fixed", "defaultPercentage": -30}})
    (averaged,) = played.play("-20.001")
    held, sold = played.play("-29.9", "-30.1")
    assert held.closed_at is None and held.dca_count == 1
    assert (sold.close_reason, sold.remaining_amount) == ("stop_loss", Decimal(0))
    assert about(played.closed_trade.profit_sol, str(averaged.total_invested_sol * Decimal("-0.301")))
    assert differences() == []


def test_a_dca_never_sells_what_it_bought_on_the_next_tick(free_market, watching):
    played = bought(free_market, watching, {**DCA, "stopLoss": {"mode": "fixed"}})
    after_peak = played.play("15", "-20.001", "-20.001")
    assert [one.dca_count for one in after_peak] == [0, 1, 1]
    watching.look()
    assert played.position.closed_at is None
    assert differences() == []


def test_take_profit_starts_again_from_the_average_a_dca_made(free_market, watching):
    config = {**DCA, **TAKE_PROFIT, "stopLoss": {"mode": "custom", "trailingLevels": [{"change": 5000, "stopLoss": 1}]}}
    played = bought(free_market, watching, config)
    (taken,) = played.play("50.001")
    assert (taken.take_profit_levels_hit, shares([taken])) == (1, [750])
    (averaged,) = played.play("-20.001")
    assert (averaged.dca_count, averaged.take_profit_start_level, averaged.take_profit_total_levels) == (1, 1, 5)
    (again,) = played.play("50.001")
    assert again.take_profit_levels_hit == 2
    assert about(averaged.remaining_amount - again.remaining_amount, str(averaged.purchase_amount / 4))
    assert differences() == []


def test_a_dca_waits_while_its_agent_is_paused_and_its_stop_does_not(free_market, watching):
    played = bought(free_market, watching, {**DCA, "stopLoss": {"mode": "fixed", "defaultPercentage": -30}})
    played.agent.automated_trading_simulation = False
    played.agent.save()
    fallen, sold = played.play("-21", "-30.1")
    assert (fallen.dca_count, fallen.closed_at) == (0, None)
    assert sold.close_reason == "stop_loss"
    assert differences() == []
