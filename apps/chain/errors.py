"""What can go wrong with a node, and what that means for what was asked of it: nothing here carries a node's URL.

`verdict` is the one thing callers decide by: PERMANENT is true of the bytes or the question wherever it is asked,
FAIL_OVER of this node, RETRY of this moment.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from apps.core.errors import SoldeskError


class Verdict(StrEnum):
    """What to do about an error."""

    PERMANENT = "permanent"
    FAIL_OVER = "fail_over"
    RETRY = "retry"


class NodeError(SoldeskError):
    """No usable answer of a node, or a refusal by it. `node` is its host, never its URL."""

    status = 502
    verdict = Verdict.FAIL_OVER

    def __init__(self, code: str, message: str, *, node: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(code, message, details={"node": node, **(details or {})})
        self.node = node


class NodeUnavailable(NodeError):
    """Silent, unreachable, behind, unreadable, or refusing us: another node may answer.

    For a send it says nothing about whether the bytes arrived.
    """

    def __init__(self, node: str, message: str) -> None:
        super().__init__("NODE_UNAVAILABLE", message, node=node)


class NodeRateLimited(NodeError):
    """The node, or our own budget for it, has no call left for `retry_after_seconds`."""

    verdict = Verdict.RETRY

    def __init__(self, node: str, *, retry_after_seconds: float) -> None:
        super().__init__(
            "NODE_RATE_LIMITED",
            f"{node} takes no more calls for {retry_after_seconds:.1f} s",
            node=node,
            details={"retryAfterSeconds": round(retry_after_seconds, 3)},
        )
        self.retry_after_seconds = retry_after_seconds


class NodeRejected(NodeError):
    """The node answered with an error of JSON-RPC; `rpc_code` is its number, `http_status` when it was HTTP's."""

    def __init__(
        self,
        node: str,
        message: str,
        *,
        rpc_code: int,
        verdict: Verdict,
        data: Any = None,
    ) -> None:
        super().__init__("NODE_REJECTED", message, node=node, details={"rpcCode": rpc_code})
        self.rpc_code = rpc_code
        self.verdict = verdict
        self.data = data


class PreflightFailed(NodeError):
    """The node tried the transaction and it failed; nothing was sent by this node.

    `err` is the chain's error as JSON: a word, or an object such as `{"InstructionError": [4, {"Custom": 6001}]}`.
    """

    def __init__(self, node: str, *, err: Any, logs: tuple[str, ...] = (), units: int | None = None) -> None:
        super().__init__("PREFLIGHT_FAILED", f"the transaction fails: {err}", node=node, details={"err": err})
        self.err = err
        self.logs = logs
        self.units = units
        self.verdict = Verdict.FAIL_OVER if err in _OF_THIS_NODE else Verdict.PERMANENT


#: What a node that is behind, or busy, says of a transaction that is good elsewhere or a moment later.
_OF_THIS_NODE = (
    None,
    "BlockhashNotFound",
    "AccountInUse",
    "ClusterMaintenance",
    "WouldExceedMaxBlockCostLimit",
    "WouldExceedMaxAccountCostLimit",
    "WouldExceedMaxVoteCostLimit",
    "WouldExceedAccountDataBlockLimit",
)


class NodesNotConfigured(NodeError):
    """The desk names no node, or not the one that was asked for."""

    status = 503
    verdict = Verdict.PERMANENT

    def __init__(self, message: str = "No Solana node is configured: set SOLANA_RPC_URLS") -> None:
        super().__init__("NODES_NOT_CONFIGURED", message)


class NodesDisagree(NodeError):
    """Nodes contradict each other where all of them must say the same; at least one is wrong."""

    status = 503
    verdict = Verdict.RETRY

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__("NODES_DISAGREE", message, details=details)
