"""What an unsigned transaction of a provider is made of, as far as the orders process wants to know: payer and fees.

The rules by which it is signed or not are the signer's; this only spares it what it would refuse anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from apps.core.errors import SoldeskError
from apps.trading.domain.landed_swap import LAMPORTS_PER_SIGNATURE
from apps.wallets.signer import routes
from apps.wallets.signer.reasons import Reason

_LIMIT, _PRICE = 2, 3
#: What a transaction without a limit of its own may use, and pays for.
_DEFAULT_UNITS = 200_000
#: The most a transaction may use.
MOST_UNITS = 1_400_000
_MICRO = 1_000_000
ROUTE_UNREADABLE = str(Reason.ROUTE_UNREADABLE)


class UnusableSwap(SoldeskError):
    """A provider's transaction that is not worth showing to the signer.

    `code`: UNREADABLE_TRANSACTION, FOREIGN_FEE_PAYER, FEE_ABOVE_CAP, ROUTE_UNREADABLE.
    """

    status = 502


@dataclass(frozen=True, slots=True)
class SwapBytes:
    """An unsigned transaction with one signer: the wallet, which pays `fee_lamports` for it."""

    transaction: VersionedTransaction
    blockhash: str
    fee_lamports: int

    @property
    def raw(self) -> bytes:
        return bytes(self.transaction)


def read(raw: bytes, *, wallet: str, fee_cap_lamports: int) -> SwapBytes:
    """Look into a provider's transaction.

    Raises:
        UnusableSwap: it cannot be read, somebody else signs or pays, its fee is above the order's cap, or it goes over
            a venue behind which the signer could not find its amounts.
    """
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        message = transaction.message
        payer = str(message.account_keys[0])
    except (ValueError, IndexError) as error:
        raise UnusableSwap("UNREADABLE_TRANSACTION", f"The transaction cannot be read: {error}") from None
    if payer != wallet or message.header.num_required_signatures != 1:
        raise UnusableSwap("FOREIGN_FEE_PAYER", "The transaction is not the wallet's alone to sign and to pay for.")
    fee = LAMPORTS_PER_SIGNATURE + _priority_fee(transaction)
    if fee > fee_cap_lamports:
        raise UnusableSwap("FEE_ABOVE_CAP", f"Fees of {fee} lamports; the order allows {fee_cap_lamports}.")
    if not all(_can_be_judged(message, step) for step in message.instructions):
        raise UnusableSwap(ROUTE_UNREADABLE, "The signer could not read this way of swapping.")
    return SwapBytes(transaction, str(message.recent_blockhash), fee)


def with_blockhash(swap: SwapBytes, blockhash: str) -> SwapBytes:
    """Return the same transaction for another blockhash; one that is no v0 transaction stays as it is."""
    message = swap.transaction.message
    if not isinstance(message, MessageV0):
        return swap
    return SwapBytes(
        _changed(swap, message, Hash.from_string(blockhash), message.instructions), blockhash, swap.fee_lamports
    )


def with_budget(swap: SwapBytes, units: int, micro_lamports: int) -> SwapBytes:
    """Return the same transaction with a compute limit and a price per unit of its own.

    One that is no v0 transaction, or does not name the compute budget program at all, stays as it is.
    """
    message = swap.transaction.message
    if not isinstance(message, MessageV0) or COMPUTE_BUDGET not in message.account_keys:
        return swap
    place = list(message.account_keys).index(COMPUTE_BUDGET)
    own = [
        CompiledInstruction(place, bytes((_LIMIT,)) + units.to_bytes(4, "little"), b""),
        CompiledInstruction(place, bytes((_PRICE,)) + micro_lamports.to_bytes(8, "little"), b""),
    ]
    others = [
        each
        for each in message.instructions
        if each.program_id_index != place or bytes(each.data)[:1] not in (bytes((_LIMIT,)), bytes((_PRICE,)))
    ]
    fee = LAMPORTS_PER_SIGNATURE + -(-micro_lamports * units // _MICRO)
    return SwapBytes(_changed(swap, message, message.recent_blockhash, own + others), swap.blockhash, fee)


def _changed(
    swap: SwapBytes, message: MessageV0, blockhash: Hash, instructions: list[CompiledInstruction]
) -> VersionedTransaction:
    changed = MessageV0(message.header, message.account_keys, blockhash, instructions, message.address_table_lookups)
    return VersionedTransaction.populate(changed, list(swap.transaction.signatures))


def _can_be_judged(message: Any, step: CompiledInstruction) -> bool:
    keys = message.account_keys
    ours = step.program_id_index < len(keys) and keys[step.program_id_index] == routes.PROGRAM
    return not ours or routes.can_be_read(bytes(step.data))


def _priority_fee(transaction: VersionedTransaction) -> int:
    """Return the lamports the compute budget promises beyond the signature's; 0 for a message without instructions."""
    message = transaction.message
    keys = message.account_keys
    limit, price = None, 0
    for instruction in message.instructions:
        if keys[instruction.program_id_index] != COMPUTE_BUDGET:
            continue
        data = bytes(instruction.data)
        if data[:1] == bytes((_LIMIT,)) and len(data) == 5:
            limit = int.from_bytes(data[1:], "little")
        elif data[:1] == bytes((_PRICE,)) and len(data) == 9:
            price = int.from_bytes(data[1:], "little")
    if limit is None:
        limit = _DEFAULT_UNITS * len(message.instructions)
    return -(-price * limit // _MICRO)
