"""A third voice for a wild price no second source confirms: what a holder's own sell quote says the market is.

Asked in the call loop, at most every few seconds per token, and heard by the next poll; a tick never waits for it.
Without it a token whose price really doubled while the second source is away would stay in doubt for ever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal

import structlog

from apps.core.errors import SoldeskError
from apps.core.http import call_loop
from apps.core.money import MONEY, SOL_MINT, to_base_units
from apps.prices.domain.points import PricePoint
from apps.prices.domain.trust import AGREEMENT_FRACTION
from apps.trading.adapters import jupiter
from apps.trading.domain import exit_decision, fills
from apps.trading.domain.fills import Quote
from apps.trading.selectors.watched import HeldToken

log = structlog.get_logger(__name__)

QUOTE_SECONDS = 2.0
#: How long a token rests between two questions, and how long an answer counts.
REST_SECONDS = 3.0

Ask = Callable[[str, int], Future[Quote]]


def _ask_jupiter(mint: str, base_units: int) -> Future[Quote]:
    return call_loop.submit(jupiter.quote(mint, SOL_MINT, base_units, lane="exit", deadline_seconds=QUOTE_SECONDS))


class QuoteOpinions:
    """What sell quotes said of doubted tokens a moment ago."""

    def __init__(self, ask: Ask = _ask_jupiter) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}
        self._said: dict[str, tuple[float, Decimal]] = {}

    def confirms(self, point: PricePoint) -> bool:
        """Tell whether a fresh quote puts the market within 5 % of the price."""
        with self._lock:
            said_at, market = self._said.get(point.mint, (0.0, Decimal(0)))
        if market <= 0 or time.monotonic() - said_at > REST_SECONDS:
            return False
        higher = max(market, point.price_sol)
        return MONEY.divide(abs(market - point.price_sol), higher) <= AGREEMENT_FRACTION

    def ask(self, token: HeldToken) -> None:
        """Ask for a quote of what one holder of the token has, unless that was done a moment ago."""
        units = to_base_units(token.amount, token.decimals)
        now = time.monotonic()
        with self._lock:
            if units <= 0 or now - self._asked_at.get(token.mint, -REST_SECONDS) < REST_SECONDS:
                return
            self._asked_at = {mint: at for mint, at in self._asked_at.items() if now - at < REST_SECONDS}
            self._asked_at[token.mint] = now

        def heard(future: Future[Quote]) -> None:
            error = future.exception()
            if error is None:
                self._hear(token, future.result())
            elif isinstance(error, SoldeskError):
                log.info("quote_opinion_missing", mint=token.mint, code=error.code)
            else:
                log.error("quote_opinion_broke", mint=token.mint, exc_info=error)

        self._ask(token.mint, units).add_done_callback(heard)

    def _hear(self, token: HeldToken, quote: Quote) -> None:
        price = fills.price_per_token(quote.out_amount, quote.in_amount, token.decimals)
        market = exit_decision.market_price(price, quote.price_impact)
        with self._lock:
            self._said[token.mint] = (time.monotonic(), market)
