"""A buy and a sale as one transaction that is tried and never sent: both happen in it, or neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

LARGEST_TRANSACTION = 1_232
_MOST_UNITS = 1_400_000


def tables_of(*raw: bytes) -> set[str]:
    """Return the lookup tables these transactions use.

    Raises:
        ValueError: one cannot be read.
    """
    messages = [VersionedTransaction.from_bytes(each).message for each in raw]
    return {
        str(lookup.account_key)
        for message in messages
        if isinstance(message, MessageV0)
        for lookup in message.address_table_lookups
    }


def joined(raw: Sequence[bytes], *, payer: str, tables: Mapping[str, Sequence[str]]) -> bytes | None:
    """Return transactions of one payer as one, in their order; None when that is larger than a transaction may be.

    `tables` are the lookup tables' addresses. Compute settings are replaced by the most there is.

    Raises:
        ValueError: one cannot be read, or uses a table that is not among them.
    """
    instructions = [set_compute_unit_limit(_MOST_UNITS)]
    for each in raw:
        instructions += [item for item in _instructions(each, tables) if item.program_id != COMPUTE_BUDGET]
    known = [
        AddressLookupTableAccount(Pubkey.from_string(key), [Pubkey.from_string(address) for address in addresses])
        for key, addresses in tables.items()
    ]
    message = MessageV0.try_compile(Pubkey.from_string(payer), instructions, known, Hash.default())
    unsigned = [Signature.default()] * message.header.num_required_signatures
    made = bytes(VersionedTransaction.populate(message, unsigned))
    return made if len(made) <= LARGEST_TRANSACTION else None


def writable_keys(message: MessageV0, tables: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what a message may write to, apart from its signers' own accounts.

    Raises:
        ValueError, IndexError: it uses a table, or a place of one, that is not among `tables`.
    """
    return [str(meta.pubkey) for meta in _metas(message, tables) if meta.is_writable and not meta.is_signer]


def _instructions(raw: bytes, tables: Mapping[str, Sequence[str]]) -> list[Instruction]:
    message = VersionedTransaction.from_bytes(raw).message
    metas = _metas(message, tables)
    return [
        Instruction(
            metas[item.program_id_index].pubkey, bytes(item.data), [metas[place] for place in bytes(item.accounts)]
        )
        for item in message.instructions
    ]


def _metas(message: Any, tables: Mapping[str, Sequence[str]]) -> list[AccountMeta]:
    """Return the message's accounts in the order its instructions count them: its own, then those of its tables."""
    header, keys = message.header, message.account_keys
    signers = header.num_required_signatures
    metas = []
    for place, key in enumerate(keys):
        is_signer = place < signers
        last = (
            signers - header.num_readonly_signed_accounts
            if is_signer
            else len(keys) - header.num_readonly_unsigned_accounts
        )
        metas.append(AccountMeta(key, is_signer, place < last))
    lookups = message.address_table_lookups if isinstance(message, MessageV0) else []
    for writable in (True, False):
        for lookup in lookups:
            addresses = tables.get(str(lookup.account_key))
            if addresses is None:
                raise ValueError(f"the lookup table {lookup.account_key} is not known")
            places = lookup.writable_indexes if writable else lookup.readonly_indexes
            metas += [AccountMeta(Pubkey.from_string(addresses[place]), False, writable) for place in bytes(places)]
    return metas
