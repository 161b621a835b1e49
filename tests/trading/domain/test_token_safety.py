"""Mints made by the real token programs, in a virtual machine: what their bytes say, and what of it is let pass."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from apps.trading.domain import token_safety as rules
from apps.trading.domain.token_safety import SPL, SPL_2022, STRICT, MintFacts, Policy, TriedSale, UnreadableMint

ISSUER = Keypair()
KEY = bytes(ISSUER.pubkey())
SOME, NONE = b"\1" + KEY, b"\0"
#: What makes each extension, and the bytes it takes in the mint.
MAKES = {
    "transferFeeConfig": (
        bytes([26, 0]) + SOME + SOME + (300).to_bytes(2, "little") + (10**9).to_bytes(8, "little"),
        108,
    ),
    "mintCloseAuthority": (bytes([25]) + SOME, 32),
    "confidentialTransferMint": (bytes([27, 0]) + KEY + b"\1" + bytes(32), 65),
    "defaultAccountState": (bytes([28, 0, 2]), 1),
    "nonTransferable": (bytes([32]), 0),
    "permanentDelegate": (bytes([35]) + KEY, 32),
    "transferHook": (bytes([36, 0]) + KEY + KEY, 64),
    "metadataPointer": (bytes([39, 0]) + KEY + KEY, 64),
}
CODES = {
    "transferFeeConfig": rules.TRANSFER_FEE,
    "mintCloseAuthority": rules.MINT_CLOSE_AUTHORITY,
    "confidentialTransferMint": rules.CONFIDENTIAL_TRANSFER,
    "nonTransferable": rules.NON_TRANSFERABLE,
    "permanentDelegate": rules.PERMANENT_DELEGATE,
    "transferHook": rules.TRANSFER_HOOK,
}


def made(program: str, *extensions: str, mint_authority: bool = False, freeze_authority: bool = False) -> bytes:
    """Have the token program make a mint and return the account's bytes."""
    svm, mint, owner = LiteSVM(), Keypair(), Pubkey.from_string(program)
    svm.airdrop(ISSUER.pubkey(), 10**10)
    size = 82 if not extensions else 166 + sum(4 + MAKES[name][1] for name in extensions)
    steps = [
        create_account(
            CreateAccountParams(
                from_pubkey=ISSUER.pubkey(), to_pubkey=mint.pubkey(), lamports=10**9, space=size, owner=owner
            )
        )
    ]
    account = [AccountMeta(mint.pubkey(), False, True)]
    steps += [Instruction(owner, MAKES[name][0], account) for name in extensions]
    steps.append(Instruction(owner, bytes([20, 6]) + KEY + (SOME if freeze_authority else NONE), account))
    if not mint_authority:
        signers = [*account, AccountMeta(ISSUER.pubkey(), True, False)]
        steps.append(Instruction(owner, bytes([6, 0]) + NONE, signers))
    message = MessageV0.try_compile(ISSUER.pubkey(), steps, [], svm.latest_blockhash())
    done = svm.send_transaction(VersionedTransaction(message, [ISSUER, mint]))
    account_now = svm.get_account(mint.pubkey())
    assert account_now is not None, done
    return bytes(account_now.data)


@pytest.mark.parametrize("program", [SPL, SPL_2022])
def test_a_plain_mint_without_authorities_is_safe(program: str):
    facts = rules.read_mint(program, made(program))
    assert facts == MintFacts(program, 6, 0, None, None)
    assert rules.against_mint(facts, STRICT) == []


def test_authorities_are_read_and_speak_against_a_token():
    facts = rules.read_mint(SPL, made(SPL, mint_authority=True, freeze_authority=True))
    assert facts.mint_authority == facts.freeze_authority == str(ISSUER.pubkey())
    assert rules.against_mint(facts, STRICT) == [rules.FREEZE_AUTHORITY, rules.MINT_AUTHORITY]
    allowed = Policy(allow_mint_authority=True, allow_freeze_authority=True)
    assert rules.against_mint(facts, allowed) == []


@pytest.mark.parametrize("name", list(CODES))
def test_each_dangerous_extension_is_found_in_real_bytes(name: str):
    facts = rules.read_mint(SPL_2022, made(SPL_2022, name))
    assert facts.extensions == (name,)
    assert rules.against_mint(facts, STRICT) == [CODES[name]]


def test_accounts_frozen_from_the_start_have_no_allowance():
    facts = rules.read_mint(SPL_2022, made(SPL_2022, "defaultAccountState", freeze_authority=True))
    allowances: dict[str, Any] = {item.name: True for item in fields(Policy) if item.name.startswith("allow_")}
    everything = Policy(**allowances, max_transfer_fee_bps=10_000)
    assert rules.against_mint(facts, everything) == [rules.DEFAULT_FROZEN]
    assert rules.against_mint(replace(facts, is_default_frozen=False, is_non_transferable=True), everything) == [
        rules.NON_TRANSFERABLE
    ]


def test_several_extensions_are_all_found_and_harmless_ones_pass():
    facts = rules.read_mint(SPL_2022, made(SPL_2022, "metadataPointer", "permanentDelegate", "transferFeeConfig"))
    assert facts.extensions == ("metadataPointer", "permanentDelegate", "transferFeeConfig")
    assert (facts.transfer_fee_bps, facts.permanent_delegate) == (300, str(ISSUER.pubkey()))
    assert rules.against_mint(facts, STRICT) == [rules.PERMANENT_DELEGATE, rules.TRANSFER_FEE]
    assert rules.against_mint(facts, Policy(allow_permanent_delegate=True, max_transfer_fee_bps=300)) == []
    assert rules.against_mint(facts, Policy(allow_permanent_delegate=True, max_transfer_fee_bps=299)) == [
        rules.TRANSFER_FEE
    ]
    assert rules.against_mint(rules.read_mint(SPL_2022, made(SPL_2022, "metadataPointer")), STRICT) == []


def test_a_fee_of_nothing_that_can_be_raised_is_refused_by_who_allows_none():
    facts = MintFacts(SPL_2022, 6, 0, None, None, transfer_fee_bps=0, transfer_fee_authority="somebody")
    assert rules.against_mint(facts, STRICT) == [rules.TRANSFER_FEE]
    assert rules.against_mint(facts, Policy(max_transfer_fee_bps=1)) == []


def test_an_extension_nobody_knows_yet_is_refused():
    data = made(SPL_2022, "metadataPointer") + (999).to_bytes(2, "little") + (2).to_bytes(2, "little") + b"ab"
    facts = rules.read_mint(SPL_2022, data)
    assert facts.unknown_extensions == (999,)
    assert rules.against_mint(facts, STRICT) == [rules.UNKNOWN_EXTENSION]


@pytest.mark.parametrize(
    ("owner", "data"),
    [
        ("11111111111111111111111111111111", made(SPL)),
        (SPL, b""),
        (SPL, bytes(82)),
        (SPL, made(SPL)[:81]),
        (SPL, made(SPL_2022, "permanentDelegate")),
        (SPL_2022, made(SPL_2022, "permanentDelegate")[:-1]),
        (SPL_2022, made(SPL_2022, "permanentDelegate")[:165] + b"\2" + made(SPL_2022, "permanentDelegate")[166:]),
        (SPL, b"\7" + made(SPL)[1:]),
    ],
    ids=lambda value: value[:8] if isinstance(value, str) else f"{len(value)} bytes",  # the same in every process
)
def test_bytes_that_are_no_mint_are_no_mint(owner: str, data: bytes):
    with pytest.raises(UnreadableMint):
        rules.read_mint(owner, data)


_REAL = made(SPL_2022, "permanentDelegate", "transferFeeConfig")


@given(st.integers(0, len(_REAL) - 1), st.integers(0, 255), st.integers(0, len(_REAL)))
def test_no_bytes_are_read_as_anything_by_accident(at: int, value: int, length: int):
    mangled = (_REAL[:at] + bytes([value]) + _REAL[at + 1 :])[:length]
    try:
        facts = rules.read_mint(SPL_2022, mangled)
    except UnreadableMint:
        return
    assert isinstance(facts, MintFacts)


def test_a_sale_nobody_quotes_or_that_fails_speaks_against_a_token():
    assert rules.against_sale(TriedSale(100, None, None), STRICT) == [rules.SALE_NOT_QUOTED]
    assert rules.against_sale(TriedSale(100, 98, succeeded=None), STRICT) == [rules.SALE_NOT_TRIED]
    assert rules.against_sale(TriedSale(100, 98, succeeded=None), Policy(allow_unsold_sale=True)) == []
    assert rules.against_sale(TriedSale(100, 98, succeeded=False), Policy(allow_unsold_sale=True)) == [
        rules.SALE_FAILED
    ]
    dear = TriedSale(100, 84, succeeded=True)
    assert rules.against_sale(dear, STRICT) == [rules.ROUND_TRIP_TOO_DEAR]
    assert rules.against_sale(dear, Policy(max_round_trip_loss_percent=Decimal(16))) == []
