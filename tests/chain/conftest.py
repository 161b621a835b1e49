"""A pool over the sandbox's two nodes, and money to send. Nothing here needs a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from solders.keypair import Keypair

from tests.chain_market import SOL, ChainMarket

if TYPE_CHECKING:
    from apps.chain.pool import NodePool


@pytest.fixture
async def pool(chain_market: ChainMarket) -> AsyncIterator[NodePool]:
    from apps.chain import nodes  # this file is read before Django has settings

    made = nodes.open_pool(chain_market.rpc_urls, chain_market.ws_urls, poll_seconds=0.05)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def payer(shared_chain_market: ChainMarket) -> Keypair:
    keypair = Keypair()
    shared_chain_market.airdrop(keypair.pubkey(), 100 * SOL)
    return keypair
