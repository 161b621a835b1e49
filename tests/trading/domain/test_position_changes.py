"""What fills make of a position: the contract's examples to the unit, and what holds over any life."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.agents.domain.model import TakeProfit
from apps.agents.domain.trading_config import load
from apps.core.errors import Invalid
from apps.core.money import SOL_MINT, lamports_to_sol
from apps.trading.domain import dca, pnl, position_changes, take_profit
from apps.trading.domain.cost_basis import trigger_average
from apps.trading.domain.fills import Fill, Quote, simulated_buy, simulated_sell
from apps.trading.domain.position_changes import Books
from apps.trading.domain.take_profit import TRIGGERED, TakeProfitDecision

TOKEN = "TokenMint1111111111111111111111111111111111"
LAMPORTS = 10**9
NO_FEES: dict[str, Any] = {}


def bought(lamports: int, units: int, *, decimals: int = 6, fees: dict[str, Any] = NO_FEES) -> Fill:
    return simulated_buy(Quote(SOL_MINT, TOKEN, lamports, units, payload=fees), token_decimals=decimals)


def sold_for(units: int, lamports: int, *, decimals: int = 6, fees: dict[str, Any] = NO_FEES) -> Fill:
    return simulated_sell(Quote(TOKEN, SOL_MINT, units, lamports, payload=fees), token_decimals=decimals)


def ladder(**section: Any) -> TakeProfit:
    return load({"takeProfit": {"enabled": True, **section}}).take_profit


def custom(*levels: tuple[float, float], bag: bool = False) -> TakeProfit:
    return ladder(
        mode="custom",
        levels=[{"targetPercent": target, "sellPercent": sell} for target, sell in levels],
        moonBag={"enabled": bag, "triggerPercent": levels[-1][0], "retainPercent": 10},
    )


def climbed(books: Books, price: str, rules: TakeProfit) -> tuple[int, Books]:
    """Take profit at a price without friction; return the base units sold and the books after."""
    decision = take_profit.evaluate(books.for_take_profit(), Decimal(price), rules)
    if not decision.allowed:
        return 0, books
    units = position_changes.units_to_sell(books, decision)
    lamports = int(books.tokens(units) * Decimal(price) * LAMPORTS)
    fill = sold_for(units, lamports, decimals=books.token_decimals)
    return units, position_changes.took_profit(books, fill, decision).books


def test_the_moderate_ladder_as_the_contract_tells_it():
    """1000 tokens at 1 SOL: 250, 250, 250 and the bag, 150; what is left is the bag, and 1850 came in."""
    books = position_changes.opened(bought(1000 * LAMPORTS, 1000, decimals=0))
    rules, sales = ladder(), []
    for price in ("1.2", "1.5", "2.5", "4", "5", "10"):
        units, books = climbed(books, price, rules)
        sales.append(units)
    assert sales == [0, 250, 250, 250, 150, 0]
    assert (books.remaining_units, books.moon_bag_units, books.levels_hit) == (100, 100, 4)
    assert books.proceeds_lamports == (375 + 625 + 1000 + 750) * LAMPORTS
    assert books.realised_lamports == books.proceeds_lamports - 900 * LAMPORTS == 1850 * LAMPORTS


def test_a_jump_over_the_whole_ladder_sells_it_at_once_and_keeps_the_bag():
    books = position_changes.opened(bought(1000 * LAMPORTS, 1000, decimals=0))
    units, books = climbed(books, "5", ladder())
    assert (units, books.remaining_units, books.moon_bag_units, books.levels_hit) == (900, 100, 100, 4)


def test_the_ladder_starts_over_after_a_dca_as_the_contract_tells_it():
    """1000 at 1; 1.6 sells 250; 500 SOL buy 700; 1.5, 2.5 and 4 sell 425 each, with a bag of 170 at 4; 5 sells 5."""
    books = position_changes.opened(bought(1000 * LAMPORTS, 1000, decimals=0))
    rules = ladder()
    units, books = climbed(books, "1.6", rules)
    assert (units, books.realised_lamports) == (250, 150 * LAMPORTS)
    books = position_changes.added(books, bought(500 * LAMPORTS, 700, decimals=0), rules)
    assert (books.bought_units, books.remaining_units, books.batch_start, books.total_levels) == (1700, 1450, 1, 5)
    assert books.invested_lamports == 1500 * LAMPORTS
    assert round(books.average_price, 6) == Decimal("0.882353")
    sales = []
    for price in ("1.5", "2.5", "4", "5"):
        units, books = climbed(books, price, rules)
        sales.append((units, books.remaining_units))
    assert sales == [(425, 1025), (425, 600), (425, 175), (5, 170)]
    assert (books.moon_bag_units, books.levels_hit, books.total_levels) == (170, 5, 5)


def test_dca_as_the_contract_tells_it():
    """1 SOL for 1000; at -20 % 0.6 SOL for 750; the next is at -20 % of the new average, of 1750 tokens."""
    rules = load({"dca": {"enabled": True}})
    books = position_changes.opened(bought(LAMPORTS, 1000, decimals=0))
    first = dca.evaluate(books.for_dca(None), Decimal("0.0008"), rules.dca)
    assert first.buy_sol == Decimal("0.6")
    books = position_changes.added(books, bought(600_000_000, 750, decimals=0), rules.take_profit)
    assert round(books.average_price, 9) == Decimal("0.000914286")
    trigger = Decimal("0.000731428")
    assert dca.evaluate(books.for_dca(Decimal(29)), trigger, rules.dca).code == dca.COOLDOWN
    second = dca.evaluate(books.for_dca(Decimal(30)), trigger, rules.dca)
    assert second.buy_sol is not None and round(second.buy_sol, 4) == Decimal("0.96")
    assert not dca.evaluate(books.for_dca(Decimal(30)), Decimal("0.000731429"), rules.dca).allowed
    books = position_changes.added(books, bought(960_000_000, 1312, decimals=0), rules.take_profit)
    assert dca.evaluate(books.for_dca(Decimal(30)), Decimal("0.0001"), rules.dca).code == dca.LEVELS_EXHAUSTED


def test_take_profit_and_dca_report_the_profit_the_cash_says():
    """1 SOL for 1000; 500 sold for 0.75; 1000 more for 0.5; 1500 sold for 1.5: 0.75 earned, however it is closed."""
    books = position_changes.opened(bought(LAMPORTS, 1000, decimals=0))
    half = position_changes.sold(books, sold_for(500, 750_000_000, decimals=0))
    books = position_changes.added(half.books, bought(500_000_000, 1000, decimals=0), ladder())
    assert books.remaining_cost_lamports == LAMPORTS
    last = position_changes.sold(books, sold_for(1500, 1_500_000_000, decimals=0))
    assert half.profit_lamports + last.profit_lamports == last.books.realised_lamports == 750_000_000
    assert last.books.remaining_cost_lamports == last.books.remaining_units == 0


def test_without_a_bag_the_last_level_takes_what_the_others_left_by_rounding_down():
    """Thirds of a hundred thousand and two base units leave a unit each; no position is kept open for them."""
    books = position_changes.opened(bought(LAMPORTS, 100_002))
    rules = custom((10, 33.3), (20, 33.3), (30, 33.4))
    sales = []
    for gain in ("1.1", "1.2", "1.3"):
        units, books = climbed(books, str(books.average_price * Decimal(gain)), rules)
        sales.append(units)
    assert sales == [33_300, 33_300, 33_402]
    assert books.remaining_units == 0


def test_a_bag_is_left_exactly_so_that_nothing_is_added_to_it():
    rules = load({"takeProfit": {"enabled": True}, "dca": {"enabled": True}})
    books = position_changes.opened(bought(LAMPORTS, 314_695_992_537))
    for gain in ("1.5", "2.5", "4", "5"):
        _, books = climbed(books, str(books.average_price * Decimal(gain)), rules.take_profit)
    assert books.remaining_units == books.moon_bag_units == 31_469_599_254
    assert dca.evaluate(books.for_dca(None), Decimal("1e-12"), rules.dca).code == dca.ONLY_MOON_BAG


def test_what_levels_leave_on_purpose_is_no_dust_however_few_units_it_is():
    books = position_changes.opened(bought(LAMPORTS, 4, decimals=0))
    rules = custom((10, 25), (20, 25), (30, 25))
    for gain in ("1.1", "1.2", "1.3"):
        units, books = climbed(books, str(books.average_price * Decimal(gain)), rules)
        assert units == 1
    assert books.remaining_units == 1


@pytest.mark.parametrize("tokens", ["0", "1000.000001"])
def test_a_decision_about_other_books_is_refused(tokens):
    books = position_changes.opened(bought(LAMPORTS, 1_000_000_000))
    with pytest.raises(Invalid) as refused:
        position_changes.units_to_sell(books, TakeProfitDecision(True, TRIGGERED, Decimal(0), (), Decimal(tokens)))
    assert refused.value.code == "INVALID_SELL_AMOUNT"


def test_more_than_remains_cannot_be_sold():
    books = position_changes.opened(bought(LAMPORTS, 1000))
    with pytest.raises(ValueError, match="cannot sell"):
        position_changes.sold(books, sold_for(1001, LAMPORTS))


fee_lines = st.fixed_dictionaries(
    {},
    optional={
        "signatureFeeLamports": st.integers(0, 10_000),
        "prioritizationFeeLamports": st.integers(0, 1_000_000),
        "feeBps": st.integers(0, 100),
    },
)
ladders = st.sampled_from(
    [
        ladder(),
        ladder(mode="aggressive"),
        ladder(mode="conservative"),
        custom((10, 50), (20, 50)),
        custom((5, 33), (15, 33), (40, 34)),
        custom((5, 30), (500, 30), bag=True),
    ]
)
#: What happens next: the price moves by a factor, or SOL is added at the present price.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.decimals("0.3", "3", places=3)),
        st.tuples(st.just("dca"), st.integers(10_000_000, 5 * LAMPORTS)),
    ),
    max_size=15,
)


class Life:
    """A position lived through: its books, and beside them what a person with a notebook would have written."""

    def __init__(self, lamports: int, units: int, decimals: int, fees: dict[str, Any]) -> None:
        self.fees, self.decimals = fees, decimals
        fill = bought(lamports, units, decimals=decimals, fees=fees)
        self.books = position_changes.opened(fill)
        self.price = self.books.average_price
        self.paid, self.received, self.cost_sold = fill.debit_lamports, 0, 0

    def moved(self, factor: Decimal, rules: TakeProfit) -> None:
        self.price *= factor
        decision = take_profit.evaluate(self.books.for_take_profit(), self.price, rules)
        units = position_changes.units_to_sell(self.books, decision) if decision.allowed else 0
        if units == 0:
            return
        before, fill = self.books, self._sale(units)
        result = position_changes.took_profit(before, fill, decision)
        self._note(fill, result)
        kept = result.books.moon_bag_units or 0
        assert units <= before.remaining_units - kept
        assert before.levels_hit < result.books.levels_hit <= (before.total_levels or len(rules.levels))
        assert abs(units - int(decision.sell_tokens.scaleb(self.decimals))) <= 1 + result.books.levels_hit

    def added(self, lamports: int, rules: TakeProfit) -> None:
        units = int(Decimal(lamports) / LAMPORTS / self.price * 10**self.decimals)
        if units == 0 or self.books.remaining_units == 0:
            return
        before, fill = self.books, bought(lamports, units, decimals=self.decimals, fees=self.fees)
        self.books = position_changes.added(before, fill, rules)
        self.paid += fill.debit_lamports
        paid = trigger_average(fill.debit_lamports, fill.token_base_units, self.decimals)
        low, high = sorted([before.average_price, paid])
        rounding = Decimal("1e-24")
        assert low - rounding <= self.books.average_price <= high + rounding
        assert self.books.levels_hit == before.levels_hit == self.books.batch_start

    def closed(self) -> None:
        if self.books.remaining_units:
            fill = self._sale(self.books.remaining_units)
            self._note(fill, position_changes.sold(self.books, fill))

    def _sale(self, units: int) -> Fill:
        lamports = max(1, int(self.books.tokens(units) * self.price * LAMPORTS))
        return sold_for(units, lamports, decimals=self.decimals, fees=self.fees)

    def _note(self, fill: Fill, result: position_changes.Sold) -> None:
        self.received += fill.net_lamports
        self.cost_sold += result.cost_lamports
        assert result.profit_lamports == fill.net_lamports - result.cost_lamports
        self.books = result.books

    def check(self) -> None:
        books = self.books
        assert self.cost_sold + books.remaining_cost_lamports == books.invested_lamports == self.paid
        assert books.proceeds_lamports == self.received
        assert books.realised_lamports == self.received - self.cost_sold
        assert 0 <= books.remaining_units <= books.bought_units
        assert books.remaining_units > 0 or books.remaining_cost_lamports == 0


@given(
    lamports=st.integers(10_000_000, 10 * LAMPORTS),
    units=st.integers(1000, 10**16),
    decimals=st.sampled_from([0, 6, 9]),
    fees=fee_lines,
    rules=ladders,
    path=steps,
)
def test_over_any_life_costs_add_up_the_bag_stays_and_profit_is_what_the_cash_says(
    lamports, units, decimals, fees, rules, path
):
    life = Life(lamports, units, decimals, fees)
    for kind, figure in path:
        if kind == "price":
            life.moved(figure, rules)
        else:
            life.added(figure, rules)
        life.check()
    life.closed()
    life.check()
    books = life.books
    assert books.remaining_cost_lamports == 0
    assert books.realised_lamports == life.received - life.paid
    ended = pnl.ended(
        invested_sol=lamports_to_sol(books.invested_lamports),
        received_sol=lamports_to_sol(books.proceeds_lamports),
        bought_tokens=books.tokens(books.bought_units),
        sol_usd=Decimal(100),
    )
    assert ended.profit_sol == lamports_to_sol(life.received - life.paid)
    assert ended.profit_usd == ended.profit_sol * 100


@given(rules=ladders, path=st.lists(st.decimals("0.2", "30", places=4), min_size=1, max_size=12))
def test_levels_hit_only_rise_and_never_pass_the_total(rules, path):
    books, hit = position_changes.opened(bought(LAMPORTS, 10**12)), 0
    for price in path:
        _, books = climbed(books, str(books.average_price * price), rules)
        assert hit <= books.levels_hit <= len(rules.levels)
        hit = books.levels_hit
        if books.remaining_units == 0:
            return


def test_a_bag_that_was_set_aside_survives_a_dca_as_it_was():
    books = position_changes.opened(bought(LAMPORTS, 1_000_000_000))
    bagged = replace(books, moon_bag_active=True, moon_bag_units=100_000_000, levels_hit=4)
    added = position_changes.added(bagged, bought(LAMPORTS, 1_000_000_000), ladder())
    assert (added.moon_bag_active, added.moon_bag_units) == (True, 100_000_000)
