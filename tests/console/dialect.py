"""The dialect's objects as contract/api.md lists them, and a client that holds every answer against them.

A shape names the fields the contract names, with the JSON type it gives each; further fields are welcome.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.console.web_process import WebProcess

Check = Callable[[Any], bool]
API = "/api/v1"
_DECIMAL = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def text(value: Any) -> bool:
    return isinstance(value, str)


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def num(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def strdec(value: Any) -> bool:
    return isinstance(value, str) and _DECIMAL.fullmatch(value) is not None


def ts(value: Any) -> bool:
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def uuid(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


def anything(_value: Any) -> bool:
    return True


def null_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def one_of(*words: Any) -> Check:
    return lambda value: value in words


def list_of(shape: Any) -> Check:
    return lambda value: isinstance(value, list) and all(not faults(shape, item) for item in value)


def faults(shape: Any, value: Any, where: str = "") -> list[str]:
    """Return where a value is not as its shape says; a key that ends in `?` may be absent."""
    if callable(shape):
        return [] if shape(value) else [f"{where or 'answer'}: {value!r}"]
    if not isinstance(value, dict):
        return [f"{where or 'answer'} is no object: {value!r}"]
    found = []
    for name, inner in shape.items():
        key, place = name.rstrip("?"), f"{where}.{name}".lstrip(".")
        if key not in value:
            found += [] if name.endswith("?") else [f"{place} is missing"]
        else:
            found += faults(inner, value[key], place)
    return found


USER = {"id": uuid, "email": text, "createdAt": ts}
AGENT = {
    "id": uuid,
    "userId": uuid,
    "name": text,
    "tradingMode": one_of("simulation", "live"),
    "automatedTradingSimulation": flag,
    "automatedTradingLive": flag,
    "createdAt": ts,
    "updatedAt": ts,
}
PERFORMANCE = dict.fromkeys(
    (
        "portfolioBalanceSol",
        "totalProfitLossSol",
        "realizedProfitLossSol",
        "unrealizedProfitLossSol",
        "averageReturn",
        "winRate",
        "totalClosedTrades",
        "totalOpenPositions",
    ),
    num,
)
SNAPSHOT = {
    "timestamp": ts,
    **dict.fromkeys(("portfolioBalanceSol", "solBalance", "positionsValueSol", "unrealizedPnLSol"), strdec),
}
BALANCE_HISTORY = {"agentId": uuid, "timeframe": one_of("24h", "all"), "snapshots": list_of(SNAPSHOT)}
BALANCE = {
    "id": uuid,
    "agentId": uuid,
    "walletAddress": text,
    "tokenAddress": text,
    "tokenSymbol": text,
    "balance": strdec,
    "lastUpdated": ts,
    "priceSol?": num,
}
POSITION = {
    "id": uuid,
    "agentId": uuid,
    "walletAddress": text,
    "tokenAddress": text,
    "tokenSymbol": text,
    "purchase": {
        "priceNative": num,
        "priceUsd": null_or(num),  # null while SOL/USD is unknown (section 10, rule 30), as all dollars below
        "amount": num,
        "transaction": {"id": uuid, "hash": null_or(text), "time": ts},
    },
    "current": {"priceNative": num, "priceUsd": null_or(num), "valueNative": num, "valueUsd": null_or(num)},
    "profitLoss": {"native": num, "usd": null_or(num), "percent": num, "priceChangePercent": num},
    "stopLoss": {"percentage": num, "peakPrice": num},
    "takeProfit": {
        "levelsHit": integer,
        "totalLevels": null_or(integer),
        "tpBatchStartLevel": integer,
        "remainingAmount": num,
        "originalAmount": num,
        "soldPercent": num,
        "moonBagActivated": flag,
        "moonBagAmount": null_or(num),
        "lastTakeProfitTime": null_or(ts),
        "transactionIds": list_of(uuid),
    },
    "dca": {"count": integer, "totalInvestedSol": num, "lastDcaTime": null_or(ts)},
    "createdAt": ts,
    "updatedAt": ts,
}
TAKE_PROFIT_SUMMARY = {
    "totalPositions": integer,
    "positionsWithTakeProfitHit": integer,
    "activeMoonBags": integer,
    "totalLevelsHit": integer,
}
CLOSED = {
    "success": one_of(True),
    "transactionId": uuid,
    "historicalSwapId": uuid,
    "positionId": uuid,
    **dict.fromkeys(("inputAmount", "outputAmount", "salePrice", "profitLossSol", "changePercent"), num),
    "profitLossUsd": null_or(num),
    "transactionHash": null_or(text),
}
BOUGHT = {
    "success": one_of(True),
    "transactionId": uuid,
    "positionId": null_or(uuid),
    "inputAmount": num,
    "outputAmount": num,
    "purchasePrice": num,
    "transactionHash": null_or(text),
    "stopLossInitialized": flag,
    "stopLossPercentage?": num,
    "signalId?": integer,
}
_AMOUNTS = ("inputAmount", "inputPrice", "outputAmount", "outputPrice", "slippage", "priceImpact", "fees")
TRANSACTION = {
    "id": uuid,
    "agentId": uuid,
    "walletAddress": null_or(text),
    "transactionType": one_of("DEPOSIT", "SWAP", "BURN"),
    "transactionValueUsd": null_or(strdec),
    "transactionTime": ts,
    "destinationAddress": null_or(text),
    "signalId": null_or(integer),
    "routes": anything,
    **dict.fromkeys(("inputMint", "inputSymbol", "outputMint", "outputSymbol", "transactionHash"), null_or(text)),
    **dict.fromkeys((*_AMOUNTS, "protocolFeeSol", "networkFeeSol"), null_or(strdec)),
    "isDca": flag,
    "isTakeProfit": flag,
    "createdAt": ts,
    "updatedAt": ts,
}
SWAP = {
    "id": uuid,
    "agentId": uuid,
    "walletAddress": null_or(text),
    "tokenAddress": text,
    "tokenSymbol": text,
    **dict.fromkeys(("amount", "purchasePrice", "salePrice", "changePercent", "profitLossSol"), strdec),
    "profitLossUsd": null_or(strdec),
    "purchaseTime": ts,
    "saleTime": ts,
    "purchaseTransactionId": null_or(uuid),
    "saleTransactionId": null_or(uuid),
    "signalId": null_or(text),
    "closeReason": one_of("manual", "stop_loss", "stale_trade", "take_profit", None),
    "createdAt": ts,
}
SIGNAL = {
    "id": integer,
    "createdAt": ts,
    "updatedAt": ts,
    "tokenAddress": text,
    "symbol": null_or(text),
    "signalType": text,
    "activationReason": null_or(text),
    "signalStrength": one_of(1, 2, 3, 4, 5),
    "source": null_or(text),
}
AGENT_WALLET = {
    "walletAddress": text,
    "walletType": one_of("simulation", "live"),
    "isAvailable": flag,
    "createdAt": ts,
    "updatedAt": ts,
}
WALLETS = {
    "agentWallets": list_of(AGENT_WALLET),
    "availableWallets": list_of({"walletAddress": text, "isAssigned": flag}),
}
ASSIGNED = {
    "success": one_of(True),
    "walletAddress": text,
    "walletType": one_of("simulation", "live"),
    "network": text,  # section 10, rule 16
    "message": text,
}
RESET = {
    "success": one_of(True),
    "message": text,
    "walletAddress": text,
    "deleted": dict.fromkeys(("positions", "historicalSwaps", "balances", "transactions", "balanceSnapshots"), integer),
    "duration": integer,
}
DONE = {"success": one_of(True), "message": text}
ERROR = {"error": text, "code": text}
KEY = {"id": uuid, "name": text, "prefix": text, "scopes": list_of(text), "createdAt": ts}
NEW_KEY = {**KEY, "key": lambda value: re.fullmatch(r"nex_[A-Za-z0-9_-]{32}", value) is not None}
SOL_USD = {"price": null_or(strdec), "lastUpdated": null_or(ts), "isStale": flag, "source": one_of("pyth")}
_SOURCE_NAMES = ("pythNetwork", "pythSolPriceFeed", "jupiter", "dexscreener", "liquidityChecks", "signalGeneration")
SOURCES = {name: {"configured": flag} for name in _SOURCE_NAMES}
_SERVICE = {"status": text, "latency?": num}
HEALTH = {
    "status": one_of("healthy", "degraded", "unhealthy"),
    "timestamp": ts,
    "uptime": integer,
    "services": {"database": _SERVICE, "redis": _SERVICE, "queue": {**_SERVICE, "workerCount?": integer}},
}
#: What an agent's configuration is until somebody changes it (section 1.3).
DEFAULT_CONFIG: dict[str, Any] = {
    "purchaseLimits": {"minimumAgentBalance": 0.5, "maxPurchasePerToken": 2.0, "maxPriceImpact": 0.05},
    "signals": {"minScore": 1, "allowedSignalTypes": [], "tokenFilterMode": "none", "tokenList": []},
    "stopLoss": {"enabled": True, "defaultPercentage": -32, "mode": "fixed", "trailingLevels": []},
    "positionCalculator": {
        "solBalanceThresholds": {"minimum": 0.2, "medium": 5, "large": 10},
        "positionSizes": {
            "small": {"min": 0.1, "max": 0.1},
            "medium": {"min": 0.5, "max": 1.0},
            "large": {"min": 1.5, "max": 2.0},
        },
        "randomization": {"enabled": True},
    },
    "staleTrade": {"enabled": True, "minHoldTimeMinutes": 60, "minProfitPercent": 1, "maxProfitPercent": 10},
    "dca": {"enabled": False, "mode": "moderate", "levels": [], "maxDCACount": 3, "cooldownSeconds": 30},
    "takeProfit": {
        "enabled": False,
        "mode": "moderate",
        "levels": [
            {"targetPercent": 50, "sellPercent": 25},
            {"targetPercent": 150, "sellPercent": 25},
            {"targetPercent": 300, "sellPercent": 25},
            {"targetPercent": 400, "sellPercent": 15},
        ],
        "moonBag": {"enabled": True, "triggerPercent": 300, "retainPercent": 10},
    },
}


class Client:
    """Speaks to a running web process as a client of the dialect does; remembers its token."""

    def __init__(self, web: WebProcess) -> None:
        self.web = web
        self.token = ""

    def call(self, method: str, path: str, body: Any = None, *, expect: int, shape: Any = None, **headers: str) -> Any:
        """Return the answer's JSON (text where it is none), once its status and shape were found right."""
        sent = {"Content-Type": "application/json", **headers}
        if self.token and not headers:
            sent["Authorization"] = f"Bearer {self.token}"
        raw = None if body is None else json.dumps(body).encode()
        status, content = self.web.request(method, f"{API}{path}", raw, sent)
        assert status == expect, f"{method} {path}: {status} {content[:500]!r}"
        if content[:1] not in (b"{", b"["):
            return content.decode()
        answer = json.loads(content)
        wanted = ERROR if shape is None and status >= 400 else shape
        found = [] if wanted is None else faults(wanted, answer)
        assert found == [], f"{method} {path}: {found}"
        return answer

    def get(self, path: str, shape: Any = None, *, expect: int = 200, **headers: str) -> Any:
        return self.call("GET", path, expect=expect, shape=shape, **headers)

    def post(self, path: str, body: Any = None, shape: Any = None, *, expect: int = 200, **headers: str) -> Any:
        return self.call("POST", path, body, expect=expect, shape=shape, **headers)

    def put(self, path: str, body: Any, shape: Any = None, *, expect: int = 200) -> Any:
        return self.call("PUT", path, body, expect=expect, shape=shape)

    def patch(self, path: str, body: Any, shape: Any = None, *, expect: int = 200) -> Any:
        return self.call("PATCH", path, body, expect=expect, shape=shape)

    def delete(self, path: str, shape: Any = None, *, expect: int = 200, **headers: str) -> Any:
        return self.call("DELETE", path, expect=expect, shape=shape, **headers)

    def sign_in(self, email: str, password: str) -> Any:
        signed_in = {"accessToken": text, "refreshToken": text, "user": USER}
        answer = self.post("/auth/login", {"email": email, "password": password}, signed_in)
        self.token = answer["accessToken"]
        return answer
