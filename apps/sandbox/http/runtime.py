"""What the handlers share: the running market, what goes wrong, comes and goes, found through the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from apps.sandbox.attention import Attention
from apps.sandbox.chain.server import Chain
from apps.sandbox.domain.market import Market
from apps.sandbox.engine import Engine
from apps.sandbox.exchange.orders import SwapOrders
from apps.sandbox.exchange.venue import Venue
from apps.sandbox.faults import FaultBook
from apps.sandbox.options import Options
from apps.sandbox.signal_source import SignalSource
from apps.sandbox.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Runtime:
    """One running sandbox."""

    options: Options
    market: Market
    chain: Chain
    venue: Venue
    swaps: SwapOrders
    engine: Engine
    attention: Attention
    faults: FaultBook
    signals: SignalSource
    webhooks: Webhooks


RUNTIME = web.AppKey("runtime", Runtime)


def json_response(document: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer; numbers are written with every digit they have."""
    return web.Response(
        body=orjson.dumps(document), status=status, headers=headers, content_type="application/json", charset="utf-8"
    )
