"""What goes wrong at the nodes: at which, for which methods, how often, for how long, and what it does to an answer.

A fault is drawn per call; `nodes` and `lies` act on what was drawn. How long one lasts and how often it strikes is kept
by `domain.fault_book`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import Any

from apps.sandbox.domain import noise
from apps.sandbox.domain.fault_book import Book, SwitchedOn, ends_in


class NodeFaultKind(StrEnum):
    """What a node does wrong."""

    LATENCY = "latency"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    HTML = "html"
    HANG = "hang"
    DISCONNECT = "disconnect"
    ANSWER_LOST = "answer_lost"
    NOT_SENT = "not_sent"
    UNHEALTHY = "unhealthy"
    BEHIND = "behind"
    CONTEXT_NOT_REACHED = "context_not_reached"
    STATUS_LAG = "status_lag"
    HISTORY_LAG = "history_lag"
    LYING = "lying"
    WRONG_HEIGHT = "wrong_height"
    WRONG_EXPIRY = "wrong_expiry"
    EXPIRED_BLOCKHASH = "expired_blockhash"
    UNKNOWN_BLOCKHASH = "unknown_blockhash"
    SILENT_SOCKET = "silent_socket"
    DROPPED_SOCKET = "dropped_socket"
    ROLLED_BACK = "rolled_back"


class Says(StrEnum):
    """What a lying node says of a transaction: that it landed, that it failed, or that it never heard of it."""

    LANDED = "landed"
    FAILED = "failed"
    NOTHING = "nothing"


_SENDING = frozenset({"sendTransaction"})
_STATUSES = frozenset({"getSignatureStatuses"})
_HISTORY = frozenset({"getTransaction", "getSignaturesForAddress"})
_HEIGHTS = frozenset({"getBlockHeight", "getEpochInfo"})
_BLOCKHASH = frozenset({"getLatestBlockhash"})
#: What a socket meets is no method; faults of sockets are asked for by this name.
SOCKET = "websocket"
#: The methods a fault is about if none are named; kinds that are not here are about all of them.
USUAL_METHODS: dict[NodeFaultKind, frozenset[str]] = {
    NodeFaultKind.ANSWER_LOST: _SENDING,
    NodeFaultKind.NOT_SENT: _SENDING,
    NodeFaultKind.ROLLED_BACK: _SENDING,
    NodeFaultKind.STATUS_LAG: _STATUSES,
    NodeFaultKind.HISTORY_LAG: _HISTORY,
    NodeFaultKind.LYING: _STATUSES | _HISTORY | {SOCKET},
    NodeFaultKind.WRONG_HEIGHT: _HEIGHTS,
    NodeFaultKind.WRONG_EXPIRY: _BLOCKHASH,
    NodeFaultKind.EXPIRED_BLOCKHASH: _BLOCKHASH,
    NodeFaultKind.UNKNOWN_BLOCKHASH: _BLOCKHASH,
    NodeFaultKind.SILENT_SOCKET: frozenset({SOCKET}),
    NodeFaultKind.DROPPED_SOCKET: frozenset({SOCKET}),
}
#: What one node tells that is not so; of two nodes at most one is given these by a storm.
LIES = frozenset(
    {
        NodeFaultKind.LYING,
        NodeFaultKind.WRONG_HEIGHT,
        NodeFaultKind.WRONG_EXPIRY,
        NodeFaultKind.STATUS_LAG,
        NodeFaultKind.HISTORY_LAG,
        NodeFaultKind.BEHIND,
        NodeFaultKind.NOT_SENT,
    }
)
#: Kinds a storm leaves out unless they are asked for: they stop everything, or are no node's fault.
_NOT_IN_STORMS = frozenset({NodeFaultKind.ROLLED_BACK, NodeFaultKind.UNAUTHORIZED, NodeFaultKind.HANG})


@dataclass(slots=True, eq=False, kw_only=True)
class NodeFault(SwitchedOn):
    """One switched-on fault of one node.

    Empty `methods` and `signatures` mean all of them; `slots` None means for ever.
    """

    node: str
    kind: NodeFaultKind
    methods: frozenset[str]
    signatures: frozenset[str]
    latency_ms: int
    status: int
    retry_after_seconds: int
    slots: int | None
    blocks: int
    says: Says
    is_on: bool = True

    @property
    def place(self) -> str:
        return self.node

    def end(self) -> None:
        self.is_on = False

    def touches(self, signature: str) -> bool:
        """Say whether the fault is about this transaction."""
        return not self.signatures or signature in self.signatures

    def as_document(self, now: float) -> dict[str, Any]:
        """Return the fault as the control API shows it."""
        document: dict[str, Any] = {
            "id": self.number,
            "source": self.node,
            "kind": self.kind,
            "methods": sorted(self.methods),
            "signatures": sorted(self.signatures),
            **self.life(now),
        }
        for name in _TOLD_OF.get(self.kind, ()):
            document[name] = getattr(self, name)
        return document


_TOLD_OF: dict[NodeFaultKind, tuple[str, ...]] = {
    NodeFaultKind.LATENCY: ("latency_ms",),
    NodeFaultKind.RATE_LIMIT: ("status", "retry_after_seconds"),
    NodeFaultKind.SERVER_ERROR: ("status",),
    NodeFaultKind.HTML: ("status",),
    NodeFaultKind.NOT_SENT: ("slots",),
    NodeFaultKind.UNHEALTHY: ("slots",),
    NodeFaultKind.BEHIND: ("slots",),
    NodeFaultKind.STATUS_LAG: ("slots",),
    NodeFaultKind.HISTORY_LAG: ("slots",),
    NodeFaultKind.ROLLED_BACK: ("slots",),
    NodeFaultKind.LYING: ("says",),
    NodeFaultKind.WRONG_HEIGHT: ("blocks",),
    NodeFaultKind.WRONG_EXPIRY: ("blocks",),
    NodeFaultKind.EXPIRED_BLOCKHASH: ("blocks",),
}
_USUAL_STATUS = {NodeFaultKind.RATE_LIMIT: 429, NodeFaultKind.SERVER_ERROR: 503, NodeFaultKind.HTML: 502}
_USUAL_SLOTS = {NodeFaultKind.BEHIND: 20, NodeFaultKind.ROLLED_BACK: 8, NodeFaultKind.UNHEALTHY: 150}
_USUAL_BLOCKS = {
    NodeFaultKind.WRONG_HEIGHT: 1_000,
    NodeFaultKind.WRONG_EXPIRY: -100,
    NodeFaultKind.EXPIRED_BLOCKHASH: 200,
}


class NodeFaultBook(Book[NodeFault]):
    """All faults of a chain's nodes that are on. Plain to use from tests: `book.add("node_1", NodeFaultKind.HANG)`."""

    def __init__(self, seed: int, nodes: Collection[str], numbers: Iterator[int] | None = None) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        self._seed = seed
        self._numbers = count(1) if numbers is None else numbers

    def add(
        self,
        node: str,
        kind: NodeFaultKind,
        *,
        methods: Iterable[str] = (),
        signatures: Iterable[str] = (),
        probability: float = 1.0,
        duration_seconds: float | None = None,
        times: int | None = None,
        latency_ms: int = 1_000,
        status: int | None = None,
        retry_after_seconds: int = 1,
        slots: int | None = None,
        blocks: int | None = None,
        says: Says | str = Says.NOTHING,
        drawn_by: tuple[object, ...] | None = None,
    ) -> NodeFault:
        """Switch a fault on. `slots`: how far behind or how much later; left out, for ever where that makes sense.

        A `probability` is drawn by the book's seed and the fault's number, or by what `drawn_by` names.
        """
        if node not in self.nodes:
            raise ValueError(f"there is no node {node}")
        number = next(self._numbers)
        fault = NodeFault(
            number=number,
            node=node,
            kind=kind,
            methods=frozenset(methods) or USUAL_METHODS.get(kind, frozenset()),
            signatures=frozenset(signatures),
            probability=probability,
            ends_at=ends_in(duration_seconds),
            remaining=times,
            latency_ms=latency_ms,
            status=_USUAL_STATUS.get(kind, 0) if status is None else status,
            retry_after_seconds=retry_after_seconds,
            slots=_USUAL_SLOTS.get(kind) if slots is None else slots,
            blocks=_USUAL_BLOCKS.get(kind, 0) if blocks is None else blocks,
            says=Says(says),
            drawn_by=(self._seed, number) if drawn_by is None else drawn_by,
        )
        self._faults.append(fault)
        return fault

    def storm(
        self, seed: int, *, rate: float, liar: str | None, kinds: Iterable[NodeFaultKind] = ()
    ) -> list[NodeFault]:
        """Switch every kind on at every node, each striking a share of the calls that `seed` draws, `rate` at most.

        Lies are given to `liar` alone, to nobody if it is None.
        """
        wanted = frozenset(kinds) or frozenset(NodeFaultKind) - _NOT_IN_STORMS
        added = []
        for node in self.nodes:
            for kind in NodeFaultKind:
                if kind not in wanted or (kind in LIES and node != liar):
                    continue
                name = (seed, node, kind)
                added.append(
                    self.add(
                        node,
                        kind,
                        probability=rate * noise.uniform("storm", *name),
                        latency_ms=int(noise.between(10, 400, "storm latency", *name)),
                        retry_after_seconds=0,
                        slots=int(noise.between(1, 40, "storm slots", *name)),
                        blocks=int(noise.between(-300, 300, "storm blocks", *name)) or 1,
                        says=noise.pick(list(Says), "storm says", *name),
                        drawn_by=("storm", *name),
                    )
                )
        return added

    def draw(self, node: str, method: str, signature: str | None = None) -> list[NodeFault]:
        """Return the faults one call meets, and count them; `signature` is of the one transaction it is about."""
        if not self._faults:
            return []
        met = []
        for fault in self.active(node):
            if method not in fault.methods and (fault.methods or method == SOCKET):
                continue
            if signature is not None and not fault.touches(signature):
                continue
            if self._strikes(fault):
                met.append(fault)
        return met

    def strikes(self, node: str, kind: NodeFaultKind, signature: str | None = None) -> NodeFault | None:
        """Return the fault of one kind that strikes at a node now, and count it, leaving all others alone."""
        for fault in self.active(node) if self._faults else []:
            if fault.kind is kind and (signature is None or fault.touches(signature)) and self._strikes(fault):
                return fault
        return None
