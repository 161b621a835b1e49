"""The orders process put together: the nodes, the signer, the books and the driver of one event loop."""

from __future__ import annotations

import asyncio

from django.conf import settings

from apps.chain import nodes
from apps.core import http
from apps.trading.services.live import gate_again, landing, reclaims, reversing, settling
from apps.trading.services.live.bookings import Bookings, Services
from apps.trading.services.live.building import Builder, Signing
from apps.trading.services.live.chain_clock import ChainClock
from apps.trading.services.live.claims import Claims
from apps.trading.services.live.compute_budget import ComputeBudgets
from apps.trading.services.live.driver import Driver
from apps.trading.services.live.driving import Drive, Judge, Judgement
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.reclaims import Reclaims
from apps.trading.services.live.resolving import Resolver
from apps.trading.services.live.safety import Judging
from apps.wallets.signer_client import AsyncSigner


def services() -> Services:
    """Return the desk's own booking services."""
    return Services(
        refusals=gate_again.check,
        settle_landed=settling.settle_landed,
        settle_ended=settling.settle_ended,
        reverse_landed=reversing.reverse_landed,
        reserve_reclaim=reclaims.reserve,
        left_behind=reclaims.left_behind,
    )


async def everything_passes(_order: LiveOrder) -> Judgement:
    """The judgement of a desk that judges no tokens."""
    return Judgement()


def make_driver(
    bookings: Bookings, *, signer: Signing | None = None, judge: Judge = everything_passes, claims: Claims | None = None
) -> Driver:
    """Put a driver together for the running event loop."""
    pool = nodes.pool()
    clock = ChainClock(pool)
    claims = claims or Claims()
    budgets = ComputeBudgets(pool)
    builder = Builder(clock, budgets, signer or AsyncSigner(settings.SIGNER_SOCKET))
    drive = Drive(
        claims=claims,
        builder=builder,
        resolver=Resolver(pool, clock),
        routes=landing.routes(pool),
        bookings=bookings,
        reclaims=Reclaims(pool, clock, budgets, builder, bookings),
        judge=judge,
    )
    return Driver(claims, drive)


async def run(stop: asyncio.Event) -> None:
    """Drive live orders until `stop` is set."""
    bookings = Bookings(services())
    judging = Judging(nodes.pool())
    try:
        await make_driver(bookings, judge=judging.judge_order).run(stop)
    finally:
        bookings.close()
        judging.close()
        await nodes.close_pool()
        await http.close_async_clients()
