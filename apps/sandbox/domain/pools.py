"""Constant-product pools of a token against SOL, in integers: lamports on one side, base units on the other.

A pool is a frozen value: whoever holds one holds the state of one instant. A swap never shrinks the product of the
reserves; only taking liquidity out does. The pool's fee is kept aside for its owners and does not enter the reserves.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from math import exp, isqrt

from apps.core.money import LAMPORTS_PER_SOL, MONEY

BPS = 10_000
U64_MAX = 2**64 - 1

#: A walk moves reserves by factors with twelve decimal places: far finer than a price shows, and exact from there on.
_FACTOR_ONE = 10**12
#: Below this a reserve is too coarse to carry a price, so moves stop there.
_SMALLEST_RESERVE = 10_000
#: A price is met exactly while the reserves can be this many times its fraction: the depth is then off by 1e-4 at most.
_LEAST_MULTIPLE = 10_000


class PoolOutOfRange(ValueError):
    """The reserves that were asked for do not fit what a token account can hold."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The reserves of one pool at one instant."""

    address: str
    decimals: int
    base_reserve: int
    sol_reserve: int
    fee_bps: int

    @property
    def product(self) -> int:
        """The constant of the constant-product rule."""
        return self.base_reserve * self.sol_reserve

    @property
    def price_ratio(self) -> tuple[int, int]:
        """The price in SOL per whole token as an exact fraction (numerator, denominator)."""
        return self.sol_reserve * 10**self.decimals, self.base_reserve * LAMPORTS_PER_SOL

    @property
    def price_sol(self) -> Decimal:
        """The price in SOL per whole token, to 60 digits."""
        numerator, denominator = self.price_ratio
        return MONEY.divide(Decimal(numerator), Decimal(denominator))

    def price_number(self) -> float:
        """The price in SOL per whole token as the nearest JSON number."""
        numerator, denominator = self.price_ratio
        return numerator / denominator

    def buy(self, lamports: int) -> int:
        """Return the base units that `lamports` buy, pool fee off the input."""
        return swap_out(self.sol_reserve, self.base_reserve, lamports, self.fee_bps)

    def sell(self, base_units: int) -> int:
        """Return the lamports that `base_units` fetch, pool fee off the input."""
        return swap_out(self.base_reserve, self.sol_reserve, base_units, self.fee_bps)

    def after_buy(self, lamports: int) -> Pool:
        """Return the pool after `lamports` were swapped for tokens; as it is where it could not carry that."""
        return self._after(-self.buy(lamports), self._kept(lamports))

    def before_buy(self, lamports: int, base_units: int) -> Pool:
        """Return the pool as if a buy that paid out `base_units` had not been."""
        return self._after(base_units, -self._kept(lamports))

    def after_sale(self, base_units: int) -> Pool:
        """Return the pool after `base_units` were swapped for lamports; as it is where it could not carry that."""
        return self._after(self._kept(base_units), -self.sell(base_units))

    def before_sale(self, base_units: int, lamports: int) -> Pool:
        """Return the pool as if a sale that paid out `lamports` had not been."""
        return self._after(-self._kept(base_units), lamports)

    def moved(self, log_return: float) -> Pool:
        """Return the pool after synthetic flow moved its price by `log_return`, along the curve.

        The SOL side moves by the square root of the price's factor and the token side keeps the product, rounded up.
        """
        if log_return == 0:
            return self
        sol_reserve = self.sol_reserve * round(exp(log_return / 2) * _FACTOR_ONE) // _FACTOR_ONE
        if sol_reserve < _SMALLEST_RESERVE:
            return self
        base_reserve = -(-self.product // sol_reserve)
        if base_reserve < _SMALLEST_RESERVE or base_reserve > U64_MAX or sol_reserve > U64_MAX:
            return self
        return self._with(base_reserve, sol_reserve)

    def at_price(self, price_sol: Decimal) -> Pool:
        """Return the pool after flow moved it along the curve to `price_sol` (SOL per whole token).

        Raises:
            PoolOutOfRange: when a reserve would be too small to carry the price, or larger than 64 bits.
        """
        return self.at_ratio(Fraction(price_sol) * Fraction(LAMPORTS_PER_SOL, 10**self.decimals))

    def at_ratio(self, ratio: Fraction) -> Pool:
        """Return the pool after flow moved it along the curve to a price of `ratio` lamports per base unit.

        The price is exact where both reserves can be a large multiple of its fraction: as long as its digits, read as
        a whole number, are fewer than a ten-thousandth of the pool's lamports (eight digits at 5,000 SOL). A longer one
        is met to half a unit of the larger reserve: 1e-13 of the price, or better.

        Raises:
            PoolOutOfRange: as `at_price`.
        """
        if ratio <= 0:
            raise PoolOutOfRange("a price must be above zero")
        lamports, base_units = ratio.numerator, ratio.denominator
        multiple = _nearest_root(self.product // (lamports * base_units))
        if multiple >= _LEAST_MULTIPLE:
            sol_reserve, base_reserve = lamports * multiple, base_units * multiple
        elif lamports < base_units:
            sol_reserve = isqrt(self.product * lamports // base_units)
            base_reserve = (2 * sol_reserve * base_units + lamports) // (2 * lamports)
        else:
            base_reserve = isqrt(self.product * base_units // lamports)
            sol_reserve = (2 * base_reserve * lamports + base_units) // (2 * base_units)
        if sol_reserve < _SMALLEST_RESERVE:
            raise PoolOutOfRange("the price is too small for this pool")
        if base_reserve < _SMALLEST_RESERVE:
            raise PoolOutOfRange("the price is too large for this pool")
        if base_reserve > U64_MAX or sol_reserve > U64_MAX:
            raise PoolOutOfRange("the price does not fit 64-bit reserves")
        return self._with(base_reserve, sol_reserve)

    def with_liquidity(self, factor: Decimal) -> Pool:
        """Return the pool with both reserves scaled by `factor`: owners add or take liquidity at an unchanged price."""
        base_reserve = int((self.base_reserve * factor).to_integral_value(ROUND_DOWN))
        sol_reserve = int((self.sol_reserve * factor).to_integral_value(ROUND_DOWN))
        if min(base_reserve, sol_reserve) < _SMALLEST_RESERVE or max(base_reserve, sol_reserve) > U64_MAX:
            return self
        return self._with(base_reserve, sol_reserve)

    def within_limits(self) -> Pool:
        """Return the pool itself.

        Raises:
            PoolOutOfRange: when a reserve is not what a pool can hold.
        """
        reserves = (self.base_reserve, self.sol_reserve)
        if min(reserves) < _SMALLEST_RESERVE or max(reserves) > U64_MAX:
            raise PoolOutOfRange("the reserves do not fit a 64-bit pool")
        return self

    def _kept(self, amount_in: int) -> int:
        """Return what of an input stays in the reserves: all but the pool's fee, rounded up."""
        return -(-amount_in * (BPS - self.fee_bps) // BPS)

    def _after(self, base_units: int, lamports: int) -> Pool:
        base_reserve, sol_reserve = self.base_reserve + base_units, self.sol_reserve + lamports
        if min(base_reserve, sol_reserve) < _SMALLEST_RESERVE or max(base_reserve, sol_reserve) > U64_MAX:
            return self
        return self._with(base_reserve, sol_reserve)

    def _with(self, base_reserve: int, sol_reserve: int) -> Pool:
        return Pool(self.address, self.decimals, base_reserve, sol_reserve, self.fee_bps)


def swap_out(reserve_in: int, reserve_out: int, amount_in: int, fee_bps: int) -> int:
    """Return what a swap of `amount_in` pays out, rounded down, so that the product of the reserves never shrinks.

    out = reserve_out * in' / (reserve_in + in'), with in' = in * (1 - fee_bps / 10000).

    >>> swap_out(1_000_000, 1_000_000, 1_000, 0)
    999
    >>> swap_out(1_000_000, 1_000_000, 1_000, 100)
    989
    """
    after_fee = amount_in * (BPS - fee_bps)
    return reserve_out * after_fee // (reserve_in * BPS + after_fee)


def _nearest_root(square: int) -> int:
    """Return the whole number whose square is nearest.

    >>> _nearest_root(6), _nearest_root(7), _nearest_root(9)
    (2, 3, 3)
    """
    root = isqrt(square)
    return root + (square - root * root > root)
