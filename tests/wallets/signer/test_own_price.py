"""A promise far below the signer's own price is refused; what a sale without a price is held against."""

from __future__ import annotations

from fractions import Fraction

from apps.wallets.signer.reasons import Reason
from tests.wallets.signer.world import SOL, World, refuses


def times(price, numerator, denominator):
    return Fraction(price) * numerator / denominator


async def true_price(world):
    return await world.prices.lamports_per_base_unit(world.mint)


async def test_a_buy_is_held_against_the_own_price(world: World):
    price = await true_price(world)
    world.prices.fixed[world.mint] = times(price, 100, 112)  # the token is worth less than what is paid for it
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(world.request(world.built()))
    world.prices.fixed[world.mint] = times(price, 100, 106)
    assert await world.sign(world.request(world.built()))


async def test_a_low_minimum_is_refused_though_much_more_comes_in(world: World):
    """What comes in at the node now is not what comes in later: only what the program enforces counts."""
    built = world.built(slippage_bps=1_500)
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(world.request(built))


async def test_without_a_price_nothing_is_bought(world: World):
    world.prices.fixed[world.mint] = None
    with refuses(world, Reason.NO_PRICE):
        await world.sign(world.request(world.built()))


async def test_while_the_price_source_is_away_nothing_is_bought_or_sold(world: World):
    await world.buy()
    world.prices.away = True
    with refuses(world, Reason.PRICE_UNAVAILABLE):
        await world.sign(world.request(world.built()))
    with refuses(world, Reason.PRICE_UNAVAILABLE):
        await world.sign(world.request(world.built("sell", world.tokens()), "sell"))


async def sale(world, **changes):
    await world.buy()
    return world.request(world.built("sell", world.tokens()), "sell", **changes)


async def test_a_sale_is_held_against_the_own_price(world: World):
    request = await sale(world)
    world.prices.fixed[world.mint] = times(await true_price(world), 112, 100)
    world.prices.quotes[world.mint] = None
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(request)


async def test_a_sale_in_a_thin_market_is_held_against_the_own_quote_for_it(world: World):
    """A price is for little; a sale of much moves it, and an exit must not wait for a better market."""
    request = await sale(world)
    world.prices.fixed[world.mint] = times(await true_price(world), 140, 100)
    assert await world.sign(request)


async def test_a_quote_absurdly_below_the_price_is_no_market(world: World):
    request = await sale(world)
    world.prices.fixed[world.mint] = times(await true_price(world), 220, 100)
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(request)


async def test_a_quote_does_not_excuse_a_promise_below_it(world: World):
    request = await sale(world)
    world.prices.fixed[world.mint] = times(await true_price(world), 140, 100)
    world.prices.quotes[world.mint] = request.minimum_out_base_units * 115 // 100
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(request)


async def test_a_sale_without_a_price_is_held_against_the_own_quote_and_refused_without_one(world: World):
    request = await sale(world)
    world.prices.fixed[world.mint] = None
    world.prices.quotes[world.mint] = None
    with refuses(world, Reason.NO_PRICE):
        await world.sign(request)
    world.prices.quotes[world.mint] = SOL * 2
    with refuses(world, Reason.BELOW_OWN_PRICE):
        await world.sign(request)
    del world.prices.quotes[world.mint]
    assert await world.sign(request)
