"""Plain arithmetic on money keeps every digit a column holds, in every thread."""

from __future__ import annotations

import threading
from decimal import Decimal, FloatOperation

import pytest

from apps.core import money

WIDE = Decimal("12345678901234567890.123456789012345678")


def test_plain_arithmetic_keeps_thirty_eight_digits_in_every_thread():
    seen = []
    worker = threading.Thread(target=lambda: seen.append((-WIDE, WIDE + 0, WIDE - 0)))
    worker.start()
    worker.join()
    assert seen == [(WIDE.copy_negate(), WIDE, WIDE)]
    assert seen == [(-WIDE, WIDE + 0, WIDE - 0)]


def test_a_float_is_refused_where_money_begins():
    with pytest.raises(TypeError):
        money.D(0.1)  # type: ignore[arg-type]
    with pytest.raises(FloatOperation):
        money.MONEY.create_decimal(0.1)
