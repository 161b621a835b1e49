"""An HTTP client of the API for tests: JSON in and out, numbers kept exact, a signed-in user or an API key.

Every answer is held against the OpenAPI document: one that it does not promise fails the test that got it.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from django.test import Client
from django.utils import timezone

from apps.accounts import tokens
from apps.accounts.models import User
from tests import api_document

API = "/api/v1"


class Answer:
    """A response with its JSON, whose numbers are Decimal."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.headers = response.headers
        self.text: bytes = response.getvalue() if response.streaming else response.content
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        self.json: Any = json.loads(self.text, parse_float=Decimal) if is_json and self.text else None

    @property
    def code(self) -> str | None:
        return self.json.get("code") if isinstance(self.json, dict) else None

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:500]!r}>"


def judged(method: str, response: Any) -> Answer:
    """Return the answer, which must be one that the document promises."""
    answer = Answer(response)
    found = api_document.faults(
        method=method,
        route=response.resolver_match.route,
        status=answer.status,
        headers=answer.headers,
        body=answer.json,
        content_type=answer.headers.get("Content-Type", ""),
    )
    assert not found, f"not as documented: {found}"
    return answer


class Api:
    """Calls paths under /api/v1 with fixed headers."""

    def __init__(self, address: str = "127.0.0.1", **headers: str) -> None:
        self.client = Client(headers={"host": "localhost", **headers}, REMOTE_ADDR=address)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send `body` as JSON (bytes as they are) and return the answer."""
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body, default=str).encode()
        url = path if path.startswith("/api/") else f"{API}{path}"
        response = self.client.generic(method, url, body, content_type="application/json", headers=headers)
        return judged(method, response)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("DELETE", path, body, **headers)


def api_of(user: User) -> Api:
    """Return a client signed in as `user`, without a session of its own."""
    token = tokens.access_token(user, family_id=None, now=timezone.now())
    return Api(authorization=f"Bearer {token}")


def api_with_key(secret: str) -> Api:
    return Api(**{"x-api-key": secret})


anonymous = Api
