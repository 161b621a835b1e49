"""Every test session runs on a PostgreSQL and a Redis of its own, in a folder that disappears with it.

They are started here, in `pytest_configure`, because the settings read DATABASE_URL when they are first imported.
For the same reason `DJANGO_SETTINGS_MODULE` is set here and not in pyproject.toml: pytest-django would import the
settings before this file. Fixtures live in `tests/conftest.py`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from django.conf import settings

from config.runtime import home as homes
from config.runtime.embedded import EmbeddedServices

STACK_VARIABLES = ("SOLDESK_HOME", "PORT", "SANDBOX_PORT", "FLOWER_PORT")
services_key = pytest.StashKey[tuple[EmbeddedServices, Path]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the session's services and point Django at them."""
    if config.getoption("version", 0) or config.getoption("help", False):
        return
    home = Path(tempfile.mkdtemp(prefix="soldesk-tests-"))
    services = EmbeddedServices(home, durable=False)
    config.stash[services_key] = (services, home)
    services.start()
    for name in STACK_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(services.env, SOLDESK_ENV="test", DJANGO_SETTINGS_MODULE="config.settings")
    settings._setup()  # configured now, so that pytest-django finds Django ready to set up


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the services and forget their data."""
    if services_key in config.stash:
        services, home = config.stash[services_key]
        services.stop()
        homes.remove(home)
