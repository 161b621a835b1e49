"""Reading a provider's answer: exact JSON, or the error it stands for.

Pure (bytes in, values out). Numbers with a fraction become `Decimal`: a price never passes through a float.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from apps.core.http.errors import (
    ProviderError,
    ProviderMalformed,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
)

REQUEST_ID_HEADER = "x-api-gateway-request-id"
LARGEST_BODY_BYTES = 8 * 1024 * 1024
_LONGEST_WAIT_SECONDS = 300.0
_QUOTED_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer: the parsed body, and what the transport knew about it."""

    payload: Any
    status: int = 200
    elapsed_seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_json(body: bytes | str) -> Any:
    """Return the JSON value with every fraction as Decimal.

    Raises:
        ValueError: for anything that is not JSON, NaN and infinities included.

    >>> parse_json(b'{"usdPrice": 0.1}')
    {'usdPrice': Decimal('0.1')}
    """
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def to_json(value: Any) -> str:
    """Return the JSON text of what `parse_json` returned, Decimals as the numbers they were.

    >>> to_json({"swapUsdValue": Decimal("19.998"), "inAmount": "20000000"})
    '{"swapUsdValue":19.998,"inAmount":"20000000"}'
    """
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def read_answer(
    provider: str,
    operation: str,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    wall_seconds: float,
    pause_seconds: float,
) -> Any:
    """Return the payload of a 2xx answer.

    `wall_seconds` is the present unix time (a 429 names an absolute one); `pause_seconds` is the wait after a 429 that
    names none.

    Raises:
        ProviderRateLimited: 429. ProviderUnavailable: 5xx. ProviderRejected: any other status outside 2xx.
        ProviderMalformed: 2xx without JSON.
    """
    if 200 <= status < 300:
        try:
            return parse_json(body)
        except ValueError as error:
            raise ProviderMalformed(provider, operation, f"{provider} did not answer with JSON: {error}") from error
    raise error_for_status(
        provider,
        operation,
        status=status,
        headers=headers,
        body=body,
        wall_seconds=wall_seconds,
        pause_seconds=pause_seconds,
    )


def error_for_status(
    provider: str,
    operation: str,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    wall_seconds: float,
    pause_seconds: float,
) -> ProviderError:
    """Return the error an answer outside 2xx stands for; see `read_answer`."""
    if status == 429:
        wait = seconds_to_wait(headers, wall_seconds=wall_seconds, default=pause_seconds)
        return ProviderRateLimited(provider, operation, retry_after_seconds=wait)
    if status >= 500:
        return ProviderUnavailable(
            provider,
            operation,
            f"{provider} answered {status}",
            details={"providerStatus": status},
        )
    code, message = describe_body(body)
    return ProviderRejected(provider, operation, http_status=status, body_code=code, body_message=message)


def seconds_to_wait(headers: Mapping[str, str], *, wall_seconds: float, default: float) -> float:
    """Return how long a 429 asks us to wait, between 0 and five minutes.

    `x-ratelimit-reset` is an absolute unix time in seconds; `Retry-After` counts from now.

    >>> seconds_to_wait({"x-ratelimit-reset": "1003"}, wall_seconds=1000.5, default=1.0)
    2.5
    """
    reset = _number(headers.get("x-ratelimit-reset"))
    if reset is not None:
        return min(max(reset - wall_seconds, 0.0), _LONGEST_WAIT_SECONDS)
    after = _number(headers.get("retry-after"))
    return min(max(default if after is None else after, 0.0), _LONGEST_WAIT_SECONDS)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and abs(value) < 1e12 else None


def describe_body(body: bytes) -> tuple[str, str]:
    """Return (code, sentence) of an error body, in any of the shapes providers use; plain text is its own sentence."""
    try:
        parsed = parse_json(body)
    except ValueError:
        return "", body[:_QUOTED_CHARACTERS].decode("utf-8", "replace").strip()
    if not isinstance(parsed, dict):
        return "", ""
    code = parsed.get("errorCode", parsed.get("code", ""))
    message = parsed.get("error", parsed.get("message", parsed.get("errorMessage", "")))
    return str(code or "")[:64], str(message or "")[:_QUOTED_CHARACTERS]
