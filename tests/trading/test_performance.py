"""One profit everywhere: what an agent's figures, its positions, its feed and its snapshots say of the same life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.agents.models import Agent
from apps.trading import presentation
from apps.trading.models import BalanceSnapshot, Position
from apps.trading.selectors import fills, marks, performance, positions
from apps.trading.services import snapshots
from tests import factories
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db

DEPOSITED = Decimal(10)


@pytest.fixture
def agent() -> Agent:
    return factories.make_agent(sol=str(DEPOSITED))


def lived(agent: Agent) -> Position:
    """Return a position bought for 1 SOL, half sold for 0.75, added to for 0.5, priced at 0.001 SOL."""
    token = factories.make_token()
    opened = timezone.now() - timedelta(hours=2)
    position = factories.make_position(agent, token, invested="1", price="0.001", opened_at=opened)
    factories.take_profit(position, tokens="500", proceeds="0.75", at=opened + timedelta(minutes=5))
    factories.add_to(position, invested="0.5", price="0.0005", at=opened + timedelta(minutes=10))
    factories.make_tick(token, "0.001")
    return position


def test_what_partial_sales_of_open_positions_earned_is_realised(agent):
    position = lived(agent)
    figures = performance.of_agent(agent=agent)
    assert position.remaining_cost_sol == 1
    assert figures.realised_profit_sol == Decimal("0.25")
    assert figures.unrealised_profit_sol == Decimal("0.5")
    assert figures.total_profit_sol == Decimal("0.75")
    assert (figures.closed_trades, figures.open_positions) == (0, 1)
    assert differences() == []


def test_the_total_is_what_the_wallet_is_worth_beyond_its_deposits_before_and_after_the_close(agent):
    position = lived(agent)
    open_ = performance.of_agent(agent=agent)
    assert open_.total_profit_sol == open_.portfolio_sol - DEPOSITED
    factories.close_position(position, proceeds="1.5")
    closed = performance.of_agent(agent=agent)
    assert closed.total_profit_sol == closed.realised_profit_sol == closed.portfolio_sol - DEPOSITED == Decimal("0.75")
    assert closed.average_return_percent == 50
    assert differences() == []


def test_list_feed_snapshot_and_summary_tell_the_same_profit(agent):
    position = lived(agent)
    figures = performance.of_agent(agent=agent)
    (view,) = positions.list_open(agent=agent)
    known = fills.of_positions([position])
    mark = marks.of_positions([position], known)[position.pk]
    told = presentation.enriched_position(position, position.wallet.address, known[position.pk], mark, None)
    snapshots.snapshot_balances()
    snapshot = BalanceSnapshot.objects.get()

    assert view.profit_sol == figures.total_profit_sol == Decimal("0.75")
    assert Decimal(str(told["profitLossSol"])) == figures.total_profit_sol
    assert told["profitLossUsd"] is None and view.profit_usd is None
    assert snapshot.portfolio_sol == figures.portfolio_sol
    assert snapshot.unrealized_profit_sol == figures.unrealised_profit_sol
    assert not snapshot.estimated


def test_a_day_limits_closed_trades_and_nothing_of_what_is_open(agent):
    lived(agent)
    old = timezone.now() - timedelta(days=2)
    factories.close_position(
        factories.make_position(agent, factories.make_token(), invested="1", opened_at=old), proceeds="2", at=old
    )
    day = performance.of_agent(agent=agent, since=timezone.now() - performance.DAY)
    assert (day.closed_trades, day.realised_profit_sol, day.open_positions) == (0, Decimal("0.25"), 1)
    assert performance.of_agent(agent=agent).realised_profit_sol == Decimal("1.25")


def test_without_a_wallet_named_only_the_present_mode_counts(agent):
    lived(agent)
    live = factories.make_wallet(agent, wallet_type="live")
    factories.fund(live, "5")
    assert performance.of_agent(agent=agent).portfolio_sol == DEPOSITED + Decimal("0.75")
    assert performance.of_agent(agent=agent, wallet_address=live.address).portfolio_sol == 5


def test_a_price_from_before_the_last_fill_says_nothing_of_what_is_held_now(agent):
    token, now = factories.make_token(), timezone.now()
    position = factories.make_position(agent, token, invested="1", price="0.001", opened_at=now - timedelta(hours=2))
    factories.make_tick(token, "0.004", at=now - timedelta(hours=1))
    factories.add_to(position, invested="0.5", price="0.0005", at=now - timedelta(minutes=1))
    figures = performance.of_agent(agent=agent)
    snapshots.snapshot_balances()
    snapshot = BalanceSnapshot.objects.get()
    assert figures.unrealised_profit_sol == snapshot.unrealized_profit_sol == Decimal("-0.5")
    assert snapshot.estimated


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_daily_history_is_the_last_snapshot_of_each_utc_day_whatever_zone_is_active(agent, zone):
    wallet = factories.wallet_of(agent)
    for hour in (
        datetime(2026, 3, 1, 3, tzinfo=UTC),
        datetime(2026, 3, 1, 22, tzinfo=UTC),
        datetime(2026, 3, 2, 1, tzinfo=UTC),
        datetime(2026, 3, 4, 23, tzinfo=UTC),
    ):
        factories.make_snapshot(wallet, hour=hour)
    with timezone.override(zone):
        found = [row.hour for row in performance.history(wallet=wallet)]
    assert found == [datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((1, 22), (2, 1), (4, 23))]
