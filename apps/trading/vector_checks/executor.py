"""Adapter for executor_simulation: each step of a case done on paper, and what stands afterwards.

Errors are named as the recorded engine named them: it had one code for whatever failed after the rules had agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from apps.agents.domain import merge, reading, trading_config
from apps.agents.domain.model import TakeProfitLevel
from apps.core.errors import SoldeskError
from apps.core.money import SOL_MINT, lamports_to_sol
from apps.trading.domain.fills import BUY, Quote
from apps.trading.domain.pnl import price_change
from apps.trading.domain.take_profit import TRIGGERED, TakeProfitDecision
from apps.trading.vector_checks.paper import TOKEN_MINT, Closed, NoQuote, Paper, Refused, Trade
from apps.trading.vector_checks.restated import Restated, position_run
from apps.trading.vector_checks.values import number, optional_number

_NO_RANDOM: dict[str, Any] = {"positionCalculator": {"randomization": {"enabled": False}}}
_OWN_AGENT = "a1"
_INTERNALS = frozenset({"idempotencyKeys", "events"})
#: What the recorded aggregator answers with every quote.
_SLIPPAGE_BPS = 50
#: Its code for what failed after the rules had agreed, where it is not the common one.
_FAILED = {"dca": "DCA_EXECUTION_FAILED", "takeProfit": "TAKE_PROFIT_EXECUTION_FAILED"}


def executor_simulation(given: dict[str, Any]) -> dict[str, Any]:
    paper = open_paper(given)
    return {"steps": [_Step(paper, step).outcome() for step in given["steps"]]}


def restate(given: dict[str, Any], expected: dict[str, Any], actual: dict[str, Any]) -> Restated:
    """Return the expectation in the terms of the decisions; what names the recorded engine's internals is left out."""
    steps = [
        {name: value for name, value in step.items() if name not in _INTERNALS}
        | {"balances": exact_balances(step["balances"])}
        for step in expected["steps"]
    ]
    return position_run(given, given["steps"], expected | {"steps": steps}, actual)


def exact_balances(recorded: dict[str, str]) -> dict[str, Decimal]:
    """Return recorded balances as numbers; a token of which nothing is left is not named."""
    amounts = {name: number(amount) for name, amount in recorded.items()}
    return {name: amount for name, amount in amounts.items() if name == "SOL" or amount}


def open_paper(given: dict[str, Any]) -> Paper:
    """Return the wallet a case starts from."""
    document = merge.merge(merge.merge(trading_config.DEFAULTS, _NO_RANDOM), given["config"])
    return Paper(
        config=reading.trading_config(document),
        token_decimals=given["decimals"],
        balance_sol=number(given["solBalance"]),
        sol_usd=optional_number(given.get("solPriceUsd")),
    )


class _Step:
    """One step of a case: the answers the market has for it, and what came of it."""

    def __init__(self, paper: Paper, step: dict[str, Any]) -> None:
        self._paper = paper
        self._step = step
        self._answers: Iterator[dict[str, Any]] = iter(step.get("quotes", ()))
        self._impact: Decimal | None = None
        self._asked_before = len(paper.asked)
        self._closed_before = len(paper.closed)

    def outcome(self) -> dict[str, Any]:
        op = self._step["op"]
        self._paper.wait(number(self._step.get("advanceSeconds", 0)))
        outcome: dict[str, Any] = {"op": op}
        try:
            result = _OPERATIONS[op](self)
            if result is not None:
                outcome["result"] = result
        except Refused as refused:
            outcome["error"] = _FAILED[op] if op == "takeProfit" else refused.code
        except SoldeskError:
            outcome["error"] = _FAILED.get(op, "EXECUTION_FAILED")
        return {**outcome, **self._standing(failed="error" in outcome)}

    def _standing(self, *, failed: bool) -> dict[str, Any]:
        paper = self._paper
        asked = paper.asked[self._asked_before :]
        closed = paper.closed[self._closed_before :]
        standing: dict[str, Any] = {
            "quotedAmounts": [{"side": side, "amount": amount} for side, amount in asked],
            "balances": balances(paper),
            "position": position(paper),
        }
        if asked and not failed:
            standing["transaction"] = _transaction(paper.trades[-1])
        if closed:
            standing["closedTrades"] = [closed_trade(item) for item in closed]
        return standing

    def market(self, side: str, amount: int) -> Quote:
        """Answer with the next quote of the step. Impacts are recorded without a sense: each is read as a loss."""
        answer = next(self._answers, None)
        if answer is None:
            raise NoQuote
        self._impact = optional_number(answer.get("priceImpact"))
        return Quote(
            *((SOL_MINT, TOKEN_MINT) if side == BUY else (TOKEN_MINT, SOL_MINT)),
            in_amount=amount,
            out_amount=int(number(answer["outputAmount"])),
            price_impact=abs(self._impact or Decimal(0)),
            slippage_bps=_SLIPPAGE_BPS,
            payload=answer.get("payload", {}) | ({} if self._impact is None else {"priceImpact": self._impact}),
        )

    def buy(self) -> dict[str, Any]:
        fill = self._paper.buy(optional_number(self._step.get("positionSize")), self.market).fill
        return {
            "inputAmount": lamports_to_sol(fill.swap_lamports),
            "outputAmount": fill.token_amount,
            "purchasePrice": fill.price_sol,
            "hasPosition": self._paper.books is not None,
            "stopLossInitialized": self._paper.books is not None,
            "stopLossPercentage": self._paper.stop_percent,
        }

    def sell(self) -> dict[str, Any]:
        if self._paper.books is not None and self._step.get("agentId", _OWN_AGENT) != _OWN_AGENT:
            raise Refused("POSITION_MISMATCH")
        trade = self._paper.sell(self._step.get("reason"), self.market)
        return {
            "inputAmount": trade.fill.token_amount,
            "outputAmount": lamports_to_sol(trade.fill.swap_lamports),
            "salePrice": trade.fill.price_sol,
            **_earned(trade),
        }

    def dca(self) -> dict[str, Any]:
        fill = self._paper.add(number(self._step["buyAmountSol"]), self.market).fill
        books = self._paper.books
        assert books is not None  # noqa: S101 - it was just added to
        return {
            "tokensAcquired": fill.token_amount,
            "solSpent": lamports_to_sol(fill.swap_lamports),
            "newAveragePrice": books.average_price,
            "newTotalAmount": books.tokens(books.bought_units),
            "newDcaCount": books.dca_count,
        }

    def take_profit(self) -> dict[str, Any]:
        """Book a take profit whose figures the case gives: what was decided is not this topic's matter."""
        step = self._step
        trade = self._paper.take_profit(
            TakeProfitDecision(
                allowed=True,
                code=TRIGGERED,
                remaining_tokens=number(step["newRemainingAmount"]),
                levels=(TakeProfitLevel(Decimal(0), Decimal(0)),) * step["levelsExecuted"],
                sell_tokens=number(step["sellAmount"]),
                activates_moon_bag=step.get("activateMoonBag", False),
                moon_bag_tokens=number(step.get("moonBagAmount", 0)),
            ),
            self.market,
        )
        sold = trade.sold
        assert sold is not None  # noqa: S101 - a sale
        profit = lamports_to_sol(sold.profit_lamports)
        change = price_change(sold.books.average_price, trade.fill.price_sol)
        usd = self._paper.sol_usd
        return {
            "tokensSold": trade.fill.token_amount,
            "solReceived": lamports_to_sol(trade.fill.swap_lamports),
            "salePrice": trade.fill.price_sol,
            "profitLossSol": profit,
            "profitLossUsd": None if usd is None else profit * usd,
            "changePercent": change if trade.ended is None else trade.ended.change_percent,
            "newRemainingAmount": sold.books.tokens(sold.books.remaining_units),
            "newLevelsHit": sold.books.levels_hit,
            "positionClosed": trade.ended is not None,
        }

    def tick(self) -> None:
        price, automated = number(self._step["price"]), self._step.get("automatedTrading", True)
        self._paper.tick(price, self.market, automated=automated)


_OPERATIONS: dict[str, Callable[[_Step], dict[str, Any] | None]] = {
    "buy": _Step.buy,
    "sell": _Step.sell,
    "dca": _Step.dca,
    "takeProfit": _Step.take_profit,
    "tick": _Step.tick,
}


def _earned(trade: Trade) -> dict[str, Any]:
    ended = trade.ended
    assert ended is not None  # noqa: S101 - a full sale ends its position
    return {
        "profitLossSol": ended.profit_sol,
        "profitLossUsd": ended.profit_usd,
        "changePercent": ended.change_percent,
    }


def balances(paper: Paper) -> dict[str, Decimal]:
    """Return what the wallet holds; a token of which nothing is left is not named."""
    held = paper.balances.get(TOKEN_MINT, Decimal(0))
    return {"SOL": paper.balances[SOL_MINT]} | ({"TOK": held} if held else {})


def position(paper: Paper) -> dict[str, Any] | None:
    """Return the position as the recorded engine shows one: what was never sold in part remains as null."""
    books = paper.books
    if books is None:
        return None
    untouched = books.levels_hit == 0 and books.remaining_units == books.bought_units
    return {
        "purchasePrice": books.average_price,
        "purchaseAmount": books.tokens(books.bought_units),
        "totalInvestedSol": lamports_to_sol(books.invested_lamports),
        "remainingAmount": None if untouched else books.tokens(books.remaining_units),
        "dcaCount": books.dca_count,
        "takeProfitLevelsHit": books.levels_hit,
        "tpBatchStartLevel": books.batch_start,
        "totalTakeProfitLevels": books.total_levels,
        "moonBagActivated": books.moon_bag_active,
        "moonBagAmount": books.moon_bag_tokens,
        "realizedProfitSol": lamports_to_sol(books.realised_lamports),
        "currentStopLossPercentage": paper.stop_percent,
        "peakPrice": None if paper.stop_percent is None else paper.peak_price,
        "lowestPrice": paper.lowest_price,
    }


def closed_trade(closed: Closed) -> dict[str, Any]:
    books, ended = closed.books, closed.ended
    return {
        "amount": books.tokens(books.bought_units),
        "purchasePrice": books.average_price,
        "salePrice": ended.sale_price_sol,
        "changePercent": ended.change_percent,
        "profitLossSol": ended.profit_sol,
        "profitLossUsd": ended.profit_usd,
        "closeReason": closed.reason,
        "signalId": None,
    }


def _transaction(trade: Trade) -> dict[str, Any]:
    fill = trade.fill
    sol, tokens = lamports_to_sol(fill.swap_lamports), fill.token_amount
    buys = fill.side == BUY
    return {
        "inputMint": "SOL" if buys else TOKEN_MINT,
        "inputAmount": sol if buys else tokens,
        "inputPrice": Decimal(1) if buys else fill.price_sol,
        "outputAmount": tokens if buys else sol,
        "outputPrice": fill.price_sol if buys else Decimal(1),
        "transactionValueUsd": trade.value_usd,
        "protocolFeeSol": lamports_to_sol(fill.protocol_fee_lamports),
        "networkFeeSol": lamports_to_sol(fill.network_fee_lamports),
        "slippage": fill.slippage_percent,
        "priceImpact": trade.quote.payload.get("priceImpact"),
        "isDca": trade.is_dca,
        "isTakeProfit": trade.is_take_profit,
        "signalId": None,
    }
