"""The bytes of mints and token accounts as the two token programs keep them, extensions included.

Token-2022 keeps what both programs share first, pads it to the length of a token account, says what it is in one byte,
and lists extensions behind it: number, length, content.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack

from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState

from apps.sandbox.chain.accounts import TOKEN_ACCOUNT_BYTES
from apps.sandbox.domain.mints import TRANSFER_FEE_BPS, MintExtension, MintRules
from apps.sandbox.domain.pools import U64_MAX

_MINT, _TOKEN_ACCOUNT = 1, 2
_TRANSFER_FEE_AMOUNT, _IMMUTABLE_OWNER, _NON_TRANSFERABLE_ACCOUNT, _TRANSFER_HOOK_ACCOUNT = 2, 7, 13, 15
_FROZEN = 2
_NUMBER = {
    MintExtension.TRANSFER_FEE: 1,
    MintExtension.MINT_CLOSE_AUTHORITY: 3,
    MintExtension.DEFAULT_FROZEN: 6,
    MintExtension.NON_TRANSFERABLE: 9,
    MintExtension.PERMANENT_DELEGATE: 12,
    MintExtension.TRANSFER_HOOK: 14,
}
#: What the accounts of a mint must have besides, to be moved at all.
_OF_ACCOUNTS = {
    MintExtension.TRANSFER_FEE: ((_TRANSFER_FEE_AMOUNT, bytes(8)),),
    MintExtension.NON_TRANSFERABLE: ((_IMMUTABLE_OWNER, b""), (_NON_TRANSFERABLE_ACCOUNT, b"")),
    MintExtension.TRANSFER_HOOK: ((_TRANSFER_HOOK_ACCOUNT, bytes(1)),),
}


def mint_bytes(rules: MintRules, *, decimals: int, supply: int, developer: Pubkey) -> bytes:
    """Return a mint's bytes; whatever authority was kept is the developer's."""
    mint = bytes(
        Mint(
            mint_authority=developer if rules.mint_authority else None,
            supply=supply,
            decimals=decimals,
            is_initialized=True,
            freeze_authority=developer if rules.freeze_authority else None,
        )
    )
    return _extended(
        mint, _MINT, [(_NUMBER[extension], _content(extension, developer)) for extension in rules.extensions]
    )


def token_account_bytes(
    rules: MintRules, *, mint: Pubkey, owner: Pubkey, amount: int, native_rent: int | None
) -> bytes:
    """Return a token account's bytes; `native_rent` is what one of wrapped SOL holds beside its amount."""
    account = bytes(
        TokenAccount(
            mint=mint,
            owner=owner,
            amount=amount,
            delegate=None,
            state=TokenAccountState.Initialized,
            is_native=native_rent,
            delegated_amount=0,
            close_authority=None,
        )
    )
    extensions = [each for extension in rules.extensions for each in _OF_ACCOUNTS.get(extension, ())]
    return _extended(account, _TOKEN_ACCOUNT, extensions)


def account_size(rules: MintRules) -> int:
    """Return the bytes of an associated token account of such a mint; those of Token-2022 never change owners."""
    if not rules.token_2022:
        return TOKEN_ACCOUNT_BYTES
    numbered = {each for extension in rules.extensions for each in _OF_ACCOUNTS.get(extension, ())}
    return TOKEN_ACCOUNT_BYTES + 1 + sum(4 + len(content) for _, content in numbered | {(_IMMUTABLE_OWNER, b"")})


def _content(extension: MintExtension, developer: Pubkey) -> bytes:
    match extension:
        case MintExtension.TRANSFER_FEE:
            fee = pack("<QQH", 0, U64_MAX, TRANSFER_FEE_BPS)
            return bytes(developer) + bytes(developer) + pack("<Q", 0) + fee + fee
        case MintExtension.DEFAULT_FROZEN:
            return bytes((_FROZEN,))
        case MintExtension.NON_TRANSFERABLE:
            return b""
        case MintExtension.PERMANENT_DELEGATE | MintExtension.MINT_CLOSE_AUTHORITY:
            return bytes(developer)
        case MintExtension.TRANSFER_HOOK:
            return bytes(developer) + bytes(developer)


def _extended(shared: bytes, kind: int, extensions: Iterable[tuple[int, bytes]]) -> bytes:
    listed = list(extensions)
    if not listed:
        return shared
    return (
        shared.ljust(TOKEN_ACCOUNT_BYTES, b"\0")
        + bytes((kind,))
        + b"".join(pack("<HH", number, len(content)) + content for number, content in listed)
    )
