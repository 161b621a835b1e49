"""The OpenAPI document over HTTP, made once per process: it is the same for everybody and takes a second to write."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Document(SpectacularAPIView):
    """YAML, or JSON where it is asked for (`Accept`, or `?format=json`)."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer: BaseRenderer = request.accepted_renderer
        kind: Any = type(renderer)
        text = _rendered(kind)
        tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        if request.META.get("HTTP_IF_NONE_MATCH") == tag:
            answer = HttpResponse(status=304)
        else:
            answer = HttpResponse(text, content_type=renderer.media_type)
        for name, value in (("ETag", tag), ("Cache-Control", "no-cache"), ("Vary", "Accept")):
            answer[name] = value
        return answer


@cache
def _rendered(renderer: Any) -> bytes:
    document = SchemaGenerator().get_schema(request=None, public=True)
    text = renderer().render(document, renderer.media_type, {})
    return text if isinstance(text, bytes) else str(text).encode()
