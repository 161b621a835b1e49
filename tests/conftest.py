"""Fixtures every test may use. The session's PostgreSQL and Redis are started by `conftest.py` above this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chain_market import chain_market, shared_chain_market
from tests.sandbox_server import SandboxControl, sandbox

__all__ = ["chain_market", "market", "sandbox", "shared_chain_market"]


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
