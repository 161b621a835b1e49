"""Which accounts a transaction names: its own, then those it finds in lookup tables."""

from __future__ import annotations

from collections.abc import Callable

from solders.account import Account
from solders.address_lookup_table_account import ID as LOOKUP_PROGRAM
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

_HEADER_BYTES, _KEY_BYTES = 56, 32


class NoSuchAddress(ValueError):
    """A lookup table does not exist, or has no such entry."""


def keys_of(transaction: VersionedTransaction, account: Callable[[Pubkey], Account | None]) -> tuple[Pubkey, ...]:
    """Return a transaction's accounts, those of its lookup tables behind its own, writable ones first.

    Raises:
        NoSuchAddress: a lookup table does not exist or is too short.
    """
    message = transaction.message
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    for lookup in getattr(message, "address_table_lookups", ()):
        table = _table(account(lookup.account_key))
        try:
            writable += [table[index] for index in lookup.writable_indexes]
            readonly += [table[index] for index in lookup.readonly_indexes]
        except IndexError:
            raise NoSuchAddress("Transaction address table lookup uses an invalid index") from None
    return (*message.account_keys, *writable, *readonly)


def writable_looked_up(transaction: VersionedTransaction) -> int:
    """Return how many accounts a transaction writes that it finds in lookup tables."""
    return sum(len(each.writable_indexes) for each in getattr(transaction.message, "address_table_lookups", ()))


def writable_of(transaction: VersionedTransaction, keys: tuple[Pubkey, ...]) -> list[Pubkey]:
    """Return those of a transaction's accounts that it may write."""
    own = len(transaction.message.account_keys)
    looked_up = writable_looked_up(transaction)
    return [
        key
        for index, key in enumerate(keys)
        if (is_writable(transaction, index) if index < own else index < own + looked_up)
    ]


def is_writable(transaction: VersionedTransaction, index: int) -> bool:
    """Tell from the header whether one of the message's own accounts may be written."""
    header, own = transaction.message.header, len(transaction.message.account_keys)
    signers = header.num_required_signatures
    if index < signers:
        return bool(index < signers - header.num_readonly_signed_accounts)
    return bool(index < own - header.num_readonly_unsigned_accounts)


def _table(account: Account | None) -> list[Pubkey]:
    if account is None or account.owner != LOOKUP_PROGRAM:
        raise NoSuchAddress("Transaction loads an address table account that doesn't exist")
    listed = bytes(account.data)[_HEADER_BYTES:]
    return [Pubkey(listed[start : start + _KEY_BYTES]) for start in range(0, len(listed), _KEY_BYTES)]
