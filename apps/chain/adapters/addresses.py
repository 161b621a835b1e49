"""Where the nodes are and what they are called: a URL carries a key and is never shown, its host is the node's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from apps.core.http.plans import UNLIMITED

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_PUBLIC = re.compile(r"(^|\.)solana\.com$")
_PUBLIC_CALLS_PER_SECOND, _CALLS_PER_SECOND = 10, 25
_LEAST_SECRET_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node: `name` is its host and port, `plan` the calls it is asked at most."""

    name: str
    rpc_url: str = field(repr=False)
    ws_url: str = field(repr=False)
    plan: str

    @property
    def local(self) -> bool:
        return (urlsplit(self.rpc_url).hostname or "") in _LOOPBACK

    def masked(self, text: str) -> str:
        """Return the text without whatever of the URLs could be a key: a node may quote it back."""
        for secret in _secrets(self.rpc_url) | _secrets(self.ws_url):
            text = text.replace(secret, "***")
        return text


def node_addresses(
    rpc_urls: Sequence[str], ws_urls: Sequence[str] = (), *, calls_per_second: int | None = None
) -> tuple[NodeAddress, ...]:
    """Return the nodes in order of preference; two URLs of one host and port are one node, its first.

    A WebSocket URL belongs to the RPC URL in its place; without one it is derived as Solana's tools do: one port above
    a port that is named, else the same URL.

    Raises:
        ValueError: a URL that is none; it says which by its place.
    """
    found: dict[str, NodeAddress] = {}
    for place, url in enumerate(rpc_urls):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"node {place + 1} of SOLANA_RPC_URLS is no http:// or https:// URL")
        host = parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]"
        name = host if parts.port is None else f"{host}:{parts.port}"
        ws_url = ws_urls[place] if place < len(ws_urls) and ws_urls[place] else _beside(url)
        found.setdefault(name, NodeAddress(name, url, ws_url, _plan(parts.hostname, calls_per_second)))
    return tuple(found.values())


def _plan(host: str, calls_per_second: int | None) -> str:
    if calls_per_second is not None:
        return f"{calls_per_second}/s"
    if host in _LOOPBACK:
        return UNLIMITED
    return f"{_PUBLIC_CALLS_PER_SECOND if _PUBLIC.search(host) else _CALLS_PER_SECOND}/s"


def _beside(url: str) -> str:
    parts = urlsplit(url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    if parts.port is None:
        return urlunsplit(parts._replace(scheme=scheme))
    host = parts.netloc.rpartition(":")[0]
    return urlunsplit(parts._replace(scheme=scheme, netloc=f"{host}:{parts.port + 1}"))


def _secrets(url: str) -> set[str]:
    parts = urlsplit(url)
    pieces = {parts.username or "", parts.password or "", *parts.path.split("/")}
    pieces.update(value for _, value in parse_qsl(parts.query))
    return {piece for piece in pieces if len(piece) >= _LEAST_SECRET_CHARACTERS}
