"""The pool asks the next node when one does not answer, says what errors mean, and never shows a URL."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from solders.keypair import Keypair
from structlog.testing import capture_logs

from apps.chain import nodes
from apps.chain.adapters.addresses import node_addresses
from apps.chain.domain import answers
from apps.chain.errors import (
    NodeRateLimited,
    NodeRejected,
    NodesDisagree,
    NodesNotConfigured,
    NodeUnavailable,
    PreflightFailed,
    Verdict,
)
from apps.chain.pool import NodePool
from apps.core.http import Lane
from tests.chain.payments import payment
from tests.chain_market import SOL, ChainMarket

SECRET = "c0ffee-api-key-1234"


@asynccontextmanager
async def node_that(
    answer: Callable[[dict[str, Any]], Awaitable[web.Response]], **options: Any
) -> AsyncIterator[NodePool]:
    """Run a node that answers as told, behind a URL with a key in it."""

    async def handle(request: web.Request) -> web.Response:
        return await answer(await request.json())

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    pool = nodes.open_pool([f"http://127.0.0.1:{port}/{SECRET}/?api-key={SECRET}"], **options)
    try:
        yield pool
    finally:
        await pool.close()
        await runner.cleanup()


def failing(code: int, message: str = "no", data: Any = None, **http: Any) -> Callable[..., Awaitable[web.Response]]:
    async def answer(asked: dict[str, Any]) -> web.Response:
        error = {"code": code, "message": message, **({} if data is None else {"data": data})}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "error": error}, **http)

    return answer


async def test_reads_tell_what_the_chain_holds(pool: NodePool, payer: Keypair, chain_market: ChainMarket):
    (state,) = await pool.accounts([str(payer.pubkey())])
    told = await pool.balance(str(payer.pubkey()))
    assert state is not None
    assert told.lamports == state.lamports == chain_market.balance(payer.pubkey()) > 0
    assert told.slot >= 10_000
    assert await pool.accounts([str(Keypair().pubkey())]) == [None]
    assert await pool.token_accounts(str(payer.pubkey())) == []
    assert await pool.rent(165) == 2_039_280
    height, slot = await pool.finalized(node=pool.names[0])
    assert height < slot


async def test_a_payment_is_sent_to_both_nodes_and_sending_it_again_changes_nothing(pool: NodePool, payer: Keypair):
    before = (await pool.balance(str(payer.pubkey()))).lamports
    signed = payment(payer, await pool.latest_blockhash(), lamports=SOL)
    signature = str(signed.signatures[0])
    first = await pool.send(bytes(signed))
    assert [answer.accepted for answer in first] == [True, True]
    assert {answer.node for answer in first} == set(pool.names)
    status = await pool.wait_for_signature(signature, 5)
    again = await pool.send(bytes(signed))
    assert [answer.accepted for answer in again] == [True, True]
    found = await pool.transaction(signature)
    assert status is not None
    assert found is not None
    assert found["version"] == 0
    assert (status.err, found["slot"], found["meta"]["fee"]) == (None, status.slot, 5000)
    after = (await pool.balance(str(payer.pubkey()), status.slot)).lamports
    assert before - after == SOL + 5000


@pytest.mark.parametrize("kind", ["server_error", "html", "disconnect", "unhealthy", "unauthorized", "rate_limit"])
async def test_the_other_node_answers_for_one_in_trouble(chain_market: ChainMarket, payer: Keypair, kind: str):
    chain_market.fault(kind, "node_1")
    pool = nodes.open_pool(chain_market.rpc_urls)
    assert (await pool.balance(str(payer.pubkey()))).lamports > 0
    with pytest.raises((NodeUnavailable, NodeRejected, NodeRateLimited)) as failed:
        await pool.balance(str(payer.pubkey()), node=pool.names[0])
    assert failed.value.node == pool.names[0]
    assert failed.value.verdict is not Verdict.PERMANENT
    await pool.close()


async def test_a_node_that_failed_is_asked_last(chain_market: ChainMarket):
    chain_market.fault("server_error", "node_1", times=1)
    pool = nodes.open_pool(chain_market.rpc_urls)
    assert pool.in_order() == list(pool.names)
    await pool.slot()
    assert pool.in_order() == list(reversed(pool.names))
    await pool.close()


async def test_a_node_far_behind_is_asked_last(chain_market: ChainMarket):
    chain_market.fault("behind", "node_1", slots=60)
    pool = nodes.open_pool(chain_market.rpc_urls)
    await pool.compare_slots()
    assert pool.in_order()[0] == pool.names[1]
    await pool.close()


async def test_a_preflight_that_fails_is_permanent_for_these_bytes(pool: NodePool, payer: Keypair):
    poor = Keypair()
    signed = payment(poor, await pool.latest_blockhash())
    sent = await pool.send(bytes(signed))
    assert [answer.accepted for answer in sent] == [False, False]
    for answer in sent:
        assert isinstance(answer.error, PreflightFailed)
        assert answer.error.verdict is Verdict.PERMANENT


async def test_a_blockhash_a_node_does_not_know_says_nothing_about_the_bytes(pool: NodePool, payer: Keypair):
    known = await pool.latest_blockhash()
    stranger = type(known)(str(Keypair().pubkey()), known.last_valid_block_height, known.slot)
    sent = await pool.send(bytes(payment(payer, stranger)))
    errors = [answer.error for answer in sent]
    assert [isinstance(error, PreflightFailed) and error.verdict for error in errors] == [Verdict.FAIL_OVER] * 2


async def test_a_slow_node_does_not_hold_up_a_send(chain_market: ChainMarket, pool: NodePool, payer: Keypair):
    signed = payment(payer, await pool.latest_blockhash())
    chain_market.fault("hang", "node_2", methods=["sendTransaction"])
    sent = await pool.send(bytes(signed), patience_seconds=0.05)
    assert [(answer.accepted, answer.pending) for answer in sent] == [(True, False), (False, True)]


async def test_the_last_valid_height_is_the_highest_that_any_node_tells(chain_market: ChainMarket, pool: NodePool):
    true = (await pool.latest_blockhash(node=pool.names[1])).last_valid_block_height
    chain_market.fault("wrong_expiry", "node_1", blocks=-100)
    assert (await pool.latest_blockhash()).last_valid_block_height >= true
    chain_market.fault("wrong_expiry", "node_1", blocks=-400)
    with pytest.raises(NodesDisagree):
        await pool.latest_blockhash()


@pytest.mark.parametrize("code", [429, -32429, -32005, -32000])
async def test_a_rate_limit_in_an_answer_of_200_is_one(code: int):
    async with node_that(failing(code, "Too many requests", headers={"Retry-After": "7"})) as pool:
        with pytest.raises(NodeRateLimited) as limited:
            await pool.slot(node=pool.names[0])
        assert limited.value.retry_after_seconds == pytest.approx(7)
        with pytest.raises(NodeRateLimited) as paused:  # nothing is sent until then
            await pool.slot(node=pool.names[0])
        assert 0 < paused.value.retry_after_seconds < 7


async def test_a_pause_of_reads_does_not_hold_sends_back(payer: Keypair):
    async def answer(asked: dict[str, Any]) -> web.Response:
        if asked["method"] == "sendTransaction":
            return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": "signature"})
        return web.Response(status=429, headers={"Retry-After": "60"})

    async with node_that(answer) as pool:
        with pytest.raises(NodeRateLimited):
            await pool.slot(node=pool.names[0])
        (sent,) = await pool.send(b"bytes")
        assert sent.accepted


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (-32602, Verdict.PERMANENT),
        (-32003, Verdict.PERMANENT),
        (-32015, Verdict.PERMANENT),
        (-32601, Verdict.FAIL_OVER),
        (-32016, Verdict.FAIL_OVER),
        (-32603, Verdict.FAIL_OVER),
        (-31999, Verdict.FAIL_OVER),
    ],
)
async def test_errors_of_json_rpc_say_what_to_do(code: int, verdict: Verdict):
    async with node_that(failing(code)) as pool:
        with pytest.raises(NodeRejected) as rejected:
            await pool.slot(node=pool.names[0])
    assert (rejected.value.rpc_code, rejected.value.verdict) == (code, verdict)


@pytest.mark.parametrize(
    "data", [None, "text", {"err": "BrandNewError"}, {"err": {"InstructionError": [4, {"Custom": 6001}]}}]
)
async def test_a_failed_preflight_may_come_with_any_data(data: Any):
    async with node_that(failing(-32002, "failed", data)) as pool:
        (sent,) = await pool.send(b"bytes")
    assert isinstance(sent.error, PreflightFailed)
    told = data["err"] if isinstance(data, dict) else None
    assert sent.error.err == told
    assert sent.error.verdict is (Verdict.PERMANENT if told else Verdict.FAIL_OVER)


@pytest.mark.parametrize(
    "result",
    [
        None,
        "12",
        12.5,
        True,
        {"context": {"slot": 1}},
        {"context": {"slot": 1}, "value": 1.5},
        {"context": 1, "value": 1},
    ],
)
async def test_what_is_no_balance_is_no_answer(result: Any):
    async def answer(asked: dict[str, Any]) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    async with node_that(answer) as pool:
        with pytest.raises(NodeUnavailable):
            await pool.balance(str(Keypair().pubkey()), node=pool.names[0])


async def test_an_answer_to_another_question_is_no_answer():
    async def answer(asked: dict[str, Any]) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"] + 1, "result": 5})

    async with node_that(answer) as pool:
        with pytest.raises(NodeUnavailable):
            await pool.slot(node=pool.names[0])


def telling(result: Any, asked_of: list[dict[str, Any]]) -> Callable[..., Awaitable[web.Response]]:
    """Answer everything with `result`, or what it makes of the request, and note what was asked."""

    async def answer(asked: dict[str, Any]) -> web.Response:
        asked_of.append(asked)
        told = result(asked) if callable(result) else result
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": told})

    return answer


async def test_transactions_of_version_1_are_asked_for_and_taken():
    asked: list[dict[str, Any]] = []
    document = {"slot": 5, "version": 1, "transaction": {"message": {"transactionConfig": {}}}, "meta": {"err": None}}
    async with node_that(telling(document, asked)) as pool:
        assert await pool.transaction("signature") == document
    assert asked[0]["params"][1]["maxSupportedTransactionVersion"] == 1


async def test_token_accounts_are_asked_of_both_programs_and_read_with_their_rules():
    asked: list[dict[str, Any]] = []

    def row(request: dict[str, Any]) -> dict[str, Any]:
        program = request["params"][1]["programId"]
        told = {
            "isNative": False,
            "mint": "Mint",
            "owner": "Owner",
            "state": "frozen",
            "tokenAmount": {"amount": str(2**64 - 1), "decimals": 6, "uiAmount": 1.8e13},
            "extensions": [{"extension": "immutableOwner"}],
        }
        account = {"lamports": 2_039_280, "owner": program, "data": {"parsed": {"type": "account", "info": told}}}
        return {"context": {"slot": 9}, "value": [{"pubkey": f"account of {program}", "account": account}]}

    async with node_that(telling(row, asked)) as pool:
        found = await pool.token_accounts("Owner", min_context_slot=7)
    assert {each.program for each in found} == set(answers.TOKEN_PROGRAMS)
    assert all((each.amount, each.frozen, len(each.extensions)) == (2**64 - 1, True, 1) for each in found)
    assert [each["params"][2]["minContextSlot"] for each in asked] == [7, 7]


async def test_a_lookup_table_is_read_behind_its_header():
    keys = [Keypair().pubkey() for _ in range(3)]
    data = base64.b64encode(bytes(56) + b"".join(bytes(key) for key in keys)).decode()
    state = {"lamports": 1, "owner": "AddressLookupTab1e1111111111111111111111111", "data": [data, "base64"]}
    async with node_that(telling({"context": {"slot": 1}, "value": [state, None]}, [])) as pool:
        assert await pool.lookup_tables(["table", "gone"]) == {"table": [str(key) for key in keys]}


async def test_recent_fees_come_in_the_order_of_slots():
    rows = [{"slot": 3, "prioritizationFee": 30}, {"slot": 1, "prioritizationFee": 10}]
    async with node_that(telling(rows, [])) as pool:
        assert await pool.recent_fees(["key"]) == [10, 30]


async def test_amounts_are_never_floats():
    async def answer(asked: dict[str, Any]) -> web.Response:
        result = {"context": {"slot": 1}, "value": 2**53 + 1}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": result})

    async with node_that(answer) as pool:
        assert (await pool.balance(str(Keypair().pubkey()))).lamports == 2**53 + 1


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
async def test_a_key_in_a_url_is_in_no_error_and_no_log(status: int, caplog: pytest.LogCaptureFixture):
    async def answer(asked: dict[str, Any]) -> web.Response:
        error = {"code": -32000 - status, "message": f"the key {SECRET} is not welcome"}
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "error": error}, status=status)

    with capture_logs() as logs, caplog.at_level(logging.DEBUG):
        async with node_that(answer) as pool:
            waiting = asyncio.ensure_future(pool.wait_for_signature("1" * 64, 0.2))
            with pytest.raises((NodeUnavailable, NodeRejected, NodeRateLimited)) as failed:
                await pool.slot()
            await waiting
            shown = repr(pool.__dict__) + repr(failed.value) + str(failed.value.details) + caplog.text + repr(logs)
            assert all(SECRET not in name for name in pool.names)
    assert SECRET not in shown


async def test_calls_beyond_the_rate_are_not_made_and_exits_have_theirs():
    calls = 0

    async def answer(asked: dict[str, Any]) -> web.Response:
        nonlocal calls
        calls += 1
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": 5})

    async with node_that(answer, calls_per_second=1) as pool:
        node = pool.names[0]
        for _ in range(4):  # of ten in ten seconds four are the exits' and two the entries'
            await pool.slot(node=node)
        with pytest.raises(NodeRateLimited):
            await pool.slot(node=node)
        for _ in range(4):
            await pool.slot(node=node, lane=Lane.EXIT_QUOTE)
    assert calls == 8


def test_nodes_are_called_by_host_and_two_urls_of_one_host_are_one_node():
    found = node_addresses(
        [
            "https://a.example/one",
            "https://a.example/two",
            "https://user:pass@b.example:8443/x",
            "http://127.0.0.1:8899",
        ]
    )
    assert [each.name for each in found] == ["a.example", "b.example:8443", "127.0.0.1:8899"]
    assert [each.ws_url for each in found] == [
        "wss://a.example/one",
        "wss://user:pass@b.example:8444/x",
        "ws://127.0.0.1:8900",
    ]
    assert [each.plan for each in found] == ["25/s", "25/s", "sandbox"]


def test_a_url_that_is_none_is_named_by_its_place():
    with pytest.raises(ValueError, match=r"^node 2 of") as refused:
        node_addresses(["http://a.example", f"ftp://{SECRET}"])
    assert SECRET not in str(refused.value)


async def test_without_nodes_everything_says_so():
    pool = nodes.open_pool([])
    for question in (pool.slot(), pool.send(b"x"), pool.transaction("x"), pool.latest_blockhash(), pool.slot(node="x")):
        with pytest.raises(NodesNotConfigured):
            await question
    await pool.close()


def test_threads_ask_through_the_loop_of_the_process(chain_market: ChainMarket, payer: Keypair, settings):
    settings.SOLANA_RPC_URLS = list(chain_market.rpc_urls)
    settings.SOLANA_WS_URLS = []
    assert nodes.ask(lambda pool: pool.balance(str(payer.pubkey()))).lamports > 0
    assert nodes.names() == tuple(url.removeprefix("http://") for url in chain_market.rpc_urls)
    nodes.forget_nodes()
