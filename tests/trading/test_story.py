"""The story of a position: every decision in words, with figures that add up to the books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import formatting
from apps.trading.models import ExitIntent, IntentKind, IntentStatus, Position
from apps.trading.selectors import story
from tests import factories
from tests.trading import closing, lives
from tests.trading.lives import PRICED, fired

pytestmark = pytest.mark.django_db

OPENED = datetime(2026, 3, 1, 14, 0, 0, tzinfo=UTC)


def minutes(number: float) -> datetime:
    return OPENED + timedelta(minutes=number)


def shown(text: str) -> str:
    """Percentages are written with a thin space; in a test a plain one is easier to read."""
    return text.replace(formatting.THIN_SPACE, " ")


def told(position: Position, *, folded: bool = True) -> list[tuple[str, str, str]]:
    position.refresh_from_db()
    events = story.of_position(position, folded=folded)
    return [(str(event.kind), shown(event.title), shown(event.text)) for event in events]


@pytest.fixture
def agent():
    return factories.make_agent(sol="10")


@pytest.fixture
def position(agent):
    return lives.bought_on_a_signal(agent, OPENED)


def test_a_whole_life_is_told_from_the_first_buy_to_the_last_sale(position):
    lives.live_on(position, OPENED)
    last = factories.close_position(position, proceeds="0.62", reason="stop_loss", at=minutes(6), sol_usd="150")
    fired(
        "stop_loss",
        last.sale_transaction,
        position,
        at=minutes(6) - timedelta(seconds=2),
        price="0.00062",
        attempts=3,
        details={
            **PRICED,
            "averagePriceSol": "0.000914285714285714285714",
            "peakPriceSol": "0.0008",
            "stopPercent": "-32",
            "stopPriceSol": "0.000621714285714285714286",
            "changePercent": "-32.1875",
        },
    )

    assert told(position) == [
        (
            "opened",
            "Bought 1,000 for 1 SOL",
            f"Signal {position.signal_id} (Momentum, strength 4 of 5, from scanner); a balance of 10 SOL is medium:"
            " size 1 SOL, drawn at 42 % of its range; bought 1,000 at 0.001 for 1 SOL; average 0.001, stop at −32 %"
            " (0.00068).",
        ),
        (
            "stop_raised",
            "Stop raised to +36 %",
            "Peak 0.00146 (+46 %) set the stop at +36 % (0.00136). 2 rises since 14:01:00 UTC.",
        ),
        (
            "sold_part",
            "Take profit: sold 250, profit 0.15 SOL",
            "Price 0.0016 (+60 %) reached take-profit level 1 (+50 %: sell 25 %) at 14:03:00 UTC;"
            " sold 250 for 0.4 SOL, profit 0.15 SOL; 750 left.",
        ),
        (
            "sold_part",
            "Take profit: sold 500, profit 1.5 SOL",
            "Price 0.004 (+300 %) reached take-profit levels 2 and 3 (+150 %, +300 %: sell 50 %) at 14:04:00 UTC;"
            " sold 500 for 2 SOL, profit 1.5 SOL; 250 left, 100 of it set aside as moon bag.",
        ),
        (
            "added",
            "DCA 1: bought 750 for 0.6 SOL",
            "Price 0.0008 (−20 %) reached DCA level 1 (−20 %: add 75 % of its value) at 14:05:00 UTC;"
            " bought 750 at 0.0008 for 0.6 SOL; average 0.001 → 0.00091429;"
            " the stop starts over at −32 % (0.00062171).",
        ),
        (
            "sold",
            "Stop loss: sold 1,000, loss 0.23 SOL",
            "The stop stood at −32 % (0.00062171); price fell to 0.00062 at 14:05:58 UTC;"
            " sold 1,000 for 0.62 SOL, loss 0.23 SOL; it took 3 attempts.",
        ),
        (
            "closed",
            "Closed: profit 1.42 SOL (+88.75 %)",
            "Closed after 6 min; 1.6 SOL went in, 3.02 SOL came out; profit 1.42 SOL (+88.75 %, +$213.00).",
        ),
    ]
    assert closing.differences() == []


def test_costs_and_profits_of_the_sales_add_up_to_the_books(position):
    factories.take_profit(position, tokens="333.333333", proceeds="0.5", at=minutes(1))
    factories.add_to(position, invested="0.7", price="0.0007", at=minutes(2))
    factories.take_profit(position, tokens="777.777777", proceeds="0.9", at=minutes(3))
    trade = factories.close_position(position, proceeds="0.4", at=minutes(4))
    position.refresh_from_db()
    sales = [event.facts for event in story.of_position(position) if "soldTokens" in event.facts]
    profits = [Decimal(facts["profitSol"]) for facts in sales]
    assert sum(profits) == position.realized_profit_sol == trade.profit_sol
    assert sum(Decimal(facts["costSol"]) for facts in sales) == position.total_invested_sol
    assert [Decimal(facts["netSol"]) - Decimal(facts["costSol"]) for facts in sales] == profits
    assert sales[-1]["remainingTokens"] == "0"
    assert closing.differences() == []


def test_what_is_left_and_its_cost_are_the_positions_own_while_it_is_open(position):
    factories.take_profit(position, tokens="123.456789", proceeds="0.2", at=minutes(1))
    factories.add_to(position, invested="0.3", price="0.0006", at=minutes(2))
    position.refresh_from_db()
    facts = story.of_position(position)[-1].facts
    assert Decimal(facts["remainingTokens"]) == position.remaining_amount
    assert Decimal(facts["remainingCostSol"]) == position.remaining_cost_sol
    assert Decimal(facts["newAveragePriceSol"]) == position.purchase_price


def test_a_stop_that_followed_its_peak_names_peak_price_and_time(position):
    sale = factories.close_position(position, proceeds="1.16", reason="stop_loss", at=minutes(3)).sale_transaction
    details = {
        **PRICED,
        "averagePriceSol": "0.001",
        "peakPriceSol": "0.00123",
        "stopPercent": "13",
        "stopPriceSol": "0.00113",
    }
    fired("stop_loss", sale, position, at=minutes(2), price="0.00112", details=details)
    position.refresh_from_db()
    event = story.of_position(position)[-2]
    assert shown(event.text) == (
        "Peak 0.00123 (+23 %) set the stop at +13 %; price fell to 0.00112 at 14:02:00 UTC;"
        " sold 1,000 for 1.16 SOL, profit 0.16 SOL."
    )
    assert (event.rule, event.price_sol, event.price_source) == ("stop_loss", Decimal("0.00112"), "jupiter")
    assert event.price_age_seconds == Decimal("0.4")
    assert event.transaction_id == sale.pk
    assert event.facts["stopPriceSol"] == "0.00113"
    assert event.facts["firedAt"] == "2026-03-01T14:02:00.000Z"


def test_a_row_of_an_older_version_is_told_with_what_it_has(position):
    sale = factories.close_position(position, proceeds="0.6", reason="stop_loss", at=minutes(3)).sale_transaction
    fired("stop_loss", sale, position, at=minutes(2), price="0.0006", details=None)
    _, sold, _ = told(position)
    assert sold == (
        "sold",
        "Stop loss: sold 1,000, loss 0.4 SOL",
        "Price fell to 0.0006 at 14:02:00 UTC; sold 1,000 for 0.6 SOL, loss 0.4 SOL.",
    )


def test_a_sale_without_an_intent_is_told_by_the_reason_the_position_closed_for(position):
    factories.close_position(position, proceeds="1", reason="stale_trade", at=minutes(3))
    assert told(position)[1][1:] == (
        "Stale trade: sold 1,000, neither profit nor loss",
        "Sold 1,000 for 1 SOL, neither profit nor loss.",
    )


def test_a_position_bought_by_hand_says_so_and_names_its_stop(agent):
    position = factories.make_position(
        agent, factories.make_token(), network_fee="0.000005", opened_at=OPENED, stop_updated_at=OPENED
    )
    assert told(position)[0][2] == (
        "Asked for by hand; bought 999.995 at 0.001 for 1 SOL, 0.000005 SOL of it fees;"
        " average 0.001, stop at −32 % (0.00068)."
    )


def test_a_close_by_hand_names_who_asked_for_it(position):
    who = factories.make_user("ann@example.com")
    sale = factories.close_position(position, proceeds="1.4", reason="manual", at=minutes(3)).sale_transaction
    fired("manual", sale, position, at=minutes(2), requested_by=who)
    assert told(position)[1][2] == (
        "A sale was asked for by ann@example.com at 14:02:00 UTC; sold 1,000 for 1.4 SOL, profit 0.4 SOL."
    )


def test_a_stale_close_says_how_long_it_was_held(position):
    sale = factories.close_position(position, proceeds="1.05", reason="stale_trade", at=minutes(61)).sale_transaction
    details = {**PRICED, "changePercent": "5", "heldMinutes": "60.5"}
    fired("stale_trade", sale, position, at=minutes(60.5), price="0.00105", details=details)
    assert told(position)[1][2] == (
        "Held for 1 h; price 0.00105 (+5 %) was within the stale range at 15:00:30 UTC;"
        " sold 1,000 for 1.05 SOL, profit 0.05 SOL."
    )


@pytest.mark.parametrize(
    ("reason", "code", "why"),
    [
        ("stop_loss", "BAD_TICK", "a sell quote disproved the price"),
        (
            "stop_loss",
            "DCA_AFTER_STOP",
            "a DCA bought meanwhile and set a new average, so this stop no longer holds",
        ),
        ("take_profit", "LAPSED", "it could not be done within 10 seconds; the rules look at the next price anew"),
        ("take_profit", "NOT_REACHED", "at the quote's own price the level was not reached"),
        ("dca", "INSUFFICIENT_BALANCE", "the wallet holds too little SOL"),
        ("dca", "SOMETHING_NEW", "something new"),
    ],
)
def test_an_exit_that_was_called_off_says_why(position, reason, code, why):
    kind = IntentKind.CLOSE if reason == "stop_loss" else IntentKind.ADJUST
    factories.make_intent(
        position,
        reason=reason,
        kind=kind,
        status=IntentStatus.CANCELLED,
        last_error=code,
        trigger_price_sol=Decimal("0.0003"),
        finished_at=minutes(2),
    )
    _, (what, title, text) = told(position)
    assert what == "cancelled"
    assert title.endswith(": called off")
    assert text.endswith(f"; nothing was traded: {why}.")


def test_a_doubted_price_is_told_as_doubted_and_what_its_quote_said(position):
    doubt = {**PRICED, "doubt": "wild_without_second_source", "stopPriceSol": "0.00068", "stopPercent": "-32"}
    factories.make_intent(position, needs_confirmation=True, trigger_price_sol=Decimal("0.0003"), details=doubt)
    ExitIntent.objects.update(created_at=minutes(1))
    assert told(position)[1] == (
        "pending",
        "Stop loss: fired",
        "The stop stood at −32 % (0.00068); price fell to 0.0003 at 14:01:00 UTC; the price was doubted (it moved by"
        " more than half, and no second source could confirm it); its sell quote decides.",
    )
    sale = factories.close_position(position, proceeds="0.3", reason="stop_loss", at=minutes(2)).sale_transaction
    ExitIntent.objects.update(status=IntentStatus.DONE, transaction=sale, attempts=1)
    assert told(position)[1][2].endswith("no second source could confirm it) and the sell quote confirmed it.")


def test_a_failing_sale_says_how_often_why_and_when_it_is_tried_again(position):
    intent = factories.make_intent(
        position, attempts=4, last_error="PROVIDER_TIMEOUT", trigger_price_sol=Decimal("0.0006"), due_at=minutes(5)
    )
    ExitIntent.objects.update(created_at=minutes(1))
    position.refresh_from_db()
    before = story.of_position(position)[-1]
    assert (str(before.kind), before.title) == ("failing", "Stop loss: failing, tried again")
    assert before.text == (
        "Price fell to 0.0006 at 14:01:00 UTC; 4 attempts failed, the last because the provider did not answer in time;"
        " it stays due, again at 14:05:00 UTC."
    )
    sale = factories.close_position(position, proceeds="0.6", reason="stop_loss", at=minutes(6)).sale_transaction
    ExitIntent.objects.filter(pk=intent.pk).update(
        status=IntentStatus.DONE, transaction=sale, attempts=5, last_error=""
    )
    position.refresh_from_db()
    after = next(event for event in story.of_position(position) if event.intent_id == intent.pk)
    assert after.id == before.id
    assert after.text.endswith("sold 1,000 for 0.6 SOL, loss 0.4 SOL; it took 5 attempts.")


def test_a_stop_that_fired_while_exits_are_halted_says_that_it_waits(position):
    factories.make_intent(position, trigger_price_sol=Decimal("0.0006"))
    factories.set_state("halted", exits_enabled=False)
    _, (_, title, text) = told(position)
    assert title == "Stop loss: halted"
    assert text.endswith("selling is halted: it stays due and is sold when exits are switched on again.")


def test_the_same_refusal_again_and_again_is_one_event_with_its_count(position):
    for minute in (1, 2, 3):
        factories.make_intent(
            position,
            reason="dca",
            kind=IntentKind.ADJUST,
            status=IntentStatus.CANCELLED,
            last_error="INSUFFICIENT_BALANCE",
            finished_at=minutes(minute),
        )
    folded = story.of_position(position)
    assert [event.count for event in folded] == [1, 3]
    assert (folded[1].first_at, folded[1].at) == (minutes(1), minutes(3))
    assert shown(folded[1].text).endswith("the wallet holds too little SOL. 3 times since 14:01:00 UTC.")
    assert len(story.of_position(position, folded=False)) == 4


def test_a_wallet_reset_ends_the_story_without_a_sale(position):
    Position.objects.filter(pk=position.pk).update(closed_at=minutes(9), close_reason="reset")
    assert told(position)[-1] == (
        "reset",
        "Wallet reset: closed without a sale",
        "The wallet was started over; the position ended without a sale: 1,000 were left, which had cost 1 SOL.",
    )


def test_many_stories_take_the_queries_of_one(agent, position):
    others = [factories.make_position(agent, factories.make_token()) for _ in range(5)]
    for other in others:
        factories.make_stop_move(other, peak="0.0013", percent="20", price="0.0012")
        factories.take_profit(other, tokens="250", proceeds="0.4")
    with CaptureQueriesContext(connection) as one:
        story.of_position(position)
    with CaptureQueriesContext(connection) as many:
        stories = story.of_positions([position, *others])
    assert len(one) == len(many) == 6
    assert all(len(stories[other.pk]) == 3 for other in others)
