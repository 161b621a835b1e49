"""How accounts look on the wire: raw bytes in the encoding asked for, or parsed where a token program owns them.

Token-2022 accounts carry extensions behind the part both programs share: `extensions` reads them.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState

from apps.sandbox.chain import extensions
from apps.sandbox.domain import base58

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
MINT_BYTES, TOKEN_ACCOUNT_BYTES = 82, 165
#: Where Token-2022 says what an extended account is, so that a mint is not read as a token account.
_KIND_AT, _IS_MINT, _IS_TOKEN_ACCOUNT = 165, 1, 2
_NO_RENT_EPOCH = 2**64 - 1
_LONGEST_BASE58 = 128
_PROGRAM_NAMES = {TOKEN: "spl-token", TOKEN_2022: "spl-token-2022"}


class CannotEncode(ValueError):
    """The account's data do not fit the encoding asked for."""


def token_account(account: Account | None) -> TokenAccount | None:
    """Return what a token account holds; None for everything else."""
    if account is None or account.owner not in _PROGRAM_NAMES or len(account.data) < TOKEN_ACCOUNT_BYTES:
        return None
    if len(account.data) > TOKEN_ACCOUNT_BYTES and account.data[_KIND_AT] != _IS_TOKEN_ACCOUNT:
        return None
    return TokenAccount.from_bytes(bytes(account.data[:TOKEN_ACCOUNT_BYTES]))


def mint(account: Account | None) -> Mint | None:
    """Return what a mint says; None for everything else."""
    if account is None or account.owner not in _PROGRAM_NAMES or len(account.data) < MINT_BYTES:
        return None
    if len(account.data) > MINT_BYTES and (len(account.data) <= _KIND_AT or account.data[_KIND_AT] != _IS_MINT):
        return None
    return Mint.from_bytes(bytes(account.data[:MINT_BYTES]))


def ui_amount(amount: int, decimals: int) -> dict[str, Any]:
    """Return an amount in base units as nodes tell it.

    >>> ui_amount(2_500_000, 6)
    {'amount': '2500000', 'decimals': 6, 'uiAmount': 2.5, 'uiAmountString': '2.5'}
    """
    whole = Decimal(amount).scaleb(-decimals)
    text = f"{whole:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(whole), "uiAmountString": text}


def present(
    account: Account, *, encoding: str, decimals: int | None = None, data_slice: dict[str, int] | None = None
) -> dict[str, Any]:
    """Return an account as `getAccountInfo` does; `decimals` are those of a token account's mint.

    Raises:
        CannotEncode: base58 of more than 128 bytes.
    """
    parsed = _parsed(account, decimals) if encoding == "jsonParsed" else None
    return {
        "data": parsed or _encoded(bytes(account.data), encoding, data_slice),
        "executable": account.executable,
        "lamports": account.lamports,
        "owner": str(account.owner),
        "rentEpoch": _NO_RENT_EPOCH,
        "space": len(account.data),
    }


def _encoded(data: bytes, encoding: str, data_slice: dict[str, int] | None) -> list[str] | str:
    if data_slice is not None:
        data = data[data_slice["offset"] : data_slice["offset"] + data_slice["length"]]
    if encoding in ("base58", "binary"):
        if len(data) > _LONGEST_BASE58:
            raise CannotEncode(
                "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding."
            )
        return base58.encode(data) if encoding == "binary" else [base58.encode(data), "base58"]
    return [base64.b64encode(data).decode(), "base64"]


def _parsed(account: Account, decimals: int | None) -> dict[str, Any] | None:
    held, told = token_account(account), mint(account)
    if held is not None and decimals is not None:
        kind, info = "account", _token_account_info(held, decimals)
    elif told is not None:
        kind, info = "mint", _mint_info(told)
    else:
        return None
    if account.owner == TOKEN_2022:
        told_of = extensions.presented(bytes(account.data))
        info |= {"extensions": told_of} if told_of else {}
    return {
        "program": _PROGRAM_NAMES[account.owner],
        "space": len(account.data),
        "parsed": {"type": kind, "info": info},
    }


def _token_account_info(held: TokenAccount, decimals: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "isNative": held.is_native is not None,
        "mint": str(held.mint),
        "owner": str(held.owner),
        "state": "frozen" if held.state == TokenAccountState.Frozen else "initialized",
        "tokenAmount": ui_amount(held.amount, decimals),
    }
    if held.is_native is not None:
        info["rentExemptReserve"] = ui_amount(held.is_native, decimals)
    if held.delegate is not None:
        info |= {"delegate": str(held.delegate), "delegatedAmount": ui_amount(held.delegated_amount, decimals)}
    if held.close_authority is not None:
        info["closeAuthority"] = str(held.close_authority)
    return info


def _mint_info(told: Mint) -> dict[str, Any]:
    return {
        "decimals": told.decimals,
        "freezeAuthority": None if told.freeze_authority is None else str(told.freeze_authority),
        "isInitialized": told.is_initialized,
        "mintAuthority": None if told.mint_authority is None else str(told.mint_authority),
        "supply": str(told.supply),
    }
