"""What one live order goes through, from wherever it is to its end: prepare, send, land, seal.

Each step is committed before the next one begins, so that an end at any point is taken up where it was. `sent` is
committed before the bytes leave for the first time: what is `signed` was surely never sent. What raises here puts the
order down; it is claimed again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from apps.trading import order_metrics
from apps.trading.domain.landed_swap import LandedSwap, UnreadableSwap
from apps.trading.domain.order_machine import (
    BUILT,
    EXPIRED,
    FAILED,
    FINALIZED,
    LANDED,
    RESERVED,
    SENT,
    SIGNED,
    UNRESOLVED,
)
from apps.trading.services.live import live_order
from apps.trading.services.live.bookings import Bookings, Sold
from apps.trading.services.live.building import Builder, BuiltSwap, CannotBuild, TryLater
from apps.trading.services.live.claims import Claims, Now
from apps.trading.services.live.landing import Delivery, Landing, Sent
from apps.trading.services.live.live_order import LiveOrder
from apps.trading.services.live.reclaims import Reclaims
from apps.trading.services.live.resolving import Fate, Resolver
from apps.wallets.signer_client import Signed

log = structlog.get_logger(__name__)

RESEND_SECONDS = 2.0
#: A buy that could not be prepared for so long ends; a sale is tried for ever.
BUY_PATIENCE_SECONDS = 60.0
_FINALITY_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.2
#: Between two tries to prove that nothing can land any more, and how many there are before the order is put down.
_PROOF_SECONDS = 1.0
_PROOFS = 15
_PUT_DOWN_SECONDS = 5.0
_UNREADABLE_SECONDS = 60.0
_ASK_SIGNER_AGAIN_SECONDS = (0.1, 0.5, 1.5)
_LONGEST_DETAIL = 300

NOT_SENT_IN_TIME = "NOT_SENT_IN_TIME"
PAST_ITS_HEIGHT = "PAST_ITS_HEIGHT"
EXPIRED_CODE = "EXPIRED"
NOT_PROVEN = "EXPIRY_NOT_PROVEN"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the token's safety gate says of a buy; `code` is "" when it may go on."""

    code: str = ""
    evidence: Mapping[str, Any] | None = None


Judge = Callable[[LiveOrder], Awaitable[Judgement]]


@dataclass(slots=True)
class _Stopwatch:
    at: float = field(default_factory=time.monotonic)

    def lap(self, step: str) -> None:
        now = time.monotonic()
        order_metrics.STEP_SECONDS.labels(step).observe(now - self.at)
        self.at = now


class Drive:
    """Drives any number of orders side by side; holds nothing of any of them."""

    def __init__(
        self,
        *,
        claims: Claims,
        builder: Builder,
        resolver: Resolver,
        routes: Mapping[str, Landing],
        bookings: Bookings,
        reclaims: Reclaims,
        judge: Judge,
    ) -> None:
        self._claims = claims
        self._builder = builder
        self._resolver = resolver
        self._routes = routes
        self._bookings = bookings
        self._reclaims = reclaims
        self._judge = judge

    async def drive(self, order: LiveOrder) -> None:
        """Take an order as far as it goes.

        Raises:
            LeaseLost, StoreAway, DatabaseAway: it is not ours to drive on, or cannot be written down.
        """
        if order.status == BUILT:
            await self._claims.step(order, RESERVED)  # its bytes were in the memory of a process that is gone
        try:
            if order.status == RESERVED:
                await self._prepare(order)
            if order.status == SIGNED:
                await self._send_first(order)
        except CannotBuild as refused:
            await self._end(order, FAILED, refused.code, refused.detail)
        except TryLater as later:
            await self._postpone(order, later)
        if order.status in (SENT, UNRESOLVED) and (order.is_ours or not await self._look(order)):
            await self._land(order)
        if order.status == LANDED:
            await self._seal(order)

    async def bring_left_rent(self) -> None:
        """Make the reclaims that a process did not live to make; never raises."""
        await self._reclaims.after_left_sales()

    # -- before anything is sent

    async def _prepare(self, order: LiveOrder) -> None:
        """From reserved to signed.

        Raises:
            CannotBuild, TryLater.
        """
        watch = _Stopwatch()
        if order.is_reclaim:
            signed, height, blockhash = await self._reclaims.prepare(order)
            await self._claims.step(order, BUILT, built_at=Now(), route="node")
        else:
            built, judgement = await self._built(order, watch)
            await self._claims.step(order, BUILT, **_columns(built, judgement))
            order.route, order.request_id = built.route.value, built.request_id
            watch.lap("commit_built")
            signed = await self._signed(order, built)
            height, blockhash = built.last_valid_block_height, built.swap.blockhash
        watch.lap("sign")
        sealed = live_order.seal(order.id, signed.transaction)
        await self._claims.step(
            order,
            SIGNED,
            signature=signed.signature,
            sealed_transaction=sealed,
            blockhash=blockhash,
            last_valid_block_height=height,
            signed_at=Now(),
            code="",
            detail="",
        )
        order.signature, order.sealed_transaction = signed.signature, sealed
        order.blockhash, order.last_valid_block_height = blockhash, height
        watch.lap("commit_signed")
        log.info("order_signed", order_id=str(order.id), signature=signed.signature, route=order.route)

    async def _signed(self, order: LiveOrder, built: BuiltSwap) -> Signed:
        """Ask the signer, and again with the same bytes while it is away: it may have signed them, and signs no others.

        Raises:
            CannotBuild, TryLater.
        """
        for pause in _ASK_SIGNER_AGAIN_SECONDS:
            try:
                return await self._builder.sign(order, built.swap, built.minimum_out_base_units)
            except TryLater as later:
                log.warning("order_signer_asked_again", order_id=str(order.id), code=later.code)
                await asyncio.sleep(pause)
        return await self._builder.sign(order, built.swap, built.minimum_out_base_units)

    async def _built(self, order: LiveOrder, watch: _Stopwatch) -> tuple[BuiltSwap, Judgement]:
        if not order.is_buy:
            built = await self._builder.build(order)
            watch.lap("build")
            return built, Judgement()
        building = asyncio.ensure_future(self._builder.build(order))  # an offer commits nobody to anything
        judging = asyncio.ensure_future(self._judge(order))
        try:
            await self._pass_gate(order)
            watch.lap("gate")
            judgement = await judging
            if judgement.code:
                await self._claims.note(order, evidence=judgement.evidence)
                raise CannotBuild(judgement.code, "The token is not safe enough to buy.")
            built = await building
        finally:
            building.cancel()
            judging.cancel()
        watch.lap("build")
        return built, judgement

    async def _pass_gate(self, order: LiveOrder) -> None:
        code = await self._bookings.refusal(order.id)
        if code:
            raise CannotBuild(code, "The gate does not let this buy on.")

    async def _send_first(self, order: LiveOrder) -> None:
        """From signed to sent; the bytes leave right after.

        Raises:
            CannotBuild: it may not be sent any more, and surely never was.
        """
        if order.is_buy:
            await self._pass_gate(order)
        if await self._resolver.past_its_height(order):
            raise CannotBuild(NOT_SENT_IN_TIME, "Its blockhash was too old before it could be sent.")
        await self._claims.step(order, SENT, first_sent_at=Now(), last_sent_at=Now(), sends=1)
        order.sends, order.is_ours = 1, True

    async def _postpone(self, order: LiveOrder, later: TryLater) -> None:
        if order.is_buy and order.age_seconds > BUY_PATIENCE_SECONDS:
            await self._end(order, FAILED, later.code, later.detail)
            return
        order_metrics.POSTPONED.inc()
        log.warning("order_postponed", order_id=str(order.id), code=later.code, seconds=later.seconds)
        why = {"code": later.code[:60], "detail": later.detail[:_LONGEST_DETAIL]}
        if order.status == BUILT:
            await self._claims.step(order, RESERVED)
        await self._claims.let_go(order, due_in_seconds=min(max(later.seconds, 0.5), 10.0), **why)

    # -- after it was sent

    async def _land(self, order: LiveOrder) -> None:
        """Send the same bytes until the chain shows what became of them, or that nothing can any more."""
        watch = _Stopwatch()
        raw = order.signed_bytes()
        sending: asyncio.Task[Sent] | None = None
        proofs = 0
        try:
            while order.status in (SENT, UNRESOLVED):
                over = await self._resolver.past_its_height(order)
                if over:
                    proofs += 1
                    if await self._is_over(order, proofs):
                        return
                elif sending is None:
                    sending = asyncio.ensure_future(self._routes[order.route or "node"].send(order, raw))
                patience = _PROOF_SECONDS if over else RESEND_SECONDS
                shown = await self._resolver.appears(order, patience)
                # Nodes forget statuses soon after the height: from then on only the transaction itself tells.
                if (shown or over) and await self._look(order):
                    break
                if sending is not None and sending.done():
                    await self._note_send(order, sending.result())
                    sending = None
        finally:
            if sending is not None:
                sending.cancel()
        watch.lap("land")

    async def _look(self, order: LiveOrder) -> bool:
        """Book what the chain shows of an order; False while it shows nothing that is sure."""
        try:
            fill = await self._resolver.landed(order)
        except UnreadableSwap as error:
            await self._leave_to_a_person(order, error)
            return True
        if fill is None:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            return False
        await self._book(order, fill)
        return True

    async def _book(self, order: LiveOrder, fill: LandedSwap) -> None:
        await self._bookings.landed(order.id, fill)
        order.status = FAILED if fill.error else LANDED
        order.fill = fill.as_document()
        log.info("order_landed", order_id=str(order.id), slot=fill.slot, signature=fill.signature, error=fill.error)
        if fill.error:
            order_metrics.ENDED.labels(order.side, FAILED).inc()

    async def _is_over(self, order: LiveOrder, proofs: int) -> bool:
        """Try to prove that bytes whose time is over did not land; True when the order is done with for now."""
        if order.status == SENT:
            await self._claims.step(order, UNRESOLVED, code=PAST_ITS_HEIGHT)
        fate = await self._resolver.fate(order)
        if fate is Fate.EXPIRED:
            await self._end(order, EXPIRED, EXPIRED_CODE, order.refusal)
            return True
        if fate is Fate.LANDED:
            return await self._look(order)
        if proofs < _PROOFS:
            return False
        await self._claims.let_go(order, due_in_seconds=_PUT_DOWN_SECONDS, code=NOT_PROVEN)
        return True

    async def _note_send(self, order: LiveOrder, sent: Sent) -> None:
        order.sends += 1
        columns: dict[str, Any] = {"sends": order.sends, "last_sent_at": Now()}
        if sent.delivery is not Delivery.TAKEN:
            columns |= {"code": sent.code[:60], "detail": sent.detail[:_LONGEST_DETAIL]}
            order.refusal = f"{sent.code}: {sent.detail}"
            log.warning("order_send_failed", order_id=str(order.id), code=sent.code, delivery=sent.delivery.value)
        if sent.switch:
            columns["route"] = "node"
        if sent.delivery is Delivery.UNKNOWN and order.status == SENT:
            await self._claims.step(order, UNRESOLVED, **columns)
        else:
            await self._claims.note(order, **columns)
        order.route = columns.get("route", order.route)

    async def _leave_to_a_person(self, order: LiveOrder, error: UnreadableSwap) -> None:
        log.error("order_landed_unreadable", order_id=str(order.id), code=error.code)
        why = {"code": f"LANDED_{error.code}"[:60], "detail": str(error)[:_LONGEST_DETAIL]}
        if order.status == SENT:
            await self._claims.step(order, UNRESOLVED, **why)
        await self._claims.let_go(order, due_in_seconds=_UNREADABLE_SECONDS, **why)

    # -- after it landed

    async def _seal(self, order: LiveOrder) -> None:
        """Wait for the finalized chain to say the same as what was booked; take the booking back if it does not."""
        watch = _Stopwatch()
        recovered = order.shown_at is None
        while order.status == LANDED:
            # Nodes forget statuses within a minute or two: after a longer absence only the transaction itself tells.
            if not recovered:
                await self._resolver.appears(order, _FINALITY_SECONDS, "finalized")
            recovered = False
            fill = await self._resolver.sealed(order)
            if fill is not None and order.was_booked_as(fill):
                await self._claims.step(order, FINALIZED, ended_at=Now())
            elif fill is not None:
                await self._reverse(order, "landed otherwise")
            elif await self._resolver.past_its_height(order) and await self._resolver.fate(order) is Fate.EXPIRED:
                await self._reverse(order, "not on the finalized chain")
            else:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        if order.status == FINALIZED:
            watch.lap("finalize")
            order_metrics.ENDED.labels(order.side, FINALIZED).inc()
            log.info("order_finalized", order_id=str(order.id), slot=(order.fill or {}).get("slot"))
            if not order.is_buy and not order.is_reclaim:
                await self._reclaims.after_sale(Sold(order.id, order.wallet, order.mint))

    async def _reverse(self, order: LiveOrder, why: str) -> None:
        log.error("order_reversed", order_id=str(order.id), reason=why)
        await self._bookings.reverse(order.id)
        order.status = UNRESOLVED  # the row says what it really is, to whoever claims it next

    async def _end(self, order: LiveOrder, status: str, code: str, detail: str) -> None:
        await self._claims.note(order, code=code[:60], detail=detail[:_LONGEST_DETAIL])
        await self._bookings.ended(order.id, status, code[:60], detail[:_LONGEST_DETAIL])
        order.status = status
        order_metrics.ENDED.labels(order.side, status).inc()
        log.info("order_ended", order_id=str(order.id), status=status, code=code)


def _columns(built: BuiltSwap, judgement: Judgement) -> dict[str, Any]:
    return {
        "built_at": Now(),
        "quote": built.answer,
        "expected_out_base_units": built.out_base_units,
        "minimum_out_base_units": built.minimum_out_base_units,
        "price_impact": built.price_impact,
        "route": built.route.value,
        "request_id": built.request_id,
        "evidence": None if judgement.evidence is None else dict(judgement.evidence),
        "code": "",
        "detail": "",
    }
