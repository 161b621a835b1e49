"""What is known about a provider: where it is, the key, the plan, the patience it deserves.

Built from the Django setting `PROVIDERS`; only base URL, key and plan differ between the sandbox and the real hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from apps.core.http.plans import Plan, plan_for

_KEY_HEADERS = {"jupiter": ("x-api-key", "{}"), "pyth": ("Authorization", "Bearer {}")}
_PAUSE_AFTER_429_SECONDS = {"pyth": 60.0}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """Connection, patience and limits of one provider; times are seconds.

    `pause_after_429_seconds` is used when a 429 does not say when to come back. A breaker opens after
    `breaker_failures` failures in a row, first for `breaker_open_seconds`, doubling up to `breaker_longest_seconds`.
    """

    name: str
    base_url: str = field(repr=False)  # a node's key is part of its URL
    api_key: str = field(default="", repr=False)
    plan: str = "keyless"
    timeout_seconds: float = 5.0
    connect_timeout_seconds: float = 2.0
    max_connections: int = 32
    max_attempts: int = 3
    pause_after_429_seconds: float = 1.0
    breaker_failures: int = 5
    breaker_open_seconds: float = 1.0
    breaker_longest_seconds: float = 15.0

    def __post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https"):
            raise ValueError(f"the base URL of {self.name} must start with http:// or https://")

    @property
    def limits(self) -> Plan | None:
        """The plan's call limits; None for no limit."""
        return plan_for(self.name, self.plan)

    @property
    def secure(self) -> bool:
        return urlsplit(self.base_url).scheme == "https"

    @property
    def local(self) -> bool:
        return (urlsplit(self.base_url).hostname or "") in _LOOPBACK

    def headers(self) -> dict[str, str]:
        """Return the headers every call carries, the key included."""
        headers = {"Accept": "application/json", "User-Agent": "soldesk"}
        if self.api_key and self.name in _KEY_HEADERS:
            name, form = _KEY_HEADERS[self.name]
            headers[name] = form.format(self.api_key)
        return headers


def build_config(name: str, values: Mapping[str, Any]) -> ProviderConfig:
    """Return the configuration of `name` from its entry in `PROVIDERS`.

    Raises:
        ValueError: for a missing or unusable base URL, an unknown plan or an unknown key.
    """
    unknown = set(values) - set(ProviderConfig.__dataclass_fields__)
    if unknown:
        raise ValueError(f"PROVIDERS[{name!r}] has unknown keys: {', '.join(sorted(unknown))}")
    defaults = {
        "pause_after_429_seconds": _PAUSE_AFTER_429_SECONDS.get(name, 1.0),
        "base_url": "",
    }
    config = ProviderConfig(**{**defaults, **values, "name": name})
    plan_for(name, config.plan)
    return config


def provider_config(name: str) -> ProviderConfig:
    """Return the configured provider `name`.

    Raises:
        ValueError: when `PROVIDERS` has no such provider or its entry is unusable.
    """
    providers = settings.PROVIDERS
    if name not in providers:
        raise ValueError(f"PROVIDERS has no {name!r}")
    return build_config(name, providers[name])
