"""Nodes of one cluster say which; nodes of two are an error that is seen before anything is sent."""

from __future__ import annotations

import time

import pytest

from apps.chain import cluster, nodes
from apps.chain.cluster import Cluster
from apps.chain.errors import NodeError, NodesDisagree, NodesNotConfigured
from apps.chain.pool import NodePool
from apps.trading.services.live.chain_clock import ChainClock
from tests.chain_market import ChainMarket, running_chain_market


async def test_local_nodes_of_a_demo_desk_are_the_sandbox(pool: NodePool, settings):
    settings.DEMO_DESK = True
    assert await cluster.confirm(pool) is Cluster.SANDBOX
    settings.DEMO_DESK = False
    assert await cluster.confirm(pool) is Cluster.PRIVATE


async def test_nodes_of_different_chains_are_refused(chain_market: ChainMarket):
    with running_chain_market(seed=8) as other:
        pool = nodes.open_pool([chain_market.rpc_urls[0], other.rpc_urls[0]])
        with pytest.raises(NodesDisagree):
            await cluster.confirm(pool)
        with pytest.raises(NodesDisagree):
            await ChainClock(pool).now()
        standing = await cluster.look(pool)
        assert standing.mixed
        assert standing.cluster is None
        await pool.close()


async def test_one_node_that_is_away_does_not_hide_the_cluster(chain_market: ChainMarket, pool: NodePool):
    chain_market.fault("disconnect", "node_2")
    standing = await cluster.look(pool)
    assert standing.cluster is not None
    assert list(standing.silent) == [pool.names[1]]
    chain_market.fault("disconnect", "node_1")
    with pytest.raises(NodeError):
        await cluster.confirm(pool)


async def test_without_nodes_there_is_no_cluster():
    pool = nodes.open_pool([])
    with pytest.raises(NodesNotConfigured):
        await cluster.confirm(pool)


def test_a_page_never_waits_for_a_node(chain_market: ChainMarket, settings):
    settings.SOLANA_RPC_URLS, settings.SOLANA_WS_URLS = list(chain_market.rpc_urls), []
    settings.DEMO_DESK = True
    nodes.forget_nodes()
    hanging = chain_market.fault("hang")
    assert cluster.current() is None
    assert cluster.current() is None
    for fault in hanging:
        chain_market.faults.remove(fault.number)
    deadline = time.monotonic() + 10
    while cluster.current() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert cluster.current() is Cluster.SANDBOX
    nodes.forget_nodes()


def test_a_desk_without_nodes_has_no_cluster(settings):
    settings.SOLANA_RPC_URLS = []
    assert cluster.current() is None
    nodes.forget_nodes()
