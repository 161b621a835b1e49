"""Adapter for scenarios: a position opened and watched over a path of prices, in a market without friction."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

from apps.core.money import LAMPORTS_PER_SOL, MONEY, SOL_DECIMALS, SOL_MINT, lamports_to_sol, sol_to_lamports
from apps.trading.domain.fills import BUY, Quote
from apps.trading.vector_checks import executor
from apps.trading.vector_checks.paper import TOKEN_MINT, Market, Paper
from apps.trading.vector_checks.restated import Restated, position_run
from apps.trading.vector_checks.values import number


def scenarios(given: dict[str, Any]) -> dict[str, Any]:
    paper = executor.open_paper(given)
    opened = paper.buy(number(given["positionSize"]), frictionless(number(given["entryPrice"]), given["decimals"]))
    steps = []
    for index, tick in enumerate(given["ticks"]):
        steps.append({"tick": index, **_step(paper, tick, given["decimals"])})
        if paper.books is None:
            break
    return {
        "openedTokens": opened.fill.token_amount,
        "steps": steps,
        "finalBalances": executor.balances(paper),
        "stillOpen": paper.books is not None,
    }


def restate(given: dict[str, Any], expected: dict[str, Any], actual: dict[str, Any]) -> Restated:
    """Return the expectation in the terms of the decisions; the buy that opens the position is its first step."""
    opening, here = _openings(given, expected)
    steps = [
        step | ({"balances": executor.exact_balances(step["balances"])} if "balances" in step else {})
        for step in expected["steps"]
    ]
    judged = position_run(
        given,
        [{}, *given["ticks"]],
        expected | {"steps": [opening, *steps], "finalBalances": executor.exact_balances(expected["finalBalances"])},
        actual | {"steps": [here, *actual["steps"]]},
    )
    return replace(judged, expected=judged.expected | {"steps": judged.expected["steps"][1:]})


def _openings(given: dict[str, Any], expected: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the opening buy as it was recorded, and here: the recorded engine multiplied doubles to get lamports."""
    theirs = int(float(given["positionSize"]) * LAMPORTS_PER_SOL)
    ours = sol_to_lamports(number(given["positionSize"]))
    balances = {
        "SOL": number(given["solBalance"]) - lamports_to_sol(theirs),
        "TOK": number(expected["openedTokens"]),
    }
    return {"balances": balances, "trades": [{"side": BUY, "amount": theirs}]}, {
        "trades": [{"side": BUY, "amount": ours}]
    }


def frictionless(price: Decimal, token_decimals: int) -> Market:
    """Return a market that answers at one price (SOL per token), whatever the amount, rounded down."""

    def market(side: str, amount: int) -> Quote:
        with localcontext(MONEY):
            price_of_unit = price.scaleb(SOL_DECIMALS - token_decimals)
            out = amount / price_of_unit if side == BUY else amount * price_of_unit
            mints = (SOL_MINT, TOKEN_MINT) if side == BUY else (TOKEN_MINT, SOL_MINT)
            return Quote(*mints, in_amount=amount, out_amount=int(out.to_integral_value(rounding=ROUND_FLOOR)))

    return market


def _step(paper: Paper, tick: dict[str, Any], token_decimals: int) -> dict[str, Any]:
    asked, traded = len(paper.asked), len(paper.trades)
    paper.wait(number(tick["afterSeconds"]))
    price = number(tick["price"])
    paper.tick(price, frictionless(price, token_decimals))
    outcome: dict[str, Any] = {
        "trades": [{"side": side, "amount": amount} for side, amount in paper.asked[asked:]],
        "currentStopLossPercentage": paper.stop_percent,
    }
    if len(paper.trades) == traded:
        return outcome
    outcome["balances"] = executor.balances(paper)
    if paper.books is None:
        return outcome | {"closedTrade": executor.closed_trade(paper.closed[-1])}
    return outcome | {"position": executor.position(paper)}
