"""How the story speaks: exact sentences from exact facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import formatting
from apps.core.money import SOL_MINT
from apps.trading.domain import (
    adjust_decision,
    dca,
    dead_tokens,
    exit_decision,
    story,
    story_codes,
    story_words,
    take_profit,
)
from apps.trading.domain.fill_history import BookedFill, replay
from apps.trading.domain.story import FiredRule, LevelOfPlan, StoryEvent, StoryKind
from apps.trading.services import gate

AT = datetime(2026, 3, 1, 14, 3, 7, 412_000, tzinfo=UTC)


def fill(is_buy: bool, tokens: str, sol: str, *, network: str = "0", protocol: str = "0", **fields) -> BookedFill:
    return BookedFill(
        UUID(int=1),
        AT,
        is_buy,
        Decimal(tokens),
        Decimal(sol),
        network_fee_sol=Decimal(network),
        protocol_fee_sol=Decimal(protocol),
        **fields,
    )


def shown(text: str) -> str:
    return text.replace(formatting.THIN_SPACE, " ")


def test_a_stop_that_followed_its_peak_is_one_sentence_from_peak_to_profit():
    _, sale = replay(
        [fill(True, "1250000", "1.02"), fill(False, "1250000", "1.4512", network="0.0002", protocol="0.001")],
        token_decimals=6,
    )
    fired = FiredRule(
        story.STOP_LOSS,
        AT,
        price_sol=Decimal("0.00116"),
        average_sol=Decimal("0.00123") / Decimal("1.462"),
        peak_sol=Decimal("0.00123"),
        stop_percent=Decimal("36.2"),
    )
    text = story_words.sentence(story_words.trigger(fired), story_words.sold(sale))
    assert shown(text) == (
        "Peak 0.00123 (+46.2 %) set the stop at +36.2 %; price fell to 0.00116 at 14:03:07 UTC;"
        " sold 1,250,000 for 1.45 SOL, profit 0.43 SOL after 0.0012 SOL fees."
    )


def test_a_sale_whose_fees_exceed_what_it_brought_costs_money_and_says_so():
    _, sale = replay([fill(True, "10", "0.1"), fill(False, "10", "0.0001", network="0.0005")], token_decimals=0)
    assert story_words.sold(sale) == "sold 10 for −0.0004 SOL, loss 0.1004 SOL after 0.0005 SOL fees"


def test_tiny_prices_keep_their_digits():
    fired = FiredRule(story.STOP_LOSS, AT, price_sol=Decimal("6.632e-11"), stop_sol=Decimal("6.7e-11"))
    assert story_words.trigger(fired) == ("the stop stood at 0.0₁₀67; price fell to 0.0₁₀6632 at 14:03:07 UTC")


def test_three_levels_at_once_are_listed():
    levels = tuple(LevelOfPlan(Decimal(target), Decimal(25)) for target in (50, 150, 300))
    fired = FiredRule(story.TAKE_PROFIT, AT, Decimal(5), Decimal(400), levels=levels, first_level=0)
    assert shown(story_words.trigger(fired)) == (
        "price 5 (+400 %) reached take-profit levels 1, 2 and 3 (+50 %, +150 %, +300 %: sell 75 %) at 14:03:07 UTC"
    )


@pytest.mark.parametrize("rule", ["stop_loss", "take_profit", "dca", "stale_trade", "manual", "write_off", "brand_new"])
def test_every_rule_can_be_told_although_nothing_but_its_name_was_kept(rule):
    text = story_words.sentence(story_words.trigger(FiredRule(rule, AT)))
    assert text == "The token was written off." if rule == "write_off" else text.endswith("at 14:03:07 UTC.")
    assert "None" not in text


#: What allows, or never ends an intent.
NEVER_AN_END = {"ALLOWED", "CONFIRMED", "TRIGGERED", "STOP_LOSS", "NOT_AUTOMATIC", "TOO_FEW_CHECKS", "TOO_SHORT"}
NO_CODES = {SOL_MINT.upper(), ROUND_CEILING}


def codes_of(module: object) -> set[str]:
    """Return the codes a module declares: its public constants of text."""
    return {
        value.upper()
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    } - NO_CODES


@pytest.mark.parametrize(
    "codes",
    [
        *(codes_of(module) for module in (exit_decision, dead_tokens, dca, take_profit, gate)),
        codes_of(adjust_decision),
        adjust_decision.MONEY_CODES,
    ],
    ids=["close", "write-off", "dca", "take profit", "gate", "adjust", "money"],
)
def test_every_code_an_exit_can_end_with_has_words_of_its_own(codes):
    known = story_codes.CANCELLATIONS.keys() | story_codes.FAILURES.keys()
    assert codes
    assert codes - NEVER_AN_END - known == set()


def test_only_runs_of_the_same_are_folded():
    kinds = [StoryKind.STOP_RAISED, StoryKind.STOP_RAISED, StoryKind.SOLD_PART, StoryKind.SOLD_PART]
    kinds += [StoryKind.STOP_RAISED]
    events = [
        StoryEvent(str(number), AT + timedelta(minutes=number), kind, "", "") for number, kind in enumerate(kinds)
    ]
    folded = story.fold(events)
    assert [(event.id, event.count) for event in folded] == [("1", 2), ("2", 1), ("3", 1), ("4", 1)]
    assert folded[0].first_at == AT


steps = st.lists(
    st.tuples(st.booleans(), st.integers(1, 10**12), st.integers(0, 10**12), st.integers(0, 10**6)), max_size=12
)


@given(first=st.integers(1, 10**12), invested=st.integers(1, 10**12), later=steps)
def test_costs_of_sales_and_what_is_left_add_up_to_what_was_invested(first, invested, later):
    fills = [fill(True, str(first), str(Decimal(invested).scaleb(-9)))]
    held = first
    for is_buy, units, lamports, fee in later:
        units = units if is_buy else min(units, held)
        if units == 0:
            continue
        held += units if is_buy else -units
        swapped, network = str(Decimal(lamports).scaleb(-9)), str(Decimal(fee).scaleb(-9))
        fills.append(fill(is_buy, str(units), swapped, network=network))
    results = replay(fills, token_decimals=0)
    bought = sum((item.fill.moved_sol for item in results if item.fill.is_buy), Decimal(0))
    assert sum((item.cost_sol for item in results), Decimal(0)) + results[-1].remaining_cost_sol == bought
    assert results[-1].remaining_tokens == held
    for item in results:
        assert item.fill.is_buy or item.profit_sol == item.fill.moved_sol - item.cost_sol
