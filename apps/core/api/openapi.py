"""Words of the OpenAPI document that routes share: errors, paging parameters, messages.

A view names what is its own; what every operation has (401, 429, headers, examples) is added in `document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from apps.core.api.fields import Moment
from apps.core.api.shapes import Shape


class Error(Shape):
    """Every error: a sentence and a stable code; some carry details or further fields."""

    error = serializers.CharField(help_text="What is wrong, in a sentence.")
    code = serializers.CharField(help_text="Stable: what a program decides by.")
    success = serializers.BooleanField(required=False, help_text="false: on errors of a body's shape and of routes.")
    details = serializers.JSONField(required=False, help_text="`errors` names every wrong field with its message.")
    field = serializers.CharField(required=False, help_text="The first wrong field.")
    message = serializers.CharField(required=False, help_text="What to do about it.")
    scope = serializers.CharField(required=False, help_text="SCOPE_MISSING: the scope the key lacks.")
    retry_after = serializers.IntegerField(required=False, help_text="RATE_LIMITED: seconds to wait.")
    locked_until = Moment(required=False, help_text="ACCOUNT_LOCKED: when sign-in opens again.")
    current_balance = serializers.CharField(required=False, help_text="INSUFFICIENT_BALANCE: what there is.")
    required_amount = serializers.CharField(required=False, help_text="INSUFFICIENT_BALANCE: what it would take.")
    token_address = serializers.CharField(required=False, help_text="INSUFFICIENT_BALANCE: of which token.")
    token_symbol = serializers.CharField(required=False)


class Message(serializers.Serializer):
    """Done."""

    success = serializers.BooleanField()
    message = serializers.CharField()


PAGING = [
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "default": 100},
        description="Rows of a page; more than 1000 count as 1000.",
    ),
    OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}, description="Rows to pass over."),
    OpenApiParameter(
        "cursor",
        {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"},
        description="Pages that rows coming in do not shift: empty for the first, then what `X-Next-Cursor` said.",
    ),
]
#: What a route may answer that asks a provider (quotes, prices, a node) before it answers.
PROVIDERS = (
    "502 PROVIDER_MALFORMED",
    "502 PROVIDER_REJECTED",
    "503 PROVIDER_BREAKER_OPEN",
    "503 PROVIDER_BUDGET_EXHAUSTED",
    "503 PROVIDER_RATE_LIMITED",
    "503 PROVIDER_UNAVAILABLE",
    "504 PROVIDER_TIMEOUT",
)
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": 255},
    OpenApiParameter.HEADER,
    description=(
        "Any printable ASCII of yours, kept for a day. The same request with the same key gets the same answer and"
        " happens once; another request with it is refused with 422, and 409 says that the first still runs."
    ),
)


def answers(success: Any, *codes: str, status: int = 200, also: Mapping[int, Any] | None = None) -> dict[Any, Any]:
    """Return the responses of a route: its success and its own errors by `"404 AGENT_NOT_FOUND"`.

    `also` are further answers that are no errors, by status. `document` writes what a code means.
    """
    grouped: dict[int, list[str]] = {}
    for code in codes:
        number, _, name = code.partition(" ")
        grouped.setdefault(int(number), []).append(name)
    errors = {number: OpenApiResponse(Error, description=" ".join(names)) for number, names in sorted(grouped.items())}
    return {status: success, **(also or {}), **errors}
