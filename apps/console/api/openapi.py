"""How the OpenAPI document names whoever scrapes the metrics."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ScraperScheme(OpenApiAuthenticationExtension):
    """METRICS_TOKEN as bearer token, beside everybody's own."""

    target_class = "apps.console.api.views.ScraperOrBearer"
    name = "metricsToken"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "The desk's METRICS_TOKEN: opens the metrics only."}

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{"bearer": []}, {"metricsToken": []}]
