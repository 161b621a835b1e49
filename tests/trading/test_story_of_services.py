"""The story of positions the real services made: every sentence against the rows, every figure against the bookings."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from apps.core import formatting
from apps.trading.domain.story import StoryEvent
from apps.trading.domain.story_figures import clock, percent, price, profit, sol, tokens
from apps.trading.models import ExitIntent, SignalExecution, StopMove
from apps.trading.selectors import story
from apps.trading.services import exits, write_off
from apps.wallets.models import Transaction
from tests import factories
from tests.prices import world
from tests.trading import closing
from tests.trading.playing import Played, Watching, bought

pytestmark = pytest.mark.django_db(transaction=True)

RULES = {
    "takeProfit": {"enabled": True, "mode": "moderate"},
    "dca": {"enabled": True, "mode": "moderate", "cooldownSeconds": 30},
    "stopLoss": {"mode": "custom", "trailingLevels": [{"change": 100, "stopLoss": 30}]},
}
#: What the bookings keep under `booked`, and the story works out by itself.
REPLAYED = ("netSol", "feesSol", "costSol", "profitSol", "remainingTokens", "soldTokens", "boughtTokens", "debitSol")


@pytest.fixture
def watching(market) -> Iterator[Watching]:
    world.forget()
    watching = Watching()
    yield watching
    watching.close()
    world.forget()


def events_of(played: Played) -> list[StoryEvent]:
    return story.of_position(played.position)


def known(value: Decimal | None) -> Decimal:
    assert value is not None
    return value


def fill_of(event: StoryEvent) -> Transaction:
    assert event.transaction_id is not None
    return Transaction.objects.get(pk=event.transaction_id)


def intent_of(event: StoryEvent) -> ExitIntent:
    assert event.intent_id is not None
    return ExitIntent.objects.get(pk=event.intent_id)


def fees(fill: Transaction) -> Decimal:
    return (fill.network_fee_sol or Decimal(0)) + (fill.protocol_fee_sol or Decimal(0))


def sold(event: StoryEvent) -> str:
    """Say what the row of a sale says, with the profit its booking worked out."""
    sale, booked = fill_of(event), (intent_of(event).details or {})["booked"]
    net = known(sale.output_amount) - fees(sale)
    after = f" after {sol(fees(sale))} fees" if fees(sale) else ""
    return f"sold {tokens(known(sale.input_amount))} for {sol(net)}, {profit(Decimal(booked['profitSol']))}{after}"


def test_a_whole_life_is_told_as_it_was_booked(market, watching):
    played = bought(market, watching, RULES)
    played.play("51", "-20.5")
    played.play("101", "25")
    events = events_of(played)
    assert [str(event.kind) for event in events] == [
        "opened",
        "sold_part",
        "added",
        "stop_raised",
        "sold_part",
        "sold",
        "closed",
    ]
    opened, first, added, raised, second, last, closed = events

    inputs = SignalExecution.objects.get(position=played.position).inputs or {}
    average = Decimal(opened.facts["newAveragePriceSol"])
    buy = fill_of(opened)
    assert opened.text == (
        f"Signal {played.position.signal_id} (Whale Buy, strength 5 of 5); a balance of 10 SOL is"
        f" {inputs['category']}: size 1 SOL, drawn at"
        f" {percent(Decimal(inputs['draw']) * 100).removeprefix('+')} of its range;"
        f" bought {tokens(known(buy.output_amount))} at {price(known(buy.output_price))} for"
        f" {sol(known(buy.input_amount) + known(buy.network_fee_sol))}, {sol(fees(buy))} of it fees"
        f"{_moved(buy)}; average {price(average)}, stop at −32{formatting.THIN_SPACE}%"
        f" ({price(average * Decimal('0.68'))})."
    )

    fired = intent_of(first)
    change = percent(Decimal(fired.details["changePercent"]))
    assert first.text == (
        f"Price {price(known(fired.trigger_price_sol))} ({change}) reached take-profit level 1"
        f" (+50{formatting.THIN_SPACE}%: sell 25{formatting.THIN_SPACE}%) at {clock(fired.created_at)};"
        f" {sold(first)}; {tokens(Decimal(first.facts['remainingTokens']))} left."
    )
    assert (first.price_sol, first.price_source) == (fired.trigger_price_sol, fired.details["source"])
    assert first.price_age_seconds is not None

    more = fill_of(added)
    assert f"; bought {tokens(known(more.output_amount))} at {price(known(more.output_price))} for " in added.text
    assert added.text.startswith(
        f"Price {price(known(intent_of(added).trigger_price_sol))} (−20.5{formatting.THIN_SPACE}%)"
    )
    new_average = Decimal(added.facts["newAveragePriceSol"])
    assert added.text.endswith(
        f"; average {price(average)} → {price(new_average)}; the stop starts over at −32{formatting.THIN_SPACE}%"
        f" ({price(new_average * Decimal('0.68'))})."
    )
    assert new_average == played.position.purchase_price

    (rise,) = StopMove.objects.all()
    assert raised.text == (
        f"Peak {price(rise.peak_price_sol)} (+101{formatting.THIN_SPACE}%) set the stop at"
        f" +30{formatting.THIN_SPACE}% ({price(rise.stop_price_sol)})."
    )
    assert (raised.price_source, raised.price_sol) == (rise.source, rise.peak_price_sol)

    assert "reached take-profit level 1 (+50" in second.text  # the list starts over after a DCA
    stop = intent_of(last)
    assert last.text == (
        f"Peak {price(rise.peak_price_sol)} (+101{formatting.THIN_SPACE}%) set the stop at"
        f" +30{formatting.THIN_SPACE}%; price fell to {price(known(stop.trigger_price_sol))}"
        f" at {clock(stop.created_at)}; {sold(last)}."
    )
    trade = played.closed_trade
    assert closed.text.endswith(
        f"; {sol(played.position.total_invested_sol)} went in, {sol(played.position.proceeds_sol)} came out;"
        f" {profit(trade.profit_sol)} ({percent(trade.change_percent)}"
        f"{'' if trade.profit_usd is None else ', ' + formatting.usd(trade.profit_usd, signed=True)})."
    )
    assert closing.differences() == []


def _moved(buy: Transaction) -> str:
    if not buy.price_impact or buy.price_impact < 0:
        return ""
    return f", moving the price {percent(buy.price_impact * 100).removeprefix('+')}"


def test_the_storys_figures_are_those_the_bookings_worked_out(market, watching):
    played = bought(market, watching, RULES)
    played.play("51", "-20.5")
    played.play("101", "25")
    compared = 0
    for event in events_of(played):
        if event.intent_id is None:
            continue
        booked = (intent_of(event).details or {})["booked"]
        for name in REPLAYED:
            if name in booked:
                assert Decimal(event.facts[name]) == Decimal(booked[name]), (event.title, name)
                compared += 1
    assert compared >= 20
    sales = [event for event in events_of(played) if "soldTokens" in event.facts]
    assert sum(Decimal(event.facts["profitSol"]) for event in sales) == played.closed_trade.profit_sol
    assert sum(Decimal(event.facts["costSol"]) for event in sales) == played.position.total_invested_sol
    assert closing.differences() == []


def test_a_level_whose_price_is_gone_by_its_quote_is_told_as_called_off(market, watching):
    played = bought(market, watching, RULES)
    played.chart("51", "30")
    market.next_price(played.token.mint)
    watching.watch.tick()
    played.step()
    cancelled = events_of(played)[-1]
    assert str(cancelled.kind) == "cancelled"
    assert cancelled.text.endswith("; nothing was traded: at the quote's own price the level was not reached.")
    assert closing.differences() == []


def test_a_dca_the_wallet_cannot_pay_says_so(market, watching):
    played = bought(market, watching, RULES, sol="1.6")
    played.play("-20.5")
    cancelled = events_of(played)[-1]
    assert (str(cancelled.kind), cancelled.title) == ("cancelled", "DCA: called off")
    assert cancelled.text.endswith(("the wallet holds too little SOL.", "less than the minimum balance."))
    assert closing.differences() == []


def test_an_absurd_price_that_a_quote_disproved_sold_nothing_and_is_told(market, watching):
    played = bought(market, watching, {"stopLoss": {"mode": "fixed"}})
    market.fault("dexscreener", "server_error", status=503)
    market.fault("jupiter_price", "absurd_price", factor="0.01")
    watching.look()
    (cancelled,) = [event for event in events_of(played) if event.intent_id is not None]
    assert "; the price was doubted (it moved by more than half, and no second source could confirm it);" in (
        cancelled.text
    )
    assert cancelled.text.endswith("nothing was traded: a sell quote disproved the price.")
    assert closing.differences() == []


def test_a_close_by_hand_is_told_with_the_one_who_asked(market, watching):
    played = bought(market, watching, {})
    ann = factories.make_operator("ann@example.com")
    exits.close_position(position=played.position, reason="manual", actor=ann, timeout_seconds=10)
    sale = events_of(played)[-2]
    intent = intent_of(sale)
    assert sale.text == f"A sale was asked for by ann@example.com at {clock(intent.created_at)}; {sold(sale)}."
    assert closing.differences() == []


def test_a_write_off_is_told_with_its_evidence_and_its_loss(settings):
    settings.WRITE_OFF_AFTER_MINUTES, settings.WRITE_OFF_MINIMUM_CHECKS = 10, 3
    token = factories.make_token()
    position = factories.make_position(factories.make_agent(), token, invested="1.5", price="0.001")
    dead = factories.make_dead_token(token, checks=5, seconds=720)
    write_off.run()
    position.refresh_from_db()
    _, given_up, closed = story.of_position(position)
    assert dead.first_seen_at is not None
    assert given_up.text == (
        f"5 checks since {clock(dead.first_seen_at)} found no price and no buyer for the token; it was written off;"
        " 1,500 given up, loss 1.5 SOL."
    )
    assert (given_up.title, closed.title) == (
        "Written off: loss 1.5 SOL",
        f"Closed: loss 1.5 SOL (−100{formatting.THIN_SPACE}%)",
    )
    assert closing.differences() == []
