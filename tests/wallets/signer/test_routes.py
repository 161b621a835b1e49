"""Jupiter's swap instructions as they stand on the chain: four shapes, each read to where its amounts are."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from apps.wallets.signer import policy, routes
from apps.wallets.signer.policy import SYSTEM, TOKEN, WRAPPED_SOL, SwapTerms, associated
from apps.wallets.signer.reading import Reading, Step
from apps.wallets.signer.reasons import Reason, Refused

WALLET = Keypair.from_seed(bytes([1] * 32)).pubkey()
MINT = Keypair.from_seed(bytes([2] * 32)).pubkey()
OTHER = Keypair.from_seed(bytes([3] * 32)).pubkey()
SOL_ACCOUNT, TOKEN_ACCOUNT = associated(WALLET, WRAPPED_SOL, TOKEN), associated(WALLET, MINT, TOKEN)
#: One step of a plan of the first generation: venue, percent, from, to.
STEP = bytes((7, 100, 0, 1))
PLAN = (1).to_bytes(4, "little") + STEP


def amounts(in_amount=1_000, quoted=5_000, slippage=100, fee=10, *, wide=False):
    fees = fee.to_bytes(2, "little") + bytes(2) if wide else fee.to_bytes(1, "little")
    return in_amount.to_bytes(8, "little") + quoted.to_bytes(8, "little") + slippage.to_bytes(2, "little") + fees


def discriminator(name):
    return sha256(f"global:{name}".encode()).digest()[:8]


#: The accounts of each instruction, in their order, for a buy by WALLET.
ACCOUNTS = {
    "route": [
        TOKEN, WALLET, SOL_ACCOUNT, TOKEN_ACCOUNT, routes.PROGRAM, MINT, routes.PROGRAM, OTHER, routes.PROGRAM,
    ],
    "shared_accounts_route": [
        TOKEN, OTHER, WALLET, SOL_ACCOUNT, OTHER, OTHER, TOKEN_ACCOUNT, WRAPPED_SOL, MINT, routes.PROGRAM,
        routes.PROGRAM, OTHER, routes.PROGRAM,
    ],
    "route_v2": [
        WALLET, SOL_ACCOUNT, TOKEN_ACCOUNT, WRAPPED_SOL, MINT, TOKEN, TOKEN, routes.PROGRAM, OTHER, routes.PROGRAM,
    ],
    "shared_accounts_route_v2": [
        OTHER, WALLET, SOL_ACCOUNT, OTHER, OTHER, TOKEN_ACCOUNT, WRAPPED_SOL, MINT, TOKEN, TOKEN, OTHER, routes.PROGRAM,
    ],
}  # fmt: skip
PLACES = {  # source, destination, authority, destination mint
    "route": (2, 3, 1, 5),
    "shared_accounts_route": (3, 6, 2, 8),
    "route_v2": (1, 2, 0, 4),
    "shared_accounts_route_v2": (2, 5, 1, 7),
}


def data(name, **given):
    shared = b"\x05" if name.startswith("shared") else b""
    if name.endswith("v2"):
        return discriminator(name) + shared + amounts(**given, wide=True) + PLAN + b"\x10\x27"
    return discriminator(name) + shared + PLAN + amounts(**given)


def step(name, **given):
    return Step(routes.PROGRAM, tuple(ACCOUNTS[name]), data(name, **given))


def checked(*steps, minimum=4_950):
    reading = Reading(WALLET, (WALLET,), steps, b"")
    terms = SwapTerms(WALLET, buys=True, mint=MINT, in_amount=1_000, minimum_out=minimum)
    return policy.check_swap(reading, terms, max_fee_lamports=10_000)


def test_the_discriminators_are_those_of_the_chain():
    assert {layout.name: key.hex() for key, layout in routes.LAYOUTS.items()} == {
        "route": "e517cb977ae3ad2a",
        "shared_accounts_route": "c1209b3341d69c81",
        "route_v2": "bb64facc31c4af14",
        "shared_accounts_route_v2": "d19853937cfed8e9",
    }


#: Every other instruction of the program, by its number on the chain.
OTHERS = {
    "claim": "3ec6d6c1d59f6cd2",
    "claim_token": "74ce1bbfa6130049",
    "close_token": "1a4aec976840b7f9",
    "create_token_account": "93f17b64f484ae76",
    "exact_out_route": "d033ef977b2bed5c",
    "exact_out_route_v2": "9d8ab85215f4f324",
    "route_with_token_ledger": "96564774a75d0e68",
    "set_token_ledger": "e455b9704e4f4d02",
    "shared_accounts_exact_out_route": "b0d169a89a7d453e",
    "shared_accounts_exact_out_route_v2": "3560e5cad8bbfa18",
    "shared_accounts_route_with_token_ledger": "e6798f50779f6aaa",
}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_else_the_program_can_do_is_refused_by_its_name(name):
    for shape in ACCOUNTS:
        with pytest.raises(Refused) as caught:
            routes.read(Step(routes.PROGRAM, tuple(ACCOUNTS[shape]), bytes.fromhex(OTHERS[name]) + data(shape)[8:]))
        assert caught.value.reason == Reason.INSTRUCTION_NOT_ALLOWED
        assert caught.value.message.endswith(f"this is {name}.")


def test_an_instruction_nobody_has_heard_of_is_refused():
    with pytest.raises(Refused) as caught:
        routes.read(Step(routes.PROGRAM, tuple(ACCOUNTS["route_v2"]), bytes(8) + data("route_v2")[8:]))
    assert caught.value.reason == Reason.INSTRUCTION_NOT_ALLOWED


@pytest.mark.parametrize("name", ACCOUNTS)
@pytest.mark.parametrize("venue", [72, 250])
def test_amounts_in_front_are_read_whatever_the_venues_are_and_behind_them_only_if_those_are_known(name, venue):
    """A venue that came later has parameters of a length nobody told: what stands behind it could be anywhere."""
    content = data(name).replace(PLAN, (1).to_bytes(4, "little") + bytes((venue, 9, 9, 9, 100, 0, 1)))
    assert content != data(name)
    if not name.endswith("v2"):
        assert not routes.can_be_read(content)
        with pytest.raises(Refused) as caught:
            checked(Step(routes.PROGRAM, tuple(ACCOUNTS[name]), content))
        assert caught.value.reason == Reason.ROUTE_UNREADABLE
        return
    assert routes.can_be_read(content)
    assert checked(Step(routes.PROGRAM, tuple(ACCOUNTS[name]), content)).least_kept == 4_945


def as_jupiter_builds_it(name, program, *more):
    """Return the steps of a buy on the main network: budget, both accounts, wrapping, the swap, unwrapping."""
    own = associated(WALLET, MINT, program)
    swap = step(name)
    accounts = [own if key == TOKEN_ACCOUNT else key for key in swap.accounts]
    return [
        Step(policy.COMPUTE_BUDGET, (), b"\x02" + (250_000).to_bytes(4, "little")),
        Step(policy.COMPUTE_BUDGET, (), b"\x03" + (10_000).to_bytes(8, "little")),
        Step(policy.ASSOCIATED, (WALLET, own, WALLET, MINT, SYSTEM, program), b"\x01"),
        Step(policy.ASSOCIATED, (WALLET, SOL_ACCOUNT, WALLET, WRAPPED_SOL, SYSTEM, TOKEN), b"\x01"),
        Step(SYSTEM, (WALLET, SOL_ACCOUNT), b"\x02\0\0\0" + (1_000).to_bytes(8, "little")),
        Step(TOKEN, (SOL_ACCOUNT,), b"\x11"),
        Step(routes.PROGRAM, tuple(accounts), swap.data),
        Step(TOKEN, (SOL_ACCOUNT, WALLET, WALLET), b"\x09"),
        *more,
    ]


@pytest.mark.parametrize("name", ACCOUNTS)
@pytest.mark.parametrize("program", [TOKEN, policy.TOKEN_2022])
def test_what_jupiter_usually_builds_is_allowed_and_with_a_tip_it_is_not(name, program):
    outline = checked(*as_jupiter_builds_it(name, program))
    assert (outline.token_account, outline.fee_lamports) == (associated(WALLET, MINT, program), 7_500)
    tip = Step(SYSTEM, (WALLET, OTHER), b"\x02\0\0\0" + (1_000_000).to_bytes(8, "little"))
    with pytest.raises(Refused) as caught:
        checked(*as_jupiter_builds_it(name, program, tip))
    assert caught.value.reason == Reason.FOREIGN_ACCOUNT


@pytest.mark.parametrize("name", ACCOUNTS)
def test_each_shape_is_read_and_allowed(name):
    swap = routes.read(step(name))
    assert (swap.in_amount, swap.quoted_out, swap.slippage_bps, swap.platform_fee_bps) == (1_000, 5_000, 100, 10)
    assert (swap.source, swap.destination, swap.authority) == (SOL_ACCOUNT, TOKEN_ACCOUNT, WALLET)
    assert swap.destination_mint == MINT
    assert (swap.least_out, swap.least_kept) == (4_950, 4_945)
    outline = checked(step(name))
    assert (outline.token_account, outline.sol_account, outline.least_kept) == (TOKEN_ACCOUNT, SOL_ACCOUNT, 4_945)


@pytest.mark.parametrize("name", ACCOUNTS)
@pytest.mark.parametrize("which", range(4))
def test_each_shape_is_refused_when_it_names_somebody_else(name, which):
    accounts = list(ACCOUNTS[name])
    accounts[PLACES[name][which]] = OTHER
    with pytest.raises(Refused) as caught:
        checked(Step(routes.PROGRAM, tuple(accounts), data(name)))
    assert caught.value.reason == Reason.FOREIGN_ACCOUNT


@pytest.mark.parametrize(("name", "place"), [("route", 4), ("route_v2", 7)])
def test_another_receiver_of_the_output_is_refused(name, place):
    accounts = list(ACCOUNTS[name])
    accounts[place] = OTHER
    with pytest.raises(Refused) as caught:
        checked(Step(routes.PROGRAM, tuple(accounts), data(name)))
    assert caught.value.reason == Reason.FOREIGN_ACCOUNT
    accounts[place] = TOKEN_ACCOUNT
    assert checked(Step(routes.PROGRAM, tuple(accounts), data(name)))


@pytest.mark.parametrize("name", ACCOUNTS)
def test_a_shape_with_too_few_accounts_or_bytes_is_refused(name):
    for accounts, content in ((ACCOUNTS[name][:-1], data(name)), (ACCOUNTS[name], data(name)[:24])):
        with pytest.raises(Refused) as caught:
            checked(Step(routes.PROGRAM, tuple(accounts), content))
        assert caught.value.reason == Reason.ROUTE_UNREADABLE


@pytest.mark.parametrize("name", ["route", "shared_accounts_route"])
@given(extra=st.binary(min_size=1, max_size=40))
def test_nothing_may_stand_behind_amounts_that_stand_last(name, extra):
    with pytest.raises(Refused):
        routes.read(Step(routes.PROGRAM, tuple(ACCOUNTS[name]), data(name) + extra))


@given(
    venues=st.lists(st.sampled_from(sorted(routes._VENUE_BYTES)), max_size=6),
    in_amount=st.integers(0, 2**64 - 1),
    quoted=st.integers(0, 2**64 - 1),
    slippage=st.integers(0, 10_000),
)
def test_amounts_are_found_behind_any_plan_of_known_venues(venues, in_amount, quoted, slippage):
    steps = b"".join(bytes([venue]) + bytes(routes._VENUE_BYTES[venue]) + bytes((100, 0, 1)) for venue in venues)
    content = discriminator("route") + len(venues).to_bytes(4, "little") + steps
    content += amounts(in_amount, quoted, slippage, 0)
    swap = routes.read(Step(routes.PROGRAM, tuple(ACCOUNTS["route"]), content))
    assert (swap.in_amount, swap.quoted_out, swap.slippage_bps) == (in_amount, quoted, slippage)
    assert swap.least_out * 10_000 >= quoted * (10_000 - slippage)


@given(content=st.binary(max_size=80), name=st.sampled_from(sorted(ACCOUNTS)))
def test_whatever_the_bytes_are_they_are_read_or_refused(content, name):
    try:
        routes.read(Step(routes.PROGRAM, tuple(ACCOUNTS[name]), discriminator(name) + content))
    except Refused as refusal:
        assert refusal.reason == Reason.ROUTE_UNREADABLE


def test_an_associated_account_is_the_one_every_tool_derives():
    from spl.token.instructions import get_associated_token_address

    assert associated(WALLET, MINT, TOKEN) == get_associated_token_address(WALLET, MINT)
    assert Pubkey.default() == SYSTEM
