"""Swaps on the chain: what they pay, what they cost, when they fail, and what they do to the market."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token import instructions as spl
from spl.token.models import CloseAccountParams

from apps.core.money import SOL_MINT
from apps.sandbox.chain import accounts
from apps.sandbox.chain.journal import Journal, resume
from apps.sandbox.chain.ledger import Refused
from apps.sandbox.chain.program.route import (
    DISCRIMINATOR,
    PROGRAM_ID,
    RouteAccount,
    RouteError,
    RouteTerms,
    routes_in,
)
from apps.sandbox.domain import quotes
from apps.sandbox.domain.mints import MintExtension, MintRules
from apps.sandbox.exchange.building import SwapTerms, associated, build, compiled
from tests.sandbox.exchange.desk import NOW, SOL, Desk, open_desk, signed

TOKEN_2022 = MintRules(token_2022=True)
_U64 = 2**64 - 1


@pytest.fixture(scope="module")
def desk() -> Desk:
    return open_desk()


def test_a_buy_costs_its_input_its_fees_and_the_deposit_of_one_account(desk):
    owner, mint = desk.wallet(), desk.token()
    built = desk.build(owner, mint, "buy", SOL)
    landed = desk.land(built, owner)
    assert landed.error is None
    assert landed.meta["fee"] == built.signature_fee_lamports + built.terms.priority_fee_lamports == 5_000 + 16_000
    assert built.rent_lamports == desk.ledger.rent(165)
    assert desk.lamports(owner) == 9 * SOL - landed.meta["fee"] - built.rent_lamports
    assert desk.tokens(owner, mint) == built.quote.out_amount
    assert desk.ledger.account(associated(owner.pubkey(), accounts.WRAPPED_SOL)) is None


def test_a_sale_pays_the_output_less_the_protocol_fee_to_the_lamport(desk):
    owner, mint = desk.wallet(), desk.token()
    desk.land(desk.build(owner, mint, "buy", SOL), owner)
    held, before = desk.tokens(owner, mint), desk.lamports(owner)
    built = desk.build(owner, mint, "sell", held)
    landed = desk.land(built, owner)
    assert landed.error is None
    assert built.quote.fee_lamports == built.quote.out_amount // 1_000 > 0
    paid = built.quote.out_amount - built.quote.fee_lamports
    assert desk.lamports(owner) == before + paid - landed.meta["fee"]
    assert desk.tokens(owner, mint) == 0


def test_the_platform_gets_its_fee_of_either_side_in_wrapped_sol(desk):
    owner, mint = desk.wallet(), desk.token()

    def collected() -> int:
        return accounts.token_account(desk.ledger.account(desk.venue.platform_fee_account)).amount

    before = collected()
    buy = desk.build(owner, mint, "buy", SOL)
    desk.land(buy, owner)
    assert collected() - before == buy.quote.fee_lamports == SOL // 1_000
    sale = desk.build(owner, mint, "sell", desk.tokens(owner, mint))
    desk.land(sale, owner)
    assert collected() - before == buy.quote.fee_lamports + sale.quote.fee_lamports


def test_what_landed_is_read_back_from_its_balances(desk):
    owner, mint = desk.wallet(), desk.token()
    buy = desk.build(owner, mint, "buy", SOL)
    (bought,) = desk.venue.swaps_of(desk.land(buy, owner))
    assert (bought.input_mint, bought.output_mint) == (SOL_MINT, mint)
    assert (bought.in_amount, bought.out_amount, bought.fee_lamports) == (SOL, buy.quote.out_amount, SOL // 1_000)
    sale = desk.build(owner, mint, "sell", bought.out_amount)
    (sold,) = desk.venue.swaps_of(desk.land(sale, owner))
    assert (sold.in_amount, sold.out_amount) == (bought.out_amount, sale.quote.paid_out_amount)
    assert sold.fee_lamports == sale.quote.fee_lamports


def test_one_token_is_swapped_for_another_through_sol(desk):
    owner, first, second = desk.wallet(), desk.token(), desk.token(decimals=9)
    desk.land(desk.build(owner, first, "buy", SOL), owner)
    quote = quotes.quote(
        desk.market.view,
        input_mint=first,
        output_mint=second,
        amount=desk.tokens(owner, first),
        fee_bps=desk.venue.fee_bps,
        slippage_bps=0,
    )
    landed = desk.land(build(desk.venue, quote, taker=owner.pubkey(), terms=SwapTerms.of_priority_fee(0)), owner)
    assert landed.error is None
    assert (desk.tokens(owner, first), desk.tokens(owner, second)) == (0, quote.out_amount)


def test_the_swap_is_one_instruction_of_its_own_in_the_shape_of_jupiters_route(desk):
    owner, mint = desk.wallet(), desk.token()
    built = desk.build(owner, mint, "buy", SOL, slippage_bps=70)
    message = built.transaction.message
    programs = [str(message.account_keys[step.program_id_index])[:8] for step in message.instructions]
    assert programs == ["ComputeB", "ComputeB", "ATokenGP", "ATokenGP", "11111111", "Tokenkeg", "JUP6LkbZ", "Tokenkeg"]
    assert message.header.num_required_signatures == 1
    assert message.account_keys[0] == owner.pubkey()
    (route,) = routes_in(message.instructions, message.account_keys)
    step = message.instructions[6]
    assert bytes(step.data)[:8] == DISCRIMINATOR == bytes.fromhex("e517cb977ae3ad2a")
    assert bytes(step.data)[-19:-11] == SOL.to_bytes(8, "little")
    assert route.terms == RouteTerms(SOL, built.quote.out_amount, 70, 10)
    assert route[RouteAccount.USER] == owner.pubkey()
    assert route[RouteAccount.USER_SOURCE] == associated(owner.pubkey(), accounts.WRAPPED_SOL)
    assert route[RouteAccount.USER_DESTINATION] == desk.account_of(owner, mint)
    assert route[RouteAccount.DESTINATION_MINT] == Pubkey.from_string(mint)
    assert (route[RouteAccount.DESTINATION], route[RouteAccount.PROGRAM]) == (PROGRAM_ID, PROGRAM_ID)


def test_a_price_that_fell_further_than_the_slippage_fails_the_whole_transaction(desk):
    owner, mint = desk.wallet(), desk.token()
    built = desk.build(owner, mint, "buy", SOL, slippage_bps=50)
    desk.market.set_price(mint, desk.market.listing(mint).pool.price_sol * 2)
    transaction = signed(built, owner)
    with pytest.raises(Refused) as refused:
        desk.send(transaction)
    assert refused.value.data["err"] == {"InstructionError": [6, {"Custom": RouteError.SLIPPAGE_EXCEEDED}]}
    assert refused.value.data["logs"][-1].endswith("failed: custom program error: 0x1771")
    landed = desk.ledger.landed[desk.send(transaction, preflight=False)]
    assert landed.error == {"InstructionError": [6, {"Custom": 6001}]}
    assert desk.lamports(owner) == 10 * SOL - landed.meta["fee"]
    assert desk.tokens(owner, mint) is None
    assert desk.venue.swaps_of(landed) == []


def test_less_slippage_than_the_price_lost_fails_and_as_much_passes(desk):
    owner, mint = desk.wallet(), desk.token(liquidity_sol=200)
    others, stingy, patient = desk.wallet(), *(desk.build(owner, mint, "buy", SOL, bps) for bps in (90, 110))
    desk.land(desk.build(others, mint, "buy", SOL), others)
    now = desk.build(owner, mint, "buy", SOL).quote.out_amount
    assert stingy.quote.least_paid_out_amount > now > patient.quote.least_paid_out_amount
    assert desk.land(stingy, owner).error == {"InstructionError": [6, {"Custom": 6001}]}
    assert desk.land(patient, owner).error is None
    assert desk.tokens(owner, mint) == now


@settings(max_examples=60, deadline=None)
@given(promise=st.integers(0, _U64), slippage_bps=st.integers(0, 10_000))
def test_the_program_wants_what_was_promised_less_slippage_rounded_up(promise, slippage_bps):
    desk = _PROMISES
    least = -(-promise * (10_000 - slippage_bps) // 10_000)
    built = desk.desk.build(desk.owner, desk.mint, "buy", SOL, slippage_bps)
    now = built.quote.out_amount
    terms = SwapTerms.of_priority_fee(0)
    promised = build(desk.desk.venue, built.quote.promising(promise), taker=desk.owner.pubkey(), terms=terms)
    tried = desk.desk.ledger.simulate(promised.transaction, verify=False)
    assert tried.error == (None if now >= least else {"InstructionError": [6, {"Custom": 6001}]})


class _Promises:
    """One wallet and one token for every promise: nothing ever lands."""

    def __init__(self) -> None:
        self.desk = open_desk()
        self.owner, self.mint = self.desk.wallet(), self.desk.token()


_PROMISES = _Promises()


def test_a_promise_is_kept_to_the_unit(desk):
    owner, mint = desk.wallet(), desk.token()
    out = desk.build(owner, mint, "buy", SOL).quote
    for promise, error in ((out.out_amount, None), (out.out_amount + 1, {"InstructionError": [6, {"Custom": 6001}]})):
        quote = quotes.quote(
            desk.market.view, input_mint=SOL_MINT, output_mint=mint, amount=SOL, fee_bps=10, slippage_bps=0
        ).promising(promise)
        built = build(desk.venue, quote, taker=owner.pubkey(), terms=SwapTerms.of_priority_fee(0))
        assert desk.ledger.simulate(built.transaction, verify=False).error == error


def test_a_simulation_tells_to_the_lamport_what_execution_then_does(desk):
    owner, mint = desk.wallet(), desk.token(TOKEN_2022)
    built = desk.build(owner, mint, "buy", SOL)
    keys = desk.ledger.keys_of(built.transaction)
    told = desk.ledger.balances_around(keys, desk.ledger.simulate(built.transaction, verify=False))
    assert desk.lamports(owner) == 10 * SOL
    landed = desk.land(built, owner)
    for name in ("preBalances", "postBalances", "preTokenBalances", "postTokenBalances"):
        assert told[name] == landed.meta[name], name


def test_the_price_moves_along_the_curve_once_a_swap_has_landed_and_not_before(desk):
    owner, mint = desk.wallet(), desk.token(liquidity_sol=100)
    before = desk.market.view.pools[mint]
    built = desk.build(owner, mint, "buy", SOL)
    desk.ledger.simulate(built.transaction, verify=False)
    assert desk.market.view.pools[mint] == before
    desk.land(built, owner)
    after = desk.market.view.pools[mint]
    assert after.base_reserve == before.base_reserve - built.quote.out_amount
    assert after.price_sol > before.price_sol
    assert after.product >= before.product
    desk.land(desk.build(owner, mint, "sell", desk.tokens(owner, mint)), owner)
    back = desk.market.view.pools[mint]
    assert before.price_sol < back.price_sol < after.price_sol  # the pool keeps its fee of both ways
    assert back.product >= after.product


def test_what_a_fork_takes_back_the_market_forgets_and_feels_again_when_it_lands_again(desk):
    owner, mint = desk.wallet(), desk.token(liquidity_sol=100)
    desk.pass_slots()
    before = desk.market.view.pools[mint]
    first = desk.land(desk.build(owner, mint, "buy", SOL), owner)
    half = desk.tokens(owner, mint) // 2
    desk.pass_slots()
    desk.land(desk.build(owner, mint, "sell", half), owner)
    desk.ledger.roll_back(first.signature)
    assert desk.market.view.pools[mint] == before  # without the tokens the sale cannot land again
    assert (desk.tokens(owner, mint), desk.venue.swaps_of(first)[0].in_amount) == (None, SOL)
    desk.send(first.transaction)
    assert desk.market.view.pools[mint] == before.after_buy(SOL - SOL // 1_000)


def test_a_failed_swap_leaves_the_price_alone(desk):
    owner, mint = desk.wallet(), desk.token()
    built = desk.build(owner, mint, "buy", SOL)
    desk.market.set_price(mint, desk.market.listing(mint).pool.price_sol * 3)
    before = desk.market.view.pools[mint]
    assert desk.land(built, owner).error is not None
    assert desk.market.view.pools[mint] == before


def test_an_empty_token_account_gives_its_deposit_back(desk):
    owner, mint = desk.wallet(), desk.token(TOKEN_2022)
    desk.land(desk.build(owner, mint, "buy", SOL), owner)
    desk.land(desk.build(owner, mint, "sell", desk.tokens(owner, mint)), owner)
    account, before = desk.account_of(owner, mint), desk.lamports(owner)
    deposit = desk.ledger.account(account).lamports
    close = spl.close_account(
        CloseAccountParams(program_id=accounts.TOKEN_2022, account=account, dest=owner.pubkey(), owner=owner.pubkey())
    )
    unsigned = compiled(owner.pubkey(), [close], desk.ledger.blockhash("confirmed")[0])
    desk.send(VersionedTransaction(unsigned.message, [owner]))
    assert desk.ledger.account(account) is None
    assert desk.lamports(owner) == before + deposit - 5_000


def test_nobody_else_can_sign_for_the_wallet(desk):
    owner, mint = desk.wallet(), desk.token()
    built = desk.build(owner, mint, "buy", SOL)
    stranger = Keypair()
    forged = VersionedTransaction.populate(
        built.transaction.message, [stranger.sign_message(bytes(built.transaction.message))]
    )
    for transaction in (built.transaction, forged):
        with pytest.raises(Refused) as refused:
            desk.send(transaction)
        assert refused.value.code == -32003
    assert (desk.lamports(owner), desk.tokens(owner, mint)) == (10 * SOL, None)


@pytest.mark.parametrize(
    "rules",
    [
        TOKEN_2022,
        MintRules.of(
            mint_authority=True, freeze_authority=True, token_2022=True, extensions=[MintExtension.PERMANENT_DELEGATE]
        ),
    ],
)
def test_tokens_of_the_newer_program_are_bought_and_sold_like_others(desk, rules):
    owner, mint = desk.wallet(), desk.token(rules, decimals=9)
    built = desk.build(owner, mint, "buy", SOL)
    landed = desk.land(built, owner)
    assert desk.tokens(owner, mint) == built.quote.out_amount
    assert desk.lamports(owner) == 9 * SOL - landed.meta["fee"] - built.rent_lamports
    assert desk.ledger.account(desk.account_of(owner, mint)).owner == accounts.TOKEN_2022
    assert desk.land(desk.build(owner, mint, "sell", built.quote.out_amount), owner).error is None
    assert desk.tokens(owner, mint) == 0


def test_vaults_never_run_dry_whatever_the_price_does(desk):
    owner, mint = desk.wallet(1_000 * SOL), desk.token(liquidity_sol=10)
    for factor in (5, 7, 11):
        desk.land(desk.build(owner, mint, "buy", SOL), owner)
        desk.market.set_price(mint, desk.market.listing(mint).pool.price_sol * factor)
    assert desk.land(desk.build(owner, mint, "sell", desk.tokens(owner, mint)), owner).error is None
    assert desk.lamports(owner) > 1_000 * SOL


def test_what_the_pool_gives_nothing_for_is_not_swapped(desk):
    owner, mint = desk.wallet(), desk.token()
    desk.land(desk.build(owner, mint, "buy", SOL), owner)
    quote = replace(desk.build(owner, mint, "sell", SOL).quote.promising(0), in_amount=1)
    built = build(desk.venue, quote, taker=owner.pubkey(), terms=SwapTerms.of_priority_fee(0))
    tried = desk.ledger.simulate(built.transaction, verify=False)
    assert tried.error == {"InstructionError": [3, {"Custom": RouteError.NOT_PRICED}]}


def test_after_a_journal_resumes_tokens_pools_and_balances_are_there_and_trading_goes_on(tmp_path: Path):
    path = tmp_path / "journal"
    first = open_desk(_followed(path))
    owner, mint = first.wallet(), first.token(TOKEN_2022)
    first.land(first.build(owner, mint, "buy", SOL), owner)
    held, lamports = first.tokens(owner, mint), first.lamports(owner)
    pool = bytes(first.ledger.account(first.venue.places(mint).vault).data)
    token = first.market.listing(mint).token

    ledger = resume(path, seed=1, now=NOW)
    again = open_desk(ledger)
    again.market.add([token])
    assert (again.tokens(owner, mint), again.lamports(owner)) == (held, lamports)
    assert bytes(ledger.account(again.venue.places(mint).vault).data) == pool
    built = again.build(owner, mint, "sell", held or 0)
    landed = again.land(built, owner)
    assert landed.error is None
    assert again.lamports(owner) == lamports + built.quote.paid_out_amount - landed.meta["fee"]


def _followed(path: Path):
    ledger = resume(path, seed=1, now=NOW)
    Journal(path).follow(ledger)
    return ledger
