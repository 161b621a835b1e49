"""Doors of health, which are public (the ASGI layer may answer the same from `apps.console.health`), and of metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.api.authentication import Bearer, Credential, StaffSession
from apps.console import health, scrape
from apps.console.api import shapes
from apps.core import metrics_page
from apps.core.api.openapi import answers


class _Public(APIView):
    authentication_classes = []
    permission_classes = []


@extend_schema(tags=["health"])
class Health(_Public):
    @extend_schema(
        summary="How the desk is: services, workers, ages of prices",
        operation_id="health",
        responses=answers(shapes.HealthShape, also={503: shapes.HealthShape}),
    )
    def get(self, request: Request) -> Response:
        return _answer(health.report)


@extend_schema(tags=["health"])
class Ready(_Public):
    @extend_schema(
        summary="Whether it can serve and trade",
        operation_id="ready",
        responses=answers(shapes.ReadyShape, also={503: shapes.ReadyShape}),
    )
    def get(self, request: Request) -> Response:
        return _answer(health.ready)


@extend_schema(tags=["health"])
class Live(_Public):
    @extend_schema(summary="Whether this process runs", operation_id="live", responses=answers(shapes.LiveShape))
    def get(self, request: Request) -> Response:
        return _answer(health.live)


def _answer(look: Callable[[], health.Answer]) -> Response:
    status, body = look()
    return Response(body, status=status)


class Scraper:
    """Whoever knows METRICS_TOKEN: nobody's user, and no route but the metrics lets it in."""

    is_authenticated = True
    is_active = True
    is_staff = False
    pk = None


class ScraperOrBearer(Bearer):
    """`Authorization: Bearer <METRICS_TOKEN>`, else whoever signs in elsewhere too; keys open nothing here."""

    def authenticate(self, request: Request) -> tuple[Any, Credential] | None:
        if metrics_page.opens(request.META.get("HTTP_AUTHORIZATION", "")):
            return Scraper(), Credential()
        return super().authenticate(request)


@extend_schema(tags=["health"])
class Metrics(APIView):
    authentication_classes = [ScraperOrBearer, StaffSession]

    @extend_schema(
        summary="Figures for Prometheus",
        description="All processes of this machine in Prometheus' text format. Takes an access token or METRICS_TOKEN.",
        operation_id="metrics",
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(metrics_page.render(scrape.figures()), content_type=metrics_page.CONTENT_TYPE)
