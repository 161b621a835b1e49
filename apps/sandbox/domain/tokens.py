"""What a token is apart from its price: mint, names, supply, holders, audit, and the pool it was launched with.

Everything follows from the seed, so the same seed always lists the same tokens under the same mints.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from apps.core.money import LAMPORTS_PER_SOL
from apps.sandbox.domain import base58, noise
from apps.sandbox.domain.mints import HARMLESS, MintRules
from apps.sandbox.domain.pools import U64_MAX, Pool

USDC_MINT = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - an address
TOKEN_2022_PROGRAM = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - an address

LAUNCH_SOL_USD = Decimal("164.20")
_USDC_POOL_SOL = 600_000

_DAY = 86_400

#: (symbol, name): invented, and different enough to tell apart at a glance.
_LISTED = (
    ("NOODL", "Noodle Cat"),
    ("GRUMP", "Grump Frog"),
    ("ORBIT", "Orbit Finance"),
    ("WAFFL", "Waffle House Coin"),
    ("ZENO", "Zeno Protocol"),
    ("TOFU", "Tofu the Dog"),
    ("KRILL", "Krill Season"),
    ("PIXL", "Pixelverse"),
    ("MOTH", "Lamp Moth"),
    ("BRIK", "Brick by Brick"),
    ("SUNNY", "Sunny Side Up"),
    ("VOLT", "Voltaic"),
    ("DUNE", "Dune Lizard"),
    ("HALO", "Halo Index"),
    ("CRUMB", "Cookie Crumb"),
    ("GLITCH", "Glitch Gang"),
    ("FERN", "Fern Network"),
    ("YODEL", "Yodeling Goat"),
    ("ANVIL", "Anvil Labs"),
    ("PLUTO", "Still A Planet"),
    ("SPRIG", "Sprig"),
    ("OTTER", "Otter Space"),
    ("RUMBA", "Rumba"),
    ("TINKR", "Tinker AI"),
)
_DECIMALS = (6, 6, 9, 6, 5, 6, 9, 8, 6, 6, 9, 6)
#: (router label, DexScreener id, DexScreener labels, pool fee in bps)
_VENUES = (
    ("Raydium CPMM", "raydium", ("CPMM",), 25),
    ("Pump.fun Amm", "pumpswap", (), 30),
    ("Raydium", "raydium", (), 25),
    ("Meteora DAMM v2", "meteora", ("DYN2",), 20),
)


class Rest(StrEnum):
    """What a token does while no scenario plays: walk about, or stand still."""

    CALM = "calm"
    STILL = "still"


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token somebody asked for: number `number` of the group `prefix`. Price in SOL per whole token.

    Without `pool_fee_bps` its pool takes the fee of the venue it falls to. Its mint is as harmless as `rules` say.
    """

    prefix: str
    number: int
    rest: Rest
    decimals: int
    price_sol: Decimal
    liquidity_sol: Decimal
    volatility_percent: float
    pool_fee_bps: int | None = None
    rules: MintRules = HARMLESS


@dataclass(frozen=True, slots=True)
class Token:
    """One listed token. Percentages are 0 to 100; `volatility_percent` is the deviation of one minute's return.

    `order` is set for tokens added on demand; they are not part of the demo market.
    """

    mint: str
    symbol: str
    name: str
    decimals: int
    supply_base_units: int
    age_seconds: int
    developer: str
    launchpad: str | None
    holder_count: int
    top_holders_percent: float
    developer_percent: float
    developer_mints: int
    rules: MintRules
    is_verified: bool
    tags: tuple[str, ...]
    organic_score: float
    venue_label: str
    dex_id: str
    dex_labels: tuple[str, ...]
    launch_pool: Pool
    volatility_percent: float
    daily_turnover: float
    rest: Rest
    is_demo: bool
    order: TokenOrder | None = None

    @property
    def token_program(self) -> str:
        """The program that owns its mint."""
        return TOKEN_2022_PROGRAM if self.rules.token_2022 else TOKEN_PROGRAM

    @property
    def supply(self) -> float:
        """Whole tokens in existence, as the number providers print."""
        return self.supply_base_units / float(10**self.decimals)


def address(*name: object) -> str:
    """Return the 32-byte address, in base58, that belongs to a name."""
    return base58.encode(noise.digest("address", *name))


def launch_pool(
    *, pool_address: str, decimals: int, price_sol: Decimal, liquidity_sol: Decimal, fee_bps: int
) -> Pool | None:
    """Return the pool that opens at `price_sol` with `liquidity_sol` on its SOL side, or None when it cannot be held.

    The token side is that many lamports at the price, rounded to whole base units.
    """
    sol_reserve = int(liquidity_sol * LAMPORTS_PER_SOL)
    base_reserve = int((liquidity_sol / price_sol).scaleb(decimals)) if price_sol > 0 else 0
    if not (10_000 <= sol_reserve <= U64_MAX and 10_000 <= base_reserve <= U64_MAX // 8):
        return None
    return Pool(pool_address, decimals, base_reserve, sol_reserve, fee_bps)


def demo_token(seed: int, index: int) -> Token:
    """Return the demo market's token number `index`, with a price, depth and temper of its own."""
    symbol, name = _LISTED[index % len(_LISTED)]
    generation = index // len(_LISTED)
    if generation:
        symbol, name = f"{symbol}{generation + 1}", f"{name} {generation + 1}"
    draw = (seed, "demo", index)
    decimals = _DECIMALS[index % len(_DECIMALS)]
    # Market caps from about 0.3 to 40 million dollars; depth grows with them, more slowly.
    market_cap_usd = 10 ** noise.between(5.5, 7.6, *draw, "cap")
    depth_usd = market_cap_usd**0.62 * noise.between(14, 30, *draw, "depth")
    price_sol = (
        Decimal(market_cap_usd / (_demo_supply(decimals) // 10**decimals)).quantize(Decimal("1e-16")) / LAUNCH_SOL_USD
    )
    liquidity_sol = Decimal(round(depth_usd / 2)) / LAUNCH_SOL_USD
    token = _build(
        draw=draw,
        symbol=symbol,
        name=name,
        decimals=decimals,
        price_sol=price_sol,
        liquidity_sol=liquidity_sol,
        volatility_percent=round(noise.between(4.5, 10.0, *draw, "volatility"), 2),
        rest=Rest.CALM,
        rules=MintRules.of_demo_token(index, *draw),
        order=None,
    )
    if token is None:  # the ranges above cannot leave what a pool can hold
        raise AssertionError(symbol)
    return token


def ordered_token(seed: int, order: TokenOrder) -> Token | None:
    """Return a token added on demand, or None when its pool could not be held in 64 bits."""
    return _build(
        draw=(seed, "ordered", order.prefix, order.number),
        symbol=f"{order.prefix}{order.number}",
        name=f"{order.prefix.capitalize()} {order.number}",
        decimals=order.decimals,
        price_sol=order.price_sol,
        liquidity_sol=order.liquidity_sol,
        volatility_percent=order.volatility_percent,
        rest=order.rest,
        rules=order.rules,
        order=order,
    )


def usdc() -> Token:
    """Return the dollar coin, whose pool against SOL *is* the market's SOL/USD price."""
    pool = launch_pool(
        pool_address=address("pool", USDC_MINT),
        decimals=6,
        price_sol=1 / LAUNCH_SOL_USD,
        liquidity_sol=Decimal(_USDC_POOL_SOL),
        fee_bps=4,
    )
    if pool is None:
        raise AssertionError("the dollar pool always fits")
    return Token(
        mint=USDC_MINT,
        symbol="USDC",
        name="USD Coin",
        decimals=6,
        supply_base_units=9_000_000_000 * 10**6,
        age_seconds=2_000 * _DAY,
        developer=address("developer", USDC_MINT),
        launchpad=None,
        holder_count=5_400_000,
        top_holders_percent=21.4,
        developer_percent=0.0,
        developer_mints=1,
        rules=MintRules(mint_authority=True, freeze_authority=True),
        is_verified=True,
        tags=("verified", "strict", "stable"),
        organic_score=99.0,
        venue_label="Whirlpool",
        dex_id="orca",
        dex_labels=("wp",),
        launch_pool=pool,
        volatility_percent=0.25,
        daily_turnover=1.8,
        rest=Rest.CALM,
        is_demo=False,
    )


def _build(
    *,
    draw: tuple[object, ...],
    symbol: str,
    name: str,
    decimals: int,
    price_sol: Decimal,
    liquidity_sol: Decimal,
    volatility_percent: float,
    rest: Rest,
    rules: MintRules,
    order: TokenOrder | None,
) -> Token | None:
    label, dex_id, dex_labels, fee_bps = noise.pick(_VENUES, *draw, "venue")
    if order is not None and order.pool_fee_bps is not None:
        fee_bps = order.pool_fee_bps
    mint = address(*draw, "mint")
    pool = launch_pool(
        pool_address=address(*draw, "pool"),
        decimals=decimals,
        price_sol=price_sol,
        liquidity_sol=liquidity_sol,
        fee_bps=fee_bps,
    )
    if pool is None:
        return None
    is_verified = noise.uniform(*draw, "verified") < 0.35
    organic_score = round(noise.between(8, 92, *draw, "organic"), 1)
    launched_on_pad = noise.uniform(*draw, "launchpad") < 0.5
    # The pool holds a part of the supply; the rest is in wallets.
    pooled_share = noise.between(0.02, 0.3, *draw, "pooled")
    return Token(
        mint=mint,
        symbol=symbol,
        name=name,
        decimals=decimals,
        supply_base_units=_demo_supply(decimals) if order is None else _fitting_supply(pool, pooled_share),
        age_seconds=int(noise.between(1.5, 240, *draw, "age") * _DAY),
        developer=address(*draw, "developer"),
        launchpad="pump.fun" if launched_on_pad else None,
        holder_count=int(10 ** noise.between(2.7, 4.6, *draw, "holders")),
        top_holders_percent=round(noise.between(9, 38, *draw, "top"), 2),
        developer_percent=round(noise.between(0, 4, *draw, "held"), 2),
        developer_mints=1 + int(noise.uniform(*draw, "mints") * 6),
        rules=rules,
        is_verified=is_verified,
        tags=("verified",) if is_verified else ("unknown",),
        organic_score=organic_score,
        venue_label=label,
        dex_id=dex_id,
        dex_labels=dex_labels,
        launch_pool=pool,
        volatility_percent=volatility_percent,
        daily_turnover=noise.between(0.6, 5.0, *draw, "turnover"),
        rest=rest,
        is_demo=order is None,
        order=order,
    )


def _demo_supply(decimals: int) -> int:
    """Return the supply of a demo token in base units: a billion tokens, or a hundred billion of the coarse ones."""
    supply: int = (10**11 if decimals == 5 else 10**9) * 10**decimals
    return supply


def _fitting_supply(pool: Pool, pooled_share: float) -> int:
    return min(int(pool.base_reserve / pooled_share), U64_MAX)
