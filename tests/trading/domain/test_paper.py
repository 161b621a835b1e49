"""What the golden runs of the whole engine become where the decisions overrule what was recorded."""

from __future__ import annotations

import copy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.trading.vector_checks import runner
from apps.trading.vector_checks.topics import TOPICS
from apps.trading.vector_checks.values import optional_number

VECTORS = Path(__file__).parents[2] / "vectors"
RUNS = {
    topic: {case["name"].split()[0]: case for case in runner.cases(VECTORS / f"{topic}.shared.json")}
    for topic in ("executor_simulation", "scenarios")
}


def steps(topic: str, number: str) -> list[dict[str, Any]]:
    return TOPICS[topic].run(RUNS[topic][number]["input"])["steps"]


def check(topic: str, case: dict[str, Any]) -> runner.CaseResult:
    return runner.check_case(TOPICS[topic], case)


def test_a_position_is_made_whichever_exits_are_on_and_bars_a_second_buy():
    first, second = steps("executor_simulation", "0014")
    assert first["position"]["purchaseAmount"] == 1000
    assert (second["error"], second["balances"]["SOL"]) == ("POSITION_EXISTS", 4)


def test_a_dca_right_after_a_take_profit_knows_its_balance():
    bought = steps("executor_simulation", "0023")[-1]
    assert bought["result"]["tokensAcquired"] == 1000
    assert bought["balances"] == {"SOL": Decimal("4.25"), "TOK": 1500}


def test_a_stop_sells_while_the_price_feed_is_down():
    sold = steps("executor_simulation", "0027")[-1]
    assert sold["closedTrades"][0]["closeReason"] == "stop_loss"
    assert sold["balances"] == {"SOL": 5}


def test_a_dca_does_not_sell_itself_by_the_peak_of_before():
    added, after = steps("executor_simulation", "0035")[-2:]
    assert (added["position"]["peakPrice"], added["position"]["currentStopLossPercentage"]) == (Decimal("0.0008"), -32)
    assert after["quotedAmounts"] == []
    assert after["position"]["dcaCount"] == 1


def test_a_paused_agent_keeps_its_exits_and_loses_its_dca():
    _, stop, profit = steps("executor_simulation", "0036")
    assert stop["quotedAmounts"] == [{"side": "sell", "amount": 1_000_000_000}]
    assert profit["quotedAmounts"] == [{"side": "sell", "amount": 500_000_000}]
    paused = copy.deepcopy(RUNS["executor_simulation"]["0034"]["input"])
    paused["steps"][1]["automatedTrading"] = False
    assert TOPICS["executor_simulation"].run(paused)["steps"][1]["quotedAmounts"] == []


def test_a_preset_sells_at_its_own_levels():
    _, first, _ = steps("executor_simulation", "0038")
    assert first["quotedAmounts"] == [{"side": "sell", "amount": 250_000_000}]


def test_what_take_profit_closes_is_not_looked_at_again():
    closed = steps("executor_simulation", "0039")[-1]
    assert "error" not in closed
    assert [trade["closeReason"] for trade in closed["closedTrades"]] == ["take_profit"]


def test_what_take_profit_leaves_is_looked_at_by_the_stale_close_of_the_same_tick():
    given = copy.deepcopy(RUNS["executor_simulation"]["0039"]["input"])
    given["config"]["takeProfit"]["levels"][0]["sellPercent"] = 40
    given["steps"][1]["quotes"] = [{"outputAmount": 424_000_000}, {"outputAmount": 636_000_000}]
    closed = TOPICS["executor_simulation"].run(given)["steps"][-1]
    assert [asked["amount"] for asked in closed["quotedAmounts"]] == [400_000_000, 600_000_000]
    (trade,) = closed["closedTrades"]
    assert (trade["closeReason"], trade["profitLossSol"]) == ("stale_trade", Decimal("0.06"))


@pytest.mark.parametrize("number", ["0058", "0059", "0060"])
def test_a_dca_spends_no_more_than_the_largest_buy(number):
    spent = [
        trade["amount"] for step in steps("scenarios", number) for trade in step["trades"] if trade["side"] == "buy"
    ]
    assert max(spent) == 2_000_000_000


def test_profit_after_sale_and_dca_is_what_the_cash_says_in_both_ways_to_close():
    by_take_profit = steps("executor_simulation", "0022")[-1]["closedTrades"][0]
    by_hand = steps("executor_simulation", "0024")[-1]["closedTrades"][0]
    figures = ("profitLossSol", "changePercent", "salePrice", "amount")
    assert [by_take_profit[key] for key in figures] == [by_hand[key] for key in figures]
    assert by_hand["profitLossSol"] == Decimal("0.75")


#: A case, where in its expectation, and the code that restates it there.
RESTATED = [
    ("executor_simulation", "0017", ("steps", 0, "position", "purchasePrice"), "W10"),
    ("executor_simulation", "0017", ("steps", 0, "position", "peakPrice"), "W10"),
    ("executor_simulation", "0017", ("steps", 1, "position", "peakPrice"), "W1"),
    ("executor_simulation", "0020", ("steps", 1, "result", "changePercent"), "W10"),
    ("executor_simulation", "0021", ("steps", 2, "closedTrades", 0, "salePrice"), "W10"),
    ("executor_simulation", "0022", ("steps", 3, "result", "profitLossSol"), "W9"),
    ("executor_simulation", "0042", ("steps", 4, "position", "realizedProfitSol"), "W9"),
    ("executor_simulation", "0051", ("steps", 3, "quotedAmounts", 0, "amount"), "W3"),
    ("executor_simulation", "0078", ("steps", 1, "position", "peakPrice"), "W4"),
    ("scenarios", "0050", ("steps", 1, "position", "peakPrice"), "W1"),
    ("scenarios", "0057", ("steps", 7, "position", "realizedProfitSol"), "W9"),
]


@pytest.mark.parametrize(("topic", "number", "path", "code"), RESTATED)
def test_what_the_decisions_overrule_is_restated_and_named(topic, number, path, code):
    result = check(topic, RUNS[topic][number])
    assert result.status == runner.PASSED
    assert code in result.restated


@pytest.mark.parametrize(("topic", "number", "path", "code"), RESTATED)
def test_a_figure_that_no_rule_gives_is_not_restated_but_fails(topic, number, path, code):
    case = copy.deepcopy(RUNS[topic][number])
    case.pop("quirk", None)
    place = case["expected"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = place[path[-1]] * Decimal("1.0001")
    assert check(topic, case).status == runner.FAILED


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        named = [item for item in value.items() if item[0] not in ("events", "idempotencyKeys")]
        return [leaf for key, inner in named for leaf in leaves(inner, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, inner in enumerate(value) for leaf in leaves(inner, (*path, index))]
    return [path]


def other(value: Any) -> Any:
    """Return a value that is not this one, of the same kind, near it."""
    if isinstance(value, bool):
        return not value
    if value is None:
        return 7
    if isinstance(value, (int, Decimal)):
        return value * Decimal("1.0001") if value else Decimal("0.001")
    amount = optional_number(value)
    return f"{value}!" if amount is None else str(amount * Decimal("1.0001") or Decimal("0.001"))


@pytest.mark.parametrize(
    ("topic", "number"),
    [("executor_simulation", number) for number in ("0002", "0020", "0041", "0054", "0081")]
    + [("scenarios", number) for number in ("0001", "0053", "0057")],
)
def test_no_figure_of_an_untagged_run_may_be_another(topic, number):
    case = RUNS[topic][number]
    assert "quirk" not in case
    for path in leaves(case["expected"]):
        changed = copy.deepcopy(case)
        place = changed["expected"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = other(place[path[-1]])
        assert check(topic, changed).status == runner.FAILED, path
