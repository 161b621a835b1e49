"""What nodes answer, read into values. Integers stay integers; what is missing or of another shape raises ValueError.

Nodes add fields and leave out others from version to version: only what is used is read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 - a public program's address
TOKEN_2022_PROGRAM = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 - a public program's address
TOKEN_PROGRAMS = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
_LOOKUP_TABLE_HEADER_BYTES = 56
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Blockhash:
    """A recent blockhash; transactions with it can land up to `last_valid_block_height`. `slot` is the answer's."""

    hash: str
    last_valid_block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """What a node knows of a signature; `err` is the chain's error as JSON, None when it succeeded."""

    slot: int
    err: Any
    commitment: str

    @property
    def confirmed(self) -> bool:
        return self.commitment in ("confirmed", "finalized")

    @property
    def finalized(self) -> bool:
        return self.commitment == "finalized"


@dataclass(frozen=True, slots=True)
class Known:
    """What a node knows of one signature, its history included, and the slot it had reached."""

    slot: int
    status: SignatureStatus | None


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """One line of an address's history."""

    signature: str
    slot: int
    err: Any
    commitment: str
    block_time: int | None


@dataclass(frozen=True, slots=True)
class AddressBalance:
    """Lamports of an address, and the slot the node said it for."""

    lamports: int
    slot: int


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """A token account; `amount` in base units, `lamports` all it holds, its rent included.

    `native` is wrapped SOL: its amount is lamports. `extensions` are the raw ones of Token-2022.
    """

    address: str
    mint: str
    owner: str
    amount: int
    decimals: int
    program: str
    lamports: int
    frozen: bool
    native: bool = False
    delegate: str | None = None
    close_authority: str | None = None
    extensions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class TokenAccounts:
    """The token accounts of one owner under one token program, and the slot they were told for."""

    rows: tuple[TokenAccount, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it is."""

    address: str
    lamports: int
    owner: str
    data: bytes = field(repr=False)
    executable: bool
    slot: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a transaction would do. Balances and loaded addresses are None where the node does not tell them."""

    err: Any
    logs: tuple[str, ...]
    units: int | None
    slot: int
    fee: int | None
    accounts: tuple[AccountState | None, ...] | None
    pre_balances: tuple[int, ...] | None
    post_balances: tuple[int, ...] | None
    pre_token_balances: tuple[Mapping[str, Any], ...] | None
    post_token_balances: tuple[Mapping[str, Any], ...] | None
    inner_instructions: tuple[Mapping[str, Any], ...] | None
    loaded_addresses: Mapping[str, Any] | None
    replacement: Blockhash | None


def whole(value: Any, name: str = "number") -> int:
    """Return an integer that is none in disguise."""
    if type(value) is not int:
        raise ValueError(f"{name} is not a whole number")
    return value


def base_units(value: Any) -> int:
    """Return the integer a node tells as text, e.g. a token amount.

    >>> base_units("2500000")
    2500000
    """
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError("an amount is not a whole number")
    return int(value)


def in_context(result: Any) -> tuple[int, Any]:
    """Return (slot, value) of a result that names its context."""
    if not isinstance(result, dict) or not isinstance(result.get("context"), dict) or "value" not in result:
        raise ValueError("a result without context")
    return whole(result["context"].get("slot"), "slot"), result["value"]


def blockhash(result: Any) -> Blockhash:
    """Read getLatestBlockhash."""
    slot, value = in_context(result)
    return Blockhash(_text(value, "blockhash"), whole(_field(value, "lastValidBlockHeight"), "height"), slot)


def known(result: Any) -> Known:
    """Read getSignatureStatuses of one signature."""
    slot, _ = in_context(result)
    (status,) = statuses(result, 1)
    return Known(slot, status)


def finalized(result: Any) -> tuple[int, int]:
    """Read getEpochInfo: the block height and the slot it belongs to."""
    return whole(_field(result, "blockHeight"), "height"), whole(_field(result, "absoluteSlot"), "slot")


def statuses(result: Any, count: int) -> list[SignatureStatus | None]:
    """Read getSignatureStatuses of `count` signatures."""
    _, values = in_context(result)
    rows = _rows(values)
    if len(rows) != count:
        raise ValueError("another number of statuses than asked")
    return [None if row is None else _status(row) for row in rows]


def _status(row: Any) -> SignatureStatus:
    rooted = row.get("confirmations", 0) is None if isinstance(row, dict) else False
    level = _field(row, "confirmationStatus")
    return SignatureStatus(whole(_field(row, "slot")), row.get("err"), "finalized" if rooted else str(level))


def history(result: Any) -> list[SignatureRow]:
    """Read getSignaturesForAddress, newest first."""
    return [
        SignatureRow(
            signature=_text(row, "signature"),
            slot=whole(_field(row, "slot")),
            err=row.get("err"),
            commitment=str(row.get("confirmationStatus") or "finalized"),
            block_time=row.get("blockTime") if type(row.get("blockTime")) is int else None,
        )
        for row in _rows(result)
    ]


def balance(result: Any) -> AddressBalance:
    """Read getBalance."""
    slot, value = in_context(result)
    lamports = whole(value, "balance")
    if lamports < 0:
        raise ValueError("a balance below zero")
    return AddressBalance(lamports, slot)


def token_accounts(result: Any) -> TokenAccounts:
    """Read getTokenAccountsByOwner with jsonParsed data."""
    slot, values = in_context(result)
    return TokenAccounts(tuple(_token_account(row) for row in _rows(values)), slot)


def _token_account(row: Any) -> TokenAccount:
    account = _object(row, "account")
    parsed = _object(_object(account, "data"), "parsed")
    told = _object(parsed, "info")
    amount = _object(told, "tokenAmount")
    extensions = told.get("extensions") or ()
    return TokenAccount(
        address=_text(row, "pubkey"),
        mint=_text(told, "mint"),
        owner=_text(told, "owner"),
        amount=base_units(amount.get("amount")),
        decimals=whole(amount.get("decimals"), "decimals"),
        program=_text(account, "owner"),
        lamports=whole(account.get("lamports"), "lamports"),
        frozen=told.get("state") == "frozen",
        native=told.get("isNative") is True,
        delegate=told.get("delegate"),
        close_authority=told.get("closeAuthority"),
        extensions=tuple(each for each in extensions if isinstance(each, dict)),
    )


def accounts(result: Any, keys: Sequence[str]) -> list[AccountState | None]:
    """Read getMultipleAccounts in base64, in the order of `keys`."""
    slot, values = in_context(result)
    rows = _rows(values)
    if len(rows) != len(keys):
        raise ValueError("another number of accounts than asked")
    return [_account(key, row, slot) for key, row in zip(keys, rows, strict=True)]


def _account(key: str, row: Any, slot: int) -> AccountState | None:
    if row is None:
        return None
    given = _field(row, "data")
    if not isinstance(given, list) or len(given) != 2 or given[1] != "base64":
        raise ValueError("account data in another encoding than asked")
    try:
        raw = base64.b64decode(given[0], validate=True)
    except (binascii.Error, TypeError):
        raise ValueError("account data that is not base64") from None
    return AccountState(
        key, whole(_field(row, "lamports")), _text(row, "owner"), raw, row.get("executable") is True, slot
    )


def lookup_table(account: AccountState, encode: Any) -> list[str]:
    """Return the addresses of a lookup table; `encode` turns 32 bytes into base58."""
    body = account.data[_LOOKUP_TABLE_HEADER_BYTES:]
    if len(account.data) < _LOOKUP_TABLE_HEADER_BYTES or len(body) % _KEY_BYTES:
        raise ValueError("not a lookup table")
    return [encode(body[start : start + _KEY_BYTES]) for start in range(0, len(body), _KEY_BYTES)]


def recent_fees(result: Any) -> list[int]:
    """Read getRecentPrioritizationFees: micro-lamports per compute unit, oldest slot first."""
    rows = sorted((whole(_field(row, "slot")), whole(_field(row, "prioritizationFee"))) for row in _rows(result))
    return [fee for _, fee in rows]


def simulation(result: Any, keys: Sequence[str]) -> Simulation:
    """Read simulateTransaction that was asked for the accounts `keys`."""
    slot, value = in_context(result)
    if not isinstance(value, dict):
        raise ValueError("a simulation without value")
    after = value.get("accounts")
    replaced = value.get("replacementBlockhash")
    return Simulation(
        err=value.get("err"),
        logs=_logs(value.get("logs")),
        units=_optional(value.get("unitsConsumed")),
        slot=slot,
        fee=_optional(value.get("fee")),
        accounts=None
        if after is None or not keys
        else tuple(_account(key, row, slot) for key, row in zip(keys, _rows(after), strict=True)),
        pre_balances=_numbers(value.get("preBalances")),
        post_balances=_numbers(value.get("postBalances")),
        pre_token_balances=_objects(value.get("preTokenBalances")),
        post_token_balances=_objects(value.get("postTokenBalances")),
        inner_instructions=_objects(value.get("innerInstructions")),
        loaded_addresses=value.get("loadedAddresses") if isinstance(value.get("loadedAddresses"), dict) else None,
        replacement=None
        if not isinstance(replaced, dict)
        else Blockhash(_text(replaced, "blockhash"), whole(replaced.get("lastValidBlockHeight")), slot),
    )


def units(result: Any) -> int | None:
    """Read no more of simulateTransaction than the compute units of what succeeded; None if it failed."""
    _, value = in_context(result)
    if not isinstance(value, dict):
        raise ValueError("a simulation without value")
    return None if value.get("err") is not None else _optional(value.get("unitsConsumed"))


def preflight(data: Any) -> tuple[Any, tuple[str, ...], int | None]:
    """Return (error, log lines, compute units) of a failed preflight, whose data may be missing."""
    if not isinstance(data, dict):
        return None, (), None
    return data.get("err"), _logs(data.get("logs")), _optional(data.get("unitsConsumed"))


def _logs(value: Any) -> tuple[str, ...]:
    return tuple(str(line) for line in value) if isinstance(value, list) else ()


def _optional(value: Any) -> int | None:
    return None if value is None else whole(value)


def _numbers(value: Any) -> tuple[int, ...] | None:
    return None if value is None else tuple(whole(each) for each in _rows(value))


def _objects(value: Any) -> tuple[Mapping[str, Any], ...] | None:
    return None if value is None else tuple(each for each in _rows(value) if isinstance(each, dict))


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return value


def _field(row: Any, name: str) -> Any:
    if not isinstance(row, dict) or name not in row:
        raise ValueError(f"{name} is missing")
    return row[name]


def _object(row: Any, name: str) -> dict[str, Any]:
    value = _field(row, name)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no object")
    return value


def _text(row: Any, name: str) -> str:
    value = _field(row, name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} is no text")
    return value
