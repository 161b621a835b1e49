"""Open positions, closed trades, performance and history over HTTP: one profit everywhere, no provider called."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.core.api.wire import timestamp_text
from apps.prices.adapters import newest
from apps.prices.domain.points import SolUsd
from apps.prices.services import record_sol_usd
from apps.trading.models import BalanceSnapshot, Position
from apps.wallets.models import Transaction
from tests.apiclient import api_of
from tests.factories import (
    add_to,
    close_position,
    make_agent,
    make_position,
    make_signal,
    make_snapshot,
    make_tick,
    make_token,
    make_user,
    make_wallet,
    take_profit,
    wallet_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_remembered_prices():
    newest.forget()
    from apps.core import redis

    redis.attempt(lambda client: client.flushdb(), None)
    yield
    newest.forget()
    redis.attempt(lambda client: client.flushdb(), None)


@pytest.fixture
def sol_at_150(no_remembered_prices):
    record_sol_usd(SolUsd(Decimal(150), datetime.now(UTC), "pyth"), tick=False)


def test_a_position_is_shown_with_its_worth_and_its_profit(api, agent, sol_at_150):
    token = make_token("WIF")
    position = make_position(agent, token, invested="1", price="0.001")
    make_tick(token, "0.0015")
    (shown,) = api.get(f"/agent-positions/{agent.pk}").json
    assert shown == {
        "id": str(position.pk),
        "agentId": str(agent.pk),
        "walletAddress": wallet_of(agent).address,
        "tokenAddress": token.mint,
        "tokenSymbol": "WIF",
        "purchase": {
            "priceNative": Decimal("0.001"),
            "priceUsd": Decimal("0.15"),
            "amount": 1000,
            "transaction": {
                "id": str(position.purchase_transaction_id),
                "hash": None,
                "time": shown["purchase"]["transaction"]["time"],
            },
        },
        "current": {
            "priceNative": Decimal("0.0015"),
            "priceUsd": Decimal("0.225"),
            "valueNative": Decimal("1.5"),
            "valueUsd": 225,
        },
        "profitLoss": {"native": Decimal("0.5"), "usd": 75, "percent": 50, "priceChangePercent": 50},
        "stopLoss": {"percentage": -32, "peakPrice": Decimal("0.001")},
        "takeProfit": {
            "levelsHit": 0,
            "totalLevels": None,
            "tpBatchStartLevel": 0,
            "remainingAmount": 1000,
            "originalAmount": 1000,
            "soldPercent": 0,
            "moonBagActivated": False,
            "moonBagAmount": None,
            "lastTakeProfitTime": None,
            "transactionIds": [],
        },
        "dca": {"count": 0, "totalInvestedSol": 1, "lastDcaTime": None},
        "createdAt": shown["createdAt"],
        "updatedAt": shown["updatedAt"],
    }
    assert api.get(f"/agents/{agent.pk}/positions").json == [shown]


def test_without_sol_usd_every_dollar_figure_is_null(api, agent):
    token = make_token()
    make_position(agent, token)
    make_tick(token, "0.002", price_usd="0.3")
    (shown,) = api.get(f"/agent-positions/{agent.pk}").json
    assert shown["purchase"]["priceUsd"] is shown["current"]["priceUsd"] is shown["current"]["valueUsd"] is None
    assert shown["profitLoss"]["usd"] is None
    assert shown["profitLoss"]["native"] == 1


def test_without_a_price_a_position_is_shown_at_its_average(api, agent):
    make_position(agent, make_token(), invested="1.000005", price="0.001", network_fee="0.000005")
    (shown,) = api.get(f"/agent-positions/{agent.pk}").json
    assert shown["current"]["priceNative"] == shown["purchase"]["priceNative"]
    assert shown["profitLoss"]["native"] == 0
    assert shown["profitLoss"]["priceChangePercent"] == 0


def test_profit_after_a_partial_sale_is_value_minus_remaining_cost_plus_what_was_realised(api, agent):
    token = make_token()
    position = make_position(agent, token, invested="1", price="0.001")
    sale = Transaction.objects.create(
        agent=agent,
        wallet=position.wallet,
        epoch=1,
        transaction_type="swap",
        position=position,
        transaction_time=timezone.now(),
        is_take_profit=True,
    )
    position.remaining_amount = Decimal(750)
    position.remaining_cost_sol = Decimal("0.75")
    position.realized_profit_sol = Decimal("0.125")
    position.take_profit_levels_hit = 1
    position.take_profit_total_levels = 4
    position.last_take_profit_at = timezone.now()
    position.save()
    make_tick(token, "0.0016")
    (shown,) = api.get(f"/agent-positions/{agent.pk}").json
    assert shown["current"]["valueNative"] == Decimal("1.2")
    assert shown["profitLoss"]["native"] == Decimal("0.575")
    assert shown["profitLoss"]["percent"] == Decimal("57.5")
    assert shown["takeProfit"]["soldPercent"] == 25
    assert shown["takeProfit"]["remainingAmount"] == 750
    assert shown["takeProfit"]["transactionIds"] == [str(sale.pk)]
    summary = api.get(f"/agent-positions/{agent.pk}/take-profit-summary").json
    assert summary == {
        "totalPositions": 1,
        "positionsWithTakeProfitHit": 1,
        "activeMoonBags": 0,
        "totalLevelsHit": 1,
    }
    (hit,) = api.get(f"/agent-positions/{agent.pk}/take-profit-summary?includePositions=true").json["positions"]
    assert (hit["id"], hit["levelsHit"], hit["remainingPercent"]) == (str(position.pk), 1, 75)
    assert "positions" not in api.get(f"/agent-positions/{agent.pk}/take-profit-summary?includePositions=1").json


def test_positions_are_newest_first_and_of_one_wallet_if_asked(api, agent):
    first, second = make_position(agent, make_token()), make_position(agent, make_token())
    address = wallet_of(agent).address
    shown = api.get(f"/agent-positions/{agent.pk}?walletAddress={address}").json
    assert [row["id"] for row in shown] == [str(second.pk), str(first.pk)]
    empty = make_wallet(agent, wallet_type="live")
    assert api.get(f"/agent-positions/{agent.pk}?walletAddress={empty.address}").json == []
    foreign = wallet_of(make_agent())
    answer = api.get(f"/agent-positions/{agent.pk}?walletAddress={foreign.address}")
    assert (answer.status, answer.code) == (404, "WALLET_NOT_FOUND")


def test_what_take_profit_has_done_is_summed_up(api, agent):
    now = timezone.now()
    early = make_position(agent, make_token("EARLY"), invested="1", price="0.001")
    late = make_position(agent, make_token("LATE"), invested="1", price="0.001")
    make_position(agent, make_token("NONE"))
    take_profit(early, tokens="250", proceeds="0.5", at=now - timedelta(hours=2), levels=2)
    take_profit(late, tokens="900", proceeds="2", at=now - timedelta(hours=1))
    Position.objects.filter(pk=late.pk).update(moon_bag_activated=True, moon_bag_amount=100)
    path = f"/agent-positions/{agent.pk}/take-profit-summary"
    summary = {"totalPositions": 3, "positionsWithTakeProfitHit": 2, "activeMoonBags": 1, "totalLevelsHit": 3}
    for query in ("", "?includePositions=false", "?includePositions=TRUE", "?includePositions=1"):
        assert api.get(path + query).json == summary, query
    shown = api.get(f"{path}?includePositions=true").json
    assert shown.pop("positions") == [
        {
            "id": str(late.pk),
            "tokenSymbol": "LATE",
            "levelsHit": 1,
            "remainingPercent": 10,
            "moonBagActivated": True,
            "lastTakeProfitTime": timestamp_text(now - timedelta(hours=1)),
        },
        {
            "id": str(early.pk),
            "tokenSymbol": "EARLY",
            "levelsHit": 2,
            "remainingPercent": 75,
            "moonBagActivated": False,
            "lastTakeProfitTime": timestamp_text(now - timedelta(hours=2)),
        },
    ]
    assert shown == summary


def test_an_agent_without_positions_has_an_empty_summary(api, agent):
    assert api.get(f"/agent-positions/{agent.pk}/take-profit-summary?includePositions=true").json == {
        "totalPositions": 0,
        "positionsWithTakeProfitHit": 0,
        "activeMoonBags": 0,
        "totalLevelsHit": 0,
        "positions": [],
    }
    assert api.get(f"/agent-positions/{make_agent().pk}/take-profit-summary").code == "AGENT_NOT_FOUND"
    assert api.get("/agent-positions/7/take-profit-summary").code == "INVALID_AGENT_ID"


def test_a_position_tells_its_take_profits_and_its_buys(api, agent):
    position = make_position(agent, make_token("WIF"), invested="1", price="0.001", take_profit_total_levels=4)
    sale = take_profit(position, tokens="250", proceeds="0.5")
    add_to(position, invested="0.5", price="0.001")
    position.refresh_from_db()
    assert position.last_take_profit_at is not None
    assert position.last_dca_at is not None
    (shown,) = api.get(f"/agents/{agent.pk}/positions").json
    assert shown["takeProfit"] == {
        "levelsHit": 1,
        "totalLevels": 4,
        "tpBatchStartLevel": 0,
        "remainingAmount": 1250,
        "originalAmount": 1500,
        "soldPercent": position_sold_percent(position),
        "moonBagActivated": False,
        "moonBagAmount": None,
        "lastTakeProfitTime": timestamp_text(position.last_take_profit_at),
        "transactionIds": [str(sale.pk)],
    }
    assert shown["dca"] == {
        "count": 1,
        "totalInvestedSol": Decimal("1.5"),
        "lastDcaTime": timestamp_text(position.last_dca_at),
    }


def position_sold_percent(position):
    """What take profit sold, of all tokens ever bought."""
    sold = position.purchase_amount - position.remaining_amount
    return round(sold * 100 / position.purchase_amount, 8)


def test_another_users_positions_are_not_found(api):
    foreign = make_agent()
    for path in ("", "/take-profit-summary"):
        assert api.get(f"/agent-positions/{foreign.pk}{path}").code == "AGENT_NOT_FOUND"


def test_a_closed_trade_is_shown_with_figures_as_text(api, agent, user):
    token = make_token("WIF")
    signal = make_signal(user, token)
    position = make_position(agent, token, signal=signal)
    trade = close_position(position, proceeds="1.25", sol_usd=None)
    answer = api.get(f"/agent-historical-swaps?agentId={agent.pk}")
    (shown,) = answer.json
    assert answer.headers["X-Total-Count"] == "1"
    assert shown == {
        "id": str(trade.pk),
        "agentId": str(agent.pk),
        "walletAddress": wallet_of(agent).address,
        "tokenAddress": token.mint,
        "tokenSymbol": "WIF",
        "amount": "1000",
        "purchasePrice": "0.001",
        "salePrice": "0.00125",
        "changePercent": "25",
        "profitLossUsd": None,
        "profitLossSol": "0.25",
        "purchaseTime": shown["purchaseTime"],
        "saleTime": shown["saleTime"],
        "purchaseTransactionId": str(position.purchase_transaction_id),
        "saleTransactionId": str(trade.sale_transaction_id),
        "signalId": str(signal.pk),
        "closeReason": "manual",
        "createdAt": shown["createdAt"],
    }
    assert api.get(f"/agent-historical-swaps/{trade.pk}").json == shown
    assert api.get(f"/agent-positions/{agent.pk}").json == []
    assert api_of(make_user()).get(f"/agent-historical-swaps/{trade.pk}").code == "AGENT_NOT_YOURS"


def test_closed_trades_are_filtered(api, agent):
    now = timezone.now()
    early = close_position(
        make_position(agent, make_token("AAA"), opened_at=now - timedelta(days=3)),
        proceeds="2",
        at=now - timedelta(days=2),
    )
    late = close_position(make_position(agent, make_token("BBB")), proceeds="0.5")

    def found(query):
        return [row["id"] for row in api.get(f"/agent-historical-swaps?agentId={agent.pk}&{query}").json]

    assert found("") == [str(late.pk), str(early.pk)]
    assert found("tokenSymbol=AAA") == [str(early.pk)]
    assert found(f"tokenAddress={late.mint}") == [str(late.pk)]
    assert found("minProfitLossUsd=0") == [str(early.pk)]
    assert found("maxProfitLossUsd=-1") == [str(late.pk)]
    assert found(f"saleTransactionId={late.sale_transaction_id}") == [str(late.pk)]
    cut = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found(f"startSaleTime={cut}") == [str(late.pk)]
    assert found(f"endPurchaseTime={cut}") == [str(early.pk)]
    assert found("walletAddress=other") == []


def test_performance_adds_up(api, agent):
    won, held = make_token(), make_token()
    close_position(make_position(agent, won, invested="1"), proceeds="1.5")
    close_position(make_position(agent, make_token(), invested="1"), proceeds="0.75")
    make_position(agent, held, invested="2", price="0.001")
    make_tick(held, "0.0015")
    figures = api.get(f"/agents/{agent.pk}/performance").json
    assert figures == {
        "portfolioBalanceSol": Decimal("11.25"),
        "totalProfitLossSol": Decimal("1.25"),
        "realizedProfitLossSol": Decimal("0.25"),
        "unrealizedProfitLossSol": 1,
        "averageReturn": Decimal("12.5"),
        "winRate": 50,
        "totalClosedTrades": 2,
        "totalOpenPositions": 1,
    }


def test_performance_of_a_day_counts_that_days_trades(api, agent):
    now = timezone.now()
    close_position(
        make_position(agent, make_token(), opened_at=now - timedelta(days=3)),
        proceeds="3",
        at=now - timedelta(hours=25),
    )
    close_position(make_position(agent, make_token()), proceeds="0.5")
    day = api.get(f"/agents/{agent.pk}/performance?timeframe=24h").json
    assert (day["totalClosedTrades"], day["realizedProfitLossSol"]) == (1, Decimal("-0.5"))
    assert api.get(f"/agents/{agent.pk}/performance?timeframe=all").json["totalClosedTrades"] == 2


def test_performance_of_an_agent_that_did_nothing_is_zero(api, user):
    figures = api.get(f"/agents/{make_agent(user, sol=None).pk}/performance").json
    assert set(figures.values()) == {0}


def test_a_wallet_of_somebody_else_only_filters(api, agent):
    foreign = wallet_of(make_agent())
    figures = api.get(f"/agents/{agent.pk}/performance?walletAddress={foreign.address}").json
    assert figures["portfolioBalanceSol"] == 0


def test_history_is_hourly_for_a_day_and_daily_before(api, agent):
    wallet, now = wallet_of(agent), datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for hours in (1, 2, 24, 26, 50):
        make_snapshot(wallet, portfolio=str(hours), hour=now - timedelta(hours=hours))
    BalanceSnapshot.objects.filter(portfolio_sol=1).update(estimated=True)
    path = f"/agents/{agent.pk}/balance-history?walletAddress={wallet.address}"
    day = api.get(f"{path}&timeframe=24h").json
    assert (day["agentId"], day["timeframe"]) == (str(agent.pk), "24h")
    assert [row["portfolioBalanceSol"] for row in day["snapshots"]] == ["24", "2", "1"]
    assert set(day["snapshots"][0]) == {
        "timestamp",
        "portfolioBalanceSol",
        "solBalance",
        "positionsValueSol",
        "unrealizedPnLSol",
        "estimated",
    }
    assert [row["estimated"] for row in day["snapshots"]] == [False, False, True]
    every = api.get(path).json["snapshots"]
    last_of_days = {}
    for row in BalanceSnapshot.objects.order_by("hour"):
        last_of_days[row.hour.date()] = row
    assert [row["timestamp"][:13] for row in every] == [
        row.hour.isoformat()[:13] for _, row in sorted(last_of_days.items())
    ]


def test_history_of_another_agents_wallet_is_not_found(api, agent):
    foreign = wallet_of(make_agent())
    answer = api.get(f"/agents/{agent.pk}/balance-history?walletAddress={foreign.address}")
    assert (answer.status, answer.code) == (404, "WALLET_NOT_FOUND")


def test_sol_usd_is_null_until_a_source_has_told_it(api, sol_at_150):
    assert api.get("/price-feeds/sol-usd").json["price"] == "150.00000000"


def test_unknown_sol_usd_is_null(api):
    answer = api.get("/price-feeds/sol-usd").json
    assert answer == {"price": None, "lastUpdated": None, "isStale": True, "source": "pyth"}


@pytest.mark.parametrize(
    ("provider", "configured"),
    [
        ({"api_key": "k", "plan": "free"}, True),
        ({"plan": "sandbox"}, True),
        ({"api_key": "", "plan": "keyless"}, False),
    ],
)
def test_sources_of_data_say_whether_they_are_configured(api, settings, provider, configured):
    settings.PROVIDERS = {"jupiter": provider}
    answer = api.get("/data-sources/status")
    assert answer.status == 200
    assert answer.json.pop("jupiter") == {"configured": configured}
    assert list(answer.json) == [
        "pythNetwork",
        "pythSolPriceFeed",
        "dexscreener",
        "liquidityChecks",
        "signalGeneration",
    ]
    assert all(source == {"configured": True} for source in answer.json.values())
