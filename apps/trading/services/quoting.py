"""Quotes for many buyers at the cost of few calls: sizes are grouped, each group is quoted at its largest size.

Talks to the aggregator, so never inside a transaction. Grouping and retries at 90, 80, 70 %: `domain.price_impact`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from apps.core.money import SOL_MINT
from apps.trading.adapters import jupiter
from apps.trading.domain import price_impact
from apps.trading.domain.fills import Quote
from apps.trading.domain.price_impact import QuoteGroup, SizeRequest

DEADLINE_SECONDS = 4.0
#: Signals whose quotes are asked for at once in one process; a worker runs fewer.
_callers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="quotes")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one agent wants to buy for: lamports, and the price impact (fraction) it accepts at most."""

    agent_id: UUID
    lamports: int
    limit: Decimal | None


@dataclass(frozen=True, slots=True)
class Share:
    """An agent's part of a quote: it spends `lamports` of the quote's input."""

    quote: Quote
    lamports: int


QuoteMany = Callable[[Sequence[int]], Sequence[Quote]]


def quotes_for_buy(mint: str) -> QuoteMany:
    """Return the call that quotes several amounts of SOL into `mint` at once."""

    def quote_many(amounts: Sequence[int]) -> Sequence[Quote]:
        return jupiter.quote_many(
            [(SOL_MINT, mint, amount) for amount in amounts], lane="entry", deadline_seconds=DEADLINE_SECONDS
        )

    return quote_many


def begin(mint: str, wanted: Sequence[Wanted]) -> Future[dict[UUID, Share]]:
    """Start to find shares of quotes for buying `mint`, while the caller does what has to be done meanwhile."""
    return _callers.submit(share_out, wanted, quotes_for_buy(mint))


def share_out(wanted: Iterable[Wanted], quote_many: QuoteMany) -> dict[UUID, Share]:
    """Return each agent's share of a quote within its limit; who is missing met too high an impact at every size.

    At most six quotes are asked for. Raises whatever the aggregator's adapter raises, then nobody has a share.
    """
    waiting = {item.agent_id: item for item in wanted}
    shares: dict[UUID, Share] = {}

    def serve(groups: Sequence[QuoteGroup]) -> None:
        for group, quote in zip(groups, quote_many([group.amount for group in groups]), strict=True):
            for member in group.members:
                agent_id = member.key
                if isinstance(agent_id, UUID) and not price_impact.exceeds(quote.price_impact, waiting[agent_id].limit):
                    shares[agent_id] = Share(quote, member.amount)

    groups = price_impact.group_sizes(SizeRequest(item.agent_id, item.lamports) for item in waiting.values())
    serve(groups)
    calls = len(groups)
    for percent in price_impact.RETRY_PERCENTS:
        smaller = [
            SizeRequest(item.agent_id, amount)
            for item in waiting.values()
            if item.agent_id not in shares and (amount := price_impact.retry_amount(item.lamports, percent)) is not None
        ]
        groups = price_impact.group_sizes(smaller, price_impact.retry_calls(percent, calls))
        if groups:
            serve(groups)
            calls += len(groups)
    return shares
