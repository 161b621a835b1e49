"""Every test session runs on a PostgreSQL and a Redis of its own, in a folder that disappears with it.

They are started here, in `pytest_configure`, because the settings read DATABASE_URL when they are first imported.
For the same reason `DJANGO_SETTINGS_MODULE` is set here and not in pyproject.toml: pytest-django would import the
settings before this file. Fixtures live in `tests/conftest.py`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import django
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from config.runtime.embedded import scratch_services

ROOT = Path(__file__).parent
STACK = ROOT / "tests" / "stack"
# What a shell may have set for `make up` must not change what a test sees.
OPERATORS = (
    "SOLDESK_HOME",
    "SOLDESK_DEMO",
    "PORT",
    "SANDBOX_PORT",
    "SANDBOX_RPC_PORT",
    "FLOWER_PORT",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
)
# The same examples on every machine and in every run, however long one takes: a failure is the code's, not the day's.
hypothesis_settings.register_profile(
    "soldesk", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("soldesk")


def pytest_configure(config: pytest.Config) -> None:
    """Start the session's services and point Django at them."""
    if config.getoption("version", 0) or config.getoption("help", False) or _only_hands_out_tests(config):
        return
    cleanup = ExitStack()
    config.add_cleanup(cleanup.close)
    services = cleanup.enter_context(scratch_services())
    for name in OPERATORS:
        os.environ.pop(name, None)
    os.environ.update(services.env, SOLDESK_ENV="test", DJANGO_SETTINGS_MODULE="config.settings")
    django.setup()


def _only_hands_out_tests(config: pytest.Config) -> bool:
    """Tell whether other processes run this session's tests, each on services of its own (`pytest -n`)."""
    return bool(config.getoption("numprocesses", 0)) and not hasattr(config, "workerinput")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file in one process, and those that share a running desk."""
    group = STACK if STACK in item.path.parents else item.path
    item.add_marker(pytest.mark.xdist_group(str(group.relative_to(ROOT))))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what shares a running desk: it takes longest."""
    items.sort(key=lambda item: STACK not in item.path.parents)
