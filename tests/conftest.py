"""Fixtures every test may use. The session's PostgreSQL and Redis are started by `conftest.py` above this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chain_market import chain_market, shared_chain_market
from tests.sandbox_server import SandboxControl, sandbox

__all__ = ["chain_market", "market", "sandbox", "shared_chain_market"]


#: A desk gives Redis a twentieth of a second, or a tenth.
PATIENT_SECONDS = 10.0


@pytest.fixture(scope="session", autouse=True)
def patient_redis() -> Iterator[list[tuple[Any, str, float]]]:
    """Wait longer for Redis than a desk does: on a crowded machine the rest of it may stand still for a moment."""
    from apps.core import quick_redis, wake  # this file is read before Django has settings

    limits = [(quick_redis, "LIMIT_SECONDS"), (wake, "_COMMAND_SECONDS"), (wake, "_CONNECT_SECONDS")]
    real = [(module, name, getattr(module, name)) for module, name in limits]
    with pytest.MonkeyPatch.context() as patch:
        for module, name in limits:
            patch.setattr(module, name, PATIENT_SECONDS)
        yield real


@pytest.fixture(scope="session", autouse=True)
def patient_looks() -> Iterator[None]:
    """Let health and scrapes wait longer than a monitor would; tests of that very limit bring a look of their own."""
    from apps.console import scrape, signer_watch, vitals  # this file is read before Django has settings

    with pytest.MonkeyPatch.context() as patch:
        for look in (scrape.LOOK, signer_watch.LOOK, vitals.LOOK):
            patch.setattr(look, "_patience", PATIENT_SECONDS)
        yield


@pytest.fixture
def hasty_redis(patient_redis: list[tuple[Any, str, float]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a Redis that is asked for the first time as long as a desk does: for tests of that very limit."""
    for module, name, seconds in patient_redis:
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup) -> Iterator[None]:
    """Empty the database quickly between tests; let no look of health or of a scrape hold a connection at the end."""
    from apps.core import looks  # this file is read before Django has settings
    from tests import emptying  # as above

    emptying.install()
    yield
    looks.stop_all()


@pytest.fixture(autouse=True)
def desk_state(request) -> None:
    """Put back what a migration made: the flush after a transactional test takes it away from those that follow."""
    if request.node.get_closest_marker("django_db") is None and "db" not in request.fixturenames:
        return
    request.getfixturevalue("_django_db_helper")
    from apps.trading.models import TradingState  # this file is read before Django has settings

    TradingState.objects.get_or_create(agent=None)


@pytest.fixture
def market(sandbox: SandboxControl, settings) -> Iterator[SandboxControl]:
    """Point every provider client at the session's sandbox, with no faults on."""
    from apps.core import http  # this file is read before Django has settings
    from apps.prices.services import tokens

    sandbox.clear_faults()
    settings.PROVIDERS = {
        "jupiter": {"base_url": sandbox.jupiter_url, "plan": "sandbox"},
        "dexscreener": {"base_url": sandbox.dexscreener_url, "plan": "sandbox"},
        "pyth": {"base_url": sandbox.pyth_url, "plan": "sandbox"},
    }
    http.forget_clients()
    tokens.forget_tokens()
    yield sandbox
    sandbox.clear_faults()
    sandbox.cancel_charts()
    http.forget_clients()
