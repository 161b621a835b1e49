"""What wallets needs from outside and does not make itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ChainBalance:
    """What a node said an address holds, and the slot it said it for."""

    lamports: int
    slot: int


class ChainBalances(Protocol):
    """The chain, asked for SOL; `adapters.chain` keeps who answers for it."""

    def balance(self, address: str, *, min_slot: int) -> ChainBalance:
        """Return what the address holds at commitment `confirmed`, at `min_slot` or later.

        Raises:
            ChainUnavailable: no node answered, none had come that far, or the answer was no answer.
        """
