"""Jupiter with a chain behind it: transactions to sign, what becomes of them, and what goes wrong on the way."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from apps.core.money import SOL_MINT
from apps.sandbox.chain import accounts
from apps.sandbox.chain.program.route import PROGRAM_ID, RouteAccount, routes_in
from apps.sandbox.domain.sources import Source
from apps.sandbox.domain.views import MarketView
from apps.sandbox.exchange.building import associated
from apps.sandbox.exchange.tampering import MAKER, THIEF
from apps.sandbox.faults import STORM_KINDS, FaultBook, FaultKind
from tests.chain_market import ChainMarket

SOL = 10**9
EXECUTE = "/jupiter/swap/v2/execute"
_TOKEN_ACCOUNT_RENT = 2_039_280


@pytest.fixture
def owner(chain_market: ChainMarket) -> Keypair:
    owner = Keypair()
    chain_market.airdrop(owner.pubkey(), 10 * SOL)
    return owner


@pytest.fixture
def mint(chain_market: ChainMarket) -> str:
    return chain_market.control.add_token().mint


def ordered(market: ChainMarket, owner: Keypair, mint: str, *, sell: int | None = None, **query: Any) -> dict[str, Any]:
    """Return Jupiter's answer to an order: a purchase for one SOL, or a sale of so many base units."""
    pair = (SOL_MINT, mint) if sell is None else (mint, SOL_MINT)
    asked = {"taker": str(owner.pubkey()), "slippageBps": 50, **query}
    return market.control.order(input_mint=pair[0], output_mint=pair[1], amount=SOL if sell is None else sell, **asked)


def transaction_of(order: dict[str, Any]) -> VersionedTransaction:
    return VersionedTransaction.from_bytes(base64.b64decode(order["transaction"]))


def signed(order: dict[str, Any], *signers: Keypair) -> str:
    """Return the transaction with these signatures in their slots, those that are there already kept."""
    transaction = transaction_of(order)
    keys, signatures = list(transaction.message.account_keys), list(transaction.signatures)
    for signer in signers:
        signatures[keys.index(signer.pubkey())] = signer.sign_message(to_bytes_versioned(transaction.message))
    return base64.b64encode(bytes(VersionedTransaction.populate(transaction.message, signatures))).decode()


def executed(market: ChainMarket, order: dict[str, Any], *signers: Keypair) -> httpx.Response:
    body = {"signedTransaction": signed(order, *signers), "requestId": order["requestId"]}
    return market.control.client.post(EXECUTE, json=body)


def signature_of(order: dict[str, Any], owner: Keypair) -> Signature:
    """Return the signature under which the transaction will be known: it is known before it is sent."""
    return owner.sign_message(to_bytes_versioned(transaction_of(order).message))


def held(market: ChainMarket, owner: Pubkey, mint: str) -> int:
    """Return what an owner has of a token now."""
    account = associated(owner, Pubkey.from_string(mint))
    found = accounts.token_account(market.call(lambda: market.ledger.account(account)))
    return 0 if found is None else found.amount


def balance(market: ChainMarket, owner: Keypair) -> int:
    return market.balance(owner.pubkey(), "processed")


def bought(market: ChainMarket, owner: Keypair, mint: str) -> int:
    assert executed(market, ordered(market, owner, mint), owner).json()["status"] == "Success"
    return held(market, owner.pubkey(), mint)


# what is handed out


def test_an_order_with_a_taker_carries_a_transaction_and_what_it_costs(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    transaction = transaction_of(order)
    assert list(transaction.signatures) == [Signature.default()]
    assert transaction.message.account_keys[0] == owner.pubkey()
    assert isinstance(order["lastValidBlockHeight"], str)
    assert int(order["lastValidBlockHeight"]) > chain_market.ledger.height
    assert (order["signatureFeeLamports"], order["prioritizationFeeLamports"]) == (5_000, 16_000)
    assert order["rentFeeLamports"] == _TOKEN_ACCOUNT_RENT
    payers = {order[name] for name in ("signatureFeePayer", "prioritizationFeePayer", "rentFeePayer")}
    assert payers == {str(owner.pubkey())}
    assert (order["router"], order["gasless"]) == ("metis", False)
    assert "errorCode" not in order


def test_the_transaction_promises_what_the_order_says_and_no_rent_is_due_twice(chain_market, owner, mint):
    tokens = bought(chain_market, owner, mint)
    sale = ordered(chain_market, owner, mint, sell=tokens, slippageBps=120)
    message = transaction_of(sale).message
    (route,) = routes_in(message.instructions, message.account_keys)
    assert (route.terms.in_amount, route.terms.slippage_bps) == (tokens, 120)
    assert route.terms.quoted_out == int(sale["outAmount"]) - int(sale["platformFee"]["amount"])
    assert (sale["rentFeeLamports"], sale["rentFeePayer"]) == (0, None)


@pytest.mark.parametrize(
    ("lamports", "code"), [(SOL - 1, 1), (SOL + 5_000, 2), (SOL + 5_000 + 16_000 + _TOKEN_ACCOUNT_RENT, 2)]
)
def test_who_lacks_the_input_or_sol_for_fees_gets_no_transaction(chain_market, mint, lamports, code):
    poor = Keypair()
    chain_market.airdrop(poor.pubkey(), lamports)
    order = ordered(chain_market, poor, mint)
    assert (order["transaction"], order["errorCode"]) == ("", code)
    assert order["errorMessage"]
    assert int(order["outAmount"]) > 0


def test_who_lacks_the_tokens_cannot_sell_them(chain_market, owner, mint):
    tokens = bought(chain_market, owner, mint)
    order = ordered(chain_market, owner, mint, sell=tokens + 1)
    assert (order["transaction"], order["errorCode"]) == ("", 1)


def test_fees_and_tips_are_those_asked_for(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint, priorityFeeLamports=41_000, jitoTipLamports=9_000)
    assert order["prioritizationFeeLamports"] == 50_000
    before = balance(chain_market, owner)
    assert executed(chain_market, order, owner).json()["status"] == "Success"
    assert balance(chain_market, owner) == before - SOL - 5_000 - 50_000 - _TOKEN_ACCOUNT_RENT


def test_somebody_else_may_receive_or_pay_when_that_is_asked_for(chain_market, owner, mint):
    receiver, payer = Keypair(), Keypair()
    chain_market.airdrop(payer.pubkey(), SOL)
    order = ordered(chain_market, owner, mint, receiver=str(receiver.pubkey()), payer=str(payer.pubkey()))
    assert (order["signatureFeeLamports"], order["signatureFeePayer"]) == (10_000, str(payer.pubkey()))
    assert order["gasless"] is True
    assert executed(chain_market, order, owner).json()["code"] == -1003
    assert executed(chain_market, order, owner, payer).json()["status"] == "Success"
    assert held(chain_market, receiver.pubkey(), mint) == int(order["outAmount"])
    # the deposit of the wrapped account is the payer's, and comes back to the owner who closes it
    assert balance(chain_market, owner) == 9 * SOL + _TOKEN_ACCOUNT_RENT


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"excludeRouters": "metis"}, "Failed to get quotes"),
        ({"excludeRouters": "nobody"}, "Invalid excludeRouters"),
        ({"priorityFeeLamports": "-1"}, "Invalid priorityFeeLamports"),
        ({"receiver": "me"}, "Invalid receiver"),
    ],
)
def test_what_cannot_be_built_is_refused(chain_market, owner, mint, change, error):
    query = {"inputMint": SOL_MINT, "outputMint": mint, "amount": SOL, "taker": str(owner.pubkey()), **change}
    answer = chain_market.control.get("/jupiter/swap/v2/order", **query)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


# what comes back signed


def test_a_signed_order_lands_is_confirmed_and_its_amounts_are_told(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["code"], answer["signature"]) == ("Success", 0, str(signature_of(order, owner)))
    landed = chain_market.ledger.landed[signature_of(order, owner)]
    assert landed.slot == int(answer["slot"]) <= chain_market.ledger.slot_of("confirmed")
    assert (answer["totalInputAmount"], answer["inputAmountResult"]) == (str(SOL), str(SOL - SOL // 1_000))
    assert answer["totalOutputAmount"] == answer["outputAmountResult"] == order["outAmount"]
    assert held(chain_market, owner.pubkey(), mint) == int(order["outAmount"])
    (event,) = answer["swapEvents"]
    assert event == {
        "inputMint": SOL_MINT,
        "inputAmount": answer["inputAmountResult"],
        "outputMint": mint,
        "outputAmount": answer["outputAmountResult"],
    }


def test_the_fee_of_a_sale_is_between_the_routes_output_and_the_wallets(chain_market, owner, mint):
    tokens = bought(chain_market, owner, mint)
    order = ordered(chain_market, owner, mint, sell=tokens)
    before = balance(chain_market, owner)
    answer = executed(chain_market, order, owner).json()
    assert answer["outputAmountResult"] == order["outAmount"]
    assert int(answer["outputAmountResult"]) - int(answer["totalOutputAmount"]) == int(order["platformFee"]["amount"])
    assert balance(chain_market, owner) == before + int(answer["totalOutputAmount"]) - 21_000


def test_sending_it_again_tells_the_same_and_buys_nothing_twice(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    first, second = (executed(chain_market, order, owner).json() for _ in range(2))
    assert first == second
    assert held(chain_market, owner.pubkey(), mint) == int(order["outAmount"])


def test_the_older_name_takes_orders_too(chain_market, owner, mint):
    query = {"inputMint": SOL_MINT, "outputMint": mint, "amount": SOL, "taker": str(owner.pubkey())}
    order = chain_market.control.get("/jupiter/ultra/v1/order", **query).json()
    body = {"signedTransaction": signed(order, owner), "requestId": order["requestId"]}
    assert chain_market.control.client.post("/jupiter/ultra/v1/execute", json=body).json()["status"] == "Success"


def test_a_price_that_ran_away_fails_with_jupiters_code_and_costs_the_fee(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.set_price(mint, chain_market.control.price_of(mint) * 2)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["code"]) == ("Failed", 6001)
    assert answer["signature"] == str(signature_of(order, owner))
    assert balance(chain_market, owner) == 10 * SOL - 21_000
    assert held(chain_market, owner.pubkey(), mint) == 0


def test_what_comes_back_too_late_is_expired(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.pass_slots(160)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["code"]) == ("Failed", -1005)
    assert balance(chain_market, owner) == 10 * SOL


def test_what_is_not_the_order_or_not_signed_is_refused_by_its_code(chain_market, owner, mint):
    order, other = ordered(chain_market, owner, mint), ordered(chain_market, owner, mint, slippageBps=60)
    mine, stranger = signed(order, owner), Keypair()
    forged = VersionedTransaction.populate(transaction_of(order).message, [stranger.sign_message(b"something else")])
    bodies = {
        -1: {"signedTransaction": mine, "requestId": "00000000-0000-0000-0000-000000000000"},
        -2: {"signedTransaction": "AAAA", "requestId": order["requestId"]},
        -3: {"signedTransaction": signed(other, owner), "requestId": order["requestId"]},
        -4: {"signedTransaction": mine},
        -5: {"requestId": order["requestId"]},
        -1003: {"signedTransaction": order["transaction"], "requestId": order["requestId"]},
        -1004: {"signedTransaction": mine, "requestId": order["requestId"], "lastValidBlockHeight": "soon"},
    }
    cases = [
        *bodies.items(),
        (
            -1003,
            bodies[-1]
            | {"signedTransaction": base64.b64encode(bytes(forged)).decode(), "requestId": order["requestId"]},
        ),
    ]
    for code, body in cases:
        answer = chain_market.control.client.post(EXECUTE, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, code), body
        assert answer.json()["error"]
    assert chain_market.control.client.post(EXECUTE, content=b"{").json()["code"] == -4
    assert balance(chain_market, owner) == 10 * SOL


def test_the_price_of_the_next_order_has_felt_the_last(chain_market, owner, mint):
    first = ordered(chain_market, owner, mint)
    executed(chain_market, first, owner)
    assert int(ordered(chain_market, owner, mint)["outAmount"]) < int(first["outAmount"])


# what goes wrong: what is handed out


def test_a_transaction_can_drain_the_wallet(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "drained_wallet", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint)
    assert THIEF in transaction_of(order).message.account_keys
    assert executed(chain_market, order, owner).json()["status"] == "Success"
    assert balance(chain_market, owner) < SOL // 50
    chain_market.airdrop(owner.pubkey(), 2 * SOL)
    assert THIEF not in transaction_of(ordered(chain_market, owner, mint)).message.account_keys


def test_a_transaction_can_pay_somebody_else(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "swapped_destination", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint)
    assert executed(chain_market, order, owner).json()["status"] == "Success"
    assert held(chain_market, owner.pubkey(), mint) == 0
    assert held(chain_market, THIEF, mint) == int(order["outAmount"])


def test_a_transaction_can_have_a_step_nobody_asked_for(chain_market, owner, mint):
    plain = len(transaction_of(ordered(chain_market, owner, mint)).message.instructions)
    chain_market.control.fault("jupiter_order", "added_instruction", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint)
    assert len(transaction_of(order).message.instructions) == plain + 1
    assert executed(chain_market, order, owner).json()["status"] == "Success"
    account = chain_market.ledger.account(associated(owner.pubkey(), Pubkey.from_string(mint)))
    assert accounts.token_account(account).delegate == THIEF


def test_somebody_else_can_be_put_in_as_fee_payer(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "replaced_fee_payer", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint, excludeRouters="jupiterz,dflow,okx")
    transaction = transaction_of(order)
    assert order["router"] == "metis"
    assert list(transaction.message.account_keys[:2]) == [MAKER.pubkey(), owner.pubkey()]
    assert transaction.verify_with_results() == [True, False]
    assert executed(chain_market, order, owner).json()["status"] == "Success"


def test_a_route_whose_maker_signs_too_is_offered_unless_it_is_excluded(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "rfq_route", count=2, mints=[mint])
    plain = ordered(chain_market, owner, mint, excludeRouters="jupiterz")
    offered = ordered(chain_market, owner, mint)
    assert (plain["router"], len(transaction_of(plain).signatures)) == ("metis", 1)
    assert (offered["router"], len(transaction_of(offered).signatures)) == ("jupiterz", 2)
    assert offered["maker"] == offered["signatureFeePayer"] == str(MAKER.pubkey())
    assert offered["quoteId"]
    assert offered["expireAt"].isdigit()


def test_a_transaction_can_be_expired_when_it_is_handed_out(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "expired_blockhash", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint)
    assert int(order["lastValidBlockHeight"]) > chain_market.ledger.height
    assert executed(chain_market, order, owner).json()["code"] == -1005
    assert balance(chain_market, owner) == 10 * SOL


def test_accounts_can_come_through_a_lookup_table_as_on_mainnet(chain_market, owner, mint):
    plain = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_order", "lookup_table", count=1, mints=[mint])
    order = ordered(chain_market, owner, mint)
    message = transaction_of(order).message
    (lookup,) = message.address_table_lookups
    assert len(message.account_keys) + len(lookup.writable_indexes) + len(lookup.readonly_indexes) == len(
        transaction_of(plain).message.account_keys
    )
    assert len(order["transaction"]) < len(plain["transaction"])
    assert executed(chain_market, order, owner).json()["totalOutputAmount"] == order["outAmount"]
    assert held(chain_market, owner.pubkey(), mint) == int(order["outAmount"])


def test_quotes_without_a_taker_do_not_use_a_fault_of_orders_up(chain_market, owner, mint):
    chain_market.control.fault("jupiter_order", "server_error", count=1, status=502)
    chain_market.control.order(input_mint=SOL_MINT, output_mint=mint, amount=SOL)
    query = {"inputMint": SOL_MINT, "outputMint": mint, "amount": SOL, "taker": str(owner.pubkey())}
    assert chain_market.control.get("/jupiter/swap/v2/order", **query).status_code == 502
    assert chain_market.control.get("/jupiter/swap/v2/order", **query).status_code == 200


# what goes wrong: what comes back


def test_an_answer_can_be_lost_after_landing(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "answer_lost", count=1, mints=[mint])
    with pytest.raises(httpx.RemoteProtocolError):
        executed(chain_market, order, owner)
    assert held(chain_market, owner.pubkey(), mint) == int(order["outAmount"])
    assert executed(chain_market, order, owner).json()["status"] == "Success"


def test_an_error_can_be_answered_after_landing(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "error_after_landing", count=1, status=500)
    answer = executed(chain_market, order, owner)
    assert (answer.status_code, answer.json()["signature"]) == (500, str(signature_of(order, owner)))
    assert held(chain_market, owner.pubkey(), mint) == int(order["outAmount"])


def test_a_refusal_before_anything_is_sent_leaves_nothing_landed(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "server_error", count=1)
    assert executed(chain_market, order, owner).status_code == 503
    assert signature_of(order, owner) not in chain_market.ledger.landed
    assert executed(chain_market, order, owner).json()["status"] == "Success"


def test_success_can_be_told_before_it_lands(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "early_answer", count=1, slots=20)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["totalOutputAmount"]) == ("Success", order["outAmount"])
    assert signature_of(order, owner) not in chain_market.ledger.landed
    chain_market.pass_slots(20)
    chain_market.wait_for(signature_of(order, owner))


def test_it_can_land_after_it_was_said_to_have_timed_out(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "late_landing", count=1, slots=20)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["code"]) == ("Failed", -1006)
    assert signature_of(order, owner) not in chain_market.ledger.landed
    chain_market.pass_slots(20)
    chain_market.wait_for(signature_of(order, owner))


def test_a_failure_can_be_told_of_what_landed(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "false_failure", count=1)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["code"]) == ("Failed", -1000)
    assert chain_market.ledger.landed[signature_of(order, owner)].error is None


def test_success_can_be_told_of_what_was_never_sent(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    chain_market.control.fault("jupiter_execute", "false_success", count=1)
    answer = executed(chain_market, order, owner).json()
    assert (answer["status"], answer["totalOutputAmount"]) == ("Success", order["outAmount"])
    chain_market.pass_slots(160)
    assert signature_of(order, owner) not in chain_market.ledger.landed
    assert balance(chain_market, owner) == 10 * SOL


@pytest.mark.parametrize(("source", "kind"), [("jupiter_quote", "drained_wallet"), ("jupiter_order", "answer_lost")])
def test_a_fault_of_another_source_is_refused(chain_market, source, kind):
    answer = chain_market.control.client.post("/control/faults", json={"source": source, "kind": kind})
    assert (answer.status_code, answer.json()["field"]) == (400, "source")
    assert chain_market.control.get("/control/faults").json() == {"faults": []}


def test_a_storm_strikes_the_same_for_the_same_seed_and_brings_no_theft() -> None:
    def struck(seed: int) -> list[list[str]]:
        faults = FaultBook(1)
        view = MarketView(tick=0, observed_at=0.0, pools={})
        brought = {fault.kind for fault in faults.storm(seed, rate=0.4, view=view)}
        assert brought == STORM_KINDS
        assert not brought & {FaultKind.DRAINED_WALLET, FaultKind.SWAPPED_DESTINATION, FaultKind.ADDED_INSTRUCTION}
        return [[fault.kind for fault in faults.draw(Source.JUPITER_EXECUTE)] for _ in range(40)]

    assert struck(3) == struck(3) != struck(4)
    assert any(struck(3))
    assert not all(struck(3))


def test_after_a_kill_what_landed_is_there_and_nobody_knows_the_request(chain_market, owner, mint):
    order = ordered(chain_market, owner, mint)
    before = executed(chain_market, order, owner).json()
    lamports = balance(chain_market, owner)
    chain_market.restart()
    assert executed(chain_market, order, owner).json()["code"] == -1
    assert chain_market.ledger.landed[Signature.from_string(before["signature"])].error is None
    assert balance(chain_market, owner) == lamports
    assert held(chain_market, owner.pubkey(), mint) == int(before["totalOutputAmount"])


# the older pair


def test_a_quote_of_the_older_kind_has_every_fee_off_and_its_swap_promises_it(chain_market, owner, mint):
    tokens = bought(chain_market, owner, mint)
    query = {"inputMint": mint, "outputMint": SOL_MINT, "amount": tokens, "slippageBps": 80}
    quote = chain_market.control.get("/jupiter/swap/v1/quote", **query).json()
    order = ordered(chain_market, owner, mint, sell=tokens)
    assert int(quote["outAmount"]) == int(order["outAmount"]) - int(order["platformFee"]["amount"])
    assert int(quote["otherAmountThreshold"]) == -(-int(quote["outAmount"]) * 9_920 // 10_000)
    assert float(quote["priceImpactPct"]) > 0
    assert isinstance(quote["contextSlot"], int)
    body = {"quoteResponse": quote, "userPublicKey": str(owner.pubkey())}
    swap = chain_market.control.client.post("/jupiter/swap/v1/swap", json=body).json()
    assert isinstance(swap["lastValidBlockHeight"], int)
    assert swap["simulationError"] is None
    transaction = VersionedTransaction.from_bytes(base64.b64decode(swap["swapTransaction"]))
    before = balance(chain_market, owner)
    finished = VersionedTransaction(transaction.message, [owner])
    signature = chain_market.call(lambda: chain_market.ledger.submit(finished, preflight=True))
    chain_market.wait_for(signature)
    assert balance(chain_market, owner) == before + int(quote["outAmount"]) - 5_000 - swap["prioritizationFeeLamports"]


@pytest.mark.parametrize(
    ("asked", "priority", "tip"),
    [
        ({}, 16_000, 0),
        ({"prioritizationFeeLamports": "auto"}, 16_000, 0),
        ({"prioritizationFeeLamports": 24_000}, 24_000, 0),
        ({"computeUnitPriceMicroLamports": 50_000}, 8_000, 0),
        ({"prioritizationFeeLamports": {"jitoTipLamports": 200_000}}, 0, 200_000),
        (
            {
                "prioritizationFeeLamports": {
                    "priorityLevelWithMaxLamports": {"priorityLevel": "veryHigh", "maxLamports": 9_600}
                }
            },
            9_600,
            0,
        ),
    ],
)
def test_every_way_to_ask_for_a_fee_is_understood(chain_market, owner, mint, asked, priority, tip):
    query = {"inputMint": SOL_MINT, "outputMint": mint, "amount": SOL}
    quote = chain_market.control.get("/jupiter/swap/v1/quote", **query).json()
    body = {"quoteResponse": quote, "userPublicKey": str(owner.pubkey()), **asked}
    swap = chain_market.control.client.post("/jupiter/swap/v1/swap", json=body).json()
    assert swap["prioritizationFeeLamports"] == priority + tip
    message = VersionedTransaction.from_bytes(base64.b64decode(swap["swapTransaction"])).message
    finished = VersionedTransaction(message, [owner])
    before = balance(chain_market, owner)
    chain_market.call(lambda: chain_market.ledger.submit(finished, preflight=True))
    assert balance(chain_market, owner) == before - SOL - 5_000 - priority - tip - _TOKEN_ACCOUNT_RENT


def test_wrapped_sol_stays_as_it_is_when_that_is_asked_for(chain_market, owner, mint):
    tokens = bought(chain_market, owner, mint)
    query = {"inputMint": mint, "outputMint": SOL_MINT, "amount": tokens}
    quote = chain_market.control.get("/jupiter/swap/v1/quote", **query).json()
    body = {"quoteResponse": quote, "userPublicKey": str(owner.pubkey()), "wrapAndUnwrapSol": False}
    swap = chain_market.control.client.post("/jupiter/swap/v1/swap", json=body).json()
    message = VersionedTransaction.from_bytes(base64.b64decode(swap["swapTransaction"])).message
    chain_market.call(lambda: chain_market.ledger.submit(VersionedTransaction(message, [owner]), preflight=True))
    assert held(chain_market, owner.pubkey(), SOL_MINT) == int(quote["outAmount"])


@pytest.mark.parametrize(
    "change",
    [
        {"quoteResponse": None},
        {"userPublicKey": "me"},
        {"prioritizationFeeLamports": "much"},
        {"prioritizationFeeLamports": 1, "computeUnitPriceMicroLamports": 1},
        {"wrapAndUnwrapSol": "yes"},
        {"destinationTokenAccount": str(THIEF)},
    ],
)
def test_a_swap_that_makes_no_sense_is_refused(chain_market, owner, mint, change):
    query = {"inputMint": SOL_MINT, "outputMint": mint, "amount": SOL}
    quote = chain_market.control.get("/jupiter/swap/v1/quote", **query).json()
    body = {"quoteResponse": quote, "userPublicKey": str(owner.pubkey()), **change}
    answer = chain_market.control.client.post("/jupiter/swap/v1/swap", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_program_of_the_swaps_is_named(chain_market):
    assert chain_market.control.get("/jupiter/swap/v1/program-id-to-label").json() == {str(PROGRAM_ID): "Jupiter"}


def test_what_is_told_of_a_token_is_what_its_mint_says(chain_market):
    told = chain_market.control.add_token(extensions=["default_frozen"], mint_authority=True)
    (row,) = chain_market.control.get("/jupiter/tokens/v2/search", query=told.mint).json()
    account = chain_market.ledger.account(Pubkey.from_string(told.mint))
    mint = accounts.mint(account)
    assert row["tokenProgram"] == str(account.owner)
    assert (row["audit"]["mintAuthorityDisabled"], row["audit"]["freezeAuthorityDisabled"]) == (False, False)
    assert (row["mintAuthority"], row["freezeAuthority"]) == (str(mint.mint_authority), str(mint.freeze_authority))
    assert row["decimals"] == mint.decimals


def test_a_mint_with_unknown_rules_is_refused(chain_market):
    answer = chain_market.control.client.post("/control/tokens", json={"extensions": ["surprise"]})
    assert (answer.status_code, answer.json()["field"]) == (400, "extensions")


def test_every_account_of_a_route_is_where_jupiter_has_it() -> None:
    assert [place.name for place in RouteAccount][:9] == [
        "TOKEN_PROGRAM",
        "USER",
        "USER_SOURCE",
        "USER_DESTINATION",
        "DESTINATION",
        "DESTINATION_MINT",
        "PLATFORM_FEE",
        "EVENT_AUTHORITY",
        "PROGRAM",
    ]
