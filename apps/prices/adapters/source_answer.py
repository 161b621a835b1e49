"""What a price source brings back from one poll, whole or in part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from apps.core.http import ProviderError
from apps.prices.domain.points import PricePoint, SolUsd


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """`points` by mint; `missing` were asked for and have no price; `errors` are batches that brought nothing.

    A mint of a failed batch is missing too: only `errors` tells that nobody knows.
    """

    points: dict[str, PricePoint] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    errors: tuple[ProviderError, ...] = ()
    sol_usd: SolUsd | None = None


def merge(mints: Iterable[str], parts: Iterable[SourceAnswer | BaseException]) -> SourceAnswer:
    """Join the batches of one poll; a batch that failed costs no other.

    Raises:
        BaseException: whatever a batch raised that is not a provider's failure.
    """
    points: dict[str, PricePoint] = {}
    errors: list[ProviderError] = []
    sol_usd: SolUsd | None = None
    for part in parts:
        if isinstance(part, ProviderError):
            errors.append(part)
        elif isinstance(part, BaseException):
            raise part
        else:
            points.update(part.points)
            sol_usd = sol_usd or part.sol_usd
    return SourceAnswer(points, frozenset(mints) - points.keys(), tuple(errors), sol_usd)


def batches(mints: Sequence[str], size: int) -> list[Sequence[str]]:
    """Cut `mints` into parts of at most `size`."""
    return [mints[start : start + size] for start in range(0, len(mints), size)]
