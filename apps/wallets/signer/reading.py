"""From bytes to what a transaction asks for: its payer, its accounts, its instructions. Pure; judges only its form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.wallets.signer.reasons import Reason, Refused

LONGEST_TRANSACTION = 1232
_VERSION_1 = 0x81


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction, its accounts by key."""

    program: Pubkey
    accounts: tuple[Pubkey, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """A transaction whose lookup tables are still to be asked for: `tables` holds the highest place used of each."""

    message: Message | MessageV0
    signed_bytes: bytes
    tables: Mapping[str, int]

    @property
    def digest(self) -> str:
        """What tells this transaction from any other, its signature aside."""
        return hashlib.sha256(self.signed_bytes).hexdigest()

    def with_signature(self, signature: bytes) -> bytes:
        """Return the transaction as it is sent."""
        return bytes(VersionedTransaction.populate(self.message, [Signature.from_bytes(signature)]))


@dataclass(frozen=True, slots=True)
class Reading:
    """A transaction in full. `keys` in the order in which nodes tell balances: own ones, then those of tables."""

    payer: Pubkey
    keys: tuple[Pubkey, ...]
    steps: tuple[Step, ...]
    unsigned: bytes


def decode(transaction: bytes, *, wallet: Pubkey) -> Unread:
    """Take a transaction that the wallet pays and alone signs.

    Legacy and version 0 are read. Version 1 is refused: it carries its fees outside of instructions and no swap comes
    in it; when one does, this policy has to be thought through again first.

    Raises:
        Refused: TRANSACTION_UNREADABLE, VERSION_UNSUPPORTED, FEE_PAYER, OTHER_SIGNERS.
    """
    if len(transaction) > LONGEST_TRANSACTION * 4:
        raise Refused(Reason.TRANSACTION_UNREADABLE, "The transaction is longer than any may be.")
    if transaction[:1] == bytes([_VERSION_1]):
        raise Refused(Reason.VERSION_UNSUPPORTED, "Transactions of version 1 are not signed.")
    try:
        decoded = VersionedTransaction.from_bytes(transaction)
        message = decoded.message
        canonical = bytes(decoded) == transaction
    except ValueError:
        raise Refused(Reason.TRANSACTION_UNREADABLE, "These bytes are no transaction.") from None
    if not isinstance(message, (Message, MessageV0)):
        raise Refused(Reason.VERSION_UNSUPPORTED, "Only legacy and version 0 transactions are signed.")
    if not canonical or len(transaction) > LONGEST_TRANSACTION or not message.account_keys:
        raise Refused(Reason.TRANSACTION_UNREADABLE, "The transaction is not written the way the chain reads it.")
    if message.account_keys[0] != wallet:
        raise Refused(Reason.FEE_PAYER, "Somebody else pays the fee of this transaction: the wallet has to.")
    if message.header.num_required_signatures != 1 or len(decoded.signatures) != 1:
        raise Refused(Reason.OTHER_SIGNERS, "The transaction needs other signatures than the wallet's.")
    tables: dict[str, int] = {}
    for lookup in getattr(message, "address_table_lookups", ()):
        places = [*lookup.writable_indexes, *lookup.readonly_indexes]
        name = str(lookup.account_key)
        tables[name] = max(places, default=0) if name not in tables else max(tables[name], *places)
    return Unread(message, to_bytes_versioned(message), tables)


def resolve(unread: Unread, tables: Mapping[str, Sequence[str]]) -> Reading:
    """Put the addresses of lookup tables in.

    Raises:
        Refused: TRANSACTION_UNREADABLE, LOOKUP_TABLE.
    """
    message = unread.message
    own = list(message.account_keys)
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    try:
        for lookup in getattr(message, "address_table_lookups", ()):
            table = tables[str(lookup.account_key)]
            writable += [Pubkey.from_string(table[place]) for place in lookup.writable_indexes]
            readonly += [Pubkey.from_string(table[place]) for place in lookup.readonly_indexes]
    except (IndexError, KeyError):
        raise Refused(Reason.LOOKUP_TABLE, "A lookup table does not hold what the transaction uses of it.") from None
    keys = (*own, *writable, *readonly)
    if len(set(keys)) != len(keys):
        raise Refused(Reason.TRANSACTION_UNREADABLE, "An account stands in the transaction twice.")
    steps = []
    for instruction in message.instructions:
        places = bytes(instruction.accounts)
        if instruction.program_id_index >= len(own) or any(place >= len(keys) for place in places):
            raise Refused(Reason.TRANSACTION_UNREADABLE, "An instruction names an account that is not there.")
        accounts = tuple(keys[place] for place in places)
        steps.append(Step(own[instruction.program_id_index], accounts, bytes(instruction.data)))
    unsigned = bytes(VersionedTransaction.populate(message, [Signature.default()]))
    return Reading(own[0], keys, tuple(steps), unsigned)
