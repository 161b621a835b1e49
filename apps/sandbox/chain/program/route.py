"""The instruction `route` of Jupiter's program: its accounts in their order, its bytes, and what it says when it fails.

The accounts up to `PROGRAM` are the ones every route has; the pool's follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from struct import Struct
from typing import Self

from solders.instruction import CompiledInstruction
from solders.pubkey import Pubkey

PROGRAM_ID = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
DISCRIMINATOR = sha256(b"global:route").digest()[:8]
AUTHORITY_SEED = b"vaults"
#: Who may take from the vaults: an address of the program without a key.
VAULT_AUTHORITY, VAULT_AUTHORITY_BUMP = Pubkey.find_program_address([AUTHORITY_SEED], PROGRAM_ID)
EVENT_AUTHORITY, _ = Pubkey.find_program_address([b"__event_authority"], PROGRAM_ID)

#: One step over all of the input, as Borsh writes it: a list of one, a venue, 100 percent, from mint 0 to mint 1.
_PLAN = bytes((1, 0, 0, 0, 7, 100, 0, 1))
_TAIL = Struct("<QQHB")
TAIL_BYTES = _TAIL.size
_VENUE_AT = len(DISCRIMINATOR) + 4
MOST_PLATFORM_FEE_BPS = 255


class RouteAccount(IntEnum):
    """Where each account stands in the instruction."""

    TOKEN_PROGRAM = 0
    USER = 1
    USER_SOURCE = 2
    USER_DESTINATION = 3
    DESTINATION = 4
    DESTINATION_MINT = 5
    PLATFORM_FEE = 6
    EVENT_AUTHORITY = 7
    PROGRAM = 8
    SOURCE_MINT = 9
    SOURCE_VAULT = 10
    DESTINATION_VAULT = 11
    VAULT_AUTHORITY = 12
    SOURCE_PROGRAM = 13
    DESTINATION_PROGRAM = 14
    POOL = 15
    SOL_VAULT = 16
    SOL_MINT = 17


class RouteError(IntEnum):
    """What the program fails with; the first is Jupiter's own."""

    SLIPPAGE_EXCEEDED = 6001
    MISSING_ACCOUNTS = 6008
    NOT_PRICED = 6010
    NOT_A_ROUTE = 101


@dataclass(frozen=True, slots=True)
class RouteTerms:
    """What an instruction offers and wants, in base units: `quoted_out` is what its owner gets, fees taken off."""

    in_amount: int
    quoted_out: int
    slippage_bps: int
    platform_fee_bps: int

    def data(self) -> bytes:
        """Return the instruction's bytes."""
        fee_bps = min(self.platform_fee_bps, MOST_PLATFORM_FEE_BPS)
        return DISCRIMINATOR + _PLAN + _TAIL.pack(self.in_amount, self.quoted_out, self.slippage_bps, fee_bps)

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Return the terms of an instruction's bytes; None when they are none of a route."""
        if data[: len(DISCRIMINATOR)] != DISCRIMINATOR or len(data) < len(DISCRIMINATOR) + TAIL_BYTES:
            return None
        return cls(*_TAIL.unpack(data[-TAIL_BYTES:]))


def over_venue(data: bytes, venue: int) -> bytes:
    """Return an instruction's bytes with another venue in its plan; the program here never looks at it."""
    return data[:_VENUE_AT] + bytes((venue,)) + data[_VENUE_AT + 1 :]


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it stands in a transaction: its terms and the keys of its accounts, in their order."""

    terms: RouteTerms
    accounts: tuple[Pubkey, ...]

    def __getitem__(self, place: RouteAccount) -> Pubkey:
        return self.accounts[place]


def routes_in(instructions: Sequence[CompiledInstruction], keys: Sequence[Pubkey]) -> list[Route]:
    """Return every complete route among a message's instructions; `keys` are those of the whole transaction."""
    found = []
    for step in instructions:
        if keys[step.program_id_index] != PROGRAM_ID or len(step.accounts) < len(RouteAccount):
            continue
        terms = RouteTerms.read(bytes(step.data))
        if terms is not None:
            found.append(Route(terms, tuple(keys[index] for index in bytes(step.accounts))))
    return found
