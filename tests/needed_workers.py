"""Workers that are heard, for tests of what says whether the desk can work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.console import health
from apps.core import heartbeats


@pytest.fixture
def workers() -> Iterator[None]:
    """Let every worker a desk needs be heard."""
    for worker in health.needed_workers():
        heartbeats.write(worker)
    yield
    for worker in health.needed_workers():
        heartbeats.erase(worker)
