"""A wallet's books against what the nodes say it holds: which differences count, and which are one node's word.

Pure. What two nodes say alike counts, or the only node there is. One of several may lie or be behind: what it says
alone is suspected, whether it claims a difference or hides one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from apps.core.money import ZERO


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one node said an address holds, in whole tokens by mint, at `slot` or later; SOL with wrapped SOL."""

    node: str
    slot: int
    amounts: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One mint: the books, and what the chain is taken to hold. `nodes` say so; `agreed` when they are enough."""

    mint: str
    books: Decimal
    chain: Decimal
    slot: int
    nodes: tuple[str, ...]
    agreed: bool

    @property
    def differs(self) -> bool:
        return self.chain != self.books


def judge(
    books: Mapping[str, Decimal], told: Sequence[Holdings], *, nodes: int, also: Iterable[str] = ()
) -> list[Judgement]:
    """Return a judgement for every mint that the books or a node know, by mint; none when no node answered.

    `also` are mints to be judged though neither knows them any more: what was unexplained of them is over.
    """
    if not told:
        return []
    mints = {mint for mint, amount in books.items() if amount} | set(also)
    mints.update(mint for each in told for mint, amount in each.amounts.items() if amount)
    return [_judge_one(mint, books.get(mint, ZERO), told, nodes) for mint in sorted(mints)]


def _judge_one(mint: str, books: Decimal, told: Sequence[Holdings], nodes: int) -> Judgement:
    by_amount: dict[Decimal, list[Holdings]] = defaultdict(list)
    for each in told:
        by_amount[each.amounts.get(mint, ZERO)].append(each)
    enough = min(2, nodes)
    agreeing = [(amount, sayers) for amount, sayers in by_amount.items() if len(sayers) >= enough]
    if len(agreeing) == 1:
        amount, sayers = agreeing[0]
    else:
        # Nobody is believed: what differs from the books is what somebody has to hear of.
        differing = [(amount, sayers) for amount, sayers in by_amount.items() if amount != books]
        amount, sayers = (differing or list(by_amount.items()))[0]
    slot = min(each.slot for each in sayers)
    return Judgement(mint, books, amount, slot, tuple(each.node for each in sayers), agreed=len(agreeing) == 1)
