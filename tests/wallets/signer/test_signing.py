"""What an honest desk asks for is signed, lands, and is counted once."""

from __future__ import annotations

from tests.wallets.signer.world import SOL, World


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
