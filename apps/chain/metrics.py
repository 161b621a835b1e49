"""What the nodes tell Prometheus beyond every provider's calls: who is behind, and what sockets brought.

Labels are nodes' names, which are hosts: never a URL.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from apps.core.metrics_registry import REGISTRY

SLOTS_BEHIND = Gauge(
    "chain_node_slots_behind",
    "How many slots a node was behind the others when they were last compared",
    ["node"],
    multiprocess_mode="livemax",
    registry=REGISTRY,
)
SOCKETS = Counter(
    "chain_node_sockets_total", "WebSockets opened to nodes, by outcome", ["node", "outcome"], registry=REGISTRY
)
NOTIFICATIONS = Counter(
    "chain_signature_notifications_total", "Signatures a node's WebSocket told of", ["node"], registry=REGISTRY
)
EXPIRY_VERDICTS = Counter(
    "chain_expiry_verdicts_total", "Proofs of expiry by what came of them", ["verdict"], registry=REGISTRY
)
