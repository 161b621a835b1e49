"""Jupiter's swap instructions: which the signer knows, where their accounts stand, what their bytes promise. Pure.

The first generation (`route`, `shared_accounts_route`) writes its amounts behind the plan of venues, so the plan has to
be read to the byte: whoever read the amounts from the end could be shown others than the program takes. The second
generation writes them in front.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

from solders.pubkey import Pubkey

from apps.wallets.signer.reading import Step
from apps.wallets.signer.reasons import Reason, Refused

PROGRAM = Pubkey.from_string("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4")
BPS = 10_000
_AMOUNTS = struct.Struct("<QQH")
_MOST_STEPS = 16
#: Bytes that follow a venue's number in a plan of the first generation. A venue that is not here is not read.
_VENUE_BYTES = (
    dict.fromkeys(
        (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13, 14, 19, 20, 22, 25, 26, 30, 31, 32, 34, 35, 36, 37, 38, 40), 0
    )
    | dict.fromkeys((8, 12, 15, 16, 17, 18, 21, 23, 24, 27, 28, 39), 1)
    | {29: 16, 33: 4, 41: 4}
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a swap instruction keeps what matters; `receiver` is another account that may get the output, if any."""

    name: str
    authority: int
    source: int
    destination: int
    receiver: int | None
    source_mint: int | None
    destination_mint: int
    program: int
    least_accounts: int
    has_id: bool
    amounts_first: bool

    @property
    def discriminator(self) -> bytes:
        return sha256(f"global:{self.name}".encode()).digest()[:8]


_LAYOUTS = (
    Layout("route", 1, 2, 3, 4, None, 5, 8, 9, has_id=False, amounts_first=False),
    Layout("shared_accounts_route", 2, 3, 6, None, 7, 8, 12, 13, has_id=True, amounts_first=False),
    Layout("route_v2", 0, 1, 2, 7, 3, 4, 9, 10, has_id=False, amounts_first=True),
    Layout("shared_accounts_route_v2", 1, 2, 5, None, 6, 7, 11, 12, has_id=True, amounts_first=True),
)
LAYOUTS = {layout.discriminator: layout for layout in _LAYOUTS}
#: What else the program has; known only to be refused by its name.
_OTHERS = (
    "claim",
    "claim_token",
    "close_token",
    "create_open_orders",
    "create_program_open_orders",
    "create_token_account",
    "create_token_ledger",
    "exact_out_route",
    "exact_out_route_v2",
    "route_with_token_ledger",
    "set_token_ledger",
    "shared_accounts_exact_out_route",
    "shared_accounts_exact_out_route_v2",
    "shared_accounts_route_with_token_ledger",
)
_NAMES = {sha256(f"global:{name}".encode()).digest()[:8]: name for name in _OTHERS}


@dataclass(frozen=True, slots=True)
class Swap:
    """What a swap instruction takes and promises, in base units, and between which accounts."""

    in_amount: int
    quoted_out: int
    slippage_bps: int
    platform_fee_bps: int
    authority: Pubkey
    source: Pubkey
    destination: Pubkey
    receiver: Pubkey | None
    source_mint: Pubkey | None
    destination_mint: Pubkey

    @property
    def least_out(self) -> int:
        """What the program lets come out at least: the quote less its slippage, rounded up."""
        return -(-self.quoted_out * (BPS - self.slippage_bps) // BPS)

    @property
    def least_kept(self) -> int:
        """The same if the platform's fee is taken off only afterwards."""
        return self.least_out * (BPS - self.platform_fee_bps) // BPS


def read(step: Step) -> Swap:
    """Read a swap instruction.

    Raises:
        Refused: INSTRUCTION_NOT_ALLOWED for any other of the program's, ROUTE_UNREADABLE.
    """
    layout = LAYOUTS.get(step.data[:8])
    if layout is None:
        name = _NAMES.get(step.data[:8], "none that is known")
        raise Refused(
            Reason.INSTRUCTION_NOT_ALLOWED,
            f"Of Jupiter's instructions only swaps of an exact input are signed; this is {name}.",
        )
    if len(step.accounts) < layout.least_accounts:
        raise Refused(Reason.ROUTE_UNREADABLE, "The swap instruction lacks accounts.")
    in_amount, quoted_out, slippage_bps, fee_bps = _amounts(step.data, layout)
    at = step.accounts
    receiver = None if layout.receiver is None or at[layout.receiver] == PROGRAM else at[layout.receiver]
    if at[layout.program] != PROGRAM:
        raise Refused(Reason.ROUTE_UNREADABLE, "The swap instruction's accounts are not in their order.")
    return Swap(
        in_amount,
        quoted_out,
        slippage_bps,
        fee_bps,
        authority=at[layout.authority],
        source=at[layout.source],
        destination=at[layout.destination],
        receiver=receiver,
        source_mint=None if layout.source_mint is None else at[layout.source_mint],
        destination_mint=at[layout.destination_mint],
    )


def can_be_read(data: bytes) -> bool:
    """Tell whether the amounts of a swap instruction can be told from its bytes; of what is no swap, others judge."""
    layout = LAYOUTS.get(data[:8])
    if layout is None:
        return True
    try:
        _amounts(data, layout)
    except Refused:
        return False
    return True


def _amounts(data: bytes, layout: Layout) -> tuple[int, int, int, int]:
    """Return what goes in, the quoted output, slippage and platform fee. Raises Refused: ROUTE_UNREADABLE."""
    try:
        amounts = _amounts_first(data, layout) if layout.amounts_first else _amounts_last(data, layout)
    except (struct.error, IndexError):
        raise Refused(Reason.ROUTE_UNREADABLE, "The swap instruction is shorter than its own plan.") from None
    if amounts[2] > BPS or amounts[3] > BPS:
        raise Refused(Reason.ROUTE_UNREADABLE, "The swap instruction's slippage or fee is above all of it.")
    return amounts


def _amounts_first(data: bytes, layout: Layout) -> tuple[int, int, int, int]:
    place = 8 + layout.has_id
    in_amount, quoted_out, slippage_bps = _AMOUNTS.unpack_from(data, place)
    fee_bps = int.from_bytes(data[place + _AMOUNTS.size : place + _AMOUNTS.size + 2], "little")
    if len(data) < place + _AMOUNTS.size + 4:
        raise IndexError
    return in_amount, quoted_out, slippage_bps, fee_bps


def _amounts_last(data: bytes, layout: Layout) -> tuple[int, int, int, int]:
    place = 8 + layout.has_id
    steps = int.from_bytes(data[place : place + 4], "little")
    place += 4
    if steps > _MOST_STEPS:
        raise Refused(Reason.ROUTE_UNREADABLE, "The swap's plan has more steps than any route.")
    for _ in range(steps):
        following = _VENUE_BYTES.get(data[place])
        if following is None:
            raise Refused(Reason.ROUTE_UNREADABLE, "The swap's plan goes over a venue the signer cannot read.")
        place += 1 + following + 3  # percent, and from which to which
    in_amount, quoted_out, slippage_bps = _AMOUNTS.unpack_from(data, place)
    place += _AMOUNTS.size
    if len(data) != place + 1:
        raise Refused(Reason.ROUTE_UNREADABLE, "There is more behind the swap's amounts than belongs there.")
    return in_amount, quoted_out, slippage_bps, data[place]
