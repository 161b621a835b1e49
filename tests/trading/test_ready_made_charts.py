"""The market's own charts under the demo desk's agents: each shows the way out it promises, fees and depth included."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import pytest

from apps.console import demo
from apps.sandbox.domain.ready_made import READY_MADE
from apps.trading.models import ClosedTrade
from tests.prices import world
from tests.trading.closing import differences
from tests.trading.playing import Played, Watching, bought

pytestmark = pytest.mark.django_db(transaction=True)

CONFIGS = {agent.name: agent.config for agent in demo.DEMO_AGENTS}


@pytest.fixture
def watching(market) -> Iterator[Watching]:
    world.forget()
    watching = Watching()
    yield watching
    watching.close()
    world.forget()


def play(market, watching: Watching, name: str, agent: str) -> Played:
    """Let a demo agent buy, play a chart to its end with its own pauses, and check the books."""
    token = market.add_token(price_sol="0.00002", liquidity_sol="900")
    played = bought(market, watching, CONFIGS[agent], token=token, sol="60")
    times = [point.at_ms / 1000 for point in READY_MADE[name].script.points]
    market.scenario(name, mint=token.mint, speed=0)
    watching.look()
    for before, after in pairwise(times):
        hold(played, after - before)
        played.step(seconds=0)
    hold(played, 2)
    assert differences() == []
    return played


def hold(played: Played, seconds: float) -> None:
    """Let a price stand; the desk looks at it more than once, for a doubt lasts one look."""
    looks = max(2, int(seconds / 4))
    for _ in range(looks):
        played.wait(seconds / looks)
        played.watching.look()


def profit_percent(played: Played) -> Decimal:
    """Return what a closed position made, in percent of what was put in."""
    trade = ClosedTrade.objects.get(position_id=played.position_id)
    return trade.profit_sol / played.position.total_invested_sol * 100


@pytest.mark.parametrize(
    ("name", "agent", "least"),
    [
        ("trailing_fixed", "Fixed stop", 40),
        ("trailing_exponential", "Exponential stop", 75),
        ("trailing_zones", "Zones stop, careful", 85),
        ("trailing_custom", "Own stop levels, whale signals", 45),
    ],
)
def test_a_trailing_stop_sells_with_the_gain_its_chart_promises(market, watching, name, agent, least):
    played = play(market, watching, name, agent)
    assert played.position.close_reason == "stop_loss"
    assert least < profit_percent(played) < least + 20


def test_the_ladder_takes_every_level_and_leaves_the_bag(market, watching):
    position = play(market, watching, "take_profit_ladder", "Take profit, moderate").position
    assert (position.closed_at, position.take_profit_levels_hit, position.moon_bag_activated) == (None, 4, True)
    assert position.remaining_amount == position.moon_bag_amount


def test_a_jump_takes_every_level_in_one_sale(market, watching):
    played = play(market, watching, "take_profit_jump", "Take profit, moderate")
    assert played.position.take_profit_levels_hit == 4
    assert played.position.generation == 2


@pytest.mark.parametrize("agent", ["Take profit, moderate", "Take profit, aggressive, moon bag"])
def test_the_moon_bag_is_sold_by_the_stop_of_the_crash(market, watching, agent):
    position = play(market, watching, "moon_bag_crash", agent).position
    assert position.moon_bag_activated
    assert position.close_reason == "stop_loss"
    assert position.realized_profit_sol > position.total_invested_sol


@pytest.mark.parametrize(("agent", "buys"), [("DCA, moderate", 2), ("DCA, aggressive, and take profit", 3)])
def test_dca_buys_on_the_way_down_and_is_ahead_on_the_way_back(market, watching, agent, buys):
    position = play(market, watching, "dca_recovery", agent).position
    assert position.dca_count == buys
    start = Decimal("0.00002")
    assert position.purchase_price < start * Decimal("0.9")
    assert position.closed_at is None or position.realized_profit_sol > 0


@pytest.mark.parametrize("agent", ["DCA, moderate", "DCA, aggressive, and take profit"])
def test_what_dca_bought_falls_to_the_stop(market, watching, agent):
    played = play(market, watching, "dca_then_stop", agent)
    assert played.position.dca_count >= 1
    assert played.position.close_reason == "stop_loss"
    assert profit_percent(played) < -25


def test_what_drifts_is_closed_as_stale(market, watching):
    played = play(market, watching, "stale_drift", "Scalper, stale after a minute")
    assert played.position.close_reason == "stale_trade"


@pytest.mark.parametrize("name", ["gap_through_stop", "flash_crash"])
@pytest.mark.parametrize("agent", ["Fixed stop", "Take profit, moderate"])
def test_a_fall_sells(market, watching, name, agent):
    played = play(market, watching, name, agent)
    assert played.position.close_reason == "stop_loss"
    assert profit_percent(played) < -10


@pytest.mark.parametrize("agent", ["Fixed stop", "DCA, aggressive, and take profit"])
def test_bad_ticks_change_no_position(market, watching, agent):
    position = play(market, watching, "bad_tick", agent).position
    assert (position.closed_at, position.generation) == (None, 1)
    assert position.peak_price_sol < position.purchase_price * Decimal("1.01")
