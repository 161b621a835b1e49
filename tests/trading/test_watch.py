"""One second of watching, end to end: stops at their level, peaks that survive, one watch per shard."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.core import bulk, relay
from apps.core.models import OutboxMessage
from apps.core.money import quantize_price
from apps.prices import services as prices
from apps.prices.models import Tick
from apps.prices.services import FetchResult
from apps.trading.book.book import PositionBook
from apps.trading.book.exact import Rise
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import exit_intents, exit_runner, stop_levels
from apps.trading.services.watch import ShardWatch
from tests import factories
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


def fired() -> dict:
    return {intent.position_id: intent for intent in ExitIntent.objects.all()}


def test_a_stop_sells_everything_when_the_price_falls_past_it(market, watch):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.set_price(position.mint, at(position, "-40"))

    report = watch.tick()

    assert report.fired == 1
    intent = ExitIntent.objects.get()
    assert (intent.reason, intent.needs_confirmation) == ("stop_loss", False)
    assert intent.trigger_tick == Tick.objects.filter(mint=position.mint).latest("id").pk
    exit_runner.run_due()
    assert ClosedTrade.objects.get(position=position).close_reason == "stop_loss"
    assert closing.differences() == []


def test_a_price_just_above_the_stop_fires_nothing_and_at_the_stop_it_sells(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "-31.9"))
    assert watch.tick().fired == 0
    market.set_price(position.mint, at(position, "-32.01"))
    assert watch.tick().fired == 1


def test_the_stop_follows_the_peak_and_fires_on_the_way_down(market, watch):
    agent, (position,) = closing.agent_holding(market)
    watch.tick()
    market.set_price(position.mint, at(position, "45"))
    assert watch.tick().fired == 0

    risen = Position.objects.get(pk=position.pk)
    assert risen.peak_price_sol > at(position, "44.9")
    assert risen.stop_percent is not None and risen.stop_price_sol is not None
    gain = (risen.peak_price_sol - risen.purchase_price) / risen.purchase_price * 100
    assert abs(risen.stop_percent - (gain - 10)) < Decimal("1e-7")
    assert risen.stop_price_sol == quantize_price(risen.stop_price_sol)
    assert risen.stop_updated_at is not None
    told = OutboxMessage.objects.get(stream=f"agent:{agent.pk}", kind="position_update").payload
    assert told["eventType"] == "position_updated"
    assert told["position"]["currentStopLossPercentage"] == pytest.approx(float(risen.stop_percent))

    market.set_price(position.mint, at(position, "34"))
    assert watch.tick().fired == 1


def test_a_peak_below_the_first_rise_is_stored_without_telling_anyone(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "5"))
    watch.tick()
    risen = Position.objects.get(pk=position.pk)
    assert risen.peak_price_sol > position.peak_price_sol
    assert risen.stop_percent == position.stop_percent
    assert not OutboxMessage.objects.filter(kind="position_update").exists()


def test_the_stop_is_latched_although_the_price_bounces(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "-40"))
    watch.tick()
    market.set_price(position.mint, at(position, "0"))
    watch.tick()
    exit_runner.run_due()
    assert Position.objects.get(pk=position.pk).close_reason == "stop_loss"


def test_a_crash_fires_every_stop_it_passes_and_no_other(market, watch):
    token = market.add_token()
    agents = [
        factories.make_agent(config={"stopLoss": {"defaultPercentage": percent}}) for percent in (-20, -32, -60, -90)
    ]
    positions = [
        closing.hold(agent, token, stop_percent=Decimal(agent.trading_config["stopLoss"]["defaultPercentage"]))
        for agent in agents
    ]
    watch.tick()
    market.set_price(token.mint, token.price_sol * Decimal("0.3"))

    watch.tick()

    assert set(fired()) == {position.pk for position in positions[:3]}
    exit_runner.run_due()
    assert Position.objects.filter(closed_at=None).get() == positions[3]
    assert closing.differences() == []


@pytest.mark.parametrize("scenario", ["rug", "gap"])
def test_a_rug_and_a_gap_down_fire_the_stop(market, watch, scenario):
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    market.scenario(scenario, mint=position.mint, change_percent=80)
    wait_until(lambda: watch.tick().fired)
    assert set(fired()) == {position.pk}


def test_a_stop_passed_while_nobody_watched_is_sold_by_the_first_price(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "-45"))
    assert watch.tick().fired == 1


def test_pausing_an_agent_leaves_its_stop_on(market, watch):
    agent, (position,) = closing.agent_holding(market)
    type(agent).objects.filter(pk=agent.pk).update(automated_trading_simulation=False)
    market.set_price(position.mint, at(position, "-40"))
    assert watch.tick().fired == 1


def test_a_stop_switched_off_fires_nothing(market, watch):
    agent = factories.make_agent(config={"stopLoss": {"enabled": False}, "staleTrade": {"enabled": False}})
    position = closing.hold(agent, market.add_token())
    market.set_price(position.mint, at(position, "-40"))
    assert watch.tick().fired == 0


def test_a_configuration_that_broke_leaves_the_stop_the_position_had(market, watch):
    agent, (position,) = closing.agent_holding(market)
    type(agent).objects.filter(pk=agent.pk).update(trading_config={"stopLoss": {"defaultPercentage": "broken"}})
    market.set_price(position.mint, at(position, "-31"))
    assert watch.tick().fired == 0
    market.set_price(position.mint, at(position, "-33"))
    assert watch.tick().fired == 1


def test_a_change_of_configuration_counts_from_the_next_tick(market, watch):
    agent, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "-15"))
    assert watch.tick().fired == 0
    type(agent).objects.filter(pk=agent.pk).update(trading_config={"stopLoss": {"defaultPercentage": -10}})
    assert watch.tick().fired == 1


def test_a_stale_trade_is_closed_within_its_range_of_profit(market, watch):
    agent = factories.make_agent()
    old = timezone.now() - timedelta(minutes=61)
    stale, young, moved = (
        closing.hold(agent, token, opened_at=opened)
        for token, opened in zip(market.add_tokens(3), (old, timezone.now(), old), strict=True)
    )
    market.set_price(stale.mint, at(stale, "5"))
    market.set_price(young.mint, at(young, "5"))
    market.set_price(moved.mint, at(moved, "15"))

    watch.tick()

    assert {position: intent.reason for position, intent in fired().items()} == {stale.pk: "stale_trade"}
    exit_runner.run_due()
    assert ClosedTrade.objects.get().close_reason == "stale_trade"
    assert closing.differences() == []


def test_one_position_that_cannot_be_judged_stops_no_other(market, watch, caplog):
    _, (broken, sound) = closing.agent_holding(market, 2)
    bulk.execute("UPDATE position SET purchase_price = 'NaN' WHERE id = %s", [broken.pk])
    for position in (broken, sound):
        market.set_price(position.mint, at(position, "-40"))
    watch.tick()
    assert set(fired()) == {sound.pk}
    assert "position_not_judged" in caplog.text


def test_a_price_the_database_refuses_costs_one_token_its_tick_and_no_other(market):
    _, (huge, sound) = closing.agent_holding(market, 2)

    def fetch(mints, **options) -> FetchResult:
        found = prices.fetch_prices(mints, **options)
        decision = found.decisions[huge.mint]
        assert decision.point is not None
        too_much = replace(decision, point=replace(decision.point, price_sol=Decimal("1e17")))
        return replace(found, decisions={**found.decisions, huge.mint: too_much})

    market.set_price(sound.mint, at(sound, "-40"))
    ShardWatch(0, shards=1, fetch=fetch).tick()
    assert set(fired()) == {sound.pk}
    assert set(Tick.objects.values_list("mint", flat=True)) == {sound.mint}


@contextmanager
def booking_holds(position: Position):
    """Lock the agent's state and the position's row as a booking does, from a connection of its own."""
    other = relay.open_connection("test")
    try:
        other.execute("BEGIN")
        other.execute("SELECT 1 FROM agent_state WHERE agent_id = %s FOR NO KEY UPDATE", [position.agent_id])
        other.execute("SELECT 1 FROM position WHERE id = %s FOR NO KEY UPDATE", [position.pk])
        yield
    finally:
        other.close()


def test_a_position_a_booking_holds_keeps_its_peak_for_the_next_tick(market, watch):
    _, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "10"))
    with booking_holds(position):
        watch.tick()
        assert Position.objects.get(pk=position.pk).peak_price_sol == position.peak_price_sol
    market.set_price(position.mint, at(position, "0"))
    watch.tick()
    assert Position.objects.get(pk=position.pk).peak_price_sol > at(position, "9.9")


def test_a_booking_that_hangs_delays_no_tick_and_no_other_agents_stop(market, watch):
    _, (position,) = closing.agent_holding(market)
    token = closing.stored_by_mint(position.mint)
    other = factories.make_position(factories.make_agent(), token, price=str(position.purchase_price))
    market.set_price(position.mint, at(position, "30"))
    with booking_holds(position):
        assert watch.tick().took_seconds < 5
        assert Position.objects.get(pk=position.pk).stop_percent == position.stop_percent
        assert Position.objects.get(pk=other.pk).stop_percent > other.stop_percent
    watch.tick()
    assert Position.objects.get(pk=position.pk).stop_percent > position.stop_percent


def test_a_watch_that_died_before_writing_back_leaves_its_peak_in_the_ticks(market):
    _, (position,) = closing.agent_holding(market)
    token = closing.stored_by_mint(position.mint)
    factories.make_tick(token, str(quantize_price(at(position, "30"))))
    watch = ShardWatch(0, shards=1)
    watch.tick()
    after = Position.objects.get(pk=position.pk)
    assert after.peak_price_sol == quantize_price(at(position, "30"))
    assert after.stop_percent == pytest.approx(Decimal(20), abs=Decimal("1e-6"))


def test_a_high_from_before_the_opening_is_not_a_peak(market):
    token = market.add_token()
    factories.make_tick(
        closing.stored(token), str(token.price_sol * Decimal("1.3")), at=timezone.now() - timedelta(minutes=5)
    )
    position = closing.hold(factories.make_agent(), token)
    ShardWatch(0, shards=1).tick()
    assert Position.objects.get(pk=position.pk).peak_price_sol < at(position, "2")


def test_a_level_of_an_older_average_is_not_written(market):
    _, (position,) = closing.agent_holding(market)
    Position.objects.filter(pk=position.pk).update(peak_generation=2, generation=2)
    rise = Rise(
        position_id=position.pk,
        agent_id=position.agent_id,
        mint=position.mint,
        peak_generation=1,
        peak_price=Decimal(99),
        lowest_price=None,
        stop_percent=Decimal(50),
        stop_price=Decimal(98),
        stop_moved=True,
        point=None,
    )
    assert stop_levels.store([rise]) == set()


def test_the_stop_never_falls_by_a_change_of_configuration(market, watch):
    agent, (position,) = closing.agent_holding(market)
    market.set_price(position.mint, at(position, "45"))
    watch.tick()
    high = Position.objects.get(pk=position.pk).stop_percent
    type(agent).objects.filter(pk=agent.pk).update(trading_config={"stopLoss": {"defaultPercentage": -90}})
    market.set_price(position.mint, at(position, "44"))
    watch.tick()
    assert Position.objects.get(pk=position.pk).stop_percent == high


def test_beat_and_the_workers_own_timer_together_tick_once_a_second(market, watch):
    closing.agent_holding(market)
    assert watch.tick_if_due().ran
    assert not watch.tick_if_due().ran


def test_tokens_are_shared_out_between_shards_without_gap_or_overlap(market):
    _, positions = closing.agent_holding(market, 12)
    books = [PositionBook(shard, 3) for shard in range(3)]
    for book in books:
        book.synchronise()
    shares = [set(book.held()) for book in books]
    assert set.union(*shares) == {position.mint for position in positions}
    assert sum(map(len, shares)) == 12


def test_a_tick_wakes_the_sellers_only_when_something_fired(market, watch, monkeypatch):
    woken = []
    monkeypatch.setattr("apps.core.wake.wake", lambda task, *args, **options: woken.append(task))
    _, (position,) = closing.agent_holding(market)
    watch.tick()
    assert woken == []
    market.set_price(position.mint, at(position, "-40"))
    watch.tick()
    watch.tick()
    assert woken == [exit_intents.TASK]
