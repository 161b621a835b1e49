"""A node's WebSocket: it tells of signatures once, and can be made to keep silent, to drop, or to lie."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from solders.keypair import Keypair

from apps.sandbox.chain.faults import Says
from tests.chain_market import SOL, ChainMarket
from tests.sandbox.chain.wallet import CONFIRMED, Sender, ask, sending, signature_of

#: How long a word is waited for, and for how long a test listens to nobody speaking.
WAIT_SECONDS, IN_VAIN_SECONDS = 60.0, 0.4


def heard(market: ChainMarket, node: int, signature: object, work: Any = None, *, seconds: float = WAIT_SECONDS) -> Any:
    """Subscribe to a signature, do something, and return the error it is told to have; TimeoutError without a word."""

    async def listen() -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(market.ws_urls[node]) as socket:
            call = {"jsonrpc": "2.0", "id": 1, "method": "signatureSubscribe", "params": [str(signature), CONFIRMED]}
            await socket.send_json(call)
            assert "result" in await asyncio.wait_for(socket.receive_json(), WAIT_SECONDS)
            if work is not None:
                await asyncio.to_thread(work)
            notice = await asyncio.wait_for(socket.receive_json(), seconds)
            return notice["params"]["result"]["value"]["err"]

    return asyncio.run(listen())


@pytest.fixture
def pay(chain_market: ChainMarket):
    return Sender(chain_market).paying(Keypair().pubkey(), SOL)


def send(market: ChainMarket, pay: Any) -> None:
    ask(market.rpc_urls[0], "sendTransaction", *sending(pay))


def test_both_nodes_tell_of_a_signature_whoever_took_it(chain_market, pay):
    assert heard(chain_market, 1, signature_of(pay), lambda: send(chain_market, pay)) is None
    assert heard(chain_market, 0, signature_of(pay)) is None


def test_a_silent_socket_takes_the_subscription_and_never_tells(chain_market, pay):
    chain_market.fault("silent_socket", "node_1")
    with pytest.raises(TimeoutError):
        heard(chain_market, 0, signature_of(pay), lambda: send(chain_market, pay), seconds=IN_VAIN_SECONDS)
    assert heard(chain_market, 1, signature_of(pay)) is None


def test_a_dropped_socket_ends_and_takes_nobody_until_it_is_well(chain_market, pay):
    def drop() -> None:
        chain_market.fault("dropped_socket", "node_1")

    with pytest.raises(TypeError):  # aiohttp's word for a message that is none: the connection has gone
        heard(chain_market, 0, signature_of(pay), drop)
    with pytest.raises(aiohttp.ClientError):
        heard(chain_market, 0, signature_of(pay))
    chain_market.calm()
    assert heard(chain_market, 0, signature_of(pay), lambda: send(chain_market, pay)) is None


def test_a_liars_socket_lies_as_its_statuses_do(chain_market, pay):
    chain_market.fault("lying", "node_2", says=Says.LANDED)
    assert heard(chain_market, 1, signature_of(pay)) is None
    assert signature_of(pay) not in chain_market.ledger.landed
    chain_market.calm()
    chain_market.fault("lying", "node_2", says=Says.FAILED)
    send(chain_market, pay)
    assert heard(chain_market, 1, signature_of(pay)) == {"InstructionError": [0, {"Custom": 6001}]}
    assert heard(chain_market, 0, signature_of(pay)) is None


def test_what_a_fork_takes_back_is_not_told_to_be_final(chain_market, pay):
    send(chain_market, pay)
    chain_market.wait_for(signature_of(pay))
    chain_market.roll_back(signature_of(pay))
    chain_market.pass_slots(40)
    with pytest.raises(TimeoutError):
        heard(chain_market, 0, signature_of(pay), seconds=IN_VAIN_SECONDS)
