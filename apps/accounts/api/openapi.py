"""How the OpenAPI document names the ways to be known, and what each operation asks of its caller."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension

from apps.accounts.api.permissions import Operator
from apps.accounts.models import Scope
from apps.accounts.services import api_keys
from apps.core.api.described import Described

_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


class BearerScheme(OpenApiAuthenticationExtension):
    """A JWT or an API key as bearer token; keys also as X-API-Key."""

    target_class = "apps.accounts.api.authentication.Bearer"
    match_subclasses = True
    name = ["bearer", "apiKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The `accessToken` of POST /auth/login; where keys are taken, an API key does as well.",
            },
            {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "A key of POST /api-keys. An operation that takes keys names the scope it needs.",
            },
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{"bearer": []}, *({"apiKey": [scope]} for scope in scopes_of(auto_schema))]


class StaffSessionScheme(OpenApiAuthenticationExtension):
    """The admin's session, in a browser."""

    target_class = "apps.accounts.api.authentication.StaffSession"
    name = "staffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "soldesk_session_8000",
            "description": "An operator's session of the admin; the number is the desk's port. Changes need CSRF too.",
        }


class DescribedNetwork(OpenApiSerializerFieldExtension):
    """Addresses and networks of an API key."""

    target_class = "apps.accounts.api.shapes.Network"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        if direction == "response":
            return {"type": "string"}
        return {
            "anyOf": [
                {"type": "string", "format": "ipv4"},
                {"type": "string", "format": "ipv6"},
                {"type": "string", "pattern": rf"^{_BYTE}(\.{_BYTE}){{3}}/([0-9]|[12][0-9]|3[0-2])$"},
                {"type": "string", "pattern": r"^[0-9a-f:]*::/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])$"},
            ],
        }


class DescribedForCallers(Described):
    """Says of each operation who may call it."""

    def get_operation(self, *args: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args)
        if operation is not None:
            operation["description"] = "\n\n".join(filter(None, [operation.get("description"), self._who()]))
        return operation

    def _who(self) -> str:
        permissions = self.view.get_permissions()
        if not permissions:
            return "Public."
        if any(isinstance(permission, Operator) for permission in permissions):
            return "For operators, signed in; no API keys."
        scopes = " or ".join(f"`{scope}`" for scope in scopes_of(self))
        if not scopes:
            return "For a person, signed in; no API keys."
        return f"For a person, signed in, or an API key with the scope {scopes} (or `full_access`)."


def scopes_of(auto_schema: Any) -> list[str]:
    """Return the scopes of which an API key needs one for the operation being described; none if it takes no keys."""
    wanted: str | None = getattr(auto_schema.view, "key_scopes", {}).get(auto_schema.method)
    if wanted is None:
        return []
    return [scope.value for scope in Scope if scope != Scope.FULL_ACCESS and api_keys.allows([scope.value], wanted)]
