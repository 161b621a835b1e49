"""The same bytes to several nodes: what each said to them, and how long the slower ones are waited for."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.chain.adapters.json_rpc import Node
from apps.chain.errors import NodeError, PreflightFailed
from apps.chain.failover import first_and_rest
from apps.core.http import Lane

_ALREADY_PROCESSED = "AlreadyProcessed"


@dataclass(frozen=True, slots=True)
class SendAnswer:
    """What one node said to a send. `accepted`: it has the bytes. `pending`: it had not answered when we went on.

    Not accepted is not "will not land": only a proof of expiry says that.
    """

    node: str
    accepted: bool
    error: NodeError | None = None
    pending: bool = False


def send_parameters(raw: bytes, *, skip_preflight: bool, min_context_slot: int | None) -> list[Any]:
    """Return the parameters of a send that the node itself does not repeat: repeating is the sender's to do."""
    config = {
        "encoding": "base64",
        "skipPreflight": skip_preflight,
        "preflightCommitment": "confirmed",
        "maxRetries": 0,
        **({} if min_context_slot is None else {"minContextSlot": min_context_slot}),
    }
    return [base64.b64encode(raw).decode(), config]


async def send_to(node: Node, params: list[Any], lane: Lane, deadline_seconds: float) -> SendAnswer:
    """Give one node the bytes; never raises for what the node says. Bytes it has seen already are accepted ones."""
    try:
        await node.call("sendTransaction", params, lane=lane, deadline_seconds=deadline_seconds, send=True)
    except PreflightFailed as error:
        if error.err == _ALREADY_PROCESSED:
            return SendAnswer(node.name, accepted=True)
        return SendAnswer(node.name, accepted=False, error=error)
    except NodeError as error:
        return SendAnswer(node.name, accepted=False, error=error)
    return SendAnswer(node.name, accepted=True)


async def gathered(sends: Mapping[str, asyncio.Task[SendAnswer]], patience_seconds: float) -> list[SendAnswer]:
    """Return the answers when all are there, or some time after the first that accepted; the rest are `pending`."""
    await first_and_rest(sends.values(), lambda answer: answer.accepted, patience_seconds)
    return [
        task.result() if task.done() else SendAnswer(name, accepted=False, pending=True) for name, task in sends.items()
    ]
