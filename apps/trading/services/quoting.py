"""Quotes for many buyers at the cost of few calls: sizes are grouped, each group is quoted at its largest size.

Talks to the aggregator, so never inside a transaction. Grouping and retries at 90, 80, 70 %: `domain.price_impact`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from apps.core.errors import SoldeskError
from apps.core.http import ProviderTimeout
from apps.core.money import SOL_MINT
from apps.trading.adapters import jupiter
from apps.trading.domain import price_impact
from apps.trading.domain.fills import Quote
from apps.trading.domain.price_impact import SizeRequest

DEADLINE_SECONDS = 4.0
#: Tokens whose quotes are asked for at once in one process; a worker needs fewer.
_callers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="quotes")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one buyer wants to spend: lamports, and the price impact (fraction) it accepts at most.

    `buyer` is an agent that enters, or a position that is added to.
    """

    buyer: UUID
    lamports: int
    limit: Decimal | None


@dataclass(frozen=True, slots=True)
class Share:
    """A buyer's part of a quote: it spends `lamports` of the quote's input."""

    quote: Quote
    lamports: int


@dataclass(frozen=True, slots=True)
class Quoted:
    """What asking brought each buyer: a share, or the error that came instead of its quote.

    Who is in neither met too high an impact at every size.
    """

    shares: dict[UUID, Share] = field(default_factory=dict)
    errors: dict[UUID, SoldeskError] = field(default_factory=dict)


QuoteMany = Callable[[Sequence[int]], Sequence[Quote | SoldeskError]]


def quotes_for_buy(mint: str, *, within_seconds: float | None = None) -> QuoteMany:
    """Return the call that quotes several amounts of SOL into `mint` at once.

    `within_seconds` bounds all its calls together: what is asked for later than that is answered with a time-out.
    """
    until = None if within_seconds is None else time.monotonic() + within_seconds

    def quote_many(amounts: Sequence[int]) -> Sequence[Quote | SoldeskError]:
        left = DEADLINE_SECONDS if until is None else min(DEADLINE_SECONDS, until - time.monotonic())
        if left <= 0:
            late = ProviderTimeout(jupiter.PROVIDER, jupiter.OPERATION, "there was no time left for another quote")
            return [late] * len(amounts)
        return jupiter.quote_many([(SOL_MINT, mint, amount) for amount in amounts], lane="entry", deadline_seconds=left)

    return quote_many


def begin(mint: str, wanted: Sequence[Wanted], *, within_seconds: float | None = None) -> Future[Quoted]:
    """Start to find shares of quotes for buying `mint`, while the caller does what has to be done meanwhile."""
    return _callers.submit(share_out, wanted, quotes_for_buy(mint, within_seconds=within_seconds))


def share_out(wanted: Iterable[Wanted], quote_many: QuoteMany) -> Quoted:
    """Find each buyer's share of a quote within its limit, asking for at most six quotes.

    A quote that does not come is its own buyers' matter alone: a size nobody quotes costs no other size its trade.
    """
    waiting: dict[Hashable, Wanted] = {item.buyer: item for item in wanted}
    found = Quoted()

    def serve(requests: Iterable[SizeRequest], most: int) -> int:
        groups = price_impact.group_sizes(requests, most)
        answers = quote_many([group.amount for group in groups]) if groups else []
        for group, answer in zip(groups, answers, strict=True):
            for member in group.members:
                buyer = waiting[member.key].buyer
                if isinstance(answer, SoldeskError):
                    found.errors[buyer] = answer
                elif not price_impact.exceeds(answer.price_impact, waiting[buyer].limit):
                    found.shares[buyer] = Share(answer, member.amount)
        return len(groups)

    calls = serve([SizeRequest(item.buyer, item.lamports) for item in waiting.values()], price_impact.MAX_GROUPS)
    for percent in price_impact.RETRY_PERCENTS:
        smaller = [
            SizeRequest(item.buyer, amount)
            for item in waiting.values()
            if item.buyer not in found.shares
            and item.buyer not in found.errors
            and (amount := price_impact.retry_amount(item.lamports, percent)) is not None
        ]
        calls += serve(smaller, price_impact.retry_calls(percent, calls))
    return found
