"""A receiver on loopback, an intake and a courier of the test's own, and short ways to make endpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.notify.receiver import Receiver, receiving


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    with receiving() as running:
        yield running


@pytest.fixture
def desk_intake() -> Iterator[Any]:
    from apps.notify.services.intake import Intake

    intake = Intake()
    intake.run()
    yield intake
    intake.close()


@pytest.fixture
def send() -> Iterator[Callable[..., None]]:
    """Return what sends all that is due and waits for the answers, round after round until nothing is due."""
    from apps.notify.services.courier import Courier

    courier = Courier()

    def run(*, seconds: float = 15.0) -> None:
        courier._next_look_at_failing = 0.0
        while courier.start_due() or courier.in_flight:
            courier.finish(seconds)
            courier._next_look_at_failing = 0.0

    yield run
    courier.finish(1.0)
