"""What a swap of an exact input pays, from the pools of one view.

The protocol fee is always in SOL: a buy pays it out of its input, a sale's output is stated before it (whoever books
the sale takes it off), and between two tokens it comes off the SOL in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from apps.core.money import SOL_MINT
from apps.sandbox.domain.pools import BPS, U64_MAX, Pool
from apps.sandbox.domain.views import MarketView

#: Price impact is stated with this many decimal places of the fraction.
_IMPACT_PLACES = 12
_LEAST_AUTOMATIC_SLIPPAGE_BPS = 50
_MOST_AUTOMATIC_SLIPPAGE_BPS = 1_500


class NotTradable(LookupError):
    """A mint of the request has no pool."""

    def __init__(self, mint: str) -> None:
        super().__init__(mint)
        self.mint = mint


class NoRoute(ValueError):
    """The pools give nothing for this amount, or more than 64 bits."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One hop through one pool, in integer units of its mints."""

    mint: str
    pool: Pool
    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int


@dataclass(frozen=True, slots=True)
class Quote:
    """An exact-input quote. Amounts are base units; `impact_fraction` below zero is a loss."""

    input_mint: str
    output_mint: str
    in_amount: int
    out_amount: int
    legs: tuple[Leg, ...]
    fee_lamports: int
    fee_bps: int
    in_usd: float
    out_usd: float
    impact_fraction: Decimal
    slippage_bps: int

    @property
    def paid_out_amount(self) -> int:
        """What is paid on chain: the output less the protocol fee where that comes off it, as on a sale."""
        return self.out_amount - self.fee_lamports if self.output_mint == SOL_MINT else self.out_amount

    @property
    def least_paid_out_amount(self) -> int:
        """What is paid on chain less the allowed slippage, rounded up: the chain refuses to pay less."""
        return -(-self.paid_out_amount * (BPS - self.slippage_bps) // BPS)

    def promising(self, paid_out_amount: int) -> Quote:
        """Return this quote with another promise of what is paid on chain."""
        taken = self.out_amount - self.paid_out_amount
        return replace(self, out_amount=paid_out_amount + taken)

    @property
    def least_out_amount(self) -> int:
        """The output less the allowed slippage, rounded up."""
        return -(-self.out_amount * (BPS - self.slippage_bps) // BPS)


def quote(
    view: MarketView, *, input_mint: str, output_mint: str, amount: int, fee_bps: int, slippage_bps: int | None
) -> Quote:
    """Quote a swap of `amount` base units of the input.

    Price impact is the value that comes out at the pools' own price over the value that goes in, less one, fees of the
    pools included. Slippage is estimated when it is None.

    Raises:
        NotTradable: when a mint has no pool.
        NoRoute: when nothing, or more than fits 64 bits, would come out.
    """
    legs: tuple[Leg, ...]
    if input_mint == SOL_MINT:
        fee = amount * fee_bps // BPS
        legs = (_buy(view, output_mint, amount - fee),)
    elif output_mint == SOL_MINT:
        legs = (_sell(view, input_mint, amount),)
        fee = legs[0].out_amount * fee_bps // BPS
    else:
        sale = _sell(view, input_mint, amount)
        fee = sale.out_amount * fee_bps // BPS
        legs = (sale, _buy(view, output_mint, sale.out_amount - fee))
    out_amount = legs[-1].out_amount
    if not 0 < out_amount <= U64_MAX:
        raise NoRoute("nothing comes out, or too much")
    value_in = _lamports_value(view, input_mint, amount)
    value_out = _lamports_value(view, output_mint, out_amount)
    impact = value_out / value_in - 1
    impact_fraction = Decimal(round(impact * 10**_IMPACT_PLACES)).scaleb(-_IMPACT_PLACES)
    if slippage_bps is None:
        slippage_bps = min(_MOST_AUTOMATIC_SLIPPAGE_BPS, _LEAST_AUTOMATIC_SLIPPAGE_BPS + round(abs(impact) * BPS / 2))
    return Quote(
        input_mint=input_mint,
        output_mint=output_mint,
        in_amount=amount,
        out_amount=out_amount,
        legs=legs,
        fee_lamports=fee,
        fee_bps=fee_bps,
        in_usd=_usd(view, value_in),
        out_usd=_usd(view, value_out),
        impact_fraction=impact_fraction,
        slippage_bps=slippage_bps,
    )


def _buy(view: MarketView, mint: str, lamports: int) -> Leg:
    pool = _pool(view, mint)
    return Leg(mint, pool, SOL_MINT, mint, lamports, pool.buy(lamports))


def _sell(view: MarketView, mint: str, base_units: int) -> Leg:
    pool = _pool(view, mint)
    return Leg(mint, pool, mint, SOL_MINT, base_units, pool.sell(base_units))


def _pool(view: MarketView, mint: str) -> Pool:
    pool = view.pools.get(mint)
    if pool is None:
        raise NotTradable(mint)
    return pool


def _lamports_value(view: MarketView, mint: str, amount: int) -> Fraction:
    if mint == SOL_MINT:
        return Fraction(amount)
    pool = view.pools[mint]
    return Fraction(amount * pool.sol_reserve, pool.base_reserve)


def _usd(view: MarketView, lamports: Fraction) -> float:
    return round(float(lamports) * view.sol_usd / 1e9, 9)
