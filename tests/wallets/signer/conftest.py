"""A world of its own for each test: a few milliseconds."""

from __future__ import annotations

import pytest

from tests.wallets.signer.world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.caps.close()
