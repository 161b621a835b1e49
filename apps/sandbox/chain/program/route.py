"""The instructions `route` and `route_v2` of Jupiter's program: how accounts stand in them, their bytes, their errors.

The first generation has its amounts behind the plan of venues, the second in front, and other places for its accounts.
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
DISCRIMINATOR_V2 = sha256(b"global:route_v2").digest()[:8]
AUTHORITY_SEED = b"vaults"
#: Who may take from the vaults: an address of the program without a key.
VAULT_AUTHORITY, VAULT_AUTHORITY_BUMP = Pubkey.find_program_address([AUTHORITY_SEED], PROGRAM_ID)
EVENT_AUTHORITY, _ = Pubkey.find_program_address([b"__event_authority"], PROGRAM_ID)

#: One step over all of the input, as Borsh writes it: a list of one, a venue, all of it, from mint 0 to mint 1.
_PLAN = bytes((1, 0, 0, 0, 7, 100, 0, 1))
_PLAN_V2 = bytes((1, 0, 0, 0, 7)) + (10_000).to_bytes(2, "little") + bytes((0, 1))
_TAIL = Struct("<QQHB")
TAIL_BYTES = _TAIL.size
#: What goes in, the quoted output, slippage, the platform's fee, and what it keeps of a better price: nothing here.
_HEAD_V2 = Struct("<QQHHH")
_COUNT_BYTES = 4
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


#: Which account stands where in `route_v2`.
PLACES_V2 = (
    RouteAccount.USER,
    RouteAccount.USER_SOURCE,
    RouteAccount.USER_DESTINATION,
    RouteAccount.SOURCE_MINT,
    RouteAccount.DESTINATION_MINT,
    RouteAccount.SOURCE_PROGRAM,
    RouteAccount.DESTINATION_PROGRAM,
    RouteAccount.DESTINATION,
    RouteAccount.EVENT_AUTHORITY,
    RouteAccount.PROGRAM,
    RouteAccount.PLATFORM_FEE,
    RouteAccount.SOURCE_VAULT,
    RouteAccount.DESTINATION_VAULT,
    RouteAccount.VAULT_AUTHORITY,
    RouteAccount.POOL,
    RouteAccount.SOL_VAULT,
    RouteAccount.SOL_MINT,
    RouteAccount.TOKEN_PROGRAM,
)
#: The other way round: for each account of `route`, its place in `route_v2`.
IN_V2 = tuple(PLACES_V2.index(place) for place in RouteAccount)


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

    def data_v2(self) -> bytes:
        """Return the bytes of `route_v2`."""
        head = _HEAD_V2.pack(self.in_amount, self.quoted_out, self.slippage_bps, self.platform_fee_bps, 0)
        return DISCRIMINATOR_V2 + head + _PLAN_V2

    def data(self) -> bytes:
        """Return the bytes of `route`."""
        fee_bps = min(self.platform_fee_bps, MOST_PLATFORM_FEE_BPS)
        return DISCRIMINATOR + _PLAN + _TAIL.pack(self.in_amount, self.quoted_out, self.slippage_bps, fee_bps)

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Return the terms of an instruction's bytes; None when they are none of a route."""
        if data[: len(DISCRIMINATOR_V2)] == DISCRIMINATOR_V2 and len(data) >= len(DISCRIMINATOR_V2) + _HEAD_V2.size:
            return cls(*_HEAD_V2.unpack_from(data, len(DISCRIMINATOR_V2))[:4])
        if data[: len(DISCRIMINATOR)] != DISCRIMINATOR or len(data) < len(DISCRIMINATOR) + TAIL_BYTES:
            return None
        return cls(*_TAIL.unpack(data[-TAIL_BYTES:]))


def over_venue(data: bytes, venue: int) -> bytes:
    """Return an instruction's bytes with another venue in its plan; the program here never looks at it."""
    behind = _HEAD_V2.size if data[: len(DISCRIMINATOR_V2)] == DISCRIMINATOR_V2 else 0
    at = len(DISCRIMINATOR) + behind + _COUNT_BYTES
    return data[:at] + bytes((venue,)) + data[at + 1 :]


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it stands in a transaction: its terms and the keys of its accounts, in the order of `route`."""

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
        data = bytes(step.data)
        terms = RouteTerms.read(data)
        if terms is None:
            continue
        accounts = tuple(keys[index] for index in bytes(step.accounts))
        if data[: len(DISCRIMINATOR_V2)] == DISCRIMINATOR_V2:
            accounts = tuple(accounts[place] for place in IN_V2)
        found.append(Route(terms, accounts))
    return found
