"""What transactions bid for their place: the price per compute unit, what it comes to, and what has landed lately.

Prices are in micro-lamports per compute unit. A transaction pays for the units it asks for, not for those it uses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.message import MessageV1, VersionedMessage
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM

from apps.sandbox.chain.outcomes import LAMPORTS_PER_SIGNATURE

MICRO = 10**6
REMEMBERED_SLOTS = 150
_MOST_UNITS, _UNITS_OF_A_BUILTIN, _UNITS_OF_A_PROGRAM = 1_400_000, 3_000, 200_000
_BUILTINS = frozenset(
    {
        SYSTEM,
        COMPUTE_BUDGET,
        Pubkey.from_string("Vote111111111111111111111111111111111111111"),
        Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111"),
        Pubkey.from_string("BPFLoader2111111111111111111111111111111111"),
        Pubkey.from_string("BPFLoader1111111111111111111111111111111111"),
        Pubkey.from_string("LoaderV411111111111111111111111111111111111"),
        Pubkey.from_string("KeccakSecp256k11111111111111111111111111111"),
        Pubkey.from_string("Ed25519SigVerify111111111111111111111111111"),
    }
)
_SET_LIMIT, _SET_PRICE = 2, 3


@dataclass(frozen=True, slots=True)
class Bid:
    """What a message offers: a price per unit, for so many units."""

    price: int
    units: int

    @property
    def lamports(self) -> int:
        """The priority fee.

        >>> Bid(price=1_234_567, units=1_000).lamports
        1235
        """
        return -(-self.price * self.units // MICRO)


def bid_of(message: VersionedMessage) -> Bid:
    """Return what a message bids; without a limit it asks for what its instructions are usually given."""
    if isinstance(message, MessageV1):
        units = message.config.compute_unit_limit or _MOST_UNITS
        return Bid((message.config.priority_fee or 0) * MICRO // units, units)
    price, limit, usual = 0, None, 0
    for step in message.instructions:
        program, data = message.account_keys[step.program_id_index], bytes(step.data)
        usual += _UNITS_OF_A_BUILTIN if program in _BUILTINS else _UNITS_OF_A_PROGRAM
        if program == COMPUTE_BUDGET and data[:1] == bytes((_SET_PRICE,)):
            price = int.from_bytes(data[1:9], "little")
        if program == COMPUTE_BUDGET and data[:1] == bytes((_SET_LIMIT,)):
            limit = int.from_bytes(data[1:5], "little")
    return Bid(price, min(_MOST_UNITS, usual if limit is None else limit))


def fee_of_message(message: VersionedMessage) -> int:
    """Return the lamports a message costs: its signatures and its bid. The machine charges none for that of a v1."""
    signatures = LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures
    return signatures if isinstance(message, MessageV1) else signatures + bid_of(message).lamports


class LandedFees:
    """The prices that landed lately. `floor`: below it nothing lands, and none is told."""

    def __init__(self) -> None:
        self.floor = 0
        self._landed: dict[int, list[tuple[frozenset[Pubkey], int]]] = {}

    def note(self, slot: int, message: VersionedMessage, writable: Collection[Pubkey]) -> None:
        """Remember what landed."""
        self._landed.setdefault(slot, []).append((frozenset(writable), bid_of(message).price))
        for old in [each for each in self._landed if each <= slot - REMEMBERED_SLOTS]:
            del self._landed[old]

    def takes(self, message: VersionedMessage) -> bool:
        """Say whether a message bids enough to be taken."""
        return self.floor == 0 or bid_of(message).price >= self.floor

    def recent(self, slot: int, about: Collection[Pubkey]) -> list[tuple[int, int]]:
        """Return slots, oldest first, each with the lowest price that landed there.

        Of accounts, the highest of their lowest, and no less than the block's.
        """
        return [(each, self._lowest(each, about)) for each in range(slot - REMEMBERED_SLOTS + 1, slot + 1)]

    def _lowest(self, slot: int, about: Collection[Pubkey]) -> int:
        landed = self._landed.get(slot, [])
        block = min((price for _, price in landed), default=0)
        of_accounts = (min((price for keys, price in landed if key in keys), default=0) for key in about)
        return max(self.floor, block, *of_accounts)
