"""What workers do for prices: candles, by a sweep of worker-default that needs neither Beat nor the broker."""

from __future__ import annotations

from apps.core import sweep
from apps.prices.services import candles

#: Most runs find that no minute has ended since and cost nothing.
EVERY_SECONDS = 5.0

sweep.register("candles", queue="default", every=EVERY_SECONDS, run=candles.make_candles)
