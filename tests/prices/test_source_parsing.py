"""Reading the sources' answers, well-formed and not: no shape of an answer may raise or make up a price."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.http.answers import parse_json, to_json
from apps.core.money import SOL_MINT
from apps.prices.adapters import dexscreener, jupiter_prices, jupiter_tokens, pyth
from apps.prices.domain.block_clock import BlockClock
from apps.prices.domain.tokens import displayable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINT = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
OTHER = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def jupiter(**prices: Any) -> dict[str, Any]:
    named = {"sol": SOL_MINT, "mint": MINT, "other": OTHER}
    return {named[name]: {"usdPrice": price, "blockId": 371_000_000, "decimals": 6} for name, price in prices.items()}


def read_jupiter(payload: dict[str, Any], mints: list[str] | None = None) -> Any:
    jupiter_prices.forget()
    return jupiter_prices.read_prices(payload, mints or [MINT], received_at=NOW)


def test_sol_price_is_the_quotient_of_two_prices_of_one_response() -> None:
    answer = read_jupiter(jupiter(sol=Decimal("164.1482"), mint=Decimal("0.00041")))
    point = answer.points[MINT]
    assert point.price_sol == Decimal("0.000002497742893312262943")
    assert point.price_usd == Decimal("0.00041")
    assert answer.sol_usd.value == Decimal("164.1482")
    assert answer.points[SOL_MINT].price_sol == 1


def test_an_ordinary_tiny_price_keeps_its_digits() -> None:
    answer = read_jupiter(jupiter(sol=Decimal(160), mint=Decimal("1.06112e-8")))
    assert answer.points[MINT].price_sol == Decimal("6.632e-11")


@pytest.mark.parametrize("price", [None, 0, Decimal("-1"), Decimal("0E-30"), "1.5", True, [], Decimal("1e400")])
def test_a_price_that_is_none_is_missing_not_zero(price: Any) -> None:
    answer = read_jupiter(jupiter(sol=Decimal(160), mint=price, other=Decimal(1)), [MINT, OTHER])
    assert answer.missing == {MINT}
    assert OTHER in answer.points


def test_without_a_sol_price_nothing_is_priced() -> None:
    for payload in (jupiter(mint=Decimal(1)), jupiter(sol=None, mint=Decimal(1)), jupiter(sol=0, mint=Decimal(1))):
        answer = read_jupiter(payload)
        assert answer.points == {}
        assert answer.missing == {MINT}
        assert answer.sol_usd is None


def test_mints_are_case_sensitive() -> None:
    payload = jupiter(sol=Decimal(160))
    payload[MINT.lower()] = {"usdPrice": Decimal(1)}
    assert read_jupiter(payload).missing == {MINT}


@given(st.dictionaries(st.sampled_from([MINT, SOL_MINT, "x"]), JSON))
def test_no_jupiter_answer_can_break_the_reader(payload: dict[str, Any]) -> None:
    answer = jupiter_prices.read_prices(payload, [MINT], received_at=NOW)
    assert (MINT in answer.points) != (MINT in answer.missing)
    assert all(point.price_sol > 0 for point in answer.points.values())


def test_a_feed_whose_newest_block_stands_still_grows_old() -> None:
    jupiter_prices.forget()
    payload = jupiter(sol=Decimal(160), mint=Decimal(1))
    for seconds in (0, 5, 20):
        received = NOW + timedelta(seconds=seconds)
        point = jupiter_prices.read_prices(payload, [MINT], received_at=received).points[MINT]
        assert point.provider_at == NOW
        assert point.age(received) == timedelta(seconds=seconds)


def test_a_quiet_tokens_old_block_does_not_age_its_price() -> None:
    payload = jupiter(sol=Decimal(160), mint=Decimal(1))
    payload[MINT]["blockId"] = 1
    assert read_jupiter(payload).points[MINT].provider_at == NOW


def test_a_process_that_starts_takes_over_how_far_the_feed_had_come() -> None:
    clock = BlockClock()
    clock.learn(1000, NOW - timedelta(minutes=5))
    assert clock.observe(1000, NOW) == NOW - timedelta(minutes=5)
    assert clock.observe(1001, NOW) == NOW
    clock.learn(900, NOW)
    assert clock.newest == (1001, NOW)


def pair(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "chainId": "solana",
        "baseToken": {"address": MINT},
        "quoteToken": {"address": SOL_MINT},
        "priceNative": "0.000004218",
        "priceUsd": "0.0006921",
        "liquidity": {"usd": Decimal("71233.4")},
    }
    return row | changes


def read_pairs(*rows: Any) -> Any:
    return dexscreener.read_pairs(list(rows), [MINT], received_at=NOW)


def test_the_deepest_sol_pool_gives_the_price() -> None:
    answer = read_pairs(
        pair(priceNative="1", liquidity={"usd": Decimal(10)}),
        pair(priceNative="2", liquidity={"usd": Decimal(30)}),
        pair(priceNative="3", liquidity={"usd": Decimal(20)}),
    )
    assert answer.points[MINT].price_sol == 2
    assert answer.points[MINT].provider_at is None


@pytest.mark.parametrize("unknown", [None, {}, {"usd": None}, {"usd": "NaN"}, 5])
def test_a_pool_of_unknown_depth_counts_after_known_ones_but_before_empty_ones(unknown: Any) -> None:
    unsure = pair(priceNative="7", liquidity=unknown)
    assert read_pairs(unsure).points[MINT].price_sol == 7
    assert read_pairs(unsure, pair(priceNative="2", liquidity={"usd": 1})).points[MINT].price_sol == 2
    assert read_pairs(pair(priceNative="2", liquidity={"usd": 0}), unsure).points[MINT].price_sol == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"baseToken": {"address": OTHER}, "quoteToken": {"address": MINT}},
        {"baseToken": {"address": MINT.lower()}},
        {"quoteToken": {"address": USDC}},
        {"chainId": "base"},
        {"priceNative": None},
        {"priceNative": "0"},
        {"priceNative": "abc"},
        {"priceNative": "-1"},
        {"priceNative": "1e400"},
    ],
    ids=["quote side", "other case", "dollar pool", "other chain", "null", "zero", "text", "negative", "absurd"],
)
def test_rows_that_are_not_our_token_against_sol_give_no_price(changes: dict[str, Any]) -> None:
    answer = read_pairs(pair(**changes))
    assert answer.points == {}
    assert answer.missing == {MINT}


def sol_pair(**changes: Any) -> dict[str, Any]:
    return pair(
        **{
            "baseToken": {"address": SOL_MINT},
            "quoteToken": {"address": USDC},
            "priceNative": "164.1",
            "priceUsd": "164.2",
            **changes,
        }
    )


def read_sol_usd(*rows: Any) -> Decimal | None:
    found = dexscreener.read_sol_usd(list(rows), received_at=NOW)
    return None if found is None else found.value


def test_sol_in_dollars_is_what_its_deepest_pool_against_a_dollar_coin_says() -> None:
    shallow = sol_pair(priceUsd="150", liquidity={"usd": Decimal(10)})
    assert read_sol_usd(shallow, sol_pair(liquidity={"usd": Decimal(90)})) == Decimal("164.2")
    found = dexscreener.read_sol_usd([shallow], received_at=NOW)
    assert found is not None
    assert (found.at, found.source) == (NOW, "dexscreener")


@pytest.mark.parametrize(
    "changes",
    [
        {"baseToken": {"address": MINT}, "quoteToken": {"address": SOL_MINT}},
        {"quoteToken": {"address": OTHER}},
        {"chainId": "base"},
        {"priceUsd": None},
        {"priceUsd": "0"},
        {"priceUsd": "NaN"},
    ],
    ids=["other side", "no dollar coin", "other chain", "null", "zero", "not a number"],
)
def test_rows_that_are_not_sol_against_a_dollar_coin_say_nothing_of_it(changes: dict[str, Any]) -> None:
    assert read_sol_usd(sol_pair(**changes)) is None


@given(st.lists(JSON, max_size=5))
def test_no_dexscreener_answer_can_break_the_reader_of_sol_in_dollars(rows: list[Any]) -> None:
    value = read_sol_usd(*rows)
    assert value is None or value > 0


def test_a_missing_dollar_price_leaves_the_sol_price() -> None:
    point = read_pairs(pair(priceUsd=None)).points[MINT]
    assert point.price_sol == Decimal("0.000004218")
    assert point.price_usd is None


@given(st.lists(JSON | st.builds(lambda extra: pair() | extra, st.dictionaries(st.sampled_from(list(pair())), JSON))))
def test_no_dexscreener_answer_can_break_the_reader(rows: list[Any]) -> None:
    answer = dexscreener.read_pairs(rows, [MINT], received_at=NOW)
    assert all(point.price_sol > 0 for point in answer.points.values())


def update(**changes: Any) -> dict[str, Any]:
    price = {"price": "16423190500", "conf": "8123400", "expo": -8, "publish_time": 1_789_650_012} | changes
    return {"parsed": [{"id": pyth.SOL_USD_FEED, "price": price}]}


def test_pyth_value_is_price_scaled_by_expo_at_its_publish_time() -> None:
    price = pyth.read_update(update())
    assert price is not None
    assert price.value == Decimal("164.231905")
    assert price.at == datetime.fromtimestamp(1_789_650_012, UTC)


def test_pyth_exponent_zero_is_an_exponent_like_any_other() -> None:
    price = pyth.read_update(update(price="164", expo=0))
    assert price is not None
    assert price.value == 164


@pytest.mark.parametrize(
    "spelling", ["0x" + pyth.SOL_USD_FEED, pyth.SOL_USD_FEED.upper(), "0x" + pyth.SOL_USD_FEED.upper()]
)
def test_pyth_ids_match_in_any_spelling(spelling: str) -> None:
    payload = update()
    payload["parsed"][0]["id"] = spelling.replace("0X", "0x")
    assert pyth.read_update(payload) is not None


@pytest.mark.parametrize(
    "payload",
    [
        {"parsed": None},
        {"parsed": []},
        {},
        None,
        [],
        {"parsed": [None, {"id": "00" * 32, "price": update()["parsed"][0]["price"]}]},
        update(price="0"),
        update(price="-5"),
        update(price="1e9"),
        update(price="٣"),
        update(expo=None),
        update(expo=400),
        update(publish_time=None),
        update(publish_time=10**18),
    ],
    ids=repr,
)
def test_a_pyth_answer_without_a_usable_price_is_none(payload: Any) -> None:
    assert pyth.read_update(payload) is None


@given(
    JSON
    | st.builds(
        lambda extra: update(**extra), st.dictionaries(st.sampled_from(["price", "expo", "publish_time"]), JSON)
    )
)
def test_no_pyth_answer_can_break_the_reader(payload: Any) -> None:
    price = pyth.read_update(payload)
    assert price is None or price.value > 0


@pytest.mark.parametrize("decimals", [None, -1, 19, "6", Decimal("6.0"), True])
def test_a_token_without_usable_decimals_is_unknown(decimals: Any) -> None:
    assert jupiter_tokens.read_facts(MINT, {"id": MINT, "symbol": "A", "decimals": decimals}) is None


def test_names_written_by_strangers_are_cleaned_and_cut() -> None:
    row = {"id": MINT, "symbol": "\u202eEVIL\u200b\n" + "x" * 100, "name": None, "decimals": 6}
    facts = jupiter_tokens.read_facts(MINT, row)
    assert facts is not None
    assert facts.symbol == "EVIL" + "x" * 46
    assert facts.name == ""
    assert displayable(7, 5) == ""


def test_metrics_that_are_not_told_are_none_not_zero() -> None:
    metrics = jupiter_tokens.read_metrics(MINT, {"id": MINT, "mcap": None, "liquidity": Decimal("61234.7")})
    assert (metrics.market_cap_usd, metrics.liquidity_usd, metrics.holder_count) == (None, Decimal("61234.7"), None)


@given(JSON)
def test_a_payload_goes_back_to_json_exactly(value: Any) -> None:
    assert parse_json(to_json(value)) == value


def test_recorded_answers_of_the_documented_shape_are_read() -> None:
    """The contract's own examples, kept beside the tests."""
    folder = Path(__file__).parent / "answers"
    prices = parse_json((folder / "jupiter_price_v3.json").read_bytes())
    assert read_jupiter(prices, [MINT]).points[MINT].price_usd == Decimal("0.4182")
    rows = parse_json((folder / "dexscreener_tokens_v1.json").read_bytes())
    assert read_pairs(*rows).points[MINT].price_sol == Decimal("0.002547")
