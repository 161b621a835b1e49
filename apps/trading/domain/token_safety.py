"""What makes a token too dangerous to buy with real money, and what of it an agent's owner may allow.

Pure: from a mint's bytes, two prices and a tried sale to the codes that speak against it. What cannot be read or was
not answered speaks against it too. Who reads the chain and asks the providers is `services.live.safety`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.core import base58
from apps.core.money import MONEY, ZERO, divide

SPL = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
SPL_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"

CHAIN_UNREADABLE = "TOKEN_CHAIN_UNREADABLE"
NOT_A_MINT = "TOKEN_NOT_A_MINT"
MINT_AUTHORITY = "TOKEN_MINT_AUTHORITY"
FREEZE_AUTHORITY = "TOKEN_FREEZE_AUTHORITY"
PERMANENT_DELEGATE = "TOKEN_PERMANENT_DELEGATE"
TRANSFER_HOOK = "TOKEN_TRANSFER_HOOK"
DEFAULT_FROZEN = "TOKEN_DEFAULT_FROZEN"
NON_TRANSFERABLE = "TOKEN_NON_TRANSFERABLE"
TRANSFER_FEE = "TOKEN_TRANSFER_FEE"
MINT_CLOSE_AUTHORITY = "TOKEN_MINT_CLOSE_AUTHORITY"
CONFIDENTIAL_TRANSFER = "TOKEN_CONFIDENTIAL_TRANSFER"
PAUSABLE = "TOKEN_PAUSABLE"
PAUSED = "TOKEN_PAUSED"
UNKNOWN_EXTENSION = "TOKEN_UNKNOWN_EXTENSION"
PRICE_UNKNOWN = "TOKEN_PRICE_UNKNOWN"
PRICE_UNCONFIRMED = "TOKEN_PRICE_UNCONFIRMED"
PRICES_DISAGREE = "TOKEN_PRICES_DISAGREE"
SALE_NOT_QUOTED = "TOKEN_SALE_NOT_QUOTED"
ROUND_TRIP_TOO_DEAR = "TOKEN_ROUND_TRIP_TOO_DEAR"
SALE_NOT_TRIED = "TOKEN_SALE_NOT_TRIED"
SALE_FAILED = "TOKEN_SALE_FAILED"

MESSAGES = {
    CHAIN_UNREADABLE: "No node could tell what the token is.",
    NOT_A_MINT: "The address is not a token's mint, or its bytes make no sense.",
    MINT_AUTHORITY: "Somebody can still make new tokens.",
    FREEZE_AUTHORITY: "Somebody can freeze what was bought.",
    PERMANENT_DELEGATE: "Somebody can take what was bought.",
    TRANSFER_HOOK: "A program of the issuer decides about each transfer.",
    DEFAULT_FROZEN: "What is bought is frozen from the start.",
    NON_TRANSFERABLE: "The token cannot be transferred, and so not sold.",
    TRANSFER_FEE: "The token takes a higher fee of each transfer than the agent allows.",
    MINT_CLOSE_AUTHORITY: "The mint can be closed and made anew with other rules.",
    CONFIDENTIAL_TRANSFER: "Balances of the token can be hidden.",
    PAUSABLE: "Somebody can stop all transfers.",
    PAUSED: "All transfers of the token are stopped.",
    UNKNOWN_EXTENSION: "The mint has an extension this desk does not know.",
    PRICE_UNKNOWN: "No source knows a fresh price.",
    PRICE_UNCONFIRMED: "Only one source knows a fresh price.",
    PRICES_DISAGREE: "Two price sources lie too far apart.",
    SALE_NOT_QUOTED: "Nobody quotes a sale of what would be bought.",
    ROUND_TRIP_TOO_DEAR: "Buying and selling again at once would cost more than the agent allows.",
    SALE_NOT_TRIED: "A sale of what would be bought could not be tried on a node.",
    SALE_FAILED: "A sale of what would be bought failed when it was tried on a node.",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What an agent's live buys let pass; as made, nothing."""

    allow_mint_authority: bool = False
    allow_freeze_authority: bool = False
    allow_permanent_delegate: bool = False
    allow_transfer_hook: bool = False
    allow_mint_close_authority: bool = False
    allow_pausable: bool = False
    allow_confidential_transfer: bool = False
    allow_unknown_extension: bool = False
    allow_single_price_source: bool = False
    allow_unsold_sale: bool = False
    max_transfer_fee_bps: int = 0
    max_price_gap_percent: Decimal = Decimal(5)
    max_round_trip_loss_percent: Decimal = Decimal(15)


STRICT = Policy()


class UnreadableMint(ValueError):
    """These bytes are no initialised mint of a token program."""


@dataclass(frozen=True, slots=True)
class MintFacts:
    """What a mint's bytes say. Authorities are addresses, None where nobody has them.

    `transfer_fee_bps` is the higher of the fee in force and the one that follows it.
    """

    program: str
    decimals: int
    supply_base_units: int
    mint_authority: str | None
    freeze_authority: str | None
    extensions: tuple[str, ...] = ()
    unknown_extensions: tuple[int, ...] = ()
    transfer_fee_bps: int = 0
    transfer_fee_authority: str | None = None
    mint_close_authority: str | None = None
    permanent_delegate: str | None = None
    transfer_hook_program: str | None = None
    transfer_hook_authority: str | None = None
    pause_authority: str | None = None
    is_default_frozen: bool = False
    is_non_transferable: bool = False
    is_paused: bool = False
    has_confidential_transfer: bool = False


@dataclass(frozen=True, slots=True)
class NamedPrice:
    """A fresh price, SOL per token, and who said it."""

    source: str
    price_sol: Decimal


@dataclass(frozen=True, slots=True)
class TriedSale:
    """What selling again at once would bring, by quote, and whether a node let it happen.

    `back_lamports` None means nobody quoted the sale; `succeeded` None that no node could be asked to try it.
    """

    spent_lamports: int
    back_lamports: int | None
    succeeded: bool | None
    error: str = ""


# The layout of a mint, which both programs share, and of what Token-2022 keeps behind it.
_MINT_BYTES, _SUPPLY_AT, _DECIMALS_AT, _INITIALISED_AT, _FREEZE_AT = 82, 36, 44, 45, 46
_KIND_AT, _IS_MINT = 165, 1
_KEY, _U64, _U16 = 32, 8, 2
_TRANSFER_FEE_BYTES, _FEE_BYTES, _FEES_AT = 108, 18, 72
_FROZEN = 2
_NOBODY = bytes(_KEY)

#: Extensions of mints by number. Those that only describe, group or show amounts differently threaten nobody.
EXTENSIONS = {
    1: "transferFeeConfig",
    3: "mintCloseAuthority",
    4: "confidentialTransferMint",
    6: "defaultAccountState",
    9: "nonTransferable",
    10: "interestBearingConfig",
    12: "permanentDelegate",
    14: "transferHook",
    16: "confidentialTransferFeeConfig",
    18: "metadataPointer",
    19: "tokenMetadata",
    20: "groupPointer",
    21: "tokenGroup",
    22: "groupMemberPointer",
    23: "tokenGroupMember",
    24: "confidentialMintBurn",
    25: "scaledUiAmount",
    26: "pausable",
}
_CONFIDENTIAL = frozenset({4, 16, 24})


def read_mint(owner: str, data: bytes) -> MintFacts:
    """Return what the bytes of a mint say; `owner` is the program the account belongs to.

    Raises:
        UnreadableMint: it belongs to no token program, is not initialised, or its bytes contradict their own lengths.
    """
    if owner not in (SPL, SPL_2022):
        raise UnreadableMint(f"it belongs to {owner}")
    if len(data) < _MINT_BYTES or data[_INITIALISED_AT] != 1:
        raise UnreadableMint("it is no initialised mint")
    facts: dict[str, Any] = {
        "program": owner,
        "decimals": data[_DECIMALS_AT],
        "supply_base_units": _number(data[_SUPPLY_AT : _SUPPLY_AT + _U64]),
        "mint_authority": _optional_key(data[: 4 + _KEY]),
        "freeze_authority": _optional_key(data[_FREEZE_AT : _FREEZE_AT + 4 + _KEY]),
    }
    if len(data) == _MINT_BYTES:
        return MintFacts(**facts)
    if owner != SPL_2022 or len(data) <= _KIND_AT or data[_KIND_AT] != _IS_MINT:
        raise UnreadableMint("what follows is no mint's")
    known, unknown = [], []
    for number, value in _extensions(data[_KIND_AT + 1 :]):
        if number in EXTENSIONS:
            known.append(EXTENSIONS[number])
            facts |= _facts_of(number, value)
        else:
            unknown.append(number)
    return MintFacts(**facts, extensions=tuple(known), unknown_extensions=tuple(unknown))


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each extension's number and bytes: two bytes of number, two of length, the value; zeros fill up the end."""
    at = 0
    while len(data) - at >= 2 * _U16:
        number, length = _number(data[at : at + _U16]), _number(data[at + _U16 : at + 2 * _U16])
        if number == 0:
            break
        at += 2 * _U16
        if at + length > len(data):
            raise UnreadableMint("an extension is longer than the account")
        yield number, data[at : at + length]
        at += length
    if any(data[at:]):
        raise UnreadableMint("something follows the extensions")


def _facts_of(number: int, value: bytes) -> dict[str, Any]:
    name = EXTENSIONS[number]
    if number in _CONFIDENTIAL:
        return {"has_confidential_transfer": True}
    if name == "nonTransferable":
        return {"is_non_transferable": True}
    if name == "defaultAccountState":
        return {"is_default_frozen": _sized(name, value, 1)[0] == _FROZEN}
    if name == "mintCloseAuthority":
        return {"mint_close_authority": _key(_sized(name, value, _KEY))}
    if name == "permanentDelegate":
        return {"permanent_delegate": _key(_sized(name, value, _KEY))}
    if name == "transferHook":
        _sized(name, value, 2 * _KEY)
        return {"transfer_hook_authority": _key(value[:_KEY]), "transfer_hook_program": _key(value[_KEY:])}
    if name == "pausable":
        _sized(name, value, _KEY + 1)
        return {"pause_authority": _key(value[:_KEY]), "is_paused": value[_KEY] != 0}
    if name == "transferFeeConfig":
        _sized(name, value, _TRANSFER_FEE_BYTES)
        fees = [_number(value[end - _U16 : end]) for end in (_FEES_AT + _FEE_BYTES, _FEES_AT + 2 * _FEE_BYTES)]
        return {"transfer_fee_bps": max(fees), "transfer_fee_authority": _key(value[:_KEY])}
    return {}


def _sized(name: str, value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise UnreadableMint(f"{name} has {len(value)} bytes instead of {size}")
    return value


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _key(data: bytes) -> str | None:
    return None if data == _NOBODY else base58.encode(data)


def _optional_key(data: bytes) -> str | None:
    """Return a key behind its four bytes that tell whether there is one."""
    tag = _number(data[:4])
    if tag > 1:
        raise UnreadableMint("an authority is neither there nor absent")
    return base58.encode(data[4:]) if tag else None


def against_mint(facts: MintFacts, policy: Policy) -> list[str]:
    """Return the codes that speak against a mint, the gravest first.

    A fee that can be raised counts as too high for who allows none: today's zero says nothing about tomorrow.
    """
    hook = facts.transfer_hook_program is not None or facts.transfer_hook_authority is not None
    fee_may_rise = policy.max_transfer_fee_bps == 0 and facts.transfer_fee_authority is not None
    judged = (
        (NON_TRANSFERABLE, facts.is_non_transferable, False),
        (DEFAULT_FROZEN, facts.is_default_frozen, False),
        (PAUSED, facts.is_paused, False),
        (PERMANENT_DELEGATE, facts.permanent_delegate is not None, policy.allow_permanent_delegate),
        (FREEZE_AUTHORITY, facts.freeze_authority is not None, policy.allow_freeze_authority),
        (TRANSFER_HOOK, hook, policy.allow_transfer_hook),
        (PAUSABLE, facts.pause_authority is not None, policy.allow_pausable),
        (MINT_AUTHORITY, facts.mint_authority is not None, policy.allow_mint_authority),
        (TRANSFER_FEE, facts.transfer_fee_bps > policy.max_transfer_fee_bps or fee_may_rise, False),
        (MINT_CLOSE_AUTHORITY, facts.mint_close_authority is not None, policy.allow_mint_close_authority),
        (CONFIDENTIAL_TRANSFER, facts.has_confidential_transfer, policy.allow_confidential_transfer),
        (UNKNOWN_EXTENSION, bool(facts.unknown_extensions), policy.allow_unknown_extension),
    )
    return [code for code, present, allowed in judged if present and not allowed]


def against_prices(prices: Sequence[NamedPrice], policy: Policy) -> list[str]:
    """Return what speaks against the token's prices; one per source.

    >>> near = [NamedPrice("jupiter", Decimal("1.04")), NamedPrice("dexscreener", Decimal(1))]
    >>> against_prices(near, STRICT), against_prices(near[:1], STRICT)
    ([], ['TOKEN_PRICE_UNCONFIRMED'])
    """
    known = [item.price_sol for item in prices if item.price_sol > 0]
    if not known:
        return [PRICE_UNKNOWN]
    if len(known) == 1:
        return [] if policy.allow_single_price_source else [PRICE_UNCONFIRMED]
    return [PRICES_DISAGREE] if price_gap_percent(known) > policy.max_price_gap_percent else []


def price_gap_percent(prices: Sequence[Decimal]) -> Decimal:
    """Return how far the highest lies above the lowest, in percent.

    >>> price_gap_percent([Decimal("1.1"), Decimal(1)])
    Decimal('10.0')
    """
    low, high = min(prices), max(prices)
    return MONEY.multiply(divide(high - low, low), Decimal(100))


def against_sale(sale: TriedSale, policy: Policy) -> list[str]:
    """Return what speaks against being able to sell again.

    >>> against_sale(TriedSale(1_000, 900, succeeded=True), STRICT)
    []
    >>> against_sale(TriedSale(1_000, 800, succeeded=False), STRICT)
    ['TOKEN_SALE_FAILED', 'TOKEN_ROUND_TRIP_TOO_DEAR']
    """
    if sale.back_lamports is None:
        return [SALE_NOT_QUOTED]
    codes = []
    if sale.succeeded is False:
        codes.append(SALE_FAILED)
    elif sale.succeeded is None and not policy.allow_unsold_sale:
        codes.append(SALE_NOT_TRIED)
    if round_trip_loss_percent(sale) > policy.max_round_trip_loss_percent:
        codes.append(ROUND_TRIP_TOO_DEAR)
    return codes


def round_trip_loss_percent(sale: TriedSale) -> Decimal:
    """Return what buying and selling again at once costs, in percent of what is spent; a gain counts as nothing."""
    lost = sale.spent_lamports - (sale.back_lamports or 0)
    if lost <= 0:
        return ZERO
    return MONEY.multiply(divide(Decimal(lost), Decimal(sale.spent_lamports)), Decimal(100))
