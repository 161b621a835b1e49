"""Transactions on the wire: read from base58 or base64, told as JSON, parsed JSON or bytes."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from solders.message import MessageV0, MessageV1
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import lookups
from apps.sandbox.chain.ledger import Landed
from apps.sandbox.chain.refused import INVALID_PARAMS, Refused
from apps.sandbox.domain import base58

UNSUPPORTED_VERSION = -32015


def read_transaction(text: Any, encoding: str) -> VersionedTransaction:
    """Return the transaction a client sent.

    Raises:
        Refused: it cannot be read.
    """
    try:
        raw = base64.b64decode(text, validate=True) if encoding == "base64" else base58.decode(text)
        return VersionedTransaction.from_bytes(raw)
    except (ValueError, TypeError, binascii.Error) as error:
        raise Refused(
            INVALID_PARAMS, f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        ) from None


def version_of(transaction: VersionedTransaction) -> int | str:
    """Return 0, 1 or "legacy"."""
    message = transaction.message
    return 1 if isinstance(message, MessageV1) else 0 if isinstance(message, MessageV0) else "legacy"


def present(landed: Landed, *, encoding: str, newest_version: int | None) -> dict[str, Any]:
    """Return a landed transaction as `getTransaction` does.

    Raises:
        Refused: -32015, the caller does not know its version.
    """
    version = version_of(landed.transaction)
    if isinstance(version, int) and (newest_version is None or newest_version < version):
        raise Refused(
            UNSUPPORTED_VERSION,
            f"Transaction version ({version}) is not supported by the requesting client. Please try the request again"
            f' with the following configuration parameter: "maxSupportedTransactionVersion": {version}',
        )
    told: dict[str, Any] = {
        "slot": landed.slot,
        "blockTime": landed.block_time,
        "transaction": _encoded(landed, encoding),
        "meta": landed.meta,
    }
    return told if newest_version is None else {**told, "version": version}


def _encoded(landed: Landed, encoding: str) -> Any:
    raw = bytes(landed.transaction)
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [base58.encode(raw), "base58"]
    message = _parsed_message(landed) if encoding == "jsonParsed" else _message(landed)
    return {"signatures": [str(signature) for signature in landed.transaction.signatures], "message": message}


def _message(landed: Landed) -> dict[str, Any]:
    message = landed.transaction.message
    header = message.header
    told: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": step.program_id_index,
                "accounts": list(step.accounts),
                "data": base58.encode(bytes(step.data)),
                "stackHeight": None,
            }
            for step in message.instructions
        ],
    }
    return told | _lookups(message)


def _parsed_message(landed: Landed) -> dict[str, Any]:
    """Return the message with its keys described; instructions stay unparsed, as of programs nobody knows."""
    message, keys = landed.transaction.message, [str(key) for key in landed.keys]
    own, signers = len(message.account_keys), message.header.num_required_signatures
    writable = set(map(str, lookups.writable_of(landed.transaction, landed.keys)))
    return {
        "accountKeys": [
            {
                "pubkey": key,
                "signer": index < signers,
                "writable": key in writable,
                "source": "transaction" if index < own else "lookupTable",
            }
            for index, key in enumerate(keys)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programId": keys[step.program_id_index],
                "accounts": [keys[index] for index in step.accounts],
                "data": base58.encode(bytes(step.data)),
                "stackHeight": None,
            }
            for step in message.instructions
        ],
    } | _lookups(message)


def _lookups(message: Any) -> dict[str, Any]:
    if isinstance(message, MessageV1):
        return {"transactionConfig": _config(message)}
    if not isinstance(message, MessageV0):
        return {}
    return {
        "addressTableLookups": [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    }


def _config(message: MessageV1) -> dict[str, int | None]:
    config = message.config
    return {
        "computeUnitLimit": config.compute_unit_limit,
        "heapSize": config.heap_size,
        "loadedAccountsDataSizeLimit": config.loaded_accounts_data_size_limit,
        "priorityFee": config.priority_fee,
    }
