"""Whatever DCAs, take profits and the close of a position come in whatever order, nothing is lost and nothing invented.

Booked by the real bookings from quotes made up here; the books are audited after each life.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.money import MONEY, SOL_MINT, to_base_units
from apps.trading.domain.fills import Quote
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import dca_booking, exit_intents, exit_lots, exit_settling, sale_booking
from apps.trading.services.dca_booking import Purchase
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.sale_booking import Sale
from apps.wallets.models import Transaction
from tests import factories
from tests.trading import adjusting, closing
from tests.trading.adjusting import adding, taking

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Step:
    """One fill a market may bring: what fires, and how far from the average the price stands then, in per mille."""

    reason: str
    change: int


STEPS = st.one_of(
    st.builds(Step, st.just("take_profit"), st.integers(1, 400).map(lambda n: n * 10)),
    st.builds(Step, st.just("dca"), st.integers(200, 900).map(lambda n: -n)),
)
CONFIGS = st.builds(
    lambda bag, first, second: {
        **taking([(20, first), (60, second), (150, 20)], bag=(60, 9) if bag else None),
        **adding(
            [(-20, 150)] * 10,
            dca={
                "enabled": True,
                "maxDCACount": 10,
                "cooldownSeconds": 10,
                "mode": "custom",
                "levels": [{"dropPercent": -20, "buyPercent": 150}] * 10,
            },
        ),
    },
    st.booleans(),
    st.integers(1, 40),
    st.integers(1, 31),
)


def quote(position: Position, price: Decimal, *, lamports: int = 0, units: int = 0) -> Quote:
    """Return a quote at `price`, a fee of 0.1 % and a signature's network fee in it."""
    fees = {"feeBps": 10, "signatureFeeLamports": 5000}
    unit_price = price.scaleb(9 - position.decimals, context=MONEY)
    if lamports:
        out = int((lamports / unit_price).to_integral_value(ROUND_DOWN))
        return Quote(SOL_MINT, position.mint, lamports, max(out, 1), payload=fees, source="test")
    out = int((units * unit_price).to_integral_value(ROUND_DOWN))
    return Quote(position.mint, SOL_MINT, units, max(out, 1), payload=fees, source="test")


def step(position: Position, wish: Step) -> None:
    """Fire, plan, quote and book one adjust; the rules may refuse it anywhere on the way."""
    price = position.purchase_price * (1000 + wish.change) / 1000
    exit_intents.fire([adjusting.fired_of(position, wish.reason, price)])
    lots = exit_lots.take(limit=10)
    exit_settling.settle_refused(lots.outcomes)
    for lot in lots.sales:
        sales = [
            Sale(leased, quote(position, price * Decimal("1.000001"), units=units), units)
            for leased, units in zip(lot.exits, lot.shares, strict=True)
        ]
        sale_booking.book_sales(sales, sol_usd=Decimal(150))
    for buy in lots.buys:
        (wanted,) = buy.wanted
        bought = quote(position, price * Decimal("0.999999"), lamports=wanted.lamports)
        dca_booking.book_purchases([Purchase(buy.exits[0], bought, wanted.lamports)], sol_usd=None)
    ExitIntent.objects.update(finished_at=None)
    Position.objects.update(last_dca_at=None)


def close(position: Position) -> None:
    exit_intents.fire([FiredExit(position.pk, "manual", position.generation)])
    (leased,) = exit_intents.lease_due()
    units = to_base_units(position.remaining_amount, position.decimals)
    sold = quote(position, position.purchase_price, units=units)
    (outcome,) = sale_booking.book_sales([Sale(leased, sold, units)], sol_usd=None)
    assert outcome.booked


def moved(amount: Decimal | None) -> Decimal:
    assert amount is not None
    return amount


def check(position: Position) -> None:
    """What holds after every fill."""
    fills = list(Transaction.objects.filter(position=position))
    bought = sum((moved(fill.output_amount) for fill in fills if fill.output_mint == position.mint), Decimal(0))
    sold = sum((moved(fill.input_amount) for fill in fills if fill.input_mint == position.mint), Decimal(0))
    done = ExitIntent.objects.filter(position=position, status="done").values_list("details", flat=True)
    costs = sum(
        (Decimal(details["booked"]["costSol"]) for details in done if "costSol" in details["booked"]), Decimal(0)
    )
    assert bought - sold == position.remaining_amount >= 0
    assert costs + position.remaining_cost_sol == position.total_invested_sol
    assert position.closed_at is not None or position.remaining_amount >= (position.moon_bag_amount or 0)
    assert position.generation == len(fills)


@given(config=CONFIGS, decimals=st.sampled_from([0, 6, 9]), steps=st.lists(STEPS, min_size=1, max_size=7))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_of_fills_loses_or_invents_anything(db, config, decimals, steps):
    agent = factories.make_agent(sol="1000", config=config)
    token = factories.make_token(decimals=decimals)
    position = factories.make_position(agent, token, invested="1", price="0.001")

    for wish in steps:
        position.refresh_from_db()
        if position.closed_at is None:
            step(position, wish)
            position.refresh_from_db()
            check(position)
    if position.closed_at is None:
        close(position)
        position.refresh_from_db()
        check(position)

    trade = ClosedTrade.objects.get(position=position)
    assert trade.profit_sol == position.realized_profit_sol == position.proceeds_sol - position.total_invested_sol
    assert adjusting.sol(position) == 1000 + trade.profit_sol
    assert closing.differences() == []
