"""What a position is valued at: the newest price, unless its own last fill is newer; the same wherever it is shown."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.console import feed
from apps.console.clients import Scope
from apps.core import bulk
from apps.core.outbox import agent_stream
from apps.prices import selectors as prices
from apps.trading import presentation
from apps.trading.models import Position
from apps.trading.selectors import fills, marks, performance, positions
from apps.trading.services import position_feed
from tests import factories
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db

AGO = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def books_balance():
    yield
    assert differences() == []


def shown(agent) -> dict[str, dict]:
    """What the feed's snapshot says of each position, by symbol."""
    return {position["tokenSymbol"]: position for position in feed.snapshot(Scope(agent_id=agent.pk)).data["positions"]}


def test_a_token_sold_and_bought_again_is_worth_what_was_paid_until_a_newer_price_comes():
    agent, token, now = factories.make_agent(), factories.make_token("AGAIN"), timezone.now()
    factories.close_position(
        factories.make_position(agent, token, price="0.001", opened_at=now - 2 * AGO), proceeds="2"
    )
    factories.make_tick(token, "0.002", at=now - AGO)
    factories.make_position(agent, token, invested="1", price="0.0005", opened_at=now)

    position = shown(agent)["AGAIN"]
    (listed,) = positions.list_open(agent=agent)
    assert (position["currentPrice"], position["profitLossSol"], position["priceAt"]) == (0.0005, 0, None)
    assert (listed.price_sol, listed.profit_sol) == (Decimal("0.0005"), Decimal(0))
    assert performance.of_agent(agent=agent).unrealised_profit_sol == 0

    factories.make_tick(token, "0.00075", at=now + AGO)
    position = shown(agent)["AGAIN"]
    (listed,) = positions.list_open(agent=agent)
    assert (position["currentPrice"], position["profitLossSol"]) == (0.00075, 0.5)
    assert position["priceAt"] is not None
    assert (listed.price_sol, listed.profit_sol) == (Decimal("0.00075"), Decimal("0.5"))
    assert performance.of_agent(agent=agent).unrealised_profit_sol == Decimal("0.5")


def test_after_a_partial_sale_or_a_dca_the_fill_counts_until_a_newer_price_comes():
    agent, now = factories.make_agent(sol="100"), timezone.now()
    sold, added = (
        factories.make_position(agent, factories.make_token(symbol), invested="1", price="0.001", opened_at=now - AGO)
        for symbol in ("SOLD", "ADDED")
    )
    for position in (sold, added):
        factories.make_tick(factories.make_token(position.symbol), "0.009", at=now - AGO / 2)
    factories.take_profit(sold, tokens="250", proceeds="0.4", at=now)
    factories.add_to(added, invested="0.6", price="0.0008", at=now)

    by_symbol = shown(agent)
    assert [by_symbol["SOLD"][name] for name in ("currentPrice", "lastFillPrice")] == [0.0016, 0.0016]
    assert [by_symbol["ADDED"][name] for name in ("currentPrice", "lastFillPrice")] == [0.0008, 0.0008]
    # 750 left at 0.0016 that cost 0.75, and 0.15 realised; 1750 at 0.0008 that cost 1.6.
    assert by_symbol["SOLD"]["profitLossSol"] == pytest.approx(0.6, abs=1e-12)
    assert by_symbol["ADDED"]["profitLossSol"] == pytest.approx(-0.2, abs=1e-12)


def test_the_ids_of_fills_are_in_snapshot_and_delta_oldest_first():
    agent = factories.make_agent(sol="100")
    position = factories.make_position(agent, factories.make_token("BOTH"), invested="1", price="0.001")
    plain = factories.make_position(agent, factories.make_token("PLAIN"))
    first = factories.take_profit(position, tokens="100", proceeds="0.2")
    buy = factories.add_to(position, invested="0.5", price="0.0008")
    second = factories.take_profit(position, tokens="100", proceeds="0.2")

    (both, alone) = position_feed.updated([(position, "w"), (plain, "w")])
    for told in (shown(agent)["BOTH"], both.payload["position"]):
        assert told["takeProfitTransactionIds"] == [str(first.pk), str(second.pk)]
        assert told["dcaTransactionIds"] == [str(buy.pk)]
        assert told["lastFillTime"] == presentation.timestamp(second.transaction_time)
    assert both.stream == agent_stream(agent.pk)
    assert alone.payload["position"]["dcaTransactionIds"] == []
    assert shown(agent)["PLAIN"]["takeProfitTransactionIds"] == []


def test_positions_without_later_fills_cost_no_query_and_many_with_them_cost_one():
    agent = factories.make_agent(sol="100")
    plain = [factories.make_position(agent, factories.make_token()) for _ in range(3)]
    with CaptureQueriesContext(connection) as queries:
        fills.of_positions(plain)
    assert len(queries) == 0
    for position in plain:
        factories.take_profit(position, tokens="100", proceeds="0.2")
    with CaptureQueriesContext(connection) as queries:
        fills.of_positions(plain)
    assert len(queries) == 1


def test_sums_in_sql_decide_as_rows_in_memory_do():
    now = timezone.now()
    rows: list[Position] = []
    for told_after in (None, -3, -1, 1):
        for history in ("", "sold", "added", "sold added", "added sold"):
            agent, token = factories.make_agent(sol="100"), factories.make_token()
            position = factories.make_position(agent, token, price="0.001", opened_at=now - 4 * AGO)
            for turn, what in enumerate(history.split()):
                at = now - (2 - turn) * AGO
                if what == "sold":
                    factories.take_profit(position, tokens="100", proceeds="0.13", at=at)
                else:
                    factories.add_to(position, invested="0.5", price="0.0007", at=at)
            if told_after is not None:
                factories.make_tick(token, "0.002", at=now + told_after * AGO)
            rows.append(position)
    in_memory = marks.of_positions(rows, fills.of_positions(rows))
    newest = prices.latest_prices(row.mint for row in rows)
    in_sql = bulk.fetch_all(
        f"SELECT p.id, {marks.MARK}, {marks.IS_MARKED} FROM position p LEFT JOIN"
        " unnest(%s::text[], %s::numeric[], %s::timestamptz[]) AS newest (mint, price_sol, at) USING (mint)",
        [list(newest), [point.price_sol for point in newest.values()], [point.at for point in newest.values()]],
    )
    assert len(in_sql) == 20
    for position_id, price, marked in in_sql:
        mark = in_memory[position_id]
        assert (price, marked) == (mark.price_sol, not mark.is_fill)
    assert len({mark.price_sol for mark in in_memory.values()}) == 4
