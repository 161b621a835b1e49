"""What the signer counts of itself: told over its own door, from its memory, with no name in it that could grow."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any
from unittest.mock import AsyncMock

import aiohttp
import pytest
from aiohttp import web

from apps.wallets import signer_client
from apps.wallets.signer.keyring import Keyring
from apps.wallets.signer.nodes import NodeRefused, Nodes
from apps.wallets.signer.prices import JupiterPrices
from apps.wallets.signer.reasons import Reason, Refused
from apps.wallets.signer.tally import BOUNDS, Reach, Tally
from apps.wallets.signer_client import Signer, SignerRefused, SignerUnavailable, SwapToSign
from tests.wallets.signer.doors import open_door
from tests.wallets.signer.world import SOL, World


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """A busy machine is no dead signer."""
    monkeypatch.setattr(signer_client, "FIGURES_SECONDS", 10)


def swap(world, order_id="order-1", **changes):
    request = world.request(world.built())
    fields = {
        "order_id": order_id,
        "wallet": request.wallet,
        "side": "buy",
        "mint": request.mint,
        "in_base_units": SOL,
        "minimum_out_base_units": request.minimum_out_base_units,
        "transaction": request.transaction,
    }
    return SwapToSign(**{**fields, **changes})


def test_signatures_refusals_and_the_day_are_counted_and_a_repeat_is_no_second_signature(world: World):
    good = swap(world)
    with open_door(world) as path:
        signer = Signer(path)
        before = signer.figures()
        signer.sign_swap(good)
        signer.sign_swap(good)
        with pytest.raises(SignerRefused):
            signer.sign_swap(swap(world, "order-2", in_base_units=SOL + 1))
        with pytest.raises(SignerRefused):
            signer.unlock(address="no address", passphrase="twelve characters")
        told = signer.figures()
    assert (sum(before.signed.values()), sum(before.refused.values()), before.spent_day_lamports) == (0, 0, 0)
    assert told.signed == {"buy": 1, "sell": 0, "reclaim": 0}
    assert {reason: count for reason, count in told.refused.items() if count} == {"WRONG_AMOUNT": 1, "BAD_REQUEST": 1}
    assert sum(told.took) == 2
    assert told.seconds > 0
    assert told.spent_day_lamports == world.caps.used()[0] > SOL
    assert (told.max_day_lamports, told.keys_loaded, told.keys_locked) == (10 * SOL, 1, 0)


async def test_a_sale_is_counted_as_one_and_a_locked_key_as_locked(world: World):
    await world.buy()
    await world.sign(world.request(world.built("sell", world.tokens()), "sell"))
    world.signer.keys.lock(str(world.wallet))
    with open_door(world) as path:
        told = await asyncio.to_thread(Signer(path).figures)
    assert told.signed == {"buy": 1, "sell": 1, "reclaim": 0}
    assert (told.keys_loaded, told.keys_locked) == (0, 1)
    assert told.risked_day_lamports > 0


def test_figures_name_no_wallet_no_token_and_no_order_and_ask_nobody(world: World, monkeypatch):
    with open_door(world) as path:
        Signer(path).sign_swap(swap(world))
        world.nodes.calls.clear()
        monkeypatch.setattr(Keyring, "_read_files", lambda _: 1 / 0)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b'{"op":"figures"}\n')
            said = connection.makefile("rb").readline().decode()
    assert json.loads(said)["ok"] is True
    assert not [word for word in (str(world.wallet), world.mint, "order-1") if word in said]
    assert world.nodes.calls == []


def test_every_reason_has_its_figure_and_a_name_nobody_knows_has_none(tmp_path):
    """Whoever stood in for the signer could not fill a metrics page with labels of their own."""
    path = tmp_path / "s"
    answer = {
        **Tally().told(),
        "refused": {"DAY_CAP": 3, "wallet-of-somebody": 9},
        **dict.fromkeys(("spent_day_lamports", "risked_day_lamports", "max_day_lamports"), 1),
        "ok": True,
        "keys_loaded": 1,
        "keys_locked": 0,
        "keys_stolen": 4,
        "sources": {"nodes": Reach().told(), "prices": Reach(up=True).told(), "other": {"up": True, "failures": 1}},
    }
    for said, sound in ((answer, True), ({"ok": True}, False), ({**answer, "took": [1]}, False)):
        with socket.socket(socket.AF_UNIX) as listening:
            path.unlink(missing_ok=True)
            listening.bind(str(path))
            listening.listen()
            told = asyncio.run(_answered(listening, path, said))
        if not sound:
            assert isinstance(told, SignerUnavailable)
            continue
        assert set(told.refused) == set(map(str, Reason))
        assert sum(told.refused.values()) == told.refused["DAY_CAP"] == 3
        assert (told.sources_up, told.source_failures) == ({"prices": True}, {"nodes": 0, "prices": 0})


async def _answered(listening, path, said):
    asked = asyncio.create_task(asyncio.to_thread(Signer(path).figures))
    connection, _ = await asyncio.to_thread(listening.accept)
    with connection:
        await asyncio.to_thread(connection.recv, 1024)
        connection.sendall(json.dumps(said).encode() + b"\n")
    try:
        return await asked
    except SignerUnavailable as error:
        return error


def test_times_fall_into_their_bucket_and_one_beyond_all_into_the_last():
    tally = Tally()
    for seconds in (0.0, BOUNDS[0], BOUNDS[0] + 0.001, BOUNDS[-1], BOUNDS[-1] + 1):
        tally.took(seconds)
    took = tally.told()["took"]
    assert (took[0], took[1], took[-2], took[-1], sum(took)) == (2, 1, 1, 1, 5)


class Outside:
    """A node and a price source in one, that answer as a test says; `None` lets them hang."""

    def __init__(self) -> None:
        self.status: int | None = 200
        self.body: object = {"jsonrpc": "2.0", "id": 1, "result": 7}
        self.asked = 0
        self.url = ""
        self.session: Any = None

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        while self.status is None:
            await asyncio.sleep(0.02)
        return web.json_response(self.body, status=self.status)


@pytest.fixture
async def outside():
    made = Outside()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        made.session = session
        yield made
    made.status = 200
    await runner.cleanup()


async def test_nodes_are_away_when_none_answers_usefully_and_a_refusal_is_an_answer(outside):
    nodes = Nodes(["http://127.0.0.1:1", outside.url], outside.session)
    assert nodes.reach.told() == {"up": None, "failures": 0}
    assert await nodes.height() == 7
    assert nodes.reach.told() == {"up": True, "failures": 1}  # the first was counted, the second spoke
    for status, body in (
        (500, {}),
        (200, []),
        (200, {"error": {"code": -32005, "message": "behind"}}),
        (200, {"error": "nonsense"}),
    ):
        outside.status, outside.body = status, body
        nodes.reach.answered()
        failed = nodes.reach.failures
        with pytest.raises(Refused):
            await nodes.height()
        assert nodes.reach.told() == {"up": False, "failures": failed + 2}
    outside.body = {"error": {"code": -32602, "message": "no"}}
    with pytest.raises(NodeRefused):
        await nodes.height()
    assert nodes.reach.up is True


async def test_a_price_source_is_away_when_it_fails_or_has_no_room_for_the_signer(outside):
    prices = JupiterPrices(outside.url, outside.session, api_key="", max_age_seconds=1.0)
    outside.body = {"somewhere": "a label"}
    assert await prices.programs() == frozenset({"somewhere"})
    assert prices.reach.told() == {"up": True, "failures": 0}
    for count, status in enumerate((500, 429), start=1):
        outside.status = status
        assert await prices.programs() is None
        assert prices.reach.told() == {"up": False, "failures": count}
    outside.status, outside.body = 400, {"error": "no route"}
    assert await prices.quote("x", 1) is None
    assert prices.reach.up is True


async def test_what_is_lost_is_asked_again_until_it_answers_and_then_left_alone(world: World, monkeypatch):
    world.signer.nodes = nodes = world.nodes
    nodes.reach.answered()
    await world.signer.look_for_lost()
    assert nodes.calls == []
    nodes.reach.lost()
    nodes.away = set(nodes.urls)
    await world.signer.look_for_lost()
    assert nodes.calls == ["getBlockHeight"]
    world.prices.reach.lost()
    asked = AsyncMock(return_value=None)
    monkeypatch.setattr(world.prices, "programs", asked)
    await world.signer.look_for_lost()
    asked.assert_awaited_once_with()


async def test_a_node_that_talks_nonsense_does_not_end_the_signers_chores(world: World):
    """They also lock what lies idle: whoever runs a node must not be able to stop that."""
    world.nodes.lies["getBlockHeight"] = lambda _: None
    await world.signer.look_for_lost()
    assert world.nodes.calls == ["getBlockHeight"]


async def test_a_node_that_never_answers_does_not_keep_the_signer_from_telling_how_it_is(outside, monkeypatch):
    outside.status = None
    nodes = Nodes([outside.url, outside.url], outside.session)
    monkeypatch.setattr("apps.wallets.signer.nodes._NETWORK_SECONDS", 0.05)
    async with asyncio.timeout(3):
        assert await nodes.network() == "unknown"
    outside.status, outside.body = 200, {"result": "some genesis"}
    with suppress(Refused):
        assert await nodes.network() == "testnet"
