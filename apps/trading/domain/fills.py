"""From a quote to what is booked: integers of base units and lamports, fees, price.

A simulated fill is the quote itself. A quote may serve many positions: each takes its share pro rata, rounded down.
What comes in is rounded down to the lamport, what goes out is rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any

from apps.core.errors import Invalid
from apps.core.money import MONEY, SOL_DECIMALS, SOL_MINT, from_base_units, lamports_to_sol, quantize_price
from apps.trading.domain.fees import SwapFees, swap_fees
from apps.trading.domain.landed_swap import LandedSwap

BUY = "buy"
SELL = "sell"
INVALID_TRANSACTION = "INVALID_TRANSACTION"
INVALID_SALE_PRICE = "INVALID_SALE_PRICE"
#: A swap nobody can have made: the figure is not a value.
_ABSURD_USD = 10**15


class UnusableQuote(Invalid):
    """A quote that cannot be booked for this share: the wrong mints, or nothing would come out of it."""


@dataclass(frozen=True, slots=True)
class Quote:
    """One answer of an aggregator. Amounts are integers of base units (lamports for SOL).

    `price_impact` is a signed fraction: 0.05 is a price 5 % worse than the market's, below zero a better one.
    `payload` is the answer as received, for the fees and the books. `source` names the provider.
    """

    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int
    price_impact: Decimal = Decimal(0)
    slippage_bps: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    quoted_at: datetime | None = None

    @property
    def fee_payload(self) -> Mapping[str, Any]:
        """The payload with the quote's own mints and amounts where it does not name them."""
        if "orderResponse" in self.payload:
            return self.payload
        return {
            "inputMint": self.input_mint,
            "outputMint": self.output_mint,
            "inAmount": self.in_amount,
            "outAmount": self.out_amount,
            **self.payload,
        }


@dataclass(frozen=True, slots=True)
class Fill:
    """A swap as it is booked. `swap_lamports` is its SOL side before fees; `price_sol` excludes fees (24 places).

    A buy debits swap + network fee (the protocol fee is inside the swap). A sale credits swap - protocol - network; if
    fees exceed it, the difference is a debit. On chain the network fee is all that was paid to get in: priority fee and
    tip, named beside it, are parts of it. Rent is a deposit and in none of these figures.
    """

    side: str
    mint: str
    token_decimals: int
    token_base_units: int
    swap_lamports: int
    network_fee_lamports: int
    protocol_fee_lamports: int
    debit_lamports: int
    credit_lamports: int
    price_sol: Decimal
    price_impact: Decimal
    slippage_bps: int
    source: str
    quoted_at: datetime | None
    priority_fee_lamports: int = 0
    tip_lamports: int = 0
    rent_lamports: int = 0

    @property
    def token_amount(self) -> Decimal:
        """Whole tokens bought or sold."""
        return from_base_units(self.token_base_units, self.token_decimals)

    @property
    def debit_sol(self) -> Decimal:
        return lamports_to_sol(self.debit_lamports)

    @property
    def net_lamports(self) -> int:
        """What the wallet gains (a sale) or loses (a buy, negative)."""
        return self.credit_lamports - self.debit_lamports

    @property
    def slippage_percent(self) -> Decimal:
        return Decimal(self.slippage_bps).scaleb(-2)


def pro_rata(quote: Quote, share: int | None) -> int:
    """Return the output base units that belong to `share` input base units of a quote, rounded down.

    >>> pro_rata(Quote("A", "B", in_amount=3, out_amount=10), 1)
    3
    """
    if share is None or share == quote.in_amount:
        return quote.out_amount
    if not 0 < share <= quote.in_amount:
        raise UnusableQuote(INVALID_TRANSACTION, "A share must be more than nothing and at most the whole quote.")
    return quote.out_amount * share // quote.in_amount


def simulated_buy(quote: Quote, *, token_decimals: int, share: int | None = None) -> Fill:
    """Fill a buy at the quote. `share` is the lamports this buyer spends of the quoted ones; None means all.

    Raises:
        UnusableQuote: INVALID_TRANSACTION when SOL is not what goes in or no token would come out.

    >>> fill = simulated_buy(Quote(SOL_MINT, "T", 2_000_000_000, 3_000_000), token_decimals=6, share=1_000_000_000)
    >>> fill.token_amount, fill.debit_lamports, fill.price_sol
    (Decimal('1.500000'), 1000000000, Decimal('0.666666666666666666666667'))
    """
    lamports = quote.in_amount if share is None else share
    if quote.input_mint != SOL_MINT or lamports <= 0:
        raise UnusableQuote(INVALID_TRANSACTION, "A buy must spend SOL.")
    tokens = pro_rata(quote, share)
    if tokens <= 0:
        raise UnusableQuote(INVALID_TRANSACTION, "The quote gives no token for this amount.")
    fees = swap_fees(quote.fee_payload, sol_lamports=None if share is None else share)
    return _fill(BUY, quote.output_mint, token_decimals, tokens, lamports, fees, quote)


def simulated_sell(quote: Quote, *, token_decimals: int, share: int | None = None) -> Fill:
    """Fill a sale at the quote. `share` is the base units this seller gives of the quoted ones; None means all.

    Raises:
        UnusableQuote: INVALID_SALE_PRICE when SOL is not what comes out, or none would.

    >>> fill = simulated_sell(Quote("T", SOL_MINT, 1_000_000, 500_000_000), token_decimals=6)
    >>> fill.credit_lamports, fill.price_sol
    (500000000, Decimal('0.500000000000000000000000'))
    """
    tokens = quote.in_amount if share is None else share
    if quote.output_mint != SOL_MINT or tokens <= 0:
        raise UnusableQuote(INVALID_SALE_PRICE, "A sale must give tokens for SOL.")
    lamports = pro_rata(quote, share)
    if lamports <= 0:
        raise UnusableQuote(INVALID_SALE_PRICE, "The quote gives no SOL for this amount.")
    fees = swap_fees(quote.fee_payload, sol_lamports=None if share is None else lamports)
    return _fill(SELL, quote.input_mint, token_decimals, tokens, lamports, fees, quote)


def landed(swap: LandedSwap, *, token_decimals: int, price_impact: Decimal | None, slippage_bps: int) -> Fill:
    """Return a swap as the chain did it, whatever its quote had promised.

    A sale's platform fee was taken before the SOL came in: the swap's SOL side is both together.

    >>> swap = LandedSwap("S", 7, None, None, SELL, "T", 1000, 490, 5, 1, 2, 10, 0, 482, -1000)
    >>> fill = landed(swap, token_decimals=0, price_impact=None, slippage_bps=50)
    >>> fill.swap_lamports, fill.network_fee_lamports, fill.net_lamports
    (500, 8, 482)
    """
    network, protocol = swap.fee_lamports, swap.protocol_fee_lamports
    gross = swap.swap_lamports if swap.side == BUY else swap.swap_lamports + protocol
    net = -(gross + network) if swap.side == BUY else gross - protocol - network
    return Fill(
        side=swap.side,
        mint=swap.mint,
        token_decimals=token_decimals,
        token_base_units=swap.token_base_units,
        swap_lamports=gross,
        network_fee_lamports=network,
        protocol_fee_lamports=protocol,
        debit_lamports=max(0, -net),
        credit_lamports=max(0, net),
        price_sol=price_per_token(gross, swap.token_base_units, token_decimals),
        price_impact=Decimal(0) if price_impact is None else price_impact,
        slippage_bps=slippage_bps,
        source="chain",
        quoted_at=None,
        priority_fee_lamports=swap.priority_fee_lamports,
        tip_lamports=swap.tip_lamports,
        rent_lamports=swap.rent_lamports,
    )


def price_per_token(lamports: int, token_base_units: int, token_decimals: int) -> Decimal:
    """Return SOL per whole token, to 24 places."""
    with localcontext(MONEY):
        return quantize_price(Decimal(lamports).scaleb(token_decimals - SOL_DECIMALS) / token_base_units)


def value_usd(quote: Quote, fill: Fill, sol_usd: Decimal | None) -> Decimal | None:
    """Return what a fill was worth in US dollars: as its quote tells, a share its part of it; else by the SOL price.

    None while SOL/USD is unknown.

    >>> quote = Quote(SOL_MINT, "T", 2_000_000_000, 3_000_000)
    >>> told = Quote(SOL_MINT, "T", 2_000_000_000, 3_000_000, payload={"swapUsdValue": Decimal("301.5")})
    >>> half = simulated_buy(quote, token_decimals=6, share=1_000_000_000)
    >>> value_usd(quote, half, Decimal(150)), value_usd(told, half, Decimal(150)), value_usd(told, half, None)
    (Decimal('150.000000000'), Decimal('150.75'), None)
    """
    if sol_usd is None:
        return None
    told = _told_usd(quote.payload.get("swapUsdValue"))
    with localcontext(MONEY):
        if told is None:
            return lamports_to_sol(fill.swap_lamports) * sol_usd
        quoted = quote.in_amount if fill.side == BUY else quote.out_amount
        return told * fill.swap_lamports / quoted


def _told_usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    told = Decimal(value)
    return told if told.is_finite() and 0 <= told < _ABSURD_USD else None


def _fill(side: str, mint: str, token_decimals: int, tokens: int, lamports: int, fees: SwapFees, quote: Quote) -> Fill:
    network, protocol = fees.network_lamports, fees.protocol_lamports
    net = -(lamports + network) if side == BUY else lamports - protocol - network
    return Fill(
        side=side,
        mint=mint,
        token_decimals=token_decimals,
        token_base_units=tokens,
        swap_lamports=lamports,
        network_fee_lamports=network,
        protocol_fee_lamports=protocol,
        debit_lamports=max(0, -net),
        credit_lamports=max(0, net),
        price_sol=price_per_token(lamports, tokens, token_decimals),
        price_impact=quote.price_impact,
        slippage_bps=quote.slippage_bps,
        source=quote.source,
        quoted_at=quote.quoted_at,
    )
