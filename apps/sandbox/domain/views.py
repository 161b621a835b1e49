"""A view of the market at one instant: what every provider answers from, so that quote and price agree.

Views are frozen. A fault that freezes or bends a source hands that source another view; the market knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from apps.core.money import LAMPORTS_PER_SOL
from apps.sandbox.domain.pools import Pool
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.tokens import USDC_MINT

#: Solana makes a slot about every 400 ms; this places slot numbers in a believable range and keeps them rising.
_SLOT_SECONDS = 0.4
_SLOT_ZERO_AT = 1_640_000_000.0

SOL_USD_EXPONENT = -8
#: From a ratio of dollar units (1e-6) and lamports (1e-9) to units of 1e-8 dollars per SOL.
_USDC_TO_E8 = 10 ** (9 - 6 + 8)


@dataclass(frozen=True, slots=True)
class MarketView:
    """Every pool at one tick, with the Unix time (seconds) at which it was seen.

    `told` is what single sources say instead of a token's price, by mint, as a factor of it.
    """

    tick: int
    observed_at: float
    pools: Mapping[str, Pool]
    told: Mapping[str, Mapping[Source, Decimal]] = field(default_factory=dict)

    @property
    def slot(self) -> int:
        """The slot of that time."""
        return int((self.observed_at - _SLOT_ZERO_AT) / _SLOT_SECONDS)

    @property
    def usdc_pool(self) -> Pool:
        """The dollar coin's pool."""
        return self.pools[USDC_MINT]

    @property
    def sol_usd_e8(self) -> int:
        """SOL/USD in units of 1e-8 dollars: the dollar pool's own price, rounded down."""
        pool = self.usdc_pool
        return pool.base_reserve * _USDC_TO_E8 // pool.sol_reserve

    @property
    def sol_usd(self) -> float:
        """SOL/USD as the nearest JSON number."""
        return self.sol_usd_e8 / 10**8

    def usd_price(self, mint: str) -> float:
        """Return dollars per whole token as the nearest JSON number."""
        numerator, denominator = self.pools[mint].price_ratio
        return numerator * self.sol_usd_e8 / (denominator * 10**8)

    def lamports_in_usd(self, lamports: int) -> float:
        """Return an amount of lamports in dollars."""
        return lamports * self.sol_usd_e8 / (LAMPORTS_PER_SOL * 10**8)

    def liquidity_usd(self, mint: str) -> float:
        """Return the value of both sides of the token's pool in dollars."""
        return self.lamports_in_usd(2 * self.pools[mint].sol_reserve)

    def with_pools(self, pools: Mapping[str, Pool]) -> MarketView:
        """Return this view with other pools in place of those named."""
        return replace(self, pools={**self.pools, **pools})

    def told_by(self, source: Source) -> MarketView:
        """Return the view as this source tells it."""
        untrue = {mint: factors[source] for mint, factors in self.told.items() if source in factors}
        if not untrue:
            return self
        return self.with_pools({mint: bent(self.pools[mint], factor) for mint, factor in untrue.items()})

    def aged(self, seconds: float) -> MarketView:
        """Return this view as if it had been seen `seconds` earlier."""
        return replace(self, observed_at=self.observed_at - seconds)


def bent(pool: Pool, factor: Decimal) -> Pool:
    """Return a pool whose price is `factor` times the true one, for a source that reports nonsense."""
    numerator, denominator = factor.as_integer_ratio()
    if numerator >= denominator:
        return replace(pool, sol_reserve=max(1, pool.sol_reserve * numerator // denominator))
    return replace(pool, base_reserve=max(1, pool.base_reserve * denominator // numerator))
