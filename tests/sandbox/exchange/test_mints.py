"""Mints on the chain say of a token what the market says of it, extensions to the byte included."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from solders.pubkey import Pubkey

from apps.sandbox.chain import accounts
from apps.sandbox.domain import resume
from apps.sandbox.domain.market import Market
from apps.sandbox.domain.mints import MintExtension, MintRules
from apps.sandbox.exchange.mints import account_size, mint_bytes
from tests.sandbox.exchange.desk import NOW, SOL, Desk, open_desk

DEVELOPER = Pubkey(bytes(range(32)))


@pytest.fixture(scope="module")
def desk() -> Desk:
    return open_desk()


def rules(*extensions: MintExtension) -> MintRules:
    return MintRules.of(mint_authority=False, freeze_authority=False, token_2022=False, extensions=extensions)


def test_every_listed_token_has_a_mint_with_its_decimals_supply_and_authorities(desk):
    for mint, listing in desk.market.listings.items():
        account = desk.ledger.account(Pubkey.from_string(mint))
        told = accounts.mint(account)
        token = listing.token
        assert (told.decimals, told.supply) == (token.decimals, token.supply_base_units)
        assert (told.mint_authority is not None) is token.rules.mint_authority
        assert (told.freeze_authority is not None) is token.rules.freeze_authority
        assert str(account.owner) == token.token_program


def test_a_token_listed_again_with_other_rules_changes_its_mint(desk):
    mint = desk.token()
    token = desk.market.listing(mint).token
    assert accounts.mint(desk.ledger.account(Pubkey.from_string(mint))).mint_authority is None
    desk.market.add([replace(token, rules=MintRules(mint_authority=True))])
    assert accounts.mint(desk.ledger.account(Pubkey.from_string(mint))).mint_authority is not None


@pytest.mark.parametrize(
    ("extension", "number", "length"),
    [
        (MintExtension.TRANSFER_FEE, 1, 108),
        (MintExtension.MINT_CLOSE_AUTHORITY, 3, 32),
        (MintExtension.DEFAULT_FROZEN, 6, 1),
        (MintExtension.NON_TRANSFERABLE, 9, 0),
        (MintExtension.PERMANENT_DELEGATE, 12, 32),
        (MintExtension.TRANSFER_HOOK, 14, 64),
    ],
)
def test_an_extension_is_listed_by_its_number_and_length(extension, number, length):
    raw = mint_bytes(rules(extension), decimals=6, supply=1, developer=DEVELOPER)
    assert (raw[82:165], raw[165]) == (bytes(83), 1)
    assert int.from_bytes(raw[166:168], "little") == number
    assert int.from_bytes(raw[168:170], "little") == length
    assert len(raw) == 170 + length


def test_the_fee_of_a_mint_is_three_percent_without_an_upper_limit():
    raw = mint_bytes(rules(MintExtension.TRANSFER_FEE), decimals=6, supply=1, developer=DEVELOPER)[170:]
    older, newer = raw[72:90], raw[90:108]
    assert older == newer == bytes(8) + b"\xff" * 8 + (300).to_bytes(2, "little")


@pytest.mark.parametrize(
    "extension", [MintExtension.NON_TRANSFERABLE, MintExtension.DEFAULT_FROZEN, MintExtension.TRANSFER_HOOK]
)
def test_what_cannot_be_moved_cannot_be_bought(desk, extension):
    owner, mint = desk.wallet(), desk.token(rules(extension))
    landed = desk.land(desk.build(owner, mint, "buy", SOL), owner)
    assert landed.error is not None
    assert (desk.lamports(owner), desk.tokens(owner, mint)) == (10 * SOL - landed.meta["fee"], None)


def test_of_a_token_with_a_transfer_fee_less_arrives_than_was_paid(desk):
    owner, mint = desk.wallet(), desk.token(rules(MintExtension.TRANSFER_FEE))
    built = desk.build(owner, mint, "buy", SOL)
    assert desk.land(built, owner).error is None
    withheld = -(-built.quote.out_amount * 300 // 10_000)
    assert desk.tokens(owner, mint) == built.quote.out_amount - withheld


@pytest.mark.parametrize(
    "extensions", [(), (MintExtension.TRANSFER_FEE,), (MintExtension.PERMANENT_DELEGATE,), tuple(MintExtension)[:2]]
)
def test_the_deposit_is_worked_out_as_the_token_program_does(desk, extensions):
    token_2022 = MintRules.of(mint_authority=False, freeze_authority=False, token_2022=True, extensions=extensions)
    owner, mint = desk.wallet(), desk.token(token_2022)
    built = desk.build(owner, mint, "buy", SOL)
    desk.land(built, owner)
    account = desk.ledger.account(desk.account_of(owner, mint))
    assert len(account.data) == account_size(token_2022)
    assert account.lamports == built.rent_lamports


def test_the_demo_market_has_harmless_tokens_and_one_of_each_kind_that_is_not():
    market = Market(seed=7, demo_tokens=24, tick_ms=500, now=NOW, autonomous=False)
    demo = [listing.token.rules for listing in market.listings.values() if listing.token.is_demo]
    assert {extension for each in demo for extension in each.extensions} == set(MintExtension)
    assert sum(not each.extensions and not each.mint_authority and not each.freeze_authority for each in demo) > 10
    assert all(each.token_2022 for each in demo if each.extensions)
    assert all(each.freeze_authority for each in demo if MintExtension.DEFAULT_FROZEN in each.extensions)


def test_a_token_keeps_its_rules_over_a_restart_of_the_market(desk):
    mint = desk.token(rules(MintExtension.TRANSFER_FEE, MintExtension.DEFAULT_FROZEN))
    document = orjson.loads(orjson.dumps(resume.to_document(desk.market)))
    again = Market(seed=desk.market.seed, demo_tokens=2, tick_ms=500, now=NOW, autonomous=False)
    assert resume.adopt(again, document)
    assert again.listing(mint).token.rules == desk.market.listing(mint).token.rules
    assert again.view.pools[mint] == desk.market.view.pools[mint]


def test_a_market_written_down_before_mints_had_rules_is_taken_with_harmless_ones(desk):
    mint = desk.token()
    document = orjson.loads(orjson.dumps(resume.to_document(desk.market)))
    for row in document["tokens"]:
        if row["order"] is not None:
            del row["order"]["rules"]
    again = Market(seed=desk.market.seed, demo_tokens=2, tick_ms=500, now=NOW, autonomous=False)
    assert resume.adopt(again, document)
    assert again.listing(mint).token.rules == MintRules()
