"""Bodies of signal webhooks: a JSON object, or text as charting sites send what is no JSON."""

from __future__ import annotations

from typing import Any

from rest_framework.parsers import BaseParser

from apps.core.api.errors import InvalidField, MalformedBody, MiddlewareError
from apps.core.api.parsers import parse
from apps.signals.domain.mapping import text_message

LARGEST_BYTES = 64 * 1024


class AnyBody(BaseParser):
    """Leaves the body as it came, whatever it is said to be."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read()


class BodyTooLarge(MiddlewareError):
    status = 413

    def __init__(self) -> None:
        super().__init__("BODY_TOO_LARGE", f"The body is larger than {LARGEST_BYTES // 1024} KB.")


def read_message(raw: bytes, content_type: str) -> dict[str, Any]:
    """Return the message of a body: its JSON object, or its text taken apart. Text that is a JSON object counts as one.

    Raises:
        BodyTooLarge. MalformedBody: said to be JSON and is none, or text that is not UTF-8.
        InvalidField: INVALID_BODY, empty or JSON but no object.
    """
    if len(raw) > LARGEST_BYTES:
        raise BodyTooLarge
    if not raw.strip():
        raise InvalidField("body", "is empty")
    is_json = content_type.partition(";")[0].strip().lower().endswith("json")
    try:
        found = parse(raw)
    except MalformedBody:
        if is_json:
            raise
        found = None
    if isinstance(found, dict):
        return found
    if is_json:
        raise InvalidField("body", "must be a JSON object or plain text")
    try:
        return text_message(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
