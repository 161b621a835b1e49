"""A wallet that signs transfers, and how a test asks a node."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.chain_market import ChainMarket

CONFIRMED = {"commitment": "confirmed"}
_CLIENT = httpx.Client(timeout=60, trust_env=False, verify=False)


def post(url: str, method: str, *params: object) -> httpx.Response:
    """Return a node's answer as it came."""
    return _CLIENT.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


def ask(url: str, method: str, *params: object) -> Any:
    """Return a method's result; an error fails the test."""
    document = post(url, method, *params).json()
    assert "result" in document, document
    return document["result"]


def refusal(url: str, method: str, *params: object) -> Any:
    """Return a method's error; a result fails the test."""
    document = post(url, method, *params).json()
    assert "error" in document, document
    return document["error"]


class Sender:
    """Somebody with SOL who pays others."""

    def __init__(self, market: ChainMarket, lamports: int = 10**10) -> None:
        self._market = market
        self.keys = Keypair()
        self.key = self.keys.pubkey()
        market.airdrop(self.key, lamports)

    def signed(self, *steps: Instruction, blockhash: Hash | None = None) -> VersionedTransaction:
        newest = blockhash or self._market.call(lambda: self._market.ledger.blockhash("confirmed")[0])
        return VersionedTransaction(MessageV0.try_compile(self.key, list(steps), [], newest), [self.keys])

    def paying(self, to: Pubkey, lamports: int, **options: Any) -> VersionedTransaction:
        return self.signed(transfer(TransferParams(from_pubkey=self.key, to_pubkey=to, lamports=lamports)), **options)


def text(transaction: VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


def sending(transaction: VersionedTransaction, **config: Any) -> tuple[str, dict[str, Any]]:
    """Return the parameters of sendTransaction."""
    return text(transaction), {"encoding": "base64", "preflightCommitment": "confirmed", **config}


def signature_of(transaction: VersionedTransaction) -> Signature:
    return transaction.signatures[0]
