"""Words of the OpenAPI document that all routes share: errors, paging parameters, messages."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers


class Error(serializers.Serializer):
    """Every error: a sentence and a stable code; some carry details or further fields."""

    error = serializers.CharField()
    code = serializers.CharField()
    details = serializers.JSONField(required=False)


class Message(serializers.Serializer):
    """Done."""

    success = serializers.BooleanField()
    message = serializers.CharField()


PAGING = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="Rows of a page, 1 to 1000.", default=100),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Rows to pass over.", default=0),
    OpenApiParameter("cursor", OpenApiTypes.STR, description="Empty for the first page, then X-Next-Cursor."),
]
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Same key and body: same answer. Other body: 422. Still running: 409.",
)


def answers(success: Any, *codes: str, status: int = 200) -> dict[Any, Any]:
    """Return the responses of a route: its success and the errors by `"404 AGENT_NOT_FOUND"`."""
    grouped: dict[int, list[str]] = {}
    for code in codes:
        number, _, name = code.partition(" ")
        grouped.setdefault(int(number), []).append(name)
    responses: dict[Any, Any] = {status: success}
    for code_number, names in sorted(grouped.items()):
        examples = [
            OpenApiExample(name, value={"error": "What is wrong, in a sentence.", "code": name}) for name in names
        ]
        responses[code_number] = OpenApiResponse(Error, description=", ".join(names), examples=examples)
    return responses
