"""What a client knows from an old snapshot and the deltas after it is what a new snapshot says, whatever was booked.

Real bookings on the sandbox market: buys, stops that rise, take profit, DCA, closes of every reason, a wallet's reset.
The client here does what `static/desk` does: it keeps positions by id, counts each stream, and values at the mark.
"""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from apps.console import feed
from apps.console.clients import Scope
from apps.core.models import OutboxMessage
from apps.core.money import quantize_sol
from apps.trading.errors import EntryRefused
from apps.trading.models import ClosedTrade, CloseReason, Position
from apps.trading.selectors import positions
from apps.trading.services import exit_runner, exits, hand_buys, wallet_reset
from apps.trading.services.watch import ShardWatch
from tests import factories
from tests.prices import world
from tests.trading.closing import differences

pytestmark = pytest.mark.django_db(transaction=True)

# What follows from a price and is no part of a delta; peaks and lows move with prices, a client moves them by itself.
FROM_PRICES = {
    "currentPrice",
    "currentPriceUsd",
    "purchasePriceUsd",
    "positionValueSol",
    "positionValueUsd",
    "profitLossSol",
    "profitLossUsd",
    "profitLossPercent",
    "priceChangePercent",
    "priceAt",
    "priceSource",
    "peakPrice",
    "lowestPrice",
}
CONFIG: dict[str, Any] = {
    "purchaseLimits": {"minimumAgentBalance": 0.1, "maxPurchasePerToken": 2, "maxPriceImpact": 0.5},
    "stopLoss": {"enabled": True, "mode": "zones", "defaultPercentage": -20},
    "staleTrade": {"enabled": False},
    "takeProfit": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"targetPercent": target, "sellPercent": 25} for target in (10, 25, 45)],
        "moonBag": {"enabled": True, "triggerPercent": 40, "retainPercent": 10},
    },
    "dca": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"dropPercent": -8, "buyPercent": 40}, {"dropPercent": -12, "buyPercent": 40}],
        "maxDCACount": 2,
        "cooldownSeconds": 10,
    },
}


class Follower:
    """A client of an agent's stream: one snapshot, then nothing but deltas."""

    def __init__(self, agent) -> None:
        self.scope = Scope(agent_id=agent.pk)
        snapshot = feed.snapshot(self.scope)
        ((self.stream, self.sequence),) = snapshot.sequences.items()
        self.positions = {position["id"]: position for position in snapshot.data["positions"]}
        self.seen: Counter[str] = Counter()

    def follow(self) -> None:
        """Take every message since the last one, as numbered."""
        for message in OutboxMessage.objects.filter(stream=self.stream, sequence__gt=self.sequence).order_by("id"):
            assert message.sequence == self.sequence + 1
            self.sequence = message.sequence
            assert message.kind == "position_update"
            self._take(message.payload)

    def _take(self, delta: dict[str, Any]) -> None:
        if delta["eventType"] == "position_closed":
            self.seen["closed"] += 1
            del self.positions[delta["positionId"]]
            return
        after = delta["position"]
        before = self.positions.get(after["id"])
        assert (before is None) == (delta["eventType"] == "position_created")
        self.seen["opened" if before is None else _what_changed(before, after)] += 1
        self.positions[after["id"]] = after


def _what_changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    if after["takeProfitLevelsHit"] > before["takeProfitLevelsHit"]:
        assert after["remainingAmount"] < before["remainingAmount"]
        return "took profit"
    if after["dcaCount"] > before["dcaCount"]:
        assert after["remainingAmount"] > before["remainingAmount"]
        return "added to"
    assert after["currentStopLossPercentage"] > before["currentStopLossPercentage"]
    return "stop rose"


def kept(known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: {name: v for name, v in row.items() if name not in FROM_PRICES} for key, row in known.items()}


def check(follower: Follower, agent) -> None:
    """Compare what the follower knows with a new snapshot, and its own arithmetic with the server's and the API's."""
    follower.follow()
    fresh = feed.snapshot(follower.scope)
    now = {position["id"]: position for position in fresh.data["positions"]}
    assert fresh.sequences == {follower.stream: follower.sequence}
    assert kept(follower.positions) == kept(now)
    listed = {str(view.position.pk): view for view in positions.list_open(agent=agent)}
    assert listed.keys() == now.keys()
    for key, told in now.items():
        own = follower.positions[key]
        mark = own["lastFillPrice"] if told["priceAt"] is None else told["currentPrice"]
        worth = mark * own["remainingAmount"]
        profit = worth - own["remainingCostSol"] + own["realizedProfitSol"]
        assert told["positionValueSol"] == pytest.approx(worth, rel=1e-9)
        assert told["profitLossSol"] == pytest.approx(profit, rel=1e-9, abs=1e-9)
        assert float(listed[key].profit_sol) == pytest.approx(profit, abs=2e-9)
        assert listed[key].profit_sol == quantize_sol(listed[key].worth.profit_sol)
        assert told["takeProfitTransactionIds"] == [str(fill) for fill in listed[key].take_profit_transaction_ids]
        assert len(told["dcaTransactionIds"]) == told["dcaCount"]


class Trader:
    """An agent on the sandbox market, and what may happen to it."""

    def __init__(self, market, watch: ShardWatch) -> None:
        self.market, self.watch = market, watch
        self.agent = factories.make_agent(sol="60", config=CONFIG)
        self.tokens = market.add_tokens(4, liquidity_sol=200_000)

    def buy(self, token) -> None:
        try:
            hand_buys.buy_by_hand(
                agent=self.agent, token_address=token.mint, actor=None, position_size_sol=Decimal("0.5")
            )
        except EntryRefused as refused:
            assert refused.code in ("POSITION_EXISTS", "VIOLATES_MINIMUM_BALANCE")

    def holds(self, token) -> bool:
        return Position.objects.filter(agent=self.agent, mint=token.mint, closed_at=None).exists()

    def move(self, token, factor: str) -> None:
        """Move a token's price, let the watch see it, and do what fired."""
        self.market.set_price(token.mint, self.market.price_of(token.mint) * Decimal(factor))
        self.watch.tick()
        exit_runner.run_due()

    def close(self, token) -> None:
        position = Position.objects.filter(agent=self.agent, mint=token.mint, closed_at=None).first()
        if position is not None:
            exits.close_position(position=position, reason=CloseReason.MANUAL, actor=None)

    def reset(self) -> None:
        wallet = factories.wallet_of(self.agent)
        wallet_reset.reset_wallet(wallet=wallet, actor=None)
        wallet.refresh_from_db()
        factories.fund(wallet, "60")


@pytest.fixture
def trader(market):
    world.forget()
    watch = ShardWatch(0, shards=1)
    yield Trader(market, watch)
    watch.close()
    exit_runner.stop()
    world.forget()


def test_every_way_a_position_changes_is_told_so_that_deltas_lead_to_the_new_snapshot(trader):
    """One of everything, looked at after each step by a client that was there from the start."""
    follower = Follower(trader.agent)
    up, down, by_hand, left = trader.tokens
    steps = [
        *(lambda token=token: trader.buy(token) for token in trader.tokens),
        lambda: trader.move(up, "1.12"),
        lambda: trader.move(up, "1.15"),
        lambda: trader.move(down, "0.91"),
        lambda: trader.move(up, "1.25"),
        lambda: trader.move(down, "0.74"),
        lambda: trader.move(by_hand, "1.12"),
        lambda: trader.close(by_hand),
        lambda: trader.buy(by_hand),
        trader.reset,
        lambda: trader.buy(left),
    ]
    for step in steps:
        step()
        check(follower, trader.agent)
    assert follower.seen.keys() == {"opened", "stop rose", "took profit", "added to", "closed"}
    assert set(ClosedTrade.objects.values_list("close_reason", flat=True)) == {"stop_loss", "manual"}
    assert Position.objects.filter(close_reason="reset").count() >= 1
    assert differences() == []


@pytest.mark.parametrize("seed", range(2))
def test_deltas_lead_to_the_new_snapshot_whatever_happens_in_whatever_order(trader, seed):
    dice = random.Random(seed)
    followers = [Follower(trader.agent)]
    for step in range(40):
        token, chance = dice.choice(trader.tokens), dice.random()
        if chance < 0.02:
            trader.reset()
        elif chance < 0.1:
            trader.close(token)
        elif not trader.holds(token):
            trader.buy(token)
        else:
            trader.move(token, dice.choice(("0.8", "0.9", "0.95", "1.06", "1.15", "1.3")))
        if step % 10 == 9:  # another client joins in the middle
            followers.append(Follower(trader.agent))
        for follower in followers:
            check(follower, trader.agent)
    assert sum(followers[0].seen.values()) > 15
    assert differences() == []
