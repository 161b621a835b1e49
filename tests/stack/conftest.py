"""One desk for the tests of exits in this folder: starting a desk takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.desk import Desk
from tests.stack.exit_desk import ExitDesk

AGENTS = 100


@pytest.fixture(scope="package")
def exits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExitDesk]:
    """A desk with a trader of a hundred agents."""
    with Desk(tmp_path_factory.mktemp("exits") / "home", SOLDESK_DEMO="1") as desk:
        yield ExitDesk(desk, agents=AGENTS)


@pytest.fixture
def no_faults_left(exits: ExitDesk) -> Iterator[None]:
    """End every fault after the test."""
    yield
    exits.clear_faults()


@pytest.fixture(scope="module")
def exact_books_at_last(exits: ExitDesk) -> Iterator[None]:
    """Recompute the books after the module's tests."""
    yield
    exits.check_books()
