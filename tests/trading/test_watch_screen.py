"""The watch's screen: PostgreSQL may hand over too many positions, never one too few."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.agents import services as agents
from apps.core.money import quantize_price
from apps.prices.services import FetchResult
from apps.trading.domain import watch_rules
from apps.trading.models import Position
from apps.trading.selectors.watched import StoredPositions
from apps.trading.services.watch import ShardWatch
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20261120
CONFIGS = (
    None,
    {"stopLoss": {"mode": "exponential", "defaultPercentage": -15}},
    {"stopLoss": {"mode": "zones"}, "staleTrade": {"minHoldTimeMinutes": 5, "minProfitPercent": -5}},
    {"stopLoss": {"enabled": False}, "staleTrade": {"minProfitPercent": -99, "maxProfitPercent": 500}},
    {"staleTrade": {"enabled": False}},
)


def positions_of_all_kinds(number: int, chance: random.Random) -> list[Position]:
    made = []
    for index in range(number):
        agent = factories.make_agent(config=CONFIGS[index % len(CONFIGS)])
        for _ in range(3):
            peak = quantize_price(Decimal("0.001") * Decimal(str(chance.choice([1, 1.1, 1.3, 2, 5]))))
            made.append(
                factories.make_position(
                    agent,
                    factories.make_token(),
                    peak_price_sol=peak,
                    stop_percent=None,
                    stop_price_sol=None,
                    opened_at=timezone.now() - timedelta(minutes=chance.choice([0, 10, 59, 61, 600])),
                )
            )
    return made


def everything(source: StoredPositions) -> dict:
    """Return every position as a source that has seen nothing yet hands it over."""
    return {row.id: row for row in source.concerned(list(source.held()), trusted={}, doubted={}, also=())}


def test_no_position_a_price_does_something_to_is_left_out():
    chance = random.Random(SEED)
    positions_of_all_kinds(12, chance)
    watch = ShardWatch(0, shards=1, fetch=no_prices)
    source = StoredPositions(0, 1)
    watch._store(watch._judge(everything(source).values(), {}, {}), {})
    source.concerned(list(source.held()), trusted={}, doubted={}, also=())
    source.settled()
    concerned = 0
    for _ in range(25):
        trusted: dict[str, Decimal] = {}
        doubted: dict[str, Decimal] = {}
        for mint in source.held():
            price = quantize_price(Decimal("0.001") * Decimal(str(chance.uniform(0.05, 6))))
            chance.choice([trusted, doubted, {}])[mint] = price
        handed = {row.id for row in source.concerned(list(source.held()), trusted=trusted, doubted=doubted, also=())}
        now = datetime.now(UTC)
        for row in everything(StoredPositions(0, 1)).values():
            done = watch_rules.NOTHING
            if row.mint in trusted:
                done = watch_rules.judge(row, trusted[row.mint], now=now)
            if row.mint in doubted:
                done = watch_rules.judge_doubted(row, doubted[row.mint])
            if (done.level, done.close_reason) != (None, None):
                assert row.id in handed, f"seed {SEED}: {row} at {trusted.get(row.mint) or doubted.get(row.mint)}"
                concerned += 1
        source.settled()
    assert concerned > 100


@pytest.mark.parametrize("shift", ["0", "1e-24", "-1e-24"])
def test_a_price_at_the_stop_to_the_last_digit_is_handed_over(shift):
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="0.000333333333333333")
    source = StoredPositions(0, 1)
    everything(source)
    source.settled()
    price = position.stop_price_sol + Decimal(shift)
    assert list(source.concerned([position.mint], trusted={position.mint: price}, doubted={}, also=()))


def test_what_changed_is_handed_over_until_a_tick_was_stored():
    agent = factories.make_agent()
    position = factories.make_position(agent, factories.make_token())
    source = StoredPositions(0, 1)

    def handed() -> list:
        return [row.id for row in source.concerned([position.mint], trusted={}, doubted={}, also=())]

    assert handed() == handed() == [position.pk]
    source.settled()
    assert handed() == []
    source.settled()

    agents.update_config(agent=agent, patch={"stopLoss": {"defaultPercentage": -10}}, actor=None)
    assert handed() == handed() == [position.pk]
    source.settled()
    assert handed() == []
    source.settled()

    Position.objects.filter(pk=position.pk).update(generation=2)
    assert handed() == [position.pk]


def test_a_stop_that_moved_by_configuration_counts_although_its_token_has_no_price():
    agent = factories.make_agent()
    position = factories.make_position(agent, factories.make_token())
    watch = ShardWatch(0, shards=1, fetch=no_prices)
    watch.tick()
    agents.update_config(agent=agent, patch={"stopLoss": {"defaultPercentage": -10}}, actor=None)
    watch.tick()
    after = Position.objects.get(pk=position.pk)
    assert [after.stop_percent, after.stop_price_sol] == [-10, position.purchase_price * Decimal("0.9")]


def no_prices(mints, **_options):
    return FetchResult()


def test_a_position_whose_level_is_not_stored_yet_is_handed_over():
    position = factories.make_position(factories.make_agent(), factories.make_token())
    source = StoredPositions(0, 1)
    everything(source)
    source.settled()
    handed = list(source.concerned([position.mint], trusted={}, doubted={}, also=[position.pk]))
    assert [row.id for row in handed] == [position.pk]
