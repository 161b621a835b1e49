"""What Jupiter handed out to sign, and what becomes of it when it comes back signed: landed, confirmed, told.

Orders are remembered in memory only: after a restart nobody knows a request id any more, while the transaction may well
have landed. A transaction that came back is watched until it is confirmed or can land no more; asking again is asking
how it stands.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum

from solders.message import to_bytes_versioned
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain.ledger import Landed
from apps.sandbox.chain.refused import Refused
from apps.sandbox.exchange.venue import Swapped, Venue

MOST_REMEMBERED = 20_000
#: An answer is not kept back longer than this.
PATIENCE_SECONDS = 20.0
_LOOK_SECONDS, _MOST_LOOKS = 0.01, 100


class ExecuteCode(IntEnum):
    """Jupiter's own codes; what a program failed with is above zero."""

    FINE = 0
    UNKNOWN_ORDER = -1
    BAD_TRANSACTION = -2
    CHANGED_MESSAGE = -3
    NO_REQUEST_ID = -4
    NO_TRANSACTION = -5
    FAILED_TO_LAND = -1000
    UNKNOWN = -1001
    NOT_SIGNED = -1003
    BAD_BLOCK_HEIGHT = -1004
    EXPIRED = -1005
    TIMED_OUT = -1006


_SENTENCES = {
    ExecuteCode.UNKNOWN_ORDER: "Order not found, it might have expired",
    ExecuteCode.BAD_TRANSACTION: "Invalid signed transaction",
    ExecuteCode.CHANGED_MESSAGE: "Invalid message bytes",
    ExecuteCode.NO_REQUEST_ID: "Missing request id",
    ExecuteCode.NO_TRANSACTION: "Missing signed transaction",
    ExecuteCode.FAILED_TO_LAND: "Failed to land",
    ExecuteCode.UNKNOWN: "Unknown error",
    ExecuteCode.NOT_SIGNED: "Transaction is not fully signed",
    ExecuteCode.BAD_BLOCK_HEIGHT: "Invalid block height",
    ExecuteCode.EXPIRED: "Transaction expired",
    ExecuteCode.TIMED_OUT: "Transaction timed out",
}


class NotExecutable(Exception):
    """What came back is not what was handed out, or not signed: nothing was sent."""

    def __init__(self, code: ExecuteCode) -> None:
        super().__init__(sentence(code))
        self.code = code


@dataclass(frozen=True, slots=True)
class HandedOut:
    """An order: the message to sign, and until which block height it can land."""

    message: bytes
    mints: tuple[str, str]
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class Executed:
    """How a transaction stands that was sent: its code, its signature, and where and with what amounts it landed."""

    code: int
    signature: Signature
    landed: Landed | None = None
    swaps: tuple[Swapped, ...] = ()


def sentence(code: int) -> str:
    """Return what Jupiter says of a code."""
    known = {int(each): text for each, text in _SENTENCES.items()}
    return known.get(code, f"custom program error: {code:#x}")


class SwapOrders:
    """The orders of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._venue, self._ledger = venue, venue.ledger
        self._orders: OrderedDict[str, HandedOut] = OrderedDict()
        self._later: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    def remember(self, request_id: str, order: HandedOut) -> None:
        """Remember an order; the oldest of too many are forgotten."""
        self._orders[request_id] = order
        if len(self._orders) > MOST_REMEMBERED:
            self._orders.popitem(last=False)

    def find(self, request_id: str) -> HandedOut | None:
        return self._orders.get(request_id)

    def read(self, request_id: str, signed: str) -> VersionedTransaction:
        """Return the transaction that came back for an order.

        Raises:
            NotExecutable: the order is unknown, or it is not its transaction, whole and signed.
        """
        try:
            transaction = VersionedTransaction.from_bytes(base64.b64decode(signed, validate=True))
        except (ValueError, binascii.Error):
            raise NotExecutable(ExecuteCode.BAD_TRANSACTION) from None
        order = self._orders.get(request_id)
        if order is None:
            raise NotExecutable(ExecuteCode.UNKNOWN_ORDER)
        if to_bytes_versioned(transaction.message) != order.message:
            raise NotExecutable(ExecuteCode.CHANGED_MESSAGE)
        if not all(transaction.verify_with_results()):
            raise NotExecutable(ExecuteCode.NOT_SIGNED)
        return transaction

    async def execute(self, transaction: VersionedTransaction) -> Executed:
        """Send a transaction and wait until it is confirmed, can land no more, or patience ends."""
        signature = Signature(bytes(transaction.signatures[0]))
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + PATIENCE_SECONDS
        while loop.time() < patient_until:
            if signature not in self._ledger.landed:
                if not self._ledger.is_valid(transaction.message.recent_blockhash):
                    return Executed(ExecuteCode.EXPIRED, signature)
                try:
                    self._ledger.submit(transaction, preflight=False)
                except Refused:
                    return Executed(ExecuteCode.FAILED_TO_LAND, signature)
            landed = self._ledger.landed.get(signature)
            if landed is None:
                return Executed(ExecuteCode.FAILED_TO_LAND, signature)
            if landed.slot <= self._ledger.slot_of("confirmed"):
                return self._executed(landed)
            await self._next_slot()
        return Executed(ExecuteCode.TIMED_OUT, signature)

    def execute_later(self, transaction: VersionedTransaction, *, slots: int) -> None:
        """Send a transaction so many slots from now, whether or not anybody still waits for it."""
        wanted = self._ledger.slot + slots

        async def wait() -> None:
            while self._ledger.slot < wanted:
                await self._next_slot()
            await self.execute(transaction)

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def promised(self, transaction: VersionedTransaction) -> Executed:
        """Return what would be said of a transaction if it landed now, without sending it."""
        pretended = self._ledger.pretend(transaction, error=None)
        return Executed(ExecuteCode.FINE, pretended.signature, pretended, tuple(self._venue.swaps_of(pretended)))

    async def _next_slot(self) -> None:
        """Wait for the next slot, but not for ever; however many wait, one looks."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        slot = self._ledger.slot
        for _ in range(_MOST_LOOKS):
            await asyncio.sleep(_LOOK_SECONDS)
            if self._ledger.slot != slot:
                return

    def _executed(self, landed: Landed) -> Executed:
        swaps = tuple(self._venue.swaps_of(landed))
        return Executed(code_of(landed), landed.signature, landed, swaps)


def code_of(landed: Landed) -> int:
    """Return Jupiter's code of what landed: 0, or what a program failed with."""
    if landed.error is None:
        return ExecuteCode.FINE
    if isinstance(landed.error, dict) and "InstructionError" in landed.error:
        what = landed.error["InstructionError"][1]
        if isinstance(what, dict) and "Custom" in what:
            return int(what["Custom"])
    return ExecuteCode.UNKNOWN
