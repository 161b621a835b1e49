"""Bringing signed bytes to the chain: one port, two routes. The same bytes every time, and never a word taken as proof.

`node` gives the bytes to all our nodes; `execute` gives them to Jupiter, and asking again with the same bytes and
request id is its status query. Whatever comes back, whether it landed is `resolving`'s question to the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from apps.chain.errors import NodeError, NodeRateLimited, PreflightFailed, Verdict
from apps.chain.pool import NodePool, SendAnswer
from apps.core.http import Lane
from apps.trading.adapters import jupiter_orders
from apps.trading.adapters.jupiter_orders import Executed, ExecuteVerdict
from apps.trading.models import LandingRoute
from apps.trading.services.live.live_order import LiveOrder

log = structlog.get_logger(__name__)

SEND_SECONDS = 4.0
#: `/execute` waits until it knows how it went.
EXECUTE_SECONDS = 12.0


class Delivery(StrEnum):
    """How far the bytes surely got."""

    #: Somebody who brings them to the chain has them.
    TAKEN = "taken"
    #: Nobody knows: no answer, or one that leaves it open.
    UNKNOWN = "unknown"
    #: Everybody who was asked refused them; they may still have them.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one send. `code` and `detail` are for the order's row; `switch` says to take the other route."""

    delivery: Delivery
    code: str = ""
    detail: str = ""
    switch: bool = False


class Landing(Protocol):
    """One way to the chain."""

    async def send(self, order: LiveOrder, raw: bytes) -> Sent:
        """Send an order's bytes, for the first time or again. Raises nothing: an error is an answer too."""


class NodeLanding:
    """Through our own nodes, all of them at once."""

    def __init__(self, pool: NodePool) -> None:
        self._pool = pool

    async def send(self, order: LiveOrder, raw: bytes) -> Sent:
        """Sales skip the node's trial: one that fails on chain costs a fee and is known at once, and the next one goes
        further; a buy that would fail is better not sent."""
        lane = Lane.ENTRY_QUOTE if order.is_buy else Lane.EXIT_QUOTE
        try:
            told = await self._pool.send(raw, skip_preflight=not order.is_buy, lane=lane, deadline_seconds=SEND_SECONDS)
        except NodeError as error:
            return Sent(Delivery.UNKNOWN, error.code, error.message)
        return _of_nodes(told)


class ExecuteLanding:
    """Through Jupiter, which takes only transactions of its own `/order`."""

    async def send(self, order: LiveOrder, raw: bytes) -> Sent:
        """An order Jupiter does not know any more goes through the nodes from now on, with the same bytes."""
        told = await jupiter_orders.execute(
            raw,
            order.request_id,
            order.last_valid_block_height,
            is_exit=not order.is_buy,
            deadline_seconds=EXECUTE_SECONDS,
        )
        return _of_execute(order, told)


def _of_nodes(told: list[SendAnswer]) -> Sent:
    if any(answer.accepted for answer in told):
        return Sent(Delivery.TAKEN)
    errors = [answer.error for answer in told if answer.error is not None]
    if len(errors) < len(told) or not errors:
        return Sent(Delivery.UNKNOWN, "NODE_UNAVAILABLE", "no node has answered yet")
    refused = all(isinstance(error, PreflightFailed) or error.verdict is Verdict.PERMANENT for error in errors)
    limited = all(isinstance(error, NodeRateLimited) for error in errors)
    first = errors[0]
    return Sent(Delivery.REFUSED if refused or limited else Delivery.UNKNOWN, first.code, first.message)


def _of_execute(order: LiveOrder, told: Executed) -> Sent:
    if told.signature and told.signature != order.signature:
        log.error("execute_other_signature", order_id=str(order.id), told=told.signature)
        return Sent(Delivery.UNKNOWN, "OTHER_SIGNATURE", "Jupiter told of another signature than the one we made")
    code = "" if told.code is None else f"EXECUTE_{told.code}"
    if told.verdict is ExecuteVerdict.LANDED:
        return Sent(Delivery.TAKEN)
    if told.verdict is ExecuteVerdict.NOT_TAKEN:
        return Sent(Delivery.REFUSED, code, told.message, switch=True)
    return Sent(Delivery.UNKNOWN, code or "EXECUTE_SILENT", told.message)


def routes(pool: NodePool) -> dict[str, Landing]:
    """Return the routes by their name in the order's row."""
    return {LandingRoute.NODE.value: NodeLanding(pool), LandingRoute.EXECUTE.value: ExecuteLanding()}
