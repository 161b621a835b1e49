"""How what became of a transaction is told: errors as the node words them, fees, calls of programs among each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata
from solders.transaction_status import TransactionStatus

from apps.sandbox.domain import base58

LAMPORTS_PER_SIGNATURE = 5_000


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a transaction would do: `error` as JSON, logs, compute units, accounts afterwards by key."""

    error: Any
    logs: list[str]
    units: int
    fee: int
    after: dict[Pubkey, Account]
    inner: list[Any]


def sentence(error: Any) -> str:
    """Return what a node says of an error.

    >>> sentence({"InstructionError": [2, {"Custom": 6001}]}), sentence("BlockhashNotFound")
    ('Error processing Instruction 2: custom program error: 0x1771', 'Blockhash not found')
    """
    if isinstance(error, dict) and "InstructionError" in error:
        index, what = error["InstructionError"]
        said = f"custom program error: {what['Custom']:#x}" if isinstance(what, dict) and "Custom" in what else what
        return f"Error processing Instruction {index}: {said}"
    return _SENTENCES.get(str(error), str(error))


_SENTENCES = {
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "InsufficientFundsForFee": "Insufficient funds for fee",
}


def preflight_data(tried: Simulated) -> dict[str, Any]:
    """Return what goes with a refusal of preflight."""
    return {
        "err": tried.error,
        "logs": tried.logs,
        "accounts": None,
        "unitsConsumed": tried.units,
        "returnData": None,
        "innerInstructions": None,
        "loadedAccountsDataSize": 0,
        "replacementBlockhash": None,
    }


def error_json(error: Any) -> Any:
    return json.loads(TransactionStatus(1, None, None, error, None).to_json())["err"]


def fee_of(meta: TransactionMetadata, transaction: VersionedTransaction) -> int:
    """Return the lamports charged; a simulation that failed early tells none."""
    return meta.fee() or LAMPORTS_PER_SIGNATURE * len(transaction.signatures)


def inner_calls(meta: TransactionMetadata) -> list[dict[str, Any]]:
    """Return the instructions programs called, by the index of the instruction that did."""
    return [
        {
            "index": index,
            "instructions": [
                {
                    "programIdIndex": called.instruction().program_id_index,
                    "accounts": list(called.instruction().accounts),
                    "data": base58.encode(bytes(called.instruction().data)),
                    "stackHeight": called.stack_height(),
                }
                for called in calls
            ],
        }
        for index, calls in enumerate(meta.inner_instructions())
        if calls
    ]
