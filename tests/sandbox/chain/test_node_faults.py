"""What a node does wrong when it is told to, and that the other one goes on telling the truth."""

from __future__ import annotations

import httpx
import pytest
from solders.keypair import Keypair

from apps.sandbox.chain.faults import LIES, NodeFaultBook, NodeFaultKind, Says
from tests.chain_market import SOL, ChainMarket
from tests.sandbox.chain.wallet import CONFIRMED, Sender, ask, post, refusal, sending, signature_of

HISTORY = {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 1}


@pytest.fixture
def sender(chain_market: ChainMarket) -> Sender:
    return Sender(chain_market)


def status(url: str, signature: object) -> dict | None:
    (found,) = ask(url, "getSignatureStatuses", [str(signature)], {"searchTransactionHistory": True})["value"]
    told: dict | None = found
    return told


# -- refusals


@pytest.mark.parametrize(
    ("kind", "options", "code", "words"),
    [
        ("rate_limit", {"retry_after_seconds": 3}, 429, "Too many requests"),
        ("rate_limit", {"status": 200}, 200, '"code":429'),
        ("server_error", {"status": 504}, 504, "upstream"),
        ("html", {}, 502, "<html>"),
        ("unauthorized", {}, 403, "forbidden"),
    ],
)
def test_a_refusal_is_in_a_nodes_own_words_and_is_the_one_nodes_alone(chain_market, kind, options, code, words):
    first, second = chain_market.rpc_urls
    chain_market.fault(kind, "node_1", **options)
    refused = post(first, "getSlot")
    assert (refused.status_code, words in refused.text) == (code, True)
    if kind == "rate_limit":
        assert refused.headers["retry-after"] == str(options.get("retry_after_seconds", 1))
    assert ask(second, "getSlot") > 0


@pytest.mark.parametrize("kind", ["disconnect", "answer_lost"])
def test_a_connection_drops(chain_market, sender, kind):
    chain_market.fault(kind, "node_1", methods=["getSlot"])
    with pytest.raises(httpx.RemoteProtocolError):
        post(chain_market.rpc_urls[0], "getSlot")
    assert ask(chain_market.rpc_urls[0], "getHealth") == "ok"


def test_a_hanging_node_answers_when_its_fault_ends(chain_market):
    chain_market.fault("hang", "node_2", methods=["getSlot"])
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(chain_market.rpc_urls[1], json={"method": "getSlot", "id": 1}, timeout=0.2, trust_env=False)
    chain_market.faults.clear("node_2")
    assert ask(chain_market.rpc_urls[1], "getSlot") > 0


def test_a_fault_strikes_as_often_as_it_is_told_to_and_only_its_methods(chain_market):
    url = chain_market.rpc_urls[0]
    (fault,) = chain_market.fault("server_error", "node_1", methods=["getBalance"], times=2)
    assert ask(url, "getHealth") == "ok"
    codes = [post(url, "getBalance", str(Keypair().pubkey())).status_code for _ in range(3)]
    assert codes == [503, 503, 200]
    assert (fault.hits, chain_market.faults.active()) == (2, [])


def test_a_fault_of_calls_is_not_used_up_by_sockets():
    book = NodeFaultBook(1, ("node_1",))
    fault = book.add("node_1", NodeFaultKind.RATE_LIMIT, times=1)
    assert book.draw("node_1", "websocket", "1") == []
    assert book.draw("node_1", "getSlot") == [fault]


def test_a_slow_node_executes_what_nobody_waits_for_any_more(chain_market, sender):
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    chain_market.fault("latency", "node_1", methods=["sendTransaction"], latency_ms=1200)
    call = {"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": sending(pay)}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(chain_market.rpc_urls[0], json=call, timeout=0.05, trust_env=False)
    assert chain_market.balance(bob, "processed") == 0
    chain_market.wait_for(signature_of(pay))
    assert chain_market.balance(bob) == SOL


# -- sending


def test_an_answer_is_lost_after_landing(chain_market, sender):
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    chain_market.fault("answer_lost", "node_1")
    with pytest.raises(httpx.RemoteProtocolError):
        post(chain_market.rpc_urls[0], "sendTransaction", *sending(pay))
    chain_market.wait_for(signature_of(pay))
    assert chain_market.balance(bob) == SOL
    again = refusal(chain_market.rpc_urls[1], "sendTransaction", *sending(pay))
    assert again["data"]["err"] == "AlreadyProcessed"
    assert chain_market.balance(bob) == SOL


def test_a_signature_is_answered_for_what_is_never_sent(chain_market, sender):
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    chain_market.fault("not_sent", "node_1")
    assert ask(chain_market.rpc_urls[0], "sendTransaction", *sending(pay)) == str(signature_of(pay))
    chain_market.pass_slots(60)
    assert [status(url, signature_of(pay)) for url in chain_market.rpc_urls] == [None, None]
    assert chain_market.balance(bob) == 0
    chain_market.calm()
    ask(chain_market.rpc_urls[0], "sendTransaction", *sending(pay))
    chain_market.wait_for(signature_of(pay))


def test_a_signature_is_answered_before_the_transaction_is_sent(chain_market, sender):
    pay = sender.paying(Keypair().pubkey(), SOL)
    chain_market.fault("not_sent", "node_1", slots=120)
    ask(chain_market.rpc_urls[0], "sendTransaction", *sending(pay))
    assert signature_of(pay) not in chain_market.ledger.landed
    chain_market.pass_slots(121)
    assert chain_market.wait_for(signature_of(pay)).error is None


def test_what_is_not_sent_is_still_refused_when_it_is_wrong(chain_market, sender):
    chain_market.fault("not_sent", "node_1")
    error = refusal(chain_market.rpc_urls[0], "sendTransaction", *sending(sender.paying(Keypair().pubkey(), 99 * SOL)))
    assert error["code"] == -32002


# -- lies


def landed(chain_market: ChainMarket, sender: Sender) -> str:
    pay = sender.paying(Keypair().pubkey(), SOL // 10)
    ask(chain_market.rpc_urls[0], "sendTransaction", *sending(pay))
    chain_market.wait_for(signature_of(pay))
    return str(signature_of(pay))


def listed(url: str, address: object) -> dict[str, object]:
    rows = ask(url, "getSignaturesForAddress", str(address), CONFIRMED)
    return {row["signature"]: row["err"] for row in rows}


def test_a_node_that_says_nothing_happened_says_so_everywhere(chain_market, sender):
    first, second = chain_market.rpc_urls
    signature = landed(chain_market, sender)
    chain_market.fault("lying", "node_2", says=Says.NOTHING, signatures=[signature])
    assert (status(first, signature) or {})["err"] is None
    assert status(second, signature) is None
    assert ask(first, "getTransaction", signature, HISTORY)["meta"]["err"] is None
    assert ask(second, "getTransaction", signature, HISTORY) is None
    assert signature in listed(first, sender.key)
    assert signature not in listed(second, sender.key)


def test_a_node_that_says_it_failed_shows_a_failed_transaction(chain_market, sender):
    first, second = chain_market.rpc_urls
    signature = landed(chain_market, sender)
    chain_market.fault("lying", "node_2", says=Says.FAILED, signatures=[signature])
    told = status(second, signature)
    assert told is not None
    assert told["err"] == told["status"]["Err"] == {"InstructionError": [0, {"Custom": 6001}]}
    meta = ask(second, "getTransaction", signature, HISTORY)["meta"]
    assert meta["err"] == told["err"]
    assert meta["preBalances"][0] - meta["postBalances"][0] == meta["fee"]
    assert listed(second, sender.key)[signature] == told["err"]
    assert listed(first, sender.key)[signature] is None


def test_a_node_that_says_it_landed_shows_it_as_if_it_had(chain_market, sender):
    first, second = chain_market.rpc_urls
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    signature = str(signature_of(pay))
    chain_market.fault("not_sent", "node_2")
    chain_market.fault("lying", "node_2", says=Says.LANDED, signatures=[signature])
    ask(second, "sendTransaction", *sending(pay))
    told = status(second, signature)
    assert told is not None
    assert (told["err"], told["confirmationStatus"]) == (None, "finalized")
    meta = ask(second, "getTransaction", signature, HISTORY)["meta"]
    assert (meta["err"], meta["postBalances"][1]) == (None, SOL)
    assert listed(second, bob) == {signature: None}
    assert (status(first, signature), listed(first, bob), chain_market.balance(bob)) == (None, {}, 0)


@pytest.mark.parametrize("slots", [None, 20])
def test_statuses_and_history_come_late_or_never(chain_market, sender, slots):
    url = chain_market.rpc_urls[0]
    chain_market.fault("status_lag", "node_1", slots=slots)
    chain_market.fault("history_lag", "node_1", slots=slots)
    signature = landed(chain_market, sender)
    if slots is not None:
        chain_market.pace(60)  # nothing grows old between two questions
    seen = (status(url, signature), ask(url, "getTransaction", signature, HISTORY), listed(url, sender.key))
    assert seen[:2] == (None, None)
    assert signature not in seen[2]
    chain_market.pass_slots(40)
    arrived = status(url, signature) is not None
    assert arrived == (ask(url, "getTransaction", signature, HISTORY) is not None) == (slots is not None)


@pytest.mark.parametrize("blocks", [500, -500])
def test_a_height_is_too_high_or_too_low(chain_market, blocks):
    first, second = chain_market.rpc_urls
    chain_market.fault("wrong_height", "node_2", blocks=blocks)
    difference = ask(second, "getBlockHeight") - ask(first, "getBlockHeight")
    assert abs(difference - blocks) < 20
    assert abs(ask(second, "getSlot") - ask(first, "getSlot")) < 20


def test_an_expiry_is_told_wrong(chain_market):
    first, second = chain_market.rpc_urls
    chain_market.fault("wrong_expiry", "node_1", blocks=-120)
    told, true = (ask(url, "getLatestBlockhash", CONFIRMED)["value"]["lastValidBlockHeight"] for url in (first, second))
    assert true - told > 100


@pytest.mark.parametrize("kind", ["expired_blockhash", "unknown_blockhash"])
def test_a_blockhash_that_nobody_takes(chain_market, sender, kind):
    first, second = chain_market.rpc_urls
    chain_market.pass_slots(300)
    chain_market.fault(kind, "node_1")
    given = ask(first, "getLatestBlockhash", CONFIRMED)["value"]
    assert not ask(second, "isBlockhashValid", given["blockhash"], {"commitment": "processed"})["value"]
    if kind == "expired_blockhash":
        assert given["lastValidBlockHeight"] < ask(second, "getBlockHeight", CONFIRMED)


def test_a_node_that_is_behind_tells_everything_as_it_was(chain_market, sender):
    first, second = chain_market.rpc_urls
    chain_market.fault("behind", "node_2", slots=30)
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    newest = ask(first, "getSlot", CONFIRMED)
    chain_market.pace(60)
    ask(first, "sendTransaction", *sending(pay))
    chain_market.pass_slots(2)
    balances = [ask(url, "getBalance", str(bob), CONFIRMED)["value"] for url in (first, second)]
    assert balances == [SOL, 0]
    assert status(second, signature_of(pay)) is None
    assert ask(second, "getSlot", CONFIRMED) < newest
    assert refusal(second, "getBalance", str(bob), {**CONFIRMED, "minContextSlot": newest})["code"] == -32016
    behind = refusal(second, "getHealth")
    assert (behind["code"], behind["data"]) == (-32005, {"numSlotsBehind": 30})
    chain_market.pass_slots(31)
    assert ask(second, "getBalance", str(bob), CONFIRMED)["value"] == SOL


def test_a_node_that_is_behind_does_not_know_a_new_blockhash(chain_market, sender):
    chain_market.fault("behind", "node_2", slots=30)
    error = refusal(chain_market.rpc_urls[1], "sendTransaction", *sending(sender.paying(Keypair().pubkey(), 1 * SOL)))
    assert (error["code"], error["data"]["err"]) == (-32002, "BlockhashNotFound")


def test_an_unhealthy_node_and_one_that_has_not_reached_the_slot_say_so(chain_market):
    url = chain_market.rpc_urls[0]
    chain_market.fault("unhealthy", "node_1", slots=152, methods=["getBalance"])
    key = str(Keypair().pubkey())
    assert refusal(url, "getBalance", key)["message"] == "Node is behind by 152 slots"
    chain_market.calm()
    chain_market.fault("context_not_reached", "node_1")
    assert refusal(url, "getBalance", key, {"minContextSlot": 1})["code"] == -32016
    assert ask(url, "getBalance", key)["value"] == 0


# -- forks


def test_a_fork_takes_back_what_was_confirmed_and_keeps_the_rest(chain_market, sender):
    first, _ = chain_market.rpc_urls
    bob, carol = Keypair().pubkey(), Keypair().pubkey()
    before = chain_market.balance(sender.key)
    gone, kept = sender.paying(bob, SOL), sender.paying(carol, 2 * SOL)
    chain_market.fault("rolled_back", "node_1", signatures=[str(signature_of(gone))], slots=6)
    for pay in (gone, kept):
        ask(first, "sendTransaction", *sending(pay))
    chain_market.wait_for(signature_of(gone))
    assert chain_market.balance(bob) == SOL
    chain_market.pass_slots(40)
    assert [status(url, signature_of(gone)) for url in chain_market.rpc_urls] == [None, None]
    assert ask(first, "getTransaction", str(signature_of(gone)), {**HISTORY, "commitment": "finalized"}) is None
    assert chain_market.wait_for(signature_of(kept), "finalized").error is None
    assert (chain_market.balance(bob), chain_market.balance(carol)) == (0, 2 * SOL)
    assert chain_market.balance(sender.key) == before - 2 * SOL - 5_000
    chain_market.calm()
    ask(first, "sendTransaction", *sending(gone))
    chain_market.wait_for(signature_of(gone))
    assert chain_market.balance(bob) == SOL


def test_a_fork_survives_a_kill(chain_market, sender):
    bob = Keypair().pubkey()
    pay = sender.paying(bob, SOL)
    ask(chain_market.rpc_urls[0], "sendTransaction", *sending(pay))
    chain_market.wait_for(signature_of(pay))
    chain_market.roll_back(signature_of(pay))
    left = chain_market.balance(sender.key, "processed")
    chain_market.restart()
    assert (chain_market.balance(bob, "processed"), chain_market.balance(sender.key, "processed")) == (0, left)
    assert status(chain_market.rpc_urls[0], signature_of(pay)) is None


def test_nothing_finalized_is_taken_back(chain_market, sender):
    signature = landed(chain_market, sender)
    chain_market.pass_slots(40)
    with pytest.raises(ValueError, match="finalized"):
        chain_market.roll_back(next(each for each in chain_market.ledger.landed if str(each) == signature))
    assert status(chain_market.rpc_urls[0], signature) is not None


# -- storms


def struck(storm: int, *, earlier: int = 0) -> list[list[str]]:
    book = NodeFaultBook(1, ("node_1", "node_2"))
    for _ in range(earlier):
        book.add("node_2", NodeFaultKind.HTML)
    book.storm(storm, rate=0.3, liar="node_2")
    return [[fault.kind for fault in book.draw("node_1", "getSlot")] for _ in range(200)]


def test_a_storm_is_the_same_for_the_same_seed():
    assert struck(5) == struck(5, earlier=3)
    assert struck(5) != struck(6)
    assert any(struck(5))


@pytest.mark.parametrize("liar", ["node_1", "node_2", None])
def test_in_a_storm_at_most_one_node_lies(liar):
    book = NodeFaultBook(1, ("node_1", "node_2"))
    added = book.storm(9, rate=1.0, liar=liar)
    assert {fault.node for fault in added if fault.kind in LIES} == ({liar} if liar else set())
    assert {fault.node for fault in added if fault.kind is NodeFaultKind.RATE_LIMIT} == {"node_1", "node_2"}


def test_what_one_fault_meets_does_not_depend_on_others():
    def hits(book: NodeFaultBook) -> list[bool]:
        return [bool(book.draw("node_1", "getSlot")) for _ in range(100)]

    alone, beside = (NodeFaultBook(3, ("node_1", "node_2")) for _ in range(2))
    for book in (alone, beside):
        book.add("node_1", NodeFaultKind.SERVER_ERROR, probability=0.5)
    beside.add("node_2", NodeFaultKind.HTML, probability=0.5)
    beside.draw("node_2", "getSlot")
    assert hits(alone) == hits(beside)
