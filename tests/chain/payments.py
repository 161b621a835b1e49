"""Signed payments for tests to send."""

from __future__ import annotations

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from apps.chain.domain.answers import Blockhash


def payment(payer: Keypair, blockhash: Blockhash, lamports: int = 1_000_000) -> VersionedTransaction:
    """Return a signed payment to somebody new."""
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=Keypair().pubkey(), lamports=lamports))
    message = MessageV0.try_compile(payer.pubkey(), [pay], [], Hash.from_string(blockhash.hash))
    return VersionedTransaction(message, [payer])
