"""From a reserved order to signed bytes: the provider's transaction, looked into, given a fresh blockhash, signed.

Nothing is sent here and nothing is written: the driver commits what comes of it. Whether an attempt ends the order or
only has to be repeated is in the error: `CannotBuild` ends it, `TryLater` does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import structlog
from django.conf import settings

from apps.chain.errors import NodeError
from apps.core.http import ProviderError, ProviderRejected
from apps.trading.adapters import jupiter_orders
from apps.trading.adapters.jupiter_orders import OfferedSwap, SwapWanted
from apps.trading.domain.landed_swap import LAMPORTS_PER_SIGNATURE
from apps.trading.errors import TokenNotTradable
from apps.trading.models import LandingRoute
from apps.trading.services.live import swap_bytes
from apps.trading.services.live.chain_clock import ChainClock
from apps.trading.services.live.compute_budget import ComputeBudgets
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.swap_bytes import SwapBytes, UnusableSwap
from apps.wallets.signer_client import ReclaimToSign, Signed, SignerRefused, SignerUnavailable, SwapToSign

log = structlog.get_logger(__name__)

BUILD_SECONDS = 4.0

TOKEN_NOT_TRADABLE = "TOKEN_NOT_TRADABLE"  # noqa: S105 - a code
BUILD_REFUSED = "BUILD_REFUSED"
PRICE_IMPACT_TOO_HIGH = "PRICE_IMPACT_TOO_HIGH"


class CannotBuild(Exception):
    """This order ends: the provider or the signer says no to it for a reason that stays."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class TryLater(Exception):
    """Somebody is away or busy; the same order is tried again."""

    def __init__(self, code: str, detail: str, seconds: float = 1.0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.seconds = code, detail, seconds


class Signing(Protocol):
    """The signer as this needs it: `wallets.signer_client.AsyncSigner`."""

    async def sign_swap(self, swap: SwapToSign) -> Signed: ...

    async def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed: ...


@dataclass(frozen=True, slots=True)
class BuiltSwap:
    """What a build came to: bytes for the signer, and the columns the order gets."""

    swap: SwapBytes
    last_valid_block_height: int
    out_base_units: int
    minimum_out_base_units: int
    price_impact: Decimal
    route: LandingRoute
    request_id: str
    answer: Any


class Builder:
    """Builds and has signed; one per process, so that what many orders ask is asked once."""

    def __init__(self, clock: ChainClock, budgets: ComputeBudgets, signer: Signing) -> None:
        self._clock = clock
        self._signer = signer
        self._budgets = budgets

    async def build(self, order: LiveOrder) -> BuiltSwap:
        """Get a transaction for an order.

        Raises:
            CannotBuild, TryLater.
        """
        self._clock.ask_ahead()  # while the provider builds
        cap = min(order.fee_cap_lamports, settings.LIVE_MAX_FEE_LAMPORTS)
        priority = min(await self._budgets.usual_lamports(order), cap - LAMPORTS_PER_SIGNATURE)
        wanted = SwapWanted(
            input_mint=order.input_mint,
            output_mint=order.output_mint,
            in_base_units=order.in_base_units,
            taker=order.wallet,
            slippage_bps=min(order.slippage_bps, settings.LIVE_MAX_SLIPPAGE_BPS),
            priority_fee_lamports=max(priority, 0),
            is_exit=not order.is_buy,
        )
        try:
            offer, swap = await self._offered(order, wanted, cap)
            route = self._route(offer)
            if route is LandingRoute.NODE:  # Jupiter lands its own bytes only
                swap = await self._budgets.fitted(order, swap, cap)
            now = await self._clock.now()
        except TokenNotTradable as error:
            raise CannotBuild(TOKEN_NOT_TRADABLE, error.message) from error
        except UnusableSwap as error:
            raise CannotBuild(error.code, error.message) from error
        except ProviderRejected as error:
            raise CannotBuild(BUILD_REFUSED, error.message) from error
        except (ProviderError, NodeError) as error:
            raise TryLater(error.code, error.message, getattr(error, "retry_after_seconds", 1.0)) from error
        _check_impact(order, offer)
        if route is LandingRoute.NODE:
            swap = swap_bytes.with_blockhash(swap, now.blockhash)
        return BuiltSwap(
            swap=swap,
            last_valid_block_height=now.last_valid(offer.last_valid_block_height),
            out_base_units=offer.out_base_units,
            minimum_out_base_units=offer.minimum_out_base_units,
            price_impact=offer.price_impact,
            route=route,
            request_id=offer.request_id if route is LandingRoute.EXECUTE else "",
            answer=offer.answer,
        )

    async def sign(self, order: LiveOrder, swap: SwapBytes, minimum_out_base_units: int) -> Signed:
        """Have the signer sign a built swap.

        Raises:
            CannotBuild: it refuses. TryLater: it is away, or something it needs is.
        """
        wanted = SwapToSign(
            order_id=str(order.id),
            wallet=order.wallet,
            side="buy" if order.is_buy else "sell",
            mint=order.mint,
            in_base_units=order.in_base_units,
            minimum_out_base_units=minimum_out_base_units,
            transaction=swap.raw,
        )
        return await signed_by(self._signer.sign_swap(wanted))

    async def sign_reclaim(self, reclaim: ReclaimToSign) -> Signed:
        """Have the signer sign the closing of an empty token account; raises as `sign`."""
        return await signed_by(self._signer.sign_reclaim(reclaim))

    async def _offered(self, order: LiveOrder, wanted: SwapWanted, cap: int) -> tuple[OfferedSwap, SwapBytes]:
        """Return an offer the wallet alone signs, and the signer can read; what is neither is asked around once."""
        offer = await self._ask(wanted)
        try:
            return offer, swap_bytes.read(offer.transaction, wallet=order.wallet, fee_cap_lamports=cap)
        except UnusableSwap as error:
            if error.code == swap_bytes.ROUTE_UNREADABLE and settings.LIVE_SWAP_API != "v1":
                log.warning("order_route_unreadable", order_id=str(order.id), router=offer.router)
                offer = await jupiter_orders.swap_v1(wanted, deadline_seconds=BUILD_SECONDS)
                return offer, swap_bytes.read(offer.transaction, wallet=order.wallet, fee_cap_lamports=cap)
            if error.code != "FOREIGN_FEE_PAYER" or not offer.router:
                raise
            log.warning("order_router_avoided", order_id=str(order.id), router=offer.router)
            wanted = replace(wanted, avoid=(offer.router,))
            try:
                offer = await self._ask(wanted)
            except TokenNotTradable:
                raise error from None  # there is a way, but not one that the wallet alone signs
            return offer, swap_bytes.read(offer.transaction, wallet=order.wallet, fee_cap_lamports=cap)

    async def _ask(self, wanted: SwapWanted) -> OfferedSwap:
        ask = jupiter_orders.swap_v1 if settings.LIVE_SWAP_API == "v1" else jupiter_orders.order
        return await ask(wanted, deadline_seconds=BUILD_SECONDS)

    def _route(self, offer: OfferedSwap) -> LandingRoute:
        if LandingRoute.EXECUTE.value == settings.LIVE_LANDING_ROUTE and offer.request_id:
            return LandingRoute.EXECUTE
        return LandingRoute.NODE


def _check_impact(order: LiveOrder, offer: OfferedSwap) -> None:
    """Refuse an offer that moves the price further than the order was decided to.

    Raises:
        CannotBuild: PRICE_IMPACT_TOO_HIGH.
    """
    most = (order.inputs or {}).get("maxPriceImpact")
    if most is not None and offer.price_impact > Decimal(str(most)):
        raise CannotBuild(
            PRICE_IMPACT_TOO_HIGH, f"The price impact is {offer.price_impact.normalize():f}, at most {most} is allowed."
        )


async def signed_by(asked: Any) -> Signed:
    """Await a signature and turn the signer's refusals into what they mean for an order.

    Raises:
        CannotBuild, TryLater.
    """
    try:
        return await asked
    except SignerRefused as refused:
        if refused.passing:
            raise TryLater(refused.code, refused.message) from None
        raise CannotBuild(refused.code, refused.message) from None
    except SignerUnavailable as error:
        raise TryLater("SIGNER_UNAVAILABLE", str(error)) from None
