"""What the sync and the async client have in common: where a call goes and what comes back."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

import httpx

from apps.core.http.answers import error_for_status, read_answer
from apps.core.http.errors import ProviderError, ProviderMalformed
from apps.core.http.gate import Gate

Params = Mapping[str, str | int] | list[tuple[str, str | int]]

KEEP_ALIVE_SECONDS = 30.0


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS context: making one takes 45 ms, so it is made once, and only for https."""
    return httpx.create_ssl_context()


class Provider:
    """One provider as a client sees it: its configuration and the gate every call passes."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.config = gate.config
        self._base = self.config.base_url.rstrip("/")

    def url(self, path: str, params: Params | None) -> str:
        """Return the whole URL of `path`, its query encoded."""
        # A comma needs no escaping in a query, and a list of fifty mints is quoted at once without it.
        query = urlencode(list(params.items()) if isinstance(params, Mapping) else params, safe=",") if params else ""
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def read(self, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
        """Return the payload of an answer; raises as `read_answer` does."""
        return read_answer(
            self.config.name,
            operation,
            status=status,
            headers=headers,
            body=body,
            wall_seconds=time.time(),
            pause_seconds=self.config.pause_after_429_seconds,
        )

    def refusal(self, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Return the error a status stands for."""
        return error_for_status(
            self.config.name,
            operation,
            status=status,
            headers=headers,
            body=body,
            wall_seconds=time.time(),
            pause_seconds=self.config.pause_after_429_seconds,
        )

    def too_large(self, operation: str) -> ProviderMalformed:
        """Return the error for an answer beyond any size a provider promised."""
        return ProviderMalformed(self.config.name, operation, f"{self.config.name} answered with too large a body")
