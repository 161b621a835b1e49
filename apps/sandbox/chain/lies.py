"""What a node tells that is not so: answers bent by the faults a call met.

Each function takes the true result of a method and returns the told one. A lie about a transaction is told alike by
statuses and by history; what a node pretends has landed, it shows as its simulation would have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from solders.hash import Hash
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import wire
from apps.sandbox.chain.faults import NodeFault, NodeFaultKind, Says
from apps.sandbox.chain.ledger import Landed, Ledger
from apps.sandbox.domain import noise

FAILED_WITH = {"InstructionError": [0, {"Custom": 6001}]}
Seen = Mapping[Signature, VersionedTransaction]


def bent(call: Mapping[str, Any], result: Any, met: Sequence[NodeFault], chain: Ledger, seen: Seen) -> Any:
    """Return the result of a call as a node with these faults tells it; `seen` is what was sent to it."""
    for fault in met:
        bend = _BENDS.get(fault.kind)
        if bend is not None:
            result = bend(_Call(call), result, fault, chain, seen)
    return result


def says(met: Sequence[NodeFault], signature: str) -> Says | None:
    """Return what the faults make a node say of a signature, None for the truth."""
    for fault in met:
        if fault.kind is NodeFaultKind.LYING and fault.touches(signature):
            return fault.says
    return None


class _Call:
    """A request's method and parameters, read without complaint: its true answer exists."""

    def __init__(self, call: Mapping[str, Any]) -> None:
        self.method: str = call["method"]
        self._params: list[Any] = call.get("params") or []

    def first(self) -> Any:
        return self._params[0]

    def config(self) -> dict[str, Any]:
        given = self._params[1] if len(self._params) > 1 else {}
        return given if isinstance(given, dict) else {"encoding": given}


def _is_fresh(slot: int, fault: NodeFault, chain: Ledger) -> bool:
    """Say whether a lagging node has not heard of this slot yet."""
    return fault.slots is None or slot > chain.slot - fault.slots


def _lag_statuses(call: _Call, result: Any, fault: NodeFault, chain: Ledger, _seen: Seen) -> Any:
    value = [
        None if each is not None and fault.touches(text) and _is_fresh(each["slot"], fault, chain) else each
        for text, each in zip(call.first(), result["value"], strict=True)
    ]
    return {**result, "value": value}


def _lag_history(call: _Call, result: Any, fault: NodeFault, chain: Ledger, _seen: Seen) -> Any:
    if call.method == "getTransaction":
        late = result is not None and fault.touches(call.first()) and _is_fresh(result["slot"], fault, chain)
        return None if late else result
    if call.method == "getSignaturesForAddress":
        return [row for row in result if not (fault.touches(row["signature"]) and _is_fresh(row["slot"], fault, chain))]
    return result


def _lie(call: _Call, result: Any, fault: NodeFault, chain: Ledger, seen: Seen) -> Any:
    match call.method:
        case "getSignatureStatuses":
            told = [
                _status(text, fault.says, chain) if fault.touches(text) else each
                for text, each in zip(call.first(), result["value"], strict=True)
            ]
            return {**result, "value": told}
        case "getTransaction":
            if not fault.touches(call.first()):
                return result
            pretended = _pretended(call.first(), fault.says, chain, seen)
            if pretended is None:
                return None
            config = call.config()
            return wire.present(pretended, encoding=config.get("encoding", "json"), newest_version=1)
        case "getSignaturesForAddress":
            return _listed(call.first(), result, fault, chain, seen)
    return result


def _listed(address: str, rows: list[Any], fault: NodeFault, chain: Ledger, seen: Seen) -> list[Any]:
    """Return the transactions of an address: struck out, failed, or with those that were sent and never landed."""
    if fault.says is Says.NOTHING:
        return [row for row in rows if not fault.touches(row["signature"])]
    invented = [
        {
            "signature": str(signature),
            "slot": chain.slot_of("finalized"),
            "err": _error(fault.says),
            "memo": None,
            "blockTime": int(chain.now),
            "confirmationStatus": "finalized",
        }
        for signature, transaction in seen.items()
        if signature not in chain.landed
        and fault.touches(str(signature))
        and address in map(str, transaction.message.account_keys)
    ]
    return invented + [{**row, "err": _error(fault.says)} if fault.touches(row["signature"]) else row for row in rows]


def _status(signature: str, told: Says, chain: Ledger) -> dict[str, Any] | None:
    if told is Says.NOTHING:
        return None
    landed, error = chain.landed.get(Signature.from_string(signature)), _error(told)
    return {
        "slot": chain.slot_of("finalized") if landed is None else landed.slot,
        "confirmations": None,
        "err": error,
        "status": {"Ok": None} if error is None else {"Err": error},
        "confirmationStatus": "finalized",
    }


def _error(told: Says) -> Any:
    return FAILED_WITH if told is Says.FAILED else None


def _pretended(text: str, told: Says, chain: Ledger, seen: Seen) -> Landed | None:
    """Return a transaction as a liar shows it: the real one if it is so, else made up from what the node was sent."""
    if told is Says.NOTHING:
        return None
    signature = Signature.from_string(text)
    landed = chain.landed.get(signature)
    if landed is not None and (landed.error is not None) == (told is Says.FAILED):
        return landed
    transaction = seen.get(signature) if landed is None else landed.transaction
    return None if transaction is None else chain.pretend(transaction, error=_error(told))


def _shift_height(call: _Call, result: Any, fault: NodeFault, _chain: Ledger, _seen: Seen) -> Any:
    if call.method == "getEpochInfo":
        return {**result, "blockHeight": result["blockHeight"] + fault.blocks}
    return result + fault.blocks if call.method == "getBlockHeight" else result


def _shift_expiry(_call: _Call, result: Any, fault: NodeFault, _chain: Ledger, _seen: Seen) -> Any:
    value = result["value"]
    return {**result, "value": {**value, "lastValidBlockHeight": value["lastValidBlockHeight"] + fault.blocks}}


def _expire_blockhash(_call: _Call, result: Any, fault: NodeFault, chain: Ledger, _seen: Seen) -> Any:
    blockhash, last_height = chain.blockhash_at(chain.height - abs(fault.blocks))
    return {**result, "value": {"blockhash": str(blockhash), "lastValidBlockHeight": last_height}}


def _unknown_blockhash(_call: _Call, result: Any, fault: NodeFault, chain: Ledger, _seen: Seen) -> Any:
    blockhash = Hash(noise.digest("unknown blockhash", fault.number, fault.hits, chain.slot))
    return {**result, "value": {**result["value"], "blockhash": str(blockhash)}}


_BENDS: dict[NodeFaultKind, Callable[[_Call, Any, NodeFault, Ledger, Seen], Any]] = {
    NodeFaultKind.STATUS_LAG: _lag_statuses,
    NodeFaultKind.HISTORY_LAG: _lag_history,
    NodeFaultKind.LYING: _lie,
    NodeFaultKind.WRONG_HEIGHT: _shift_height,
    NodeFaultKind.WRONG_EXPIRY: _shift_expiry,
    NodeFaultKind.EXPIRED_BLOCKHASH: _expire_blockhash,
    NodeFaultKind.UNKNOWN_BLOCKHASH: _unknown_blockhash,
}
