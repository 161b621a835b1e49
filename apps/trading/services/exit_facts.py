"""The figures of a fill as its intent keeps them under `booked`: text, for the story of the position and for people."""

from __future__ import annotations

from decimal import Decimal

from apps.core.money import lamports_to_sol
from apps.trading.domain.fills import Fill
from apps.trading.presentation import plain


def of_sale(
    fill: Fill,
    *,
    tokens: Decimal,
    cost_sol: Decimal,
    average_price_sol: Decimal,
    remaining_tokens: Decimal,
    levels_hit: int | None,
    moon_bag_tokens: Decimal | None,
) -> dict[str, str]:
    """Return the figures of a sale of whole `tokens` that had cost `cost_sol`; average, rest and levels are after it.

    `moon_bag_tokens` is the bag this sale set aside.
    """
    net = lamports_to_sol(fill.net_lamports)
    facts = {
        "priceSol": plain(fill.price_sol),
        "soldTokens": plain(tokens),
        "netSol": plain(net),
        "feesSol": _fees(fill),
        "costSol": plain(cost_sol),
        "profitSol": plain(net - cost_sol),
        "averagePriceSol": plain(average_price_sol),
        "remainingTokens": plain(remaining_tokens),
    }
    if levels_hit is not None:
        facts["levelsHit"] = str(levels_hit)
    if moon_bag_tokens is not None:
        facts["moonBagTokens"] = plain(moon_bag_tokens)
    return facts


def of_purchase(
    fill: Fill,
    *,
    average_price_sol: Decimal,
    remaining_tokens: Decimal,
    dca_number: int,
    stop_percent: Decimal | None,
    stop_price_sol: Decimal | None,
) -> dict[str, str]:
    """Return the figures of a DCA; average, rest and stop (None: there is none) are after it."""
    facts = {
        "priceSol": plain(fill.price_sol),
        "boughtTokens": plain(fill.token_amount),
        "debitSol": plain(fill.debit_sol),
        "feesSol": _fees(fill),
        "averagePriceSol": plain(average_price_sol),
        "remainingTokens": plain(remaining_tokens),
        "dcaNumber": str(dca_number),
    }
    if stop_percent is not None:
        facts["stopPercent"] = plain(stop_percent)
    if stop_price_sol is not None:
        facts["stopPriceSol"] = plain(stop_price_sol)
    return facts


def _fees(fill: Fill) -> str:
    return plain(lamports_to_sol(fill.network_fee_lamports + fill.protocol_fee_lamports))
