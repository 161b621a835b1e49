"""The market: every token's pool and what moves it, one tick at a time.

Time and randomness come from outside (a tick number, a Unix time, a seed). Reading goes through `view`: one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from decimal import Decimal

from apps.core.money import LAMPORTS_PER_SOL, SOL_MINT
from apps.sandbox.domain import director, scenarios, tokens
from apps.sandbox.domain.activity import Activity
from apps.sandbox.domain.listing import HISTORY_TICKS, Listing
from apps.sandbox.domain.pools import Pool
from apps.sandbox.domain.scenarios import Plan, ScenarioName
from apps.sandbox.domain.scripts import Playing, Script
from apps.sandbox.domain.tokens import USDC_MINT, Rest, Token
from apps.sandbox.domain.views import MarketView

#: The deviation of the invented day before the market opened: SOL's own, and a token's in minutes of its volatility.
_SOL_DAY_DRIFT = 0.03
_DAY_DRIFT = 3


class UnknownToken(LookupError):
    """No listed token answers to that mint or symbol."""


class Market:
    """All listings and the current view."""

    def __init__(self, *, seed: int, demo_tokens: int, tick_ms: int, now: float, autonomous: bool = True) -> None:
        self.seed = seed
        self.tick_ms = tick_ms
        self.tick = 0
        self.opened_at = now
        self.autonomous = autonomous
        self.listings: dict[str, Listing] = {}
        #: Called with every token that is listed from now on.
        self.on_listed: list[Callable[[Token], None]] = []
        self._now = now
        self._list(tokens.usdc())
        for index in range(demo_tokens):
            self._list(tokens.demo_token(seed, index))
        self.view = self._look()

    # Reading

    @property
    def demo_mints(self) -> list[str]:
        """Mints of the demo market, in listing order."""
        return [mint for mint, listing in self.listings.items() if listing.token.is_demo]

    @property
    def usdc(self) -> Listing:
        """The dollar coin, through which SOL has its dollar price."""
        return self.listings[USDC_MINT]

    def listing(self, mint: str) -> Listing:
        """Return the listing of a mint.

        Raises:
            UnknownToken: when it is not listed.
        """
        found = self.listings.get(mint)
        if found is None:
            raise UnknownToken(mint)
        return found

    def mint_of(self, symbol: str) -> str:
        """Return the mint of a symbol, whatever its letters' case; "SOL" is wrapped SOL.

        Raises:
            UnknownToken: when no token has it.
        """
        wanted = symbol.upper()
        if wanted == "SOL":
            return SOL_MINT
        for mint, listing in self.listings.items():
            if listing.token.symbol.upper() == wanted:
                return mint
        raise UnknownToken(symbol)

    # Moving

    def step(self, now: float, held: AbstractSet[str] = frozenset()) -> MarketView:
        """Play one tick: every token's move, the minute book, what the director starts next. Returns the new view.

        `held` names tokens somebody follows: the director's charts go to them.
        """
        self.tick += 1
        self.follow_scripts(now)
        minute_ends = self.tick % max(1, 60_000 // self.tick_ms) == 0
        sol_usd = self.view.sol_usd
        for listing in self.listings.values():
            before = listing.pool.sol_reserve
            self._move(listing)
            price = listing.pool.price_number()
            listing.history.append(price)
            if listing.pool.sol_reserve != before:
                listing.activity.record((listing.pool.sol_reserve - before) / LAMPORTS_PER_SOL * sol_usd)
            if minute_ends:
                listing.activity.close_minute(price)
        if self.autonomous:  # last, because a plan's first move belongs to the tick after the one that starts it
            self._direct(now, held)
        self.view = self._look()
        return self.view

    def warm_up(self, now: float) -> None:
        """Play the ticks that fill the charts, as if the market had been open before `now`."""
        for remaining in range(HISTORY_TICKS, 0, -1):
            self.step(now - remaining * self.tick_ms / 1000)

    def follow_scripts(self, now: float) -> float | None:
        """Show what scripts have due at `now`; return when the next change is due, or None when nothing waits."""
        self._now = now
        next_due: float | None = None
        moved = False
        for listing in self.listings.values():
            playing = listing.playing
            if playing is None:
                continue
            pool = playing.follow(now)
            if pool is not None:
                listing.pool = pool
            if playing.is_over(now):
                self._end_script(listing)
            due_at = playing.next_due_at(now)
            if listing.playing is not None and due_at is not None:
                next_due = due_at if next_due is None else min(next_due, due_at)
            moved = moved or pool is not None or listing.playing is None
        if moved:
            self.view = self._look()
        return next_due

    # Steering

    def start(
        self, mint: str, name: ScenarioName, *, change_percent: float | None = None, seconds: float | None = None
    ) -> Plan | None:
        """Start a scenario on a token; it replaces whatever was playing. Calm gives a drained pool its depth back.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        listing.playing = None
        listing.plan = scenarios.make_plan(
            name,
            tick_ms=self.tick_ms,
            change_percent=change_percent,
            seconds=seconds,
            draw=(self.seed, mint, self.tick, name),
        )
        listing.plan_started_tick = self.tick
        if listing.plan is not None:
            return listing.plan
        listing.rest = Rest(name)
        if listing.drained_since_tick is not None:
            listing.drained_since_tick = None
            launched = listing.token.launch_pool.product
            listing.pool = listing.pool.with_liquidity((Decimal(launched) / Decimal(listing.pool.product)).sqrt())
            self.view = self._look()
        return None

    def set_price(self, mint: str, price_sol: Decimal) -> None:
        """Put a token at a price now; a running scenario or script ends, and a walk goes on from there.

        Raises:
            UnknownToken: when the mint is not listed.
            PoolOutOfRange: when the pool cannot carry the price.
        """
        listing = self.listing(mint)
        listing.pool = listing.pool.at_price(price_sol)
        listing.plan = None
        listing.playing = None
        listing.anchor_price = listing.pool.price_number()
        self.view = self._look()

    def take_buy(self, mint: str, lamports: int) -> None:
        """Let somebody's `lamports`, protocol fee taken off, have bought from a token's pool.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        self._take(listing, listing.pool.after_buy(lamports))

    def take_sale(self, mint: str, base_units: int) -> None:
        """Let somebody's `base_units` have been sold to a token's pool.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        self._take(listing, listing.pool.after_sale(base_units))

    def take_back_buy(self, mint: str, lamports: int, base_units: int) -> None:
        """Undo a buy that paid out `base_units`.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        self._take(listing, listing.pool.before_buy(lamports, base_units))

    def take_back_sale(self, mint: str, base_units: int, lamports: int) -> None:
        """Undo a sale that paid out `lamports`.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        self._take(listing, listing.pool.before_sale(base_units, lamports))

    def play(self, mints: Sequence[str], script: Script, *, now: float, speed: float = 1.0) -> None:
        """Let tokens play a script from `now` on; it replaces whatever they were playing.

        Raises:
            UnknownToken: when a mint is not listed.
            ImpossiblePoint: when a pool cannot carry a price of it; nothing moves then.
        """
        listings = [self.listing(mint) for mint in mints]
        begun = [Playing.begin(script, listing.pool, now=now, speed=speed) for listing in listings]
        for listing, playing in zip(listings, begun, strict=True):
            listing.plan = None
            listing.playing = playing
        self.follow_scripts(now)

    def cancel_script(self, mint: str) -> bool:
        """End a token's script at the price that shows; says whether it played one.

        Raises:
            UnknownToken: when the mint is not listed.
        """
        listing = self.listing(mint)
        if listing.playing is None:
            return False
        self._end_script(listing)
        self.view = self._look()
        return True

    def add(self, added: Iterable[Token]) -> None:
        """List tokens; one that is listed already goes back to its launch state with the new token's rest."""
        for token in added:
            self._list(token)
        self.view = self._look()

    def restore(self) -> None:
        """Put every token back to its launch state."""
        self.add([listing.token for listing in self.listings.values()])

    def resume(
        self,
        mint: str,
        *,
        base_reserve: int,
        sol_reserve: int,
        anchor_price: float,
        rest: Rest,
        drained_for: int | None,
    ) -> None:
        """Put a token where an earlier run left it; `drained_for` is the ticks since its rug, if it was rugged.

        Raises:
            UnknownToken: when the mint is not listed.
            PoolOutOfRange: when these are not reserves a pool can hold.
        """
        listing = self.listing(mint)
        listing.pool = replace(
            listing.token.launch_pool, base_reserve=base_reserve, sol_reserve=sol_reserve
        ).within_limits()
        listing.anchor_price = anchor_price
        listing.listed_at = self.opened_at - listing.token.age_seconds
        listing.rest = rest
        listing.drained_since_tick = None if drained_for is None else self.tick - drained_for
        listing.activity = self._activity(listing.token, listing.pool.price_number())
        self.view = self._look()

    def _take(self, listing: Listing, after: Pool) -> None:
        """Let a pool be as a trade left it; a walk goes on around the price there is then."""
        shift = after.price_number() / listing.pool.price_number()
        paid = (after.sol_reserve - listing.pool.sol_reserve) / LAMPORTS_PER_SOL * self.view.sol_usd
        listing.pool, listing.anchor_price = after, listing.anchor_price * shift
        listing.activity.record(paid)
        self.view = self._look()

    def _end_script(self, listing: Listing) -> None:
        """Let the token stand, or go on as before, where its script leaves it."""
        if listing.playing is not None and listing.playing.script.holds:
            listing.rest = Rest.STILL
            listing.anchor_price = listing.pool.price_number()
        listing.playing = None

    def _list(self, token: Token) -> None:
        price = token.launch_pool.price_number()
        self.listings[token.mint] = Listing(
            token=token,
            pool=token.launch_pool,
            anchor_price=price,
            rest=token.rest,
            listed_at=self.opened_at - token.age_seconds,
            activity=self._activity(token, price),
        )
        for listener in self.on_listed:
            listener(token)

    def _activity(self, token: Token, price: float) -> Activity:
        day_drift = _SOL_DAY_DRIFT if token.mint == USDC_MINT else token.volatility_percent / 100 * _DAY_DRIFT
        liquidity_usd = 2 * token.launch_pool.sol_reserve / LAMPORTS_PER_SOL * float(tokens.LAUNCH_SOL_USD)
        return Activity(
            draw=(self.seed, token.mint),
            price=price,
            volume_per_day_usd=token.daily_turnover * liquidity_usd,
            drift=0.0 if token.rest is Rest.STILL else day_drift,
        )

    def _direct(self, now: float, held: AbstractSet[str]) -> None:
        demo = [listing for listing in self.listings.values() if listing.token.is_demo]
        calm = [(listing.token.mint, listing.distance) for listing in demo if listing.scenario == ScenarioName.CALM]
        drained = [
            (listing.token.mint, self.tick - listing.drained_since_tick)
            for listing in demo
            if listing.drained_since_tick is not None
        ]
        for act in director.decide(seed=self.seed, tick=self.tick, tick_ms=self.tick_ms, calm=calm, drained=drained):
            self.start(act.mint, act.scenario, change_percent=act.change_percent, seconds=act.seconds)
        stage = [candidate for candidate in calm if self.listings[candidate[0]].scenario == ScenarioName.CALM]
        show = director.decide_show(seed=self.seed, tick=self.tick, tick_ms=self.tick_ms, calm=stage, held=held)
        if show is not None:
            self.play([show.mint], show.chart.script, now=now)

    def _move(self, listing: Listing) -> None:
        token = listing.token
        draw = (self.seed, token.mint)
        if listing.playing is not None:
            return
        walks = listing.rest is Rest.CALM
        if listing.plan is None:
            if not walks:
                return
            if listing.drained_since_tick is not None:
                listing.pool = listing.pool.moved(self._jitter(token, draw))
                return
            listing.pool = listing.pool.moved(
                scenarios.calm_return(
                    volatility_percent=token.volatility_percent,
                    tick_ms=self.tick_ms,
                    tick=self.tick,
                    distance=listing.distance,
                    draw=draw,
                )
            )
            return
        plan_tick = self.tick - listing.plan_started_tick
        plan = listing.plan
        factor = plan.liquidity_factor(plan_tick)
        if factor != 1.0:
            listing.pool = listing.pool.with_liquidity(Decimal(factor))
        log_return = plan.log_return(plan_tick)
        listing.pool = listing.pool.moved(log_return + self._jitter(token, draw) if walks else log_return)
        if plan_tick >= plan.ticks:
            listing.plan = None
            if plan.name is ScenarioName.RUG:
                listing.drained_since_tick = self.tick

    def _jitter(self, token: Token, draw: tuple[object, ...]) -> float:
        return scenarios.jitter(
            volatility_percent=token.volatility_percent, tick_ms=self.tick_ms, tick=self.tick, draw=draw
        )

    def _look(self) -> MarketView:
        return MarketView(
            tick=self.tick,
            observed_at=self._now,
            pools={mint: listing.pool for mint, listing in self.listings.items()},
            told={mint: listing.told for mint, listing in self.listings.items() if listing.told},
        )
