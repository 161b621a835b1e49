"""Which renderer answers: the one asked for, else JSON. A client's odd Accept header is no reason to refuse it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Lenient(DefaultContentNegotiation):
    """DRF's negotiation that falls back to the view's first renderer instead of answering 404 or 406."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, Any]:
        choices = list(renderers)
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        if accepted in ("*/*", choices[0].media_type) and "format" not in request.GET:
            return choices[0], choices[0].media_type
        try:
            return super().select_renderer(request, choices, format_suffix)
        except (NotAcceptable, Http404):
            return choices[0], choices[0].media_type
