"""What an honest desk asks for is signed, lands, and is counted once."""

from __future__ import annotations

import pytest

from apps.sandbox.domain.mints import MintRules
from apps.sandbox.exchange import tampering
from apps.sandbox.exchange.building import SwapTerms, build
from apps.sandbox.faults import FaultKind
from apps.wallets.signer.reasons import Reason
from tests.sandbox.exchange.desk import Desk
from tests.wallets.signer.world import SOL, World, refuses


async def test_a_buy_is_signed_and_lands(world: World):
    built = world.built()
    signed = await world.sign(world.request(built))
    assert all(signed.verify_with_results())
    assert bytes(signed.message) == bytes(built.transaction.message)
    world.land(signed)
    assert world.tokens() >= built.quote.paid_out_amount * 99 // 100
    assert world.caps.used() == (SOL + 5_000 + built.terms.priority_fee_lamports, 0)


async def test_a_sale_is_signed_and_lands(world: World):
    await world.buy()
    spent, _ = world.caps.used()
    tokens, before = world.tokens(), world.lamports()
    built = world.built("sell", tokens)
    request = world.request(built, "sell")
    world.land(await world.sign(request))
    assert world.tokens() == 0
    fee = 5_000 + built.terms.priority_fee_lamports
    assert world.lamports() - before + fee >= request.minimum_out_base_units
    used, risked = world.caps.used()
    assert used == spent + fee
    assert 0 < risked <= SOL // 10 + 1  # a tenth of what the tokens are worth


@pytest.mark.parametrize("generation", [1, 2])
async def test_a_token_of_the_newer_program_is_bought_and_sold_through_a_lookup_table(world: World, generation: int):
    """As on the main network: most accounts stand in a table, and the token's own is one of Token-2022."""
    world.mint = Desk(world.market, world.ledger, world.venue).token(MintRules(token_2022=True))
    terms = SwapTerms.of_priority_fee(16_000, second_generation=generation == 2)
    for side in ("buy", "sell"):
        quote = world.built(side, SOL if side == "buy" else world.tokens()).quote
        built = build(world.venue, quote, taker=world.wallet, terms=terms)
        built = tampering.tampered(world.venue, built, [FaultKind.LOOKUP_TABLE])
        world.pass_slots(2)
        lookups = built.transaction.message.address_table_lookups
        assert lookups and lookups[0].writable_indexes
        world.land(await world.sign(world.request(built, side, order_id=side)))
        assert (world.tokens() > 0) == (side == "buy")


@pytest.mark.parametrize("side", ["buy", "sell"])
async def test_a_tip_beside_the_fee_is_not_signed(world: World, side: str):
    await world.buy()
    plain = world.built(side, SOL if side == "buy" else world.tokens())
    terms = SwapTerms(compute_unit_price=0, tip_lamports=1_000_000)
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        tipping = build(world.venue, plain.quote, taker=world.wallet, terms=terms)
        await world.sign(world.request(tipping, side))
    assert await world.sign(world.request(plain, side))


async def test_over_a_venue_nobody_has_heard_of_a_swap_is_signed_only_with_its_amounts_in_front(world: World):
    first = tampering.tampered(world.venue, world.built(), [FaultKind.UNKNOWN_VENUE])
    with refuses(world, Reason.ROUTE_UNREADABLE):
        await world.sign(world.request(first))
    terms = SwapTerms.of_priority_fee(16_000, second_generation=True)
    second = build(world.venue, first.quote, taker=world.wallet, terms=terms)
    second = tampering.tampered(world.venue, second, [FaultKind.UNKNOWN_VENUE])
    world.land(await world.sign(world.request(second)))
    assert world.tokens() >= second.quote.paid_out_amount * 99 // 100
