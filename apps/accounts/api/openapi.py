"""How the OpenAPI document names the two ways to be known."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):
    """A JWT or an API key as bearer token; keys also as X-API-Key."""

    target_class = "apps.accounts.api.authentication.Bearer"
    match_subclasses = True
    name = ["bearer", "apiKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT or API key"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        takes_keys = auto_schema.method in getattr(auto_schema.view, "key_scopes", {})
        return [{"bearer": []}, *([{"apiKey": []}] if takes_keys else [])]


class StaffSessionScheme(OpenApiAuthenticationExtension):
    """The admin's session, in a browser."""

    target_class = "apps.accounts.api.authentication.StaffSession"
    name = "staffSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "soldesk_session"}
