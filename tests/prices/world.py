"""Where a price test's providers are, and how its process and its Redis forget earlier tests."""

from __future__ import annotations

from typing import Any

import redis as redis_package
from django.conf import settings

from apps.core import http
from apps.prices.adapters import jupiter_prices, newest
from apps.prices.services import tokens
from tests.sandbox_server import SandboxControl


def providers(control: SandboxControl, **plans: str) -> dict[str, dict[str, Any]]:
    """Return the setting `PROVIDERS` for a sandbox; `plans` names other plans than the sandbox's."""
    urls = {"jupiter": control.jupiter_url, "dexscreener": control.dexscreener_url, "pyth": control.pyth_url}
    return {name: {"base_url": url, "plan": plans.get(name, "sandbox")} for name, url in urls.items()}


def forget() -> None:
    """Forget what this process and its Redis remember of prices, tokens and providers."""
    http.forget_clients()
    newest.forget()
    tokens.forget_tokens()
    jupiter_prices.forget()
    client = redis_package.Redis.from_url(settings.REDIS_URL)
    for key in client.scan_iter("soldesk:*"):
        client.delete(key)
    client.close()
