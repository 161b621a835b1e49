"""Waiting for signatures: sockets speed it up, and it works without them, as it does with a node that keeps silent."""

from __future__ import annotations

import asyncio
import time

import pytest
from solders.keypair import Keypair

from apps.chain import nodes
from apps.chain.metrics import NOTIFICATIONS
from apps.chain.pool import NodePool
from tests.chain.payments import payment
from tests.chain_market import ChainMarket


def noticed(pool: NodePool) -> float:
    return sum(NOTIFICATIONS.labels(name)._value.get() for name in pool.names)


async def test_many_wait_at_once_and_each_hears_of_its_own(pool: NodePool, payer: Keypair):
    blockhash = await pool.latest_blockhash()
    signed = [payment(payer, blockhash, lamports=1_000_000 + place) for place in range(20)]
    signatures = [str(each.signatures[0]) for each in signed]
    waits = [asyncio.ensure_future(pool.wait_for_signature(each, 10)) for each in signatures]
    await asyncio.gather(*(pool.send(bytes(each)) for each in signed))
    told = await asyncio.gather(*waits)
    assert all(status is not None and status.confirmed and status.err is None for status in told)


async def test_a_socket_ends_the_pause_between_polls(chain_market: ChainMarket, payer: Keypair):
    pool = nodes.open_pool(chain_market.rpc_urls, chain_market.ws_urls, poll_seconds=60)
    signed = payment(payer, await pool.latest_blockhash())
    before = noticed(pool)
    waiting = asyncio.ensure_future(pool.wait_for_signature(str(signed.signatures[0]), 10))
    await pool.send(bytes(signed))
    assert await waiting is not None
    assert noticed(pool) > before
    await pool.close()


@pytest.mark.parametrize("kind", ["silent_socket", "dropped_socket"])
async def test_polling_finds_what_sockets_do_not_tell(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair, kind: str
):
    chain_market.fault(kind)
    signed = payment(payer, await pool.latest_blockhash())
    waiting = asyncio.ensure_future(pool.wait_for_signature(str(signed.signatures[0]), 10))
    await pool.send(bytes(signed))
    assert await waiting is not None


async def test_a_node_that_hides_a_signature_hides_it_for_a_round_only(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair
):
    chain_market.fault("lying", "node_1", says="nothing")
    signed = payment(payer, await pool.latest_blockhash())
    await pool.send(bytes(signed))
    assert await pool.wait_for_signature(str(signed.signatures[0]), 10) is not None


async def test_sockets_come_back_after_the_nodes_did(chain_market: ChainMarket, payer: Keypair):
    pool = nodes.open_pool(chain_market.rpc_urls, chain_market.ws_urls, poll_seconds=60)
    fault = chain_market.fault("dropped_socket")
    signed = payment(payer, await pool.latest_blockhash())
    waiting = asyncio.ensure_future(pool.wait_for_signature(str(signed.signatures[0]), 10))
    await asyncio.sleep(0.1)
    for each in fault:
        chain_market.faults.remove(each.number)
    await pool.send(bytes(signed))
    assert await waiting is not None
    await pool.close()


async def test_a_node_is_told_who_waits_no_more(chain_market: ChainMarket, pool: NodePool, payer: Keypair):
    def subscriptions() -> int:
        return sum(len(node.subscriptions._wanted) for node in chain_market.runtime.chain.nodes)

    signed = payment(payer, await pool.latest_blockhash())
    waiting = asyncio.ensure_future(pool.wait_for_signature(str(signed.signatures[0]), 0.3))
    deadline = time.monotonic() + 5
    while subscriptions() < 2 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert subscriptions() == 2
    assert await waiting is None
    while subscriptions() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert subscriptions() == 0


async def test_what_never_lands_is_waited_for_no_longer_than_asked(pool: NodePool, payer: Keypair):
    signed = payment(payer, await pool.latest_blockhash())
    assert await pool.wait_for_signature(str(signed.signatures[0]), 0.2) is None
