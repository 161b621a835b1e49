"""How trading's rows look on the wire (contract: api.md 1.5, 1.7, 3). One place translates; no queries here.

Figures are JSON numbers where the contract says num: they leave the desk here, nothing is ever computed from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.core.api import wire
from apps.core.money import MONEY, ZERO
from apps.trading.domain import marks
from apps.trading.domain.marks import Mark
from apps.trading.models import Position

_HUNDRED = Decimal(100)


def number(value: Decimal | None) -> float | None:
    """Return a Decimal as a JSON number."""
    return None if value is None else float(value)


def timestamp(value: datetime | None) -> str | None:
    """Return a time as ISO-8601 UTC with milliseconds and Z."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Valuation:
    """What an open position is worth at a price: value minus remaining cost, plus what was realised."""

    price_sol: Decimal
    value_sol: Decimal
    profit_sol: Decimal
    profit_percent: Decimal
    price_change_percent: Decimal


@dataclass(frozen=True, slots=True)
class PositionFills:
    """What a position's fills after the first one were, oldest first, and the newest of them.

    `selectors.fills.of_positions` reads them (one query for many positions, none for those without); a booking asks it
    after it has written its transactions, so that the fill it books is among them.
    """

    dca_transaction_ids: tuple[UUID, ...] = ()
    take_profit_transaction_ids: tuple[UUID, ...] = ()
    last_price_sol: Decimal | None = None
    last_at: datetime | None = None


#: A position that was bought once and not touched since.
NO_FILLS = PositionFills()


def last_fill(position: Any, fills: PositionFills) -> Mark:
    """Return the price and time of a position's last fill; the first one counts at its average, fees in."""
    price = position.purchase_price if fills.last_price_sol is None else fills.last_price_sol
    return Mark(price, fills.last_at or position.opened_at, marks.FILL)


def value(position: Position, price_sol: Decimal) -> Valuation:
    """Value an open position at `price_sol`, its mark (`selectors.marks`).

    Percent of profit is over all SOL ever invested; price change is over the trigger average.
    """
    worth = MONEY.multiply(price_sol, position.remaining_amount)
    profit = worth - position.remaining_cost_sol + position.realized_profit_sol
    invested, average = position.total_invested_sol, position.purchase_price
    return Valuation(
        price_sol=price_sol,
        value_sol=worth,
        profit_sol=profit,
        profit_percent=MONEY.divide(profit * _HUNDRED, invested) if invested > 0 else ZERO,
        price_change_percent=MONEY.divide((price_sol - average) * _HUNDRED, average) if average > 0 else ZERO,
    )


def open_position(position: Any, wallet_address: str, fills: PositionFills = NO_FILLS) -> dict[str, Any]:
    """Return the OpenPosition of the feed: what the books know, without a price.

    `position` is a row of the model, or one about to be written with the same attributes. Give `fills` of every
    position that may have taken profit or been added to: `services.position_feed` does.
    """
    filled = last_fill(position, fills)
    return {
        "id": str(position.id),
        "agentId": str(position.agent_id),
        "walletAddress": wallet_address,
        "tokenAddress": position.mint,
        "tokenSymbol": position.symbol,
        "purchaseTransactionId": str(position.purchase_transaction_id),
        "purchasePrice": number(position.purchase_price),
        "purchaseAmount": number(position.purchase_amount),
        "totalInvestedSol": number(position.total_invested_sol),
        "remainingCostSol": number(position.remaining_cost_sol),
        "dcaCount": position.dca_count,
        "lastDcaTime": timestamp(position.last_dca_at),
        "lowestPrice": number(position.lowest_price_sol),
        "dcaTransactionIds": [str(fill_id) for fill_id in fills.dca_transaction_ids],
        "currentStopLossPercentage": number(position.stop_percent),
        "stopLossPrice": number(position.stop_price_sol),
        "peakPrice": number(position.peak_price_sol),
        "peakFromTick": position.peak_from_tick,
        "lastStopLossUpdate": timestamp(position.stop_updated_at),
        "remainingAmount": number(position.remaining_amount),
        "takeProfitLevelsHit": position.take_profit_levels_hit,
        "takeProfitTransactionIds": [str(fill_id) for fill_id in fills.take_profit_transaction_ids],
        "lastTakeProfitTime": timestamp(position.last_take_profit_at),
        "moonBagActivated": position.moon_bag_activated,
        "moonBagAmount": number(position.moon_bag_amount),
        "realizedProfitSol": number(position.realized_profit_sol),
        "tpBatchStartLevel": position.take_profit_start_level,
        "totalTakeProfitLevels": position.take_profit_total_levels,
        "lastFillPrice": number(filled.price_sol),
        "lastFillTime": timestamp(filled.at),
        "createdAt": timestamp(position.opened_at),
        "updatedAt": timestamp(position.updated_at),
    }


def enriched_position(
    position: Position, wallet_address: str, fills: PositionFills, mark: Mark, sol_usd: Decimal | None
) -> dict[str, Any]:
    """Return the EnrichedPosition of the feed: OpenPosition with its value at its mark; USD null while unknown.

    `priceAt` and `priceSource` are null while nobody has told a price since the last fill.
    """
    worth = value(position, mark.price_sol)

    def usd(amount_sol: Decimal) -> float | None:
        return None if sol_usd is None else float(MONEY.multiply(amount_sol, sol_usd))

    return open_position(position, wallet_address, fills) | {
        "currentPrice": number(worth.price_sol),
        "currentPriceUsd": usd(worth.price_sol),
        "purchasePriceUsd": usd(position.purchase_price),
        "positionValueSol": number(worth.value_sol),
        "positionValueUsd": usd(worth.value_sol),
        "profitLossSol": number(worth.profit_sol),
        "profitLossUsd": usd(worth.profit_sol),
        "profitLossPercent": number(worth.profit_percent),
        "priceChangePercent": number(worth.price_change_percent),
        "priceAt": None if mark.is_fill else timestamp(mark.at),
        "priceSource": None if mark.is_fill else mark.source,
    }


def closed_trade(trade: Any, wallet_address: str | None) -> dict[str, Any]:
    """Return a closed trade ("historical swap"); amounts are decimal strings.

    `trade` is a row of the model, or one about to be written with the same attributes.
    """

    def text(amount: Decimal | None) -> str | None:
        return None if amount is None else plain(amount)

    return {
        "id": str(trade.id),
        "agentId": str(trade.agent_id),
        "walletAddress": wallet_address,
        "tokenAddress": trade.mint,
        "tokenSymbol": trade.symbol,
        "amount": text(trade.amount),
        "purchasePrice": text(trade.purchase_price),
        "salePrice": text(trade.sale_price),
        "changePercent": text(trade.change_percent),
        "profitLossUsd": text(trade.profit_usd),
        "profitLossSol": text(trade.profit_sol),
        "purchaseTime": timestamp(trade.purchase_time),
        "saleTime": timestamp(trade.sale_time),
        "purchaseTransactionId": None if trade.purchase_transaction_id is None else str(trade.purchase_transaction_id),
        "saleTransactionId": None if trade.sale_transaction_id is None else str(trade.sale_transaction_id),
        "signalId": None if trade.signal_id is None else str(trade.signal_id),
        "closeReason": trade.close_reason,
        "createdAt": timestamp(trade.created_at),
    }


def plain(amount: Decimal) -> str:
    """Return a decimal as the wire's text: no trailing zeros, exponent form only for the very small and very large.

    >>> plain(Decimal("1.500")), plain(Decimal("0E-18")), plain(Decimal("1E-9"))
    ('1.5', '0', '1e-9')
    """
    return wire.decimal_text(amount)
