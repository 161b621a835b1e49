"""What answers look like: JSON through orjson, and the browsable page for staff in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer

from apps.core.api import wire


class FastJSONRenderer(BaseRenderer):
    """JSON with exact numbers; nothing at all for an answer without a body."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None and renderer_context is not None and renderer_context["response"].status_code == 204:
            return b""
        return wire.encode(data)


class _Readable(FastJSONRenderer):
    """The same JSON over many lines."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        text = super().render(data, accepted_media_type, renderer_context)
        return wire.over_lines(text) if text else text


class Browsable(BrowsableAPIRenderer):
    """The page a person sees who opens a route in a browser; bodies are written as JSON, not as HTML forms."""

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        return _Readable()

    def show_form_for_method(self, view: Any, method: str, request: Any, obj: Any) -> bool:
        return method in view.allowed_methods and bool(request.user)

    def render_form_for_serializer(self, serializer: Any) -> Any:
        return None

    def get_rendered_html_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        return None
