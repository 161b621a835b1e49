"""Closing an empty token account of one's own: that, its fee, and nothing else."""

from __future__ import annotations

import pytest
from solders.instruction import AccountMeta, Instruction

from apps.sandbox.chain import accounts as chain_accounts
from apps.sandbox.exchange.tampering import THIEF
from apps.wallets.signer import requests
from apps.wallets.signer.reasons import Reason
from tests.wallets.signer.world import World, refuses


def close(world, account, to):
    keys = [AccountMeta(account, False, True), AccountMeta(to, False, True), AccountMeta(world.wallet, True, True)]
    return Instruction(chain_accounts.TOKEN, b"\x09", keys)


def request(world, steps, **changes):
    fields = {
        "op": "sign_reclaim",
        "order_id": "reclaim-1",
        "wallet": str(world.wallet),
        "mint": world.mint,
        "token_account": str(world.token_account),
        "transaction": world.compiled(steps),
    }
    return requests.SignReclaim.model_construct(**{**fields, **changes})


@pytest.fixture
async def emptied(world: World):
    await world.buy()
    world.land(await world.sign(world.request(world.built("sell", world.tokens()), "sell", order_id="sold")))
    assert world.tokens() == 0
    return world


async def test_rent_of_an_empty_account_comes_back(emptied: World):
    before = emptied.ledger.account(emptied.wallet).lamports
    emptied.land(await emptied.sign(request(emptied, [close(emptied, emptied.token_account, emptied.wallet)])))
    assert emptied.ledger.account(emptied.token_account) is None
    assert emptied.ledger.account(emptied.wallet).lamports == before + emptied.ledger.rent(165) - 5_000


async def test_rent_does_not_go_to_somebody_else(emptied: World):
    with refuses(emptied, Reason.FOREIGN_ACCOUNT):
        await emptied.sign(request(emptied, [close(emptied, emptied.token_account, THIEF)]))


async def test_another_account_than_the_one_asked_for_is_not_closed(emptied: World):
    with refuses(emptied, Reason.FOREIGN_ACCOUNT):
        await emptied.sign(request(emptied, [close(emptied, emptied.sol_account, emptied.wallet)]))


async def test_a_reclaim_does_nothing_else(emptied: World):
    own = close(emptied, emptied.token_account, emptied.wallet)
    swap = next(step for step in emptied.built().steps if len(step.accounts) > 10)
    with refuses(emptied, Reason.PROGRAM_NOT_ALLOWED):
        await emptied.sign(request(emptied, [own, swap]))
    with refuses(emptied, Reason.INSTRUCTION_MISSING):
        await emptied.sign(request(emptied, []))


async def test_an_account_with_tokens_is_not_closed(world: World):
    await world.buy()
    with refuses(world, Reason.SIMULATION_FAILED):
        await world.sign(request(world, [close(world, world.token_account, world.wallet)]))
