"""The position book against the exact rules, position by position: it may think in floats, it may not decide by them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from apps.core.money import quantize_price, to_base_units
from apps.prices import services as prices
from apps.prices.domain.points import PricePoint, PriceSource
from apps.trading.book import reading
from apps.trading.book.book import PositionBook
from apps.trading.domain import watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.watch_rules import Watched
from apps.trading.models import Position
from apps.trading.selectors.configs import read_config
from apps.trading.services import stop_levels
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20261120
LADDER = {"enabled": True, "mode": "aggressive"}
#: A custom stop that comes down again further up: the highest it ever was must stay.
UNEVEN = [{"change": 300, "stopLoss": 60}, {"change": 100, "stopLoss": 80}, {"change": 50, "stopLoss": 20}]
MANY = [{"change": 400 - 10 * step, "stopLoss": 380 - 10 * step} for step in range(30)]
CONFIGS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"stopLoss": {"mode": "exponential", "defaultPercentage": -15}, "takeProfit": LADDER},
    {"stopLoss": {"mode": "zones"}, "staleTrade": {"minHoldTimeMinutes": 5, "minProfitPercent": -5}},
    {"stopLoss": {"enabled": False}, "staleTrade": {"minProfitPercent": -99, "maxProfitPercent": 500}},
    {"stopLoss": {"mode": "custom", "trailingLevels": UNEVEN}, "dca": {"enabled": True, "mode": "aggressive"}},
    {"stopLoss": {"mode": "custom", "trailingLevels": MANY, "defaultPercentage": -90}},
    {"staleTrade": {"enabled": False}, "dca": {"enabled": True}, "takeProfit": {"enabled": True}},
    {"stopLoss": {"mode": "custom", "trailingLevels": "broken"}},
)


def make_positions(number: int, chance: random.Random) -> list[Position]:
    made = []
    tokens = [factories.make_token() for _ in range(5)]
    for index in range(number):
        agent = factories.make_agent(config=CONFIGS[index % len(CONFIGS)], max_open_positions=5)
        for token in tokens:
            price = f"0.00{chance.randrange(10**6, 10**7)}{chance.randrange(10**6)}"
            sold = chance.choice([0, 0, 1])
            made.append(
                factories.make_position(
                    agent,
                    token,
                    price=price,
                    opened_at=timezone.now() - timedelta(minutes=chance.choice([0, 3, 10, 59, 61, 600])),
                    dca_count=chance.choice([0, 0, 1, 2]),
                    last_dca_at=chance.choice([None, timezone.now() - timedelta(seconds=chance.choice([5, 300]))]),
                    take_profit_levels_hit=sold,
                    moon_bag_activated=bool(sold),
                    moon_bag_amount=Decimal("0.5") if sold else None,
                )
            )
    return made


class Oracle:
    """What the exact rules alone say of every position, tick by tick, from the stored rows and nothing else."""

    def __init__(self) -> None:
        rows = Position.objects.filter(closed_at=None).select_related("agent")
        self.positions = {row.pk: self._watched(row) for row in rows}
        self.peaks = {row.pk: row.peak_price_sol for row in rows}

    def _watched(self, row: Position) -> Watched:
        config = read_config(
            reading.bulk.fetch_all("SELECT trading_config::text FROM agent WHERE id=%s", [row.agent_id])[0][0]
        )
        units = to_base_units(row.purchase_amount, row.decimals)
        bag = None if row.moon_bag_amount is None else to_base_units(row.moon_bag_amount, row.decimals)
        return Watched(
            id=row.pk,
            agent_id=row.agent_id,
            mint=row.mint,
            books=Books(
                row.decimals,
                units,
                to_base_units(row.remaining_amount, row.decimals),
                0,
                0,
                row.purchase_price,
                dca_count=row.dca_count,
                levels_hit=row.take_profit_levels_hit,
                moon_bag_active=row.moon_bag_activated,
                moon_bag_units=bag,
            ),
            stop_percent=row.stop_percent,
            generation=row.generation,
            opened_at=row.opened_at,
            config=config,
            last_dca_at=row.last_dca_at,
        )

    def tick(
        self, trusted: dict[str, PricePoint], doubted: dict[str, PricePoint], now: datetime
    ) -> set[tuple[UUID, str]]:
        fired = set()
        for key, position in self.positions.items():
            if position.mint in trusted:
                price = trusted[position.mint].price_sol
                peak = self.peaks[key] = max(self.peaks[key], price)
                if position.config is not None and position.config.stop_loss.enabled:
                    percent = watch_rules.raised(
                        position.stop_percent, position.books.average_price, peak, position.config.stop_loss
                    )
                    position = self.positions[key] = replace(position, stop_percent=percent)
                verdict = watch_rules.judge(position, price, now=now)
            elif position.mint in doubted:
                verdict = watch_rules.judge_doubted(position, doubted[position.mint].price_sol)
            else:
                continue
            if verdict.reason is not None:
                fired.add((key, verdict.reason))
        return fired


def point(mint: str, price: Decimal) -> PricePoint:
    return PricePoint(mint, quantize_price(price), None, PriceSource.JUPITER, None, datetime.now(UTC))


def read_book() -> PositionBook:
    book = PositionBook(0, 1)
    book.synchronise()
    return book


def tick(
    book: PositionBook, trusted: dict[str, PricePoint], doubted: dict[str, PricePoint], now: datetime
) -> set[tuple[UUID, str]]:
    book.synchronise()
    wild = {mint: (found, "wild_move") for mint, found in doubted.items()}
    done = book.evaluate(trusted, wild, now=now)
    book.recorded(prices.record_ticks(trusted.values()))
    return {(item.position.id, item.verdict.reason or "") for item in done.fired}


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_the_book_fires_exactly_what_the_exact_rules_fire(seed):
    chance = random.Random(seed)
    mints = sorted({position.mint for position in make_positions(24, chance)})
    book, oracle = read_book(), Oracle()
    fired = 0
    for step in range(40):
        trusted: dict[str, PricePoint] = {}
        doubted: dict[str, PricePoint] = {}
        for mint in mints:
            found = point(mint, Decimal(repr(0.005 * chance.lognormvariate(0, 0.8))))
            chance.choice([trusted, trusted, trusted, doubted, {}])[mint] = found
        now = datetime.now(UTC) + timedelta(minutes=step)
        expected = oracle.tick(trusted, doubted, now)
        assert tick(book, trusted, doubted, now) == expected, f"seed {seed}, step {step}"
        fired += len(expected)
        if step % 7 == 3:
            stop_levels.write_back(book, within_seconds=chance.choice([0.0, 0.01, 5]))
        if step % 11 == 10:
            # A watch that dies here leaves what it had not written back to the ticks.
            stop_levels.keep_progress(1, 0, book.progress())
            book = read_book()
    assert fired > 200
    stop_levels.write_back(book, within_seconds=30)
    stored = Position.objects.all()
    assert {row.pk: row.peak_price_sol for row in stored} == oracle.peaks
    assert {row.pk: row.stop_percent for row in stored} == {
        key: position.stop_percent for key, position in oracle.positions.items()
    }
