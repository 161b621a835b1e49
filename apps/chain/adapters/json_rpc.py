"""One node's JSON-RPC over the client factory: its own breakers, budget and metrics, sends apart from reads.

Tries once: which node to try next is the pool's to say. Errors are `apps.chain.errors`, told apart by what they mean.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.chain.adapters.addresses import NodeAddress
from apps.chain.domain import answers
from apps.chain.domain.health import Health
from apps.chain.errors import NodeError, NodeRateLimited, NodeRejected, NodeUnavailable, PreflightFailed, Verdict
from apps.core.http import Lane
from apps.core.http.answers import error_for_status, parse_json, seconds_to_wait
from apps.core.http.async_calls import AsyncProviderClient
from apps.core.http.config import ProviderConfig
from apps.core.http.errors import (
    BudgetExhausted,
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
)
from apps.core.http.gate import Gate
from apps.core.http.plans import NODE_PREFIX
from apps.core.http.shared import SharedState

PREFLIGHT_FAILED, NODE_UNHEALTHY = -32002, -32005
_ALWAYS_RATE_LIMITS = {429, -32429}
_VENDORS_RATE_LIMITS = {-32000, -32005, -32001, -32097}
_WORDS_OF_RATE_LIMITS = ("rate", "limit", "quota", "too many", "exceeded", "credits")
#: What is wrong with the question itself: signature, length, version, request, parameters.
_PERMANENT = {-32003, -32013, -32015, -32600, -32602}
_PAUSE_SECONDS = 1.0
_CALL_SECONDS, _CONNECT_SECONDS = 4.0, 1.5
_SENDS = "/send"


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of JSON-RPC that says nothing against the node."""

    code: int
    message: str
    data: Any


class NodeState:
    """What a process knows of one node, whichever event loop calls it: the gates of reads and sends, and its health."""

    def __init__(self, address: NodeAddress, place: int, shared: SharedState | None) -> None:
        self.address = address
        self.health = Health(place)
        self.reads = Gate(_config(address, ""), shared)
        self.sends = Gate(_config(address, _SENDS), shared)


def _config(address: NodeAddress, suffix: str) -> ProviderConfig:
    return ProviderConfig(
        name=f"{NODE_PREFIX}{address.name}{suffix}",
        base_url=address.rpc_url,
        plan=address.plan,
        timeout_seconds=_CALL_SECONDS,
        connect_timeout_seconds=_CONNECT_SECONDS,
        max_connections=64,
        max_attempts=1,
        breaker_longest_seconds=8.0,
    )


class Node:
    """One node as one event loop sees it."""

    def __init__(self, state: NodeState) -> None:
        self.state = state
        self.name = state.address.name
        self._reads = AsyncProviderClient(state.reads)
        self._sends = AsyncProviderClient(state.sends)
        self._numbers = itertools.count(1)

    async def call(
        self,
        method: str,
        params: list[Any],
        *,
        lane: Lane,
        deadline_seconds: float,
        send: bool = False,
    ) -> Any:
        """Return the result of one call.

        Raises:
            NodeError: see `apps.chain.errors`.
        """
        number = next(self._numbers)
        body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
        client = self._sends if send else self._reads

        def read(operation: str, status: int, headers: Mapping[str, str], answered: bytes) -> Any:
            return self._read(number, operation, status, headers, answered)

        try:
            answer = await client.post(method, body, read=read, lane=lane, deadline_seconds=deadline_seconds)
        except ProviderError as error:
            raise self._ours(error) from None  # the cause may quote the URL
        self.state.health.answered(answer.elapsed_seconds)
        if isinstance(answer.payload, _Failure):
            raise self._refusal(answer.payload)
        return answer.payload

    def shaped(self, method: str, read: Any, *arguments: Any) -> Any:
        """Return what `read` makes of a result.

        Raises:
            NodeUnavailable: the result is not of the promised shape.
        """
        try:
            return read(*arguments)
        except ValueError as error:
            self.state.health.failed()
            message = f"{self.name} answered {method} with something else: {error}"
            raise NodeUnavailable(self.name, self.state.address.masked(message)) from None

    async def close(self) -> None:
        """Close the pooled connections."""
        await self._reads.close()
        await self._sends.close()

    def _read(self, number: int, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:
        """Return the result, or an error of JSON-RPC that says nothing against the node; the others are raised."""
        provider = self.state.reads.config.name
        try:
            document = parse_json(body)
        except ValueError:
            document = None
        told = document if isinstance(document, dict) else {}
        error = told.get("error")
        if isinstance(error, dict) and status != 429:
            return self._read_error(provider, operation, error, headers)
        if not 200 <= status < 300:
            masked = self.state.address.masked(body.decode("utf-8", "replace")).encode()
            raise error_for_status(
                provider,
                operation,
                status=status,
                headers=headers,
                body=masked,
                wall_seconds=time.time(),
                pause_seconds=_PAUSE_SECONDS,
            )
        if "result" not in told or told.get("id") != number:
            raise ProviderMalformed(provider, operation, f"{provider} answered with something that is no JSON-RPC")
        return told["result"]

    def _read_error(self, provider: str, operation: str, error: dict[str, Any], headers: Mapping[str, str]) -> _Failure:
        code = error.get("code") if type(error.get("code")) is int else 0
        message = self.state.address.masked(str(error.get("message", "")))[:300]
        words = message.lower()
        vendor = code in _VENDORS_RATE_LIMITS and any(word in words for word in _WORDS_OF_RATE_LIMITS)
        if code in _ALWAYS_RATE_LIMITS or vendor:
            wait = seconds_to_wait(headers, wall_seconds=time.time(), default=_PAUSE_SECONDS)
            raise ProviderRateLimited(provider, operation, retry_after_seconds=wait)
        if code == NODE_UNHEALTHY:
            raise ProviderUnavailable(provider, operation, f"{provider}: {message or 'not healthy'}")
        return _Failure(int(code or 0), message, error.get("data"))

    def _refusal(self, failure: _Failure) -> NodeError:
        if failure.code == PREFLIGHT_FAILED:
            try:
                err, logs, units = answers.preflight(failure.data)
            except ValueError:
                err, logs, units = None, (), None
            return PreflightFailed(self.name, err=err, logs=logs, units=units)
        verdict = Verdict.PERMANENT if failure.code in _PERMANENT else Verdict.FAIL_OVER
        message = f"{self.name}: {failure.message or failure.code}"
        return NodeRejected(self.name, message, rpc_code=failure.code, verdict=verdict, data=failure.data)

    def _ours(self, error: ProviderError) -> NodeError:
        if isinstance(error, (ProviderRateLimited, BudgetExhausted)):
            return NodeRateLimited(self.name, retry_after_seconds=error.retry_after_seconds)
        self.state.health.failed()
        if isinstance(error, ProviderRejected):
            return NodeRejected(self.name, error.message, rpc_code=error.http_status, verdict=Verdict.FAIL_OVER)
        return NodeUnavailable(self.name, error.message)
