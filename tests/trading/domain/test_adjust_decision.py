"""What ends a fired take profit or DCA, and what it does otherwise: decided against the price of its own quote."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import Dca, DcaLevel, MoonBag, PurchaseLimits, TakeProfit, TakeProfitLevel
from apps.agents.domain.trading_config import DEFAULT_CONFIG
from apps.core.money import SOL_MINT
from apps.trading.domain import adjust_decision
from apps.trading.domain.adjust_decision import PurchaseDecision, SaleDecision, Standing
from apps.trading.domain.exit_decision import Action
from apps.trading.domain.fills import Quote
from apps.trading.domain.position_changes import Books

LEVELS = (TakeProfitLevel(Decimal(50), Decimal(25)), TakeProfitLevel(Decimal(100), Decimal(25)))
NO_BAG = MoonBag(False, Decimal(300), Decimal(10))
DROPS = (DcaLevel(Decimal(-20), Decimal(100)), DcaLevel(Decimal(-20), Decimal(100)))
CONFIG = replace(
    DEFAULT_CONFIG,
    take_profit=TakeProfit(True, "custom", LEVELS, NO_BAG, LEVELS, NO_BAG),
    dca=Dca(True, "custom", DROPS, DROPS, Decimal(2), Decimal(30)),
    purchase_limits=PurchaseLimits(Decimal("0.5"), Decimal(2), None),
)
#: 1,000 tokens for 1 SOL.
BOOKS = Books(0, 1000, 1000, 10**9, 10**9, Decimal("0.001"))
STANDING = Standing(
    fired_generation=3,
    generation=3,
    is_open=True,
    wallet_current=True,
    barred=False,
    age_seconds=Decimal(1),
    config=CONFIG,
)
CANCELLATIONS = [
    ({"is_open": False}, "POSITION_CLOSED"),
    ({"wallet_current": False}, "WALLET_RESET"),
    ({"barred": True}, "BARRED_BY_CLOSE"),
    ({"generation": 4}, "GENERATION_CHANGED"),
    ({"age_seconds": Decimal("10.001")}, "LAPSED"),
    ({"config": None}, "CONFIG_ERROR"),
]


def sale(standing: Standing = STANDING, books: Books = BOOKS, **options) -> SaleDecision:
    asked = {"trigger_price": Decimal("0.0015"), "market_price": Decimal("0.0015"), "quoted_units": 250}
    return adjust_decision.decide_sale(standing, books, **{**asked, "exits_allowed": True, **options})


def purchase(standing: Standing = STANDING, books: Books = BOOKS, **options) -> PurchaseDecision:
    asked = {
        "market_price": Decimal("0.0008"),
        "quoted_lamports": 800_000_000,
        "seconds_since_last": None,
        "balance_sol": Decimal(5),
        "gate_refusal": None,
    }
    return adjust_decision.decide_purchase(standing, books, **{**asked, **options})


@pytest.mark.parametrize(("change", "code"), CANCELLATIONS)
def test_what_ends_an_adjust_whatever_its_price(change, code):
    standing = replace(STANDING, **change)
    assert (sale(standing).action, sale(standing).code) == (Action.CANCEL, code)
    assert (purchase(standing).action, purchase(standing).code) == (Action.CANCEL, code)


def test_an_adjust_of_exactly_ten_seconds_is_still_booked():
    standing = replace(STANDING, age_seconds=Decimal(10))
    assert (sale(standing).action, purchase(standing).action) == (Action.BOOK, Action.BOOK)


def test_halted_exits_keep_a_take_profit_waiting():
    assert sale(exits_allowed=False) == SaleDecision(Action.WAIT, "EXITS_HALTED")


@pytest.mark.parametrize(
    ("market", "code"),
    [("0.001499", "NOT_REACHED"), ("0.0015", "ALLOWED"), ("0.0019", "ALLOWED"), ("0.0030", "ALLOWED")],
)
def test_a_take_profit_needs_the_quote_to_reach_its_level_and_sells_no_more_than_was_intended(market, code):
    decision = sale(market_price=Decimal(market))
    assert decision.code == code
    assert decision.profit is None or decision.profit.sell_tokens == 250


def test_two_intended_levels_need_a_quote_that_reaches_both():
    higher = Decimal("0.002")
    assert sale(trigger_price=higher, quoted_units=500, market_price=Decimal("0.0019")).code == "NOT_REACHED"
    assert len(sale(trigger_price=higher, quoted_units=500, market_price=higher).profit.levels) == 2


def test_what_a_quote_rounds_off_does_not_undo_a_level():
    assert sale(market_price=Decimal("0.0014999999999")).code == "ALLOWED"


def test_a_take_profit_whose_rules_changed_since_the_quote_sells_nothing():
    off = replace(CONFIG, take_profit=replace(CONFIG.take_profit, enabled=False))
    assert sale(replace(STANDING, config=off)).code == "DISABLED"
    more = replace(LEVELS[0], sell_percent=Decimal(40))
    changed = replace(CONFIG, take_profit=replace(CONFIG.take_profit, levels=(more, LEVELS[1])))
    assert sale(replace(STANDING, config=changed)).code == "AMOUNT_CHANGED"


@pytest.mark.parametrize(
    ("books", "code"),
    [
        (replace(BOOKS, levels_hit=2), "EXHAUSTED"),
        (replace(BOOKS, levels_hit=1, batch_start=2, total_levels=4), "CORRUPT_TAKE_PROFIT"),
        (replace(BOOKS, moon_bag_active=True, moon_bag_units=1000), "NOTHING_TO_SELL"),
    ],
)
def test_a_position_with_nothing_to_take_cancels_with_its_code(books, code):
    assert (sale(books=books).action, sale(books=books).code) == (Action.CANCEL, code)


def test_a_take_profit_without_the_price_that_fired_it_intends_nothing():
    assert adjust_decision.intended_sale(BOOKS, None, CONFIG.take_profit) == "NOT_REACHED"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"market_price": Decimal("0.000801")}, "NOT_REACHED"),
        ({"gate_refusal": "TRADING_REDUCING"}, "TRADING_REDUCING"),
        ({"seconds_since_last": Decimal("29.9")}, "COOLDOWN"),
        ({"balance_sol": None}, "INSUFFICIENT_BALANCE"),
        ({"balance_sol": Decimal("0.7")}, "INSUFFICIENT_BALANCE"),
        ({"balance_sol": Decimal("1.2")}, "VIOLATES_MINIMUM_BALANCE"),
        ({"books": replace(BOOKS, dca_count=2)}, "MAX_COUNT"),
        ({"books": replace(BOOKS, moon_bag_active=True, moon_bag_units=1000)}, "ONLY_MOON_BAG"),
    ],
)
def test_what_a_dca_is_refused_for(options, code):
    decision = purchase(**options)
    assert (decision.action, decision.code, decision.lamports) == (Action.CANCEL, code, 0)


def test_a_balance_below_the_minimum_is_said_to_be():
    poor = replace(CONFIG, purchase_limits=PurchaseLimits(Decimal(2), Decimal(2), None))
    decision = purchase(replace(STANDING, config=poor), balance_sol=Decimal("1.5"))
    assert decision.code == "BELOW_MINIMUM_THRESHOLD"
    assert decision.code in adjust_decision.MONEY_CODES


def test_a_dca_spends_no_more_than_was_quoted_and_less_when_the_price_fell():
    assert purchase(quoted_lamports=500_000_000).lamports == 500_000_000
    assert abs(purchase(market_price=Decimal("0.0006")).lamports - 600_000_000) <= 1


def test_a_dca_is_clipped_to_the_largest_buy():
    decision = adjust_decision.intended_purchase(
        replace(BOOKS, bought_units=5000, remaining_units=5000, average_price=Decimal("0.001")),
        Decimal("0.0008"),
        CONFIG,
        seconds_since_last=None,
        balance_sol=Decimal(5),
    )
    assert decision.lamports == 2_000_000_000


@given(
    st.integers(1, 10**15),
    st.integers(1, 10**15),
    st.decimals("0", "0.9", places=12),
    st.sampled_from([0, 6, 9]),
)
def test_the_market_price_of_a_quote_is_where_the_swap_began(tokens, lamports, impact, decimals):
    selling = Quote("T", SOL_MINT, tokens, lamports, price_impact=impact)
    buying = Quote(SOL_MINT, "T", lamports, tokens, price_impact=impact)
    got, paid = (adjust_decision.market_price(quote, decimals) for quote in (selling, buying))
    plain = adjust_decision.market_price(replace(selling, price_impact=Decimal(0)), decimals)
    assert paid <= plain <= got
