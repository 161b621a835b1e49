"""The outside world of price tests: the session's sandbox, with clients, memory and Redis starting from nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.sandbox_server import SandboxControl


@pytest.fixture
def market(sandbox: SandboxControl, settings: Settings) -> Iterator[SandboxControl]:
    """The sandbox as this process's providers, without faults, nothing remembered of earlier tests."""
    from tests.prices import world  # this file is read before Django has settings

    sandbox.clear_faults()
    settings.PROVIDERS = world.providers(sandbox)
    world.forget()
    yield sandbox
    sandbox.clear_faults()
    world.forget()
