"""What wallets needs from outside and does not make itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from apps.wallets.domain.reconciliation import Holdings

if TYPE_CHECKING:
    from apps.wallets.services.books import LockedWallet


@dataclass(frozen=True, slots=True)
class ChainBalance:
    """What a node said an address holds, and the slot it said it for."""

    lamports: int
    slot: int


class ChainBalances(Protocol):
    """The chain, asked for SOL, wrapped SOL included; `adapters.chain` keeps who answers for it."""

    def balance(self, address: str, *, min_slot: int) -> ChainBalance:
        """Return what the address holds at commitment `confirmed`, at `min_slot` or later.

        Raises:
            ChainUnavailable: no node answered, none had come that far, or the answer was no answer.
        """


class ChainHoldings(Protocol):
    """The chain, asked for everything addresses hold, by each node for itself."""

    @property
    def nodes(self) -> int:
        """How many nodes there are to ask."""

    def holdings(self, addresses: Mapping[str, int]) -> Mapping[str, Sequence[Holdings]]:
        """Return what each node that answered said of each address, at its slot or later, commitment `confirmed`.

        A node that did not answer for an address, or not for all of it, is missing; nothing is raised.
        """


class OrdersUnderWay(Protocol):
    """Who knows which wallets the chain may be ahead of the books for; `trading` does."""

    def __call__(self, wallet_ids: Iterable[UUID]) -> set[UUID]:
        """Return those with an order that is reserved, may land or has landed and is not booked yet."""


@dataclass(frozen=True, slots=True)
class EndedPosition:
    """A position that ended because its tokens are gone."""

    id: UUID
    signal_id: int | None


class EndsPositions(Protocol):
    """Who keeps positions; `trading` does."""

    def __call__(
        self, wallet: LockedWallet, mint: str, *, missing: Decimal, transaction_id: UUID
    ) -> EndedPosition | None:
        """End the open position of a locked wallet that holds exactly the missing tokens, written off by a burn."""
