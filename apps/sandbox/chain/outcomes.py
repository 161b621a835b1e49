"""How what became of a transaction is told: errors as the node words them, fees, calls of programs among each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata
from solders.transaction_status import TransactionStatus

from apps.sandbox.chain import accounts
from apps.sandbox.domain import base58

LAMPORTS_PER_SIGNATURE = 5_000
#: What a transaction fails with before it is worth a fee: it never lands.
_NEVER_LANDS = frozenset(
    (
        "AccountNotFound",
        "AlreadyProcessed",
        "BlockhashNotFound",
        "InsufficientFundsForFee",
        "InvalidAccountForFee",
        "SanitizeFailure",
        "SignatureFailure",
    )
)


Balances = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did or would do: `error` as JSON, logs, compute units; a trial's accounts by key."""

    error: Any
    logs: list[str]
    units: int
    fee: int
    after: dict[Pubkey, Account]
    inner: list[Any]

    @classmethod
    def of(
        cls,
        result: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo,
        transaction: VersionedTransaction,
    ) -> Self:
        """Return what the machine says became of a transaction."""
        meta = result if isinstance(result, TransactionMetadata) else result.meta()
        return cls(
            error=error_json(result.err()) if isinstance(result, FailedTransactionMetadata) else None,
            logs=list(meta.logs()),
            units=meta.compute_units_consumed(),
            fee=fee_of(meta, transaction),
            after=dict(result.post_accounts()) if isinstance(result, SimulatedTransactionInfo) else {},
            inner=inner_calls(meta),
        )

    @classmethod
    def never(cls, error: str) -> Self:
        """Return what becomes of a transaction that is not even tried."""
        return cls(error, [], 0, 0, {}, [])

    @property
    def lands(self) -> bool:
        """Say whether a transaction that ended so is in a block, failed or not."""
        return not (isinstance(self.error, str) and self.error in _NEVER_LANDS)


def sentence(error: Any) -> str:
    """Return what a node says of an error.

    >>> sentence({"InstructionError": [2, {"Custom": 6001}]}), sentence("BlockhashNotFound")
    ('Error processing Instruction 2: custom program error: 0x1771', 'Blockhash not found')
    """
    if isinstance(error, dict) and "InstructionError" in error:
        index, what = error["InstructionError"]
        said = f"custom program error: {what['Custom']:#x}" if isinstance(what, dict) and "Custom" in what else what
        return f"Error processing Instruction {index}: {said}"
    if isinstance(error, dict) and "InsufficientFundsForRent" in error:
        place = error["InsufficientFundsForRent"]["account_index"]
        return f"Transaction results in an account ({place}) with insufficient funds for rent"
    return _SENTENCES.get(str(error), str(error))


_SENTENCES = {
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "InsufficientFundsForFee": "Insufficient funds for fee",
}


def balances(
    keys: Sequence[Pubkey], states: Mapping[Pubkey, Account | None], mint_of: Callable[[Pubkey], Account | None]
) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the lamports of every key in these states, and what those that are token accounts hold."""
    lamports, tokens = [], []
    for index, key in enumerate(keys):
        account = states.get(key)
        lamports.append(0 if account is None else account.lamports)
        held = accounts.token_account(account)
        if account is None or held is None:
            continue
        told = accounts.mint(mint_of(held.mint))
        tokens.append(
            {
                "accountIndex": index,
                "mint": str(held.mint),
                "owner": str(held.owner),
                "programId": str(account.owner),
                "uiTokenAmount": accounts.ui_amount(held.amount, 0 if told is None else told.decimals),
            }
        )
    return lamports, tokens


def meta_of(outcome: Outcome, around: Balances, looked_up: Sequence[str], writable: int) -> dict[str, Any]:
    """Return what `getTransaction` tells beside the transaction; `writable` of the keys looked up come first."""
    return {
        "err": outcome.error,
        "status": {"Ok": None} if outcome.error is None else {"Err": outcome.error},
        "fee": outcome.fee,
        **around,
        "innerInstructions": outcome.inner,
        "logMessages": outcome.logs,
        "rewards": [],
        "loadedAddresses": {"writable": list(looked_up[:writable]), "readonly": list(looked_up[writable:])},
        "computeUnitsConsumed": outcome.units,
    }


def preflight_data(tried: Outcome) -> dict[str, Any]:
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
