"""A door that says back what it was sent, for who builds webhooks; outside production only.

What names itself a secret (headers and query parameters: authorization, cookies, keys, tokens, passwords) comes back
masked: an echo ends up in logs and on screens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import QueryDict
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.errors import unknown_route_error
from apps.core.api.fields import Anything, Flag, Moment
from apps.core.api.openapi import answers
from apps.core.api.shapes import Shape

MASK = "***"
_SECRET = re.compile(r"auth|cookie|token|secret|passw|credential|api-?_?key|csrf|session", re.IGNORECASE)


class ReceivedShape(Shape):
    headers = serializers.DictField(child=serializers.CharField(), help_text="Names in lower case; secrets masked.")
    body = Anything(allow_null=True, help_text="As it was understood.")
    query = serializers.DictField(help_text="A parameter given several times is a list; secrets masked.")
    method = serializers.CharField()
    path = serializers.CharField()


class EchoShape(Shape):
    """What was sent."""

    success = Flag()
    message = serializers.CharField()
    timestamp = Moment()
    received = ReceivedShape()


@extend_schema(tags=["webhooks"])
class EchoWebhook(APIView):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        summary="Say back what was sent; not in production",
        description="Headers and query parameters that name themselves secrets come back masked.",
        operation_id="test_webhook",
        request={"application/json": OpenApiTypes.ANY, "application/x-www-form-urlencoded": OpenApiTypes.OBJECT},
        responses=answers(EchoShape, "404 NOT_FOUND"),
    )
    def post(self, request: Request) -> Response:
        if settings.SOLDESK_ENV == "production":
            raise unknown_route_error(request.method or "POST", request.path)
        body = request.data
        return Response(
            {
                "success": True,
                "message": "The webhook was received.",
                "timestamp": timezone.now(),
                "received": {
                    "headers": _shown((name.lower(), value) for name, value in request.headers.items()),
                    "body": _several(body) if isinstance(body, QueryDict) else body,
                    "query": _shown(_several(request.query_params).items()),
                    "method": request.method,
                    "path": request.path,
                },
            }
        )


def _several(values: QueryDict) -> dict[str, Any]:
    """Return what came as text: one value as it is, several under one name as a list."""
    return {name: given[0] if len(given) == 1 else given for name, given in values.lists()}


def _shown(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs with what names itself a secret masked."""
    return {name: MASK if _SECRET.search(name) else value for name, value in pairs}
