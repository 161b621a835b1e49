"""What a transaction does, as the signer's own node sees it: the promise comes in, and nothing else changes hands."""

from __future__ import annotations

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.token.state import TokenAccount, TokenAccountState

from apps.sandbox.chain import accounts as chain_accounts
from apps.sandbox.exchange.tampering import THIEF
from apps.wallets.signer import routes
from apps.wallets.signer.reasons import Reason
from tests.wallets.signer.world import SOL, World, refuses

STAKE = Pubkey.from_string("Stake11111111111111111111111111111111111111")


def beside_the_route(world, built, *metas):
    """Return the transaction with more accounts at the end of its swap, where a pool's stand."""
    steps = [
        Instruction(step.program_id, bytes(step.data), [*step.accounts, *metas])
        if step.program_id == routes.PROGRAM
        else step
        for step in built.steps
    ]
    return world.request(built, transaction=world.compiled(steps))


def token_account(world, *, owner, mint=None, amount=0, delegate=None, close_authority=None):
    held = TokenAccount(
        Pubkey.from_string(mint or world.mint),
        owner,
        amount,
        delegate,
        TokenAccountState.Initialized,
        None,
        amount if delegate else 0,
        close_authority,
    )
    return Account(lamports=world.ledger.rent(165), data=bytes(held), owner=chain_accounts.TOKEN, executable=False)


async def test_a_swap_that_reaches_another_of_the_wallets_token_accounts_is_refused(world: World):
    other = Keypair.from_seed(bytes([5] * 32)).pubkey()
    world.ledger.issue(other, token_account(world, owner=world.wallet, mint=world.market.demo_mints[1], amount=10**9))
    with refuses(world, Reason.OWN_ACCOUNT_AT_RISK):
        await world.sign(beside_the_route(world, world.built(), AccountMeta(other, False, True)))


async def test_a_swap_through_a_program_the_provider_does_not_name_is_refused(world: World):
    with refuses(world, Reason.PROGRAM_NOT_ALLOWED):
        await world.sign(beside_the_route(world, world.built(), AccountMeta(STAKE, False, False)))
    world.prices.programs_listed = frozenset({str(STAKE)})
    world.signer = world.started()
    assert await world.sign(beside_the_route(world, world.built(), AccountMeta(STAKE, False, False)))


async def test_nothing_is_signed_until_the_provider_has_named_its_programs(world: World):
    world.prices.programs_listed = None
    with refuses(world, Reason.PROGRAMS_UNKNOWN):
        await world.sign(world.request(world.built()))


async def test_a_helper_that_an_operator_checked_may_be_named(world: World):
    world.signer.programs.helpers = (str(STAKE),)
    assert await world.sign(beside_the_route(world, world.built(), AccountMeta(STAKE, False, False)))


async def test_programs_that_are_set_but_not_on_the_providers_list_are_not_trusted(world: World):
    world.signer.programs.wanted = (str(STAKE),)
    with refuses(world, Reason.PROGRAM_NOT_ALLOWED):
        await world.sign(beside_the_route(world, world.built(), AccountMeta(STAKE, False, False)))
    assert world.signer.programs.unknown == (str(STAKE),)


@pytest.mark.parametrize("power", ["delegate", "close_authority"])
async def test_tokens_do_not_go_where_somebody_else_has_power_over_them(world: World, power):
    world.ledger.issue(world.token_account, token_account(world, owner=world.wallet, **{power: THIEF}))
    with refuses(world, Reason.AUTHORITY_CHANGED):
        await world.sign(world.request(world.built()))


async def test_tokens_do_not_go_to_an_account_that_was_given_away(world: World):
    world.ledger.issue(world.token_account, token_account(world, owner=THIEF))
    built = world.built()
    made = [step for step in built.steps if len(step.accounts) != 6 or step.accounts[1].pubkey != world.token_account]
    assert len(made) == len(built.steps) - 1  # making it would fail: somebody else owns it
    with refuses(world, Reason.AUTHORITY_CHANGED):
        await world.sign(world.request(built, transaction=world.compiled(made)))


async def test_a_transaction_that_fails_is_not_signed(world: World):
    steps = [step for step in world.built().steps if bytes(step.data) != b"\x11"]
    with refuses(world, Reason.SIMULATION_FAILED):
        await world.sign(world.request(world.built(), transaction=world.compiled(steps)))


async def test_a_blockhash_that_is_over_is_not_signed(world: World):
    request = world.request(world.built())
    world.pass_slots(170)
    with refuses(world, Reason.BLOCKHASH_UNKNOWN):
        await world.sign(request)


async def test_no_node_no_signature(world: World):
    world.nodes.away = {"node 0"}
    with refuses(world, Reason.NODE_UNAVAILABLE):
        await world.sign(world.request(world.built()))


@pytest.mark.parametrize("field", ["preBalances", "postBalances", "preTokenBalances", "postTokenBalances", "accounts"])
async def test_a_node_that_does_not_tell_what_happens_to_the_wallet_is_not_enough(world: World, field):
    def without(result):
        return {**result, "value": {**result["value"], field: None}}

    world.nodes.lies["simulateTransaction"] = without
    with refuses(world, Reason.SIMULATION_INCOMPLETE):
        await world.sign(world.request(world.built()))


async def test_a_node_that_leaves_accounts_out_is_not_enough(world: World):
    world.nodes.lies["getMultipleAccounts"] = lambda result: {**result, "value": result["value"][:-1]}
    with refuses(world, Reason.SIMULATION_INCOMPLETE):
        await world.sign(world.request(world.built()))


def with_value(change):
    def lie(result):
        value = dict(result["value"])
        change(value)
        return {**result, "value": value}

    return lie


async def test_less_than_promised_comes_in_and_nothing_is_signed(world: World):
    """As with a token that keeps a part of every transfer: the program paid what it promised, less arrived."""

    def taxed(value):
        value["postTokenBalances"] = [
            {
                **told,
                "uiTokenAmount": {**told["uiTokenAmount"], "amount": str(int(told["uiTokenAmount"]["amount"]) // 2)},
            }
            if told["owner"] == str(world.wallet)
            else told
            for told in value["postTokenBalances"]
        ]

    world.nodes.lies["simulateTransaction"] = with_value(taxed)
    with refuses(world, Reason.TOO_LITTLE_IN):
        await world.sign(world.request(world.built()))


async def test_more_sol_goes_out_than_price_and_fees_and_nothing_is_signed(world: World):
    def robbed(value):
        value["postBalances"] = [value["postBalances"][0] - 2_000_000, *value["postBalances"][1:]]

    world.nodes.lies["simulateTransaction"] = with_value(robbed)
    with refuses(world, Reason.TOO_MUCH_OUT):
        await world.sign(world.request(world.built()))


async def test_a_wallet_that_would_belong_to_a_program_is_not_signed_for(world: World):
    def assigned(value):
        value["accounts"] = [{**value["accounts"][0], "owner": str(STAKE)}, *value["accounts"][1:]]

    world.nodes.lies["simulateTransaction"] = with_value(assigned)
    with refuses(world, Reason.AUTHORITY_CHANGED):
        await world.sign(world.request(world.built()))


async def test_rent_of_own_accounts_is_no_loss_and_not_counted_as_one(world: World):
    """The first buy of a token pays the rent of its account, which the wallet gets back one day."""
    built = world.built()
    assert built.rent_lamports > world.rules.max_fee_lamports
    await world.sign(world.request(built))
    assert world.caps.used()[0] == SOL + 5_000 + built.terms.priority_fee_lamports


async def test_only_own_nodes_are_asked_and_the_next_one_when_the_first_is_away(tmp_path):
    world = World(tmp_path, nodes=2)
    world.nodes.away = {"node 0"}
    assert await world.sign(world.request(world.built()))
    world.caps.close()
