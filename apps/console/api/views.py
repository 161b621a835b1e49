"""Doors of health; public, and never logged in. The ASGI layer may answer the same from `apps.console.health`."""

from __future__ import annotations

from collections.abc import Callable

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.console import health
from apps.core.api.openapi import answers


class _Public(APIView):
    authentication_classes = []
    permission_classes = []


@extend_schema(tags=["health"])
class Health(_Public):
    @extend_schema(
        summary="How the desk is", operation_id="health", responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT}
    )
    def get(self, request: Request) -> Response:
        return _answer(health.report)


@extend_schema(tags=["health"])
class Ready(_Public):
    @extend_schema(
        summary="Can it serve", operation_id="ready", responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT}
    )
    def get(self, request: Request) -> Response:
        return _answer(health.ready)


@extend_schema(tags=["health"])
class Live(_Public):
    @extend_schema(summary="Does this process run", operation_id="live", responses=answers(OpenApiTypes.OBJECT))
    def get(self, request: Request) -> Response:
        return _answer(health.live)


def _answer(look: Callable[[], health.Answer]) -> Response:
    status, body = look()
    return Response(body, status=status)
