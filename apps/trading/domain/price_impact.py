"""The price-impact limit, smaller retries, and how many buyers share few quotes (trading.md 5.2, decisions 7 and 16).

A signal costs at most six quotes: up to three for the sizes wanted, the rest for retries at 90, 80 and 70 %.
Amounts are integers of the input's base units: lamports for buys, token base units for sales.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

PRICE_IMPACT_TOO_HIGH = "PRICE_IMPACT_TOO_HIGH"
MAX_GROUPS = 3
MAX_QUOTE_CALLS = 6
RETRY_PERCENTS = (90, 80, 70)
SMALLEST_RETRY_LAMPORTS = 10_000_000

_RATIO_STEPS = 64


@dataclass(frozen=True, slots=True)
class SizeRequest:
    """What one buyer (or seller) wants quoted; `key` is whatever the caller knows it by."""

    key: Hashable
    amount: int


@dataclass(frozen=True, slots=True)
class QuoteGroup:
    """Requests served by one quote, asked for at `amount`, the largest of them."""

    amount: int
    members: tuple[SizeRequest, ...]


def exceeds(price_impact: Decimal, limit: Decimal | None) -> bool:
    """Tell whether a signed impact (positive is a loss) is too high. None is no limit; a limit of 0 refuses everything.

    >>> exceeds(Decimal("0.05"), Decimal("0.05")), exceeds(Decimal("-0.2"), Decimal("0.05")), exceeds(Decimal(1), None)
    (True, False, False)
    """
    return limit is not None and max(price_impact, Decimal(0)) >= limit


def retry_amount(original_lamports: int, percent: int) -> int | None:
    """Return the lamports of a retry at `percent` of the original size, or None below 0.01 SOL.

    >>> retry_amount(1_000_000_000, 90), retry_amount(12_000_000, 80)
    (900000000, None)
    """
    lamports = original_lamports * percent // 100
    return lamports if lamports >= SMALLEST_RETRY_LAMPORTS else None


def retry_calls(percent: int, calls_made: int) -> int:
    """Return how many quotes the retry at `percent` may ask for, leaving one for each smaller retry.

    >>> [retry_calls(90, 3), retry_calls(80, 4), retry_calls(70, 5)], retry_calls(90, 1)
    ([1, 1, 1], 3)
    """
    later = len(RETRY_PERCENTS) - 1 - RETRY_PERCENTS.index(percent)
    return max(0, min(MAX_GROUPS, MAX_QUOTE_CALLS - calls_made - later))


def group_sizes(requests: Iterable[SizeRequest], most: int = MAX_GROUPS) -> tuple[QuoteGroup, ...]:
    """Group requests into at most `most` quotes, largest first, so that sizes within a group are as near as can be.

    Up to `most` different sizes get a quote each. Otherwise the groups keep the worst ratio of largest to smallest low,
    because a member is served at its group's price.

    >>> sizes = [SizeRequest(n, n) for n in (100, 500, 900, 1500, 2000)]
    >>> [(group.amount, [m.amount for m in group.members]) for group in group_sizes(sizes)]
    [(2000, [1500, 2000]), (900, [500, 900]), (100, [100])]
    """
    by_amount: dict[int, list[SizeRequest]] = {}
    for request in requests:
        by_amount.setdefault(request.amount, []).append(request)
    if not by_amount or most < 1:
        return ()
    amounts = sorted(by_amount)
    if amounts[0] <= 0:
        raise ValueError("only amounts above zero can be quoted")
    return tuple(
        QuoteGroup(part[-1], tuple(request for amount in part for request in by_amount[amount]))
        for part in _parts(amounts, most)
    )


def _parts(amounts: Sequence[int], most: int) -> list[Sequence[int]]:
    if len(amounts) <= most:
        return [amounts[index : index + 1] for index in range(len(amounts) - 1, -1, -1)]
    low, high = Decimal(1), Decimal(amounts[-1]) / amounts[0] + 1
    best = _cut(amounts, high)
    for _ in range(_RATIO_STEPS):
        middle = (low + high) / 2
        cut = _cut(amounts, middle)
        if len(cut) <= most:
            best, high = cut, middle
        else:
            low = middle
    return best


def _cut(amounts: Sequence[int], ratio: Decimal) -> list[Sequence[int]]:
    """Cut sorted amounts from the top so that no part spans more than `ratio`."""
    parts = []
    end = len(amounts)
    while end > 0:
        start = bisect_left(amounts, Decimal(amounts[end - 1]) / ratio, 0, end - 1)
        parts.append(amounts[start:end])
        end = start
    return parts
