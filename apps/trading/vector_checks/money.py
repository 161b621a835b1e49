"""Adapters for pnl, swap_fees, balances and performance."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from apps.core.money import MONEY, SOL_MINT
from apps.trading.domain import pnl as profits
from apps.trading.domain.fees import swap_fees as read_fees
from apps.trading.domain.performance import ClosedTrade, OpenPosition, summarise
from apps.trading.vector_checks.values import number, optional_number
from apps.wallets.domain.balance_effects import BalanceRefused, Leg, apply

_SOL = "SOL"


def pnl(given: dict[str, Any]) -> dict[str, Any]:
    if given["fn"] == "fullSale":
        original_cost = number(given["originalCostBasisSol"])
        invested = optional_number(given["totalInvestedSol"])
        result = profits.full_sale(
            invested_sol=original_cost if invested is None else invested,
            received_sol=number(given["totalSolReceived"]),
            original_cost_sol=original_cost,
            sol_usd=optional_number(given.get("solPriceUsd")),
        )
        return _profit(result)
    if given["fn"] == "partialSale":
        result = profits.partial_sale(
            invested_sol=number(given["totalInvestedSol"]),
            bought_tokens=number(given["totalPurchaseAmount"]),
            sold_tokens=number(given["sellAmountTokens"]),
            net_sol=number(given["netSaleSol"]),
            average_price=number(given["purchasePrice"]),
            sale_price=number(given["salePrice"]),
            sol_usd=optional_number(given.get("solPriceUsd")),
        )
        return {**_profit(result), "costBasis": result.cost_sol}
    raise ValueError(f"unknown function {given['fn']!r}")


def _profit(result: profits.Profit) -> dict[str, Any]:
    return {
        "profitLossSol": result.profit_sol,
        "changePercent": result.change_percent,
        "profitLossUsd": result.profit_usd,
    }


def swap_fees(given: dict[str, Any]) -> dict[str, Any]:
    fees = read_fees(given["payload"])
    return {"protocolFeeSol": fees.protocol_sol, "networkFeeSol": fees.network_sol}


def balances(given: dict[str, Any]) -> dict[str, Any]:
    before = {_mint(name): number(amount) for name, amount in given["balances"].items()}
    try:
        after = apply(before, given["type"], _leg(given.get("input")), _leg(given.get("output")))
    except BalanceRefused as refusal:
        return {"error": refusal.reason, "balances": _named(before)}
    return {"balances": _named(after)}


def exact_balances(expected: dict[str, Any]) -> dict[str, Any]:
    """Return the expectation with its balances as numbers: they are decimal texts in the file."""
    return {**expected, "balances": {name: number(amount) for name, amount in expected["balances"].items()}}


def _leg(given: dict[str, Any] | None) -> Leg | None:
    if given is None:
        return None
    amount = optional_number(given.get("amount"))
    return None if amount is None else Leg(_mint(given.get("mint") or ""), amount)


def _mint(name: str) -> str:
    return SOL_MINT if name == _SOL else name


def _named(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {_SOL if mint == SOL_MINT else mint: amount for mint, amount in amounts.items()}


def performance(given: dict[str, Any]) -> dict[str, Any]:
    result = summarise(
        number(given["solBalance"]),
        [
            ClosedTrade(number(trade["profitLossSol"]), number(trade["changePercent"]))
            for trade in given["closedTrades"]
        ],
        [_open_position(position) for position in given["positions"]],
    )
    return {
        "portfolioBalanceSol": result.portfolio_sol,
        "totalProfitLossSol": result.total_profit_sol,
        "realizedProfitLossSol": result.realised_profit_sol,
        "unrealizedProfitLossSol": result.unrealised_profit_sol,
        "averageReturn": result.average_return_percent,
        "winRate": result.win_rate_percent,
        "totalClosedTrades": result.closed_trades,
        "totalOpenPositions": result.open_positions,
    }


def _open_position(given: dict[str, Any]) -> OpenPosition:
    """Read a position; its remaining cost is what was invested minus what its partial sales took of it."""
    average, bought = number(given["purchasePrice"]), number(given["purchaseAmount"])
    remaining = optional_number(given.get("remainingAmount"))
    invested = optional_number(given.get("totalInvestedSol"))
    realised = optional_number(given.get("realizedProfitSol")) or Decimal(0)
    proceeds = [number(amount) for amount in given.get("takeProfitNetProceeds") or ()]
    held = bought if remaining is None else remaining
    with localcontext(MONEY):
        if invested is None:
            cost = average * held
        elif proceeds:
            cost = invested - sum(proceeds, Decimal(0)) + realised
        else:
            cost = held / bought * invested if bought > 0 else Decimal(0)
    return OpenPosition(held, cost, average, realised, optional_number(given.get("currentPrice")))
