"""How far integers may put a figure beside one that was recorded in doubles, and how that is known (W3, W33).

A recorded run multiplies doubles, and keeps fractions of a base unit in a position and of a lamport in a balance. Here
every amount is a whole number of either. What was asked for shows where the two part; the rest follows from it.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from apps.core.money import LAMPORTS_PER_SOL, MONEY
from apps.trading.domain.fills import BUY
from apps.trading.vector_checks.compare import Units
from apps.trading.vector_checks.recorded import Recorded
from apps.trading.vector_checks.stops import EIGHT_PLACES

_HUNDRED = Decimal(100)
_LAMPORT = Decimal(1) / LAMPORTS_PER_SOL
#: Recorded prices are kept to eighteen places.
_EIGHTEEN_PLACES = Decimal("1e-18")
#: A part is known to this factor, doubles' own noise in it.
_ABOUT = Decimal("1.001")
#: A DCA spends at most this many times what is held.
_LARGEST_DCA = 5

_TOKENS = (
    "openedTokens",
    "purchaseAmount",
    "remainingAmount",
    "moonBagAmount",
    "TOK",
    "tokensSold",
    "tokensAcquired",
    "newTotalAmount",
    "newRemainingAmount",
    "amount",
)
_SOL = ("SOL", "totalInvestedSol", "realizedProfitSol", "profitLossSol", "solReceived", "solSpent")
_FEES = frozenset({"protocolFeeSol", "networkFeeSol"})
_USD = ("profitLossUsd", "transactionValueUsd")
_STORED_PRICES = ("purchasePrice", "lowestPrice")
_STOPS = ("currentStopLossPercentage", "stopLossPercentage")
_PRICES = frozenset(
    {"purchasePrice", "salePrice", "peakPrice", "lowestPrice", "inputPrice", "outputPrice", "newAveragePrice"}
)


class Roundings:
    """The roundings of one case so far: base units and lamports put beside, and the largest part that is of a fill."""

    def __init__(self, record: Recorded) -> None:
        self._record = record
        self._units = 0
        self._lamports = 0
        self._part = Decimal(0)
        self._top = self._average = self._invested_sol = self._bought_tokens = Decimal(0)

    def follow(self, price: Decimal | None) -> None:
        """Note a step: its price, and what the position has come to."""
        record = self._record
        self._top = max(self._top, price or Decimal(0), record.average)
        if record.invested_lamports:
            self._average, self._invested_sol = record.average, record.invested_sol
            self._bought_tokens = record.bought_tokens

    def asked(self, theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
        """Tell whether what was asked for is what was recorded, put beside by rounding."""
        off = abs(ours["amount"] - theirs["amount"])
        buys = ours["side"] == BUY
        if theirs["side"] != ours["side"] or not 0 < off <= self._most(ours["amount"], buys=buys):
            return False
        self._lamports += off if buys else 0
        self._units += 0 if buys else off
        self._part += _ABOUT * off / min(ours["amount"], theirs["amount"])
        return True

    def units(self) -> Units:
        """Return how figures are compared: a base unit and a lamport per fill, and what follows from the roundings."""
        with localcontext(MONEY):
            tokens = (self._record.fills + self._units) * self._unit + self._part * self._bought_tokens
            sol = (self._record.fills + self._lamports) * _LAMPORT + self._units * self._unit * self._top
            sol += self._part * self._top * self._bought_tokens
            change = self._part * _HUNDRED * self._top / self._average if self._average else Decimal(0)
            profit = sol / self._invested_sol * _HUNDRED if self._invested_sol else Decimal(0)
            sale = sol / self._bought_tokens if self._bought_tokens else Decimal(0)
            usd = sol * (self._record.sol_usd or 0)
        return Units(
            sol=_FEES,
            price=_PRICES,
            price_part=self._part,
            slack={
                **dict.fromkeys(_TOKENS, tokens),
                **dict.fromkeys(_SOL, sol),
                **dict.fromkeys(_USD, usd),
                **dict.fromkeys(_STORED_PRICES, _EIGHTEEN_PLACES + self._part * self._top),
                **dict.fromkeys(_STOPS, EIGHT_PLACES + change),
                "changePercent": profit + change,
                "salePrice": sale,
            },
        )

    @property
    def _unit(self) -> Decimal:
        return Decimal(1).scaleb(-self._record.decimals)

    def _most(self, amount: int, *, buys: bool) -> int:
        """Return what an amount may be beside: one by doubles, and what roundings so far have left in the position."""
        left = self._record.sales + self._units
        if buys:
            worth = (left * self._unit + self._part * self._bought_tokens) * self._top * LAMPORTS_PER_SOL
            return 1 + int(worth * _LARGEST_DCA)
        return 1 + left + int(self._part * amount)
