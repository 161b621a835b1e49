"""The swap program refuses what is no swap of this market; its assembler what cannot be a program."""

from __future__ import annotations

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from apps.sandbox.chain.program.assembly import R0, R1, R2, Assembly
from apps.sandbox.chain.program.elf import shared_object
from apps.sandbox.chain.program.route import PROGRAM_ID, RouteAccount, RouteError
from apps.sandbox.exchange.building import BuiltSwap, SwapTerms, build, compiled
from tests.sandbox.exchange.desk import SOL, Desk, open_desk

ROUTE_STEP = 6


@pytest.fixture(scope="module")
def desk() -> Desk:
    return open_desk()


@pytest.fixture
def built(desk: Desk) -> BuiltSwap:
    return desk.build(desk.wallet(), desk.token(), "buy", SOL)


def error_of(desk: Desk, built: BuiltSwap, route: Instruction) -> object:
    """Return what a swap fails with when another instruction stands in place of its own."""
    steps = [*built.steps[:ROUTE_STEP], route, *built.steps[ROUTE_STEP + 1 :]]
    unsigned = compiled(built.payer, steps, desk.ledger.blockhash("confirmed")[0])
    error = desk.ledger.simulate(unsigned, verify=False).error
    assert error is not None
    index, what = error["InstructionError"]
    assert index == ROUTE_STEP
    return what


def with_account(route: Instruction, place: RouteAccount, key: Pubkey) -> Instruction:
    metas = list(route.accounts)
    metas[place] = AccountMeta(key, metas[place].is_signer, metas[place].is_writable)
    return Instruction(route.program_id, bytes(route.data), metas)


def test_an_instruction_of_another_name_is_none_of_the_programs(desk, built):
    route = built.steps[ROUTE_STEP]
    for data in (b"", bytes(8) + bytes(route.data)[8:], bytes(route.data)[:20]):
        changed = Instruction(PROGRAM_ID, data, list(route.accounts))
        assert error_of(desk, built, changed) == {"Custom": RouteError.NOT_A_ROUTE}


def test_a_slippage_above_everything_is_none_of_the_programs(desk, built):
    route = built.steps[ROUTE_STEP]
    data = bytes(route.data)[:-3] + (10_001).to_bytes(2, "little") + b"\0"
    changed = Instruction(PROGRAM_ID, data, list(route.accounts))
    assert error_of(desk, built, changed) == {"Custom": RouteError.NOT_A_ROUTE}


def test_accounts_must_all_be_there_and_not_too_many(desk, built):
    route = built.steps[ROUTE_STEP]
    metas = list(route.accounts)
    for changed in (metas[:-1], metas + [metas[-1]] * 50):
        instruction = Instruction(PROGRAM_ID, bytes(route.data), changed)
        assert error_of(desk, built, instruction) == {"Custom": RouteError.MISSING_ACCOUNTS}


def test_a_pool_somebody_made_himself_pays_nothing(desk, built):
    own = desk.wallet().pubkey()
    changed = with_account(built.steps[ROUTE_STEP], RouteAccount.POOL, own)
    assert error_of(desk, built, changed) == {"Custom": RouteError.NOT_PRICED}


def test_nobody_swaps_out_of_an_account_that_is_not_his(desk):
    victim, thief, mint = desk.wallet(), desk.wallet(), desk.token()
    desk.land(desk.build(victim, mint, "buy", SOL), victim)
    desk.land(desk.build(thief, mint, "buy", SOL), thief)
    built = desk.build(thief, mint, "sell", desk.tokens(thief, mint))
    step = next(index for index, each in enumerate(built.steps) if each.program_id == PROGRAM_ID)
    steps = list(built.steps)
    steps[step] = with_account(steps[step], RouteAccount.USER_SOURCE, desk.account_of(victim, mint))
    unsigned = compiled(thief.pubkey(), steps, desk.ledger.blockhash("confirmed")[0])
    error = desk.ledger.simulate(unsigned, verify=False).error
    assert error == {"InstructionError": [step, {"Custom": 4}]}  # the token program: the owner does not match


def test_the_vaults_pay_only_through_the_program(desk, built):
    thief = Keypair()
    changed = with_account(built.steps[ROUTE_STEP], RouteAccount.VAULT_AUTHORITY, thief.pubkey())
    assert error_of(desk, built, changed) == "PrivilegeEscalation"


def test_a_jump_to_nowhere_and_a_label_said_twice_are_no_program():
    lost = Assembly()
    lost.jump("nowhere")
    with pytest.raises(KeyError):
        lost.code()
    twice = Assembly()
    twice.label("here")
    with pytest.raises(ValueError, match="here"):
        twice.label("here")


def test_instructions_are_eight_bytes_each_and_a_constant_sixteen():
    program = Assembly()
    program.constant(R1, 0x1122334455667788)
    program.do("mov", R2, -1)
    program.jump_if(R1, "==", R2, "end")
    program.call("sol_log_")
    program.label("end")
    program.do("mov", R0, 0)
    program.leave()
    assert program.code() == bytes.fromhex(
        "1801000088776655" + "0000000044332211" + "b7020000ffffffff" + "1d21010000000000"
        "85100000ffffffff" + "b700000000000000" + "9500000000000000"
    )
    assert program.calls == [(32, "sol_log_")]


def test_the_file_is_an_elf_whose_code_lies_where_it_says():
    program = Assembly()
    program.do("mov", R0, 7)
    program.leave()
    file = shared_object(program.code(), [])
    assert file[:4] == b"\x7fELF"
    entry = int.from_bytes(file[24:32], "little")
    assert file[entry : entry + 16] == program.code()


def test_a_route_of_the_second_generation_moves_what_one_of_the_first_would(desk):
    mint = desk.token()
    for side in ("buy", "sell"):
        landed = []
        for second in (False, True):
            owner = desk.wallet()
            amount = SOL
            if side == "sell":
                desk.land(desk.build(owner, mint, "buy", SOL), owner)
                amount = 1_000_000
            quote = desk.build(owner, mint, side, amount).quote
            terms = SwapTerms.of_priority_fee(16_000, second_generation=second)
            told = desk.land(build(desk.venue, quote, taker=owner.pubkey(), terms=terms), owner)
            assert told.error is None
            assert f"Program log: Instruction: {'RouteV2' if second else 'Route'}" in told.meta["logMessages"]
            (swapped,) = desk.venue.swaps_of(told)
            assert (swapped.in_amount, swapped.out_amount) == (quote.in_amount, swapped.out_amount)
            assert swapped.out_amount >= quote.least_paid_out_amount
            landed.append(swapped)
        assert {each.input_mint for each in landed} == {landed[0].input_mint}


def test_a_route_of_the_second_generation_keeps_its_promise_or_fails(desk):
    owner = desk.wallet()
    quote = desk.build(owner, desk.token(), "buy", SOL, slippage_bps=0).quote
    terms = SwapTerms.of_priority_fee(16_000, second_generation=True)
    built = build(desk.venue, quote.promising(quote.paid_out_amount + 1), taker=owner.pubkey(), terms=terms)
    assert error_of(desk, built, built.steps[ROUTE_STEP]) == {"Custom": RouteError.SLIPPAGE_EXCEEDED}
    route = built.steps[ROUTE_STEP]
    data = bytearray(bytes(route.data))
    data[24:26] = (10_001).to_bytes(2, "little")
    assert error_of(desk, built, Instruction(PROGRAM_ID, bytes(data), list(route.accounts))) == {
        "Custom": RouteError.NOT_A_ROUTE
    }
