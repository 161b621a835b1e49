"""Quotes for lots of exits, asked for without waiting: each lot is handed on once its quote, or an error, is there.

Sales are asked for in the process's call loop, in the lane of exits; DCAs through `quoting`, in the lane of entries and
with its smaller retries. Neither waits for the other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

import structlog

from apps.chain import nodes
from apps.core.errors import SoldeskError
from apps.core.http import Lane, call_loop
from apps.core.money import SOL_MINT
from apps.trading.adapters import jupiter
from apps.trading.domain.fills import Quote
from apps.trading.services import quoting
from apps.trading.services.exit_lots import BuyLot, OrderLot, SaleLot
from apps.trading.services.quoting import Quoted

log = structlog.get_logger(__name__)

SALE_SECONDS = 3.0
#: All quotes of a DCA together, retries included: well within its lease.
BUY_SECONDS = 5.0
#: Reading a live wallet again after a sale of it has failed.
CHAIN_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class QuotedSales:
    """A lot of sales with its quote, or with the error that came instead."""

    lot: SaleLot
    quote: Quote | None
    error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.lot.exits)


@dataclass(frozen=True, slots=True)
class QuotedBuys:
    """A lot of DCAs with each one's share or error, or with the error that came instead of all of them."""

    lot: BuyLot
    quoted: Quoted | None
    error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.lot.exits)


def ask_sales(lot: SaleLot, arrived: Callable[[QuotedSales], None], *, within_seconds: float = SALE_SECONDS) -> None:
    """Start a lot's quote; `arrived` gets it, or the error, within the time, in the call loop's thread."""

    def settle(future: Future[Quote]) -> None:
        error = _error_of(future)
        arrived(QuotedSales(lot, None if error is not None else future.result(), error))

    quote = jupiter.quote(lot.mint, SOL_MINT, lot.amount, lane="exit", deadline_seconds=within_seconds)
    call_loop.submit(quote).add_done_callback(settle)


def ask_buys(lot: BuyLot, arrived: Callable[[QuotedBuys], None]) -> None:
    """Start a lot's quotes; `arrived` gets what came of them within `BUY_SECONDS`, in a thread of `quoting`."""

    def settle(future: Future[Quoted]) -> None:
        error = _error_of(future)
        arrived(QuotedBuys(lot, None if error is not None else future.result(), error))

    quoting.begin(lot.mint, lot.wanted, within_seconds=BUY_SECONDS).add_done_callback(settle)


@dataclass(frozen=True, slots=True)
class ReadCloses:
    """A lot of live closes with what the chain says its wallet holds, by mint; None where it was not asked or is mute.

    A mint the wallet holds nothing of is missing.
    """

    lot: OrderLot
    on_chain: Mapping[str, int] | None

    def __len__(self) -> int:
        return len(self.lot.exits)


def ask_chain(lot: OrderLot, arrived: Callable[[ReadCloses], None]) -> None:
    """Read a lot's wallet again when one of its closes has failed; `arrived` gets the lot at once otherwise.

    A chain that does not answer in time keeps no exit waiting: the books' word counts then.
    """
    if not lot.reads_chain:
        arrived(ReadCloses(lot, None))
        return

    def settle(future: Future[Mapping[str, int]]) -> None:
        error = _error_of(future)
        if error is not None:
            log.warning("exit_wallet_not_read", wallet_id=str(lot.wallet_id), error=type(error).__name__)
        arrived(ReadCloses(lot, None if error is not None else future.result()))

    call_loop.submit(_holdings(lot)).add_done_callback(settle)


async def _holdings(lot: OrderLot) -> Mapping[str, int]:
    """Return the base units the lot's wallet can sell, by mint, no older than its books.

    Raises:
        TimeoutError, and whatever the nodes raise.
    """
    async with asyncio.timeout(CHAIN_SECONDS):
        held: dict[str, int] = defaultdict(int)
        rows = await nodes.pool().token_accounts(
            lot.address, min_context_slot=lot.chain_slot or None, lane=Lane.EXIT_QUOTE
        )
        for account in rows:
            held[account.mint] += 0 if account.frozen else account.amount
        return held


def _error_of(future: Future[Quote] | Future[Quoted] | Future[Mapping[str, int]]) -> BaseException | None:
    return TimeoutError() if future.cancelled() else future.exception()


def error_code(error: BaseException | None, *, mint: str, exits: int) -> str:
    """Return the code intents keep of what came instead of a quote, and log it."""
    if isinstance(error, SoldeskError):
        code = error.code
    elif isinstance(error, (TimeoutError, OSError)):
        code = "PROVIDER_TIMEOUT"
    else:
        code = "QUOTE_FAILED"
        log.error("exit_quote_broke", mint=mint, error=type(error).__name__, exc_info=error)
    log.warning("exit_quote_failed", mint=mint, exits=exits, code=code)
    return code
