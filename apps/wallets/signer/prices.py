"""The signer's own price source, and how far below it a promise may be.

Buys and sales are held against the token's price. A sale that is worse may be the token's own thin market: then the
source's quote for exactly this sale decides, as long as that is not absurdly far below the price. So an exit is never
barred by a market as it is, and never sold for what nobody would have offered.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import aiohttp
import structlog

from apps.wallets.signer.policy import WRAPPED_SOL, SwapTerms
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.tally import Reach

log = structlog.get_logger(__name__)
BPS = 10_000
_SECONDS = 4.0
_GATHER_SECONDS = 0.003
_MOST_MINTS = 50
_SOL_DECIMALS = 9


class PriceSource(Protocol):
    """What the signer asks about a token, at a place of its own choice."""

    reach: Reach

    async def lamports_per_base_unit(self, mint: str) -> Fraction | None:
        """Return the price, or None where the source has none. Raises Refused: PRICE_UNAVAILABLE."""

    async def quote(self, mint: str, base_units: int) -> int | None:
        """Return the lamports that selling so much would bring, or None. Raises Refused: PRICE_UNAVAILABLE."""

    async def programs(self) -> frozenset[str] | None:
        """Return the programs of the venues it trades over, or None while it does not answer."""


async def check(
    source: PriceSource, terms: SwapTerms, minimum_out: int, *, max_slippage_bps: int, max_impact_bps: int
) -> int:
    """Want a promise that is not too far below the own price; return what the trade is worth, in lamports.

    Raises:
        Refused: BELOW_OWN_PRICE, NO_PRICE, PRICE_UNAVAILABLE.
    """
    mint = str(terms.mint)
    price = await source.lamports_per_base_unit(mint)
    if terms.buys:
        if price is None:
            raise Refused(Reason.NO_PRICE, "The signer's price source knows no price of this token: it is not bought.")
        _want(minimum_out * price, Fraction(terms.in_amount), max_slippage_bps)
        return terms.in_amount
    worth = None if price is None else terms.in_amount * price
    if worth is not None and minimum_out * BPS >= worth * (BPS - max_slippage_bps):
        return int(worth)
    quoted = await source.quote(mint, terms.in_amount)
    if quoted is None:
        if worth is None:
            raise Refused(Reason.NO_PRICE, "The signer's source knows neither a price of this token nor a buyer.")
        _want(Fraction(minimum_out), worth, max_slippage_bps)
    elif worth is not None and quoted * BPS < worth * (BPS - max_impact_bps):
        raise Refused(
            Reason.BELOW_OWN_PRICE,
            f"The signer's source would pay {quoted} lamports for what is worth {int(worth)}: that is no market.",
        )
    else:
        _want(Fraction(minimum_out), Fraction(quoted), max_slippage_bps)
    return int(worth if worth is not None else Fraction(quoted or 0))


def _want(promised: Fraction, worth: Fraction, max_slippage_bps: int) -> None:
    if promised * BPS < worth * (BPS - max_slippage_bps):
        raise Refused(
            Reason.BELOW_OWN_PRICE,
            f"The promised minimum is worth {int(promised)} lamports, by the signer's own price it should be "
            f"{int(worth)} less {max_slippage_bps} hundredths of a percent.",
        )


class JupiterPrices:
    """Jupiter's price, quote and list of programs. Prices of one moment are asked for together."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, api_key: str, max_age_seconds: float) -> None:
        self._url, self._session, self._max_age = url, session, max_age_seconds
        self.reach = Reach()
        self._headers = {"x-api-key": api_key} if api_key else {}
        self._known: dict[str, tuple[float, Fraction | None]] = {}
        self._asked: dict[str, asyncio.Future[Fraction | None]] = {}
        self._round: asyncio.Task[None] | None = None

    async def lamports_per_base_unit(self, mint: str) -> Fraction | None:
        known = self._known.get(mint)
        if known is not None and time.monotonic() - known[0] < self._max_age:
            return known[1]
        waiting = self._asked.get(mint)
        if waiting is None:
            waiting = self._asked[mint] = asyncio.get_running_loop().create_future()
            if self._round is None or self._round.done():
                self._round = asyncio.create_task(self._ask())
        return await asyncio.shield(waiting)

    async def quote(self, mint: str, base_units: int) -> int | None:
        query = {
            "inputMint": mint,
            "outputMint": str(WRAPPED_SOL),
            "amount": str(base_units),
            "restrictIntermediateTokens": "true",
        }
        status, answer = await self._get("/swap/v2/order", query)
        if status == 200 and str(answer.get("outAmount", "")).isdecimal():
            return int(answer["outAmount"])
        if 400 <= status < 500 and status != 429:
            return None
        raise Refused(Reason.PRICE_UNAVAILABLE, "The signer's price source gave no quote.")

    async def programs(self) -> frozenset[str] | None:
        try:
            status, answer = await self._get("/swap/v1/program-id-to-label", {})
        except Refused:
            return None
        return frozenset(map(str, answer)) if status == 200 and answer else None

    async def _ask(self) -> None:
        while self._asked:
            await asyncio.sleep(_GATHER_SECONDS)
            mints = list(self._asked)[: _MOST_MINTS - 1]
            waiting = {mint: self._asked.pop(mint) for mint in mints}
            try:
                status, answer = await self._get("/price/v3", {"ids": ",".join([*mints, str(WRAPPED_SOL)])})
                if status != 200:
                    raise Refused(Reason.PRICE_UNAVAILABLE, "The signer's price source did not answer.")
                prices = {mint: _price(answer, mint) for mint in mints}
            except Refused as refusal:
                for future in waiting.values():
                    future.set_exception(Refused(refusal.reason, refusal.message))
                    future.exception()  # whoever waited may have gone
                continue
            at = time.monotonic()
            for mint, future in waiting.items():
                self._known[mint] = (at, prices[mint])
                future.set_result(prices[mint])

    async def _get(self, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._session.get(self._url + path, params=query, headers=self._headers) as response,
            ):
                answer = json.loads(await response.read(), parse_float=Decimal)
                self._note(answered=response.status < 500 and response.status != 429)
                return response.status, answer if isinstance(answer, dict) else {}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._note(answered=False)
            log.warning("signer_price_source_away", path=path, error=type(error).__name__)
            raise Refused(Reason.PRICE_UNAVAILABLE, "The signer's price source did not answer.") from None

    def _note(self, *, answered: bool) -> None:
        if answered:
            self.reach.answered()
        else:
            self.reach.failed()
            self.reach.lost()


def _price(answer: Mapping[str, Any], mint: str) -> Fraction | None:
    """Return lamports per base unit from the dollar prices of one answer; SOL's has to be in it."""
    sol, token = answer.get(str(WRAPPED_SOL)), answer.get(mint)
    try:
        sol_usd = Fraction(sol["usdPrice"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise Refused(Reason.PRICE_UNAVAILABLE, "The signer's price source has no price of SOL.") from None
    try:
        token_usd, decimals = Fraction(token["usdPrice"]), int(token["decimals"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return None
    if sol_usd <= 0:
        raise Refused(Reason.PRICE_UNAVAILABLE, "The signer's price source has no price of SOL.")
    if token_usd <= 0:
        return None
    return token_usd / sol_usd * 10**_SOL_DECIMALS / 10**decimals
