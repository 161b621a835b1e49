"""Fixtures of the tests of live orders: a desk whose nodes, prices and swaps are the sandbox's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chain_market import ChainMarket, chain_market, shared_chain_market

if TYPE_CHECKING:
    from tests.trading.live.orders_world import Desk

__all__ = ["chain_market", "shared_chain_market"]


@pytest.fixture
def desk(chain_market: ChainMarket, transactional_db: None, settings) -> Iterator[Desk]:
    """A desk on a sandbox of its own, with slots of a few hundredths of a second."""
    from apps.chain import nodes  # this file is read before Django has settings
    from apps.core import http
    from apps.prices.services import tokens
    from tests.trading.live.orders_world import Desk

    settings.PROVIDERS = {
        name: {"base_url": f"{chain_market.base_url}/{name}", "plan": "sandbox"}
        for name in ("jupiter", "dexscreener", "pyth")
    }
    settings.SOLANA_RPC_URLS, settings.SOLANA_WS_URLS = list(chain_market.rpc_urls), list(chain_market.ws_urls)
    http.forget_clients()
    nodes.forget_nodes()
    tokens.forget_tokens()
    yield Desk(chain_market)
    nodes.forget_nodes()
    http.forget_clients()
