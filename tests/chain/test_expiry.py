"""What has landed is never found expired and what can land still is not either, whatever one node of two says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from apps.chain import expiry, nodes
from apps.chain.domain.answers import SignatureStatus
from apps.chain.domain.testimony import Expired, Landed, Statement, Unknown, judge, ruled_out_by
from apps.chain.pool import NodePool
from tests.chain.payments import payment
from tests.chain_market import ChainMarket

WINDOW = 200
TRUE_HEIGHT, LAST_VALID, SLOT = 1_000, 900, 5_000


def document(slot: int, *, err: Any = None, fee: int = 5000) -> dict[str, Any]:
    return {"slot": slot, "meta": {"err": err, "fee": fee, "preBalances": [10], "postBalances": [5]}}


TRUTH = document(SLOT - 500)


@st.composite
def lies(draw: st.DrawFn) -> Statement:
    """Anything a node may say."""
    told = draw(st.sampled_from([None, TRUTH, document(SLOT - 400), document(SLOT - 500, err="x"), {"slot": "x"}, {}]))
    level = draw(st.sampled_from([None, "processed", "confirmed", "finalized", "?"]))
    return Statement(
        node="liar",
        finalized_height=draw(st.integers(-1, 10**12)),
        finalized_slot=draw(st.integers(-1, 10**12)),
        seen_slot=draw(st.integers(-1, 10**12)),
        status=None if level is None else SignatureStatus(draw(st.integers(0, 10**12)), None, level),
        document=told,
        document_finalized=draw(st.booleans()),
        listed=draw(st.sampled_from([None, True, False])),
        blockhash_valid=draw(st.sampled_from([None, True, False])),
    )


def honest(*, landed: bool, height: int, knows: bool = True) -> Statement:
    """What a node says that tells the truth; one that does not know yet has not come as far as the transaction."""
    seen = landed and knows
    slot = SLOT if knows else SLOT - 600
    return Statement(
        node="honest",
        finalized_height=height,
        finalized_slot=slot,
        seen_slot=slot + 32,
        status=SignatureStatus(TRUTH["slot"], None, "finalized") if seen else None,
        document=TRUTH if seen else None,
        document_finalized=seen,
        blockhash_valid=height <= LAST_VALID,
    )


@given(lies(), st.permutations([0, 1]))
def test_one_liar_never_makes_what_landed_expire(lie, order):
    pair = [honest(landed=True, height=TRUE_HEIGHT), lie]
    verdict = judge([pair[place] for place in order], nodes=2, last_valid_block_height=LAST_VALID)
    assert not isinstance(verdict, Expired)
    assert not isinstance(verdict, Landed) or verdict.slot == TRUTH["slot"]


@given(lies(), st.integers(0, LAST_VALID), st.permutations([0, 1]))
def test_one_liar_never_makes_what_can_land_expire(lie, height, order):
    pair = [honest(landed=False, height=height), lie]
    assert isinstance(judge([pair[place] for place in order], nodes=2, last_valid_block_height=LAST_VALID), Unknown)


@given(lies(), st.permutations([0, 1]))
def test_one_liar_never_makes_what_expired_land(lie, order):
    pair = [honest(landed=False, height=TRUE_HEIGHT), lie]
    verdict = judge([pair[place] for place in order], nodes=2, last_valid_block_height=LAST_VALID)
    assert not isinstance(verdict, Landed)


@given(lies())
def test_a_liar_beside_a_node_that_is_behind_proves_nothing(lie):
    behind = honest(landed=True, height=LAST_VALID - 600, knows=False)
    verdict = judge([behind, lie], nodes=2, last_valid_block_height=LAST_VALID)
    assert not isinstance(verdict, Expired)
    assert not isinstance(verdict, Landed) or verdict.slot == TRUTH["slot"]


@given(lies())
def test_one_node_alone_never_proves_expiry(lie):
    assert not isinstance(judge([lie], nodes=1, last_valid_block_height=LAST_VALID), Expired)
    assert not isinstance(judge([lie], nodes=2, last_valid_block_height=LAST_VALID), Expired)


@given(lies(), st.integers(LAST_VALID - 300, LAST_VALID))
def test_a_height_told_too_low_at_signing_does_not_make_a_valid_blockhash_expire(lie, height):
    """The transaction's own blockhash is asked for, so that the stored height may be a lie as well."""
    pair = [honest(landed=False, height=height), lie]
    assert isinstance(judge(pair, nodes=2, last_valid_block_height=LAST_VALID - 400), Unknown)


def test_two_that_agree_are_believed():
    past = honest(landed=False, height=TRUE_HEIGHT)
    assert isinstance(judge([past, past], nodes=2, last_valid_block_height=LAST_VALID), Expired)
    told = honest(landed=True, height=TRUE_HEIGHT)
    landed = judge([told, told], nodes=2, last_valid_block_height=LAST_VALID)
    assert isinstance(landed, Landed)
    assert landed.finalized


def test_one_that_tells_the_transaction_is_enough_while_the_other_is_silent_but_does_not_seal_it():
    landed = judge([honest(landed=True, height=TRUE_HEIGHT)], nodes=2, last_valid_block_height=LAST_VALID)
    assert isinstance(landed, Landed)
    assert not landed.finalized


def test_a_person_is_told_of_nodes_that_rule_a_landing_out_and_of_none_while_any_knows_something():
    blind = honest(landed=False, height=LAST_VALID + 1)
    by_status_alone = replace(blind, node="other", status=SignatureStatus(SLOT, None, "confirmed"))
    takes_it_still = replace(blind, node="other", blockhash_valid=True)
    behind = replace(blind, node="other", finalized_height=LAST_VALID)

    def ruled_out(*told: Statement) -> tuple[str, ...]:
        return ruled_out_by(told, last_valid_block_height=LAST_VALID)

    assert ruled_out(blind) == ("honest",)
    assert ruled_out(blind, behind) == ("honest",)
    assert (
        ruled_out(blind, by_status_alone) == ruled_out(blind, takes_it_still) == ruled_out(behind) == ruled_out() == ()
    )


def test_nobody_heard_is_nothing_known():
    assert judge([], nodes=2, last_valid_block_height=LAST_VALID) == Unknown("no_answer")


# -- against the nodes


async def asked(pool: NodePool, signed: Any, height: int, payer: Keypair) -> Landed | Expired | Unknown:
    return await expiry.can_land_no_more(
        pool,
        str(signed.signatures[0]),
        height,
        blockhash=str(signed.message.recent_blockhash),
        address=str(payer.pubkey()),
    )


async def test_what_was_never_sent_is_expired_when_both_nodes_are_past_its_height(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair
):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Unknown)
    chain_market.pass_slots(WINDOW)
    verdict = await asked(pool, signed, blockhash.last_valid_block_height, payer)
    assert isinstance(verdict, Expired)
    assert set(verdict.witnesses) == set(pool.names)


async def test_what_landed_is_found_with_its_transaction_and_sealed_when_finalized(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair
):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    await pool.send(bytes(signed))
    chain_market.pass_slots(2)
    early = await asked(pool, signed, blockhash.last_valid_block_height, payer)
    assert isinstance(early, Landed)
    assert (early.finalized, early.err) == (False, None)
    chain_market.pass_slots(WINDOW)
    late = await asked(pool, signed, blockhash.last_valid_block_height, payer)
    assert isinstance(late, Landed)
    assert late.finalized
    assert late.document["meta"]["fee"] == 5000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("lying", {"says": "nothing"}),
        ("lying", {"says": "failed"}),
        ("status_lag", {}),
        ("history_lag", {}),
        ("wrong_height", {"blocks": 100_000}),
        ("wrong_height", {"blocks": -100_000}),
        ("behind", {"slots": 400}),
        ("server_error", {}),
    ],
)
async def test_no_fault_of_one_node_makes_what_landed_expire(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair, kind: str, options: dict[str, Any]
):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    await pool.send(bytes(signed))
    chain_market.wait_for(signed.signatures[0])
    chain_market.pass_slots(WINDOW)
    chain_market.fault(kind, "node_1", **options)
    verdict = await asked(pool, signed, blockhash.last_valid_block_height, payer)
    assert not isinstance(verdict, Expired)
    chain_market.calm()
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Landed)


@pytest.mark.parametrize("blocks", [-100_000, 100_000])
async def test_no_height_of_one_node_makes_what_can_land_expire(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair, blocks: int
):
    chain_market.fault("wrong_height", "node_1", blocks=blocks)
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Unknown)
    await pool.send(bytes(signed))
    chain_market.wait_for(signed.signatures[0])


async def test_a_last_valid_height_told_too_low_proves_nothing(pool: NodePool, payer: Keypair):
    signed = payment(payer, await pool.latest_blockhash())
    assert isinstance(await asked(pool, signed, 1, payer), Unknown)


async def test_a_landing_that_one_node_makes_up_is_not_believed(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair
):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    chain_market.fault("not_sent")
    await pool.send(bytes(signed))
    chain_market.fault("lying", "node_1", says="landed")
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Unknown)
    chain_market.pass_slots(WINDOW)
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Unknown)
    chain_market.calm()
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Expired)


async def test_a_node_that_stumbles_once_is_heard_all_the_same(
    chain_market: ChainMarket, pool: NodePool, payer: Keypair
):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    chain_market.pass_slots(WINDOW)
    chain_market.fault("server_error", "node_2", times=1)
    assert isinstance(await asked(pool, signed, blockhash.last_valid_block_height, payer), Expired)


async def test_with_one_node_it_stays_unknown(chain_market: ChainMarket, payer: Keypair):
    pool = nodes.open_pool(chain_market.rpc_urls[:1])
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    chain_market.pass_slots(WINDOW)
    assert await asked(pool, signed, blockhash.last_valid_block_height, payer) == Unknown("no_second_node")
    await pool.close()


async def test_a_node_that_is_away_proves_nothing(chain_market: ChainMarket, pool: NodePool, payer: Keypair):
    blockhash = await pool.latest_blockhash()
    signed = payment(payer, blockhash)
    chain_market.pass_slots(WINDOW)
    chain_market.fault("disconnect", "node_2")
    assert await asked(pool, signed, blockhash.last_valid_block_height, payer) == Unknown("no_second_node")
