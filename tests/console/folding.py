"""A client of the feed that keeps what docs/live-feed.md tells it to keep, by the rules of that page."""

from __future__ import annotations

from collections import Counter
from typing import Any

SOL_MINT = "So11111111111111111111111111111111111111112"
EVENTS = ("signal_created", "executions", "signal_finished", "trade_closed", "alert", "wallet_reset")


class Folding:
    """What a client knows: a snapshot, and every message since."""

    def __init__(self) -> None:
        self.streams: dict[str, int] = {}
        self.positions: dict[str, dict[str, Any]] = {}
        self.prices: dict[str, dict[str, Any]] = {}
        self.sol_usd: float | None = None
        self.total = 0
        self.agents: dict[str, dict[str, Any]] | None = None
        self.trading_state: dict[str, Any] | None = None
        self.batches = 0
        self.snapshots = 0
        self.seen: Counter[str] = Counter()
        self.events: list[tuple[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        """Take one message of the server."""
        kind: str = message["type"]
        data: Any = message.get("data")
        if kind == "initial_data":
            self._begin(data)
        elif kind == "price_update_batch":
            assert data["sequence"] == self.batches + 1
            self.batches += 1
            for update in data["updates"]:
                self._take_price(update)
        elif "stream" in message:
            assert message["sequence"] == self.streams.get(message["stream"], 0) + 1, message
            self.streams[message["stream"]] = message["sequence"]
            self._take_change(kind, data)

    def _begin(self, data: dict[str, Any]) -> None:
        self.snapshots += 1
        self.streams = dict(data["streams"])
        self.positions = {position["id"]: position for position in data["positions"]}
        self.total = data["totalPositions"]
        self.sol_usd = data["solUsd"]
        for position in data["positions"]:
            if position["priceAt"] is not None:
                self._keep_price(
                    position["tokenAddress"], position["currentPrice"], position["priceSource"], position["priceAt"]
                )
        if "agents" in data:
            self.agents = {agent["id"]: agent for agent in data["agents"]}
            self.trading_state = data["tradingState"]

    def _take_price(self, update: dict[str, Any]) -> None:
        assert update["tokenAddress"] == update["mint"].lower()
        assert update["low"] <= update["price"] <= update["high"]
        self._keep_price(update["mint"], update["price"], update["source"], update["timestamp"])
        if update["mint"] == SOL_MINT:
            self.sol_usd = update["priceUsd"]
        for position in self.positions.values():
            if position["tokenAddress"] != update["mint"] or update["tick"] is None:
                continue
            if update["tick"] > position["peakFromTick"]:
                position["peakPrice"] = max(position["peakPrice"], update["high"])
                lowest = position["lowestPrice"]
                if update["low"] < (position["purchasePrice"] if lowest is None else lowest):
                    position["lowestPrice"] = update["low"]

    def _keep_price(self, mint: str, price: float, source: str, at: str) -> None:
        known = self.prices.get(mint)
        if known is None or known["at"] <= at:
            self.prices[mint] = {"price": price, "source": source, "at": at}

    def _take_change(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "position_update":
            self._take_position(data)
        elif kind in ("agent_created", "agent_updated"):
            assert self.agents is not None
            self.seen[kind] += 1
            known = self.agents.setdefault(data["agentId"], {"id": data["agentId"], "tradingState": ACTIVE})
            known |= {name: value for name, value in data.items() if name != "agentId"}
            self.streams.setdefault(f"agent:{data['agentId']}", 0)
        elif kind == "agent_archived":
            assert self.agents is not None
            self.seen[kind] += 1
            del self.agents[data["agentId"]]
        elif kind == "trading_state":
            self.seen[kind] += 1
            state = {name: value for name, value in data.items() if name != "agentId"}
            if data["agentId"] is None:
                self.trading_state = state
            elif self.agents is not None:
                self.agents[data["agentId"]]["tradingState"] = state
        else:
            assert kind in EVENTS, kind
            self.seen[kind] += 1
            self.events.append((kind, data))

    def _take_position(self, data: dict[str, Any]) -> None:
        if data["eventType"] == "position_closed":
            self.seen["closed"] += 1
            del self.positions[data["positionId"]]
            self.total -= 1
            return
        after = data["position"]
        before = self.positions.get(after["id"])
        assert (before is None) == (data["eventType"] == "position_created")
        self.total += before is None
        self.seen["opened" if before is None else what_changed(before, after)] += 1
        self.positions[after["id"]] = after

    def state(self) -> dict[str, Any]:
        """Return what a snapshot would say now."""
        told: dict[str, Any] = {
            "positions": {key: self._valued(position) for key, position in self.positions.items()},
            "totalPositions": self.total,
            "solUsd": self.sol_usd,
            "streams": self.streams,
        }
        if self.agents is not None:
            told |= {"agents": self.agents, "tradingState": self.trading_state}
        return told

    def _valued(self, position: dict[str, Any]) -> dict[str, Any]:
        told = self.prices.get(position["tokenAddress"])
        marked = told is not None and told["at"] > position["lastFillTime"]
        price = told["price"] if told is not None and marked else position["lastFillPrice"]
        average, value = position["purchasePrice"], price * position["remainingAmount"]
        profit = value - position["remainingCostSol"] + position["realizedProfitSol"]
        return position | {
            "currentPrice": price,
            "currentPriceUsd": self._usd(price),
            "purchasePriceUsd": self._usd(average),
            "positionValueSol": value,
            "positionValueUsd": self._usd(value),
            "profitLossSol": profit,
            "profitLossUsd": self._usd(profit),
            "profitLossPercent": profit / position["totalInvestedSol"] * 100,
            "priceChangePercent": (price - average) / average * 100,
            "priceAt": told["at"] if told is not None and marked else None,
            "priceSource": told["source"] if told is not None and marked else None,
        }

    def _usd(self, amount_sol: float) -> float | None:
        return None if self.sol_usd is None else amount_sol * self.sol_usd


ACTIVE = {"state": "active", "exitsEnabled": True, "reason": ""}


def what_changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Name what a `position_updated` tells: a stop that is worked out again, to where it is already, nothing new."""
    if after["moonBagActivated"] and not before["moonBagActivated"]:
        return "moon bag"
    if after["takeProfitLevelsHit"] > before["takeProfitLevelsHit"]:
        assert after["remainingAmount"] < before["remainingAmount"]
        return "took profit"
    if after["dcaCount"] > before["dcaCount"]:
        assert after["remainingAmount"] > before["remainingAmount"]
        assert after["peakFromTick"] > before["peakFromTick"]
        return "added to"
    news = {name: (before[name], value) for name, value in after.items() if before[name] != value}
    if not news:
        return "repeated"
    assert "currentStopLossPercentage" in news, news
    assert after["currentStopLossPercentage"] > before["currentStopLossPercentage"]
    return "stop rose"
