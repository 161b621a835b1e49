"""A live wallet on the sandbox chain, with both nodes asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.chain_market import ChainMarket

if TYPE_CHECKING:
    from tests.wallets.chain_wallet import ChainWallet


@pytest.fixture
def on_chain(chain_market: ChainMarket, db: None, settings) -> Iterator[ChainWallet]:
    from apps.chain import nodes  # this file is read before Django has settings
    from tests.wallets.chain_wallet import ChainWallet

    settings.SOLANA_RPC_URLS, settings.SOLANA_WS_URLS = list(chain_market.rpc_urls), []
    nodes.forget_nodes()
    yield ChainWallet(chain_market)
    nodes.forget_nodes()
