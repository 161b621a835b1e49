"""Charts over HTTP: what is posted shows at every provider at once, can be steered, and bad bodies change nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from apps.sandbox import attention
from apps.sandbox.domain.ready_made import READY_MADE
from tests.sandbox_server import SOL_MINT, SandboxControl, SandboxToken, running_sandbox

#: Depth and fees at which a small quote is the price itself to six digits.
FRICTIONLESS = {"liquidity_sol": "100000000", "pool_fee_bps": 0, "price_sol": "0.001"}


@pytest.fixture(autouse=True)
def _nothing_else_plays(sandbox: SandboxControl) -> None:
    sandbox.cancel_charts()


@pytest.fixture
def token(sandbox: SandboxControl) -> Iterator[SandboxToken]:
    listed = sandbox.add_token(**FRICTIONLESS)
    yield listed
    sandbox.client.delete("/control/path", params={"mint": listed.mint})


def prices_everywhere(sandbox: SandboxControl, token: SandboxToken) -> dict[str, Decimal]:
    """Return a token's price in SOL as each provider tells it."""
    jupiter = sandbox.get("/jupiter/price/v3", ids=f"{token.mint},{SOL_MINT}").json()
    (found,) = sandbox.get("/jupiter/tokens/v2/search", query=token.mint).json()
    (pair,) = sandbox.get(f"/dexscreener/tokens/v1/solana/{token.mint}").json()
    whole_tokens = 100
    sale = sandbox.order(input_mint=token.mint, output_mint=SOL_MINT, amount=whole_tokens * 10**token.decimals)
    buy = sandbox.order(input_mint=SOL_MINT, output_mint=token.mint, amount=10 * 10**9)
    after_fee = 1 - Decimal(buy["feeBps"]) / 10_000
    sol_usd = Decimal(str(jupiter[SOL_MINT]["usdPrice"]))
    return {
        "control": sandbox.price_of(token.mint),
        "jupiter price": Decimal(str(jupiter[token.mint]["usdPrice"])) / sol_usd,
        "jupiter tokens": Decimal(str(found["usdPrice"])) / sol_usd,
        "dexscreener": Decimal(pair["priceNative"]),
        "sale quote": Decimal(sale["outAmount"]) / 10**9 / whole_tokens,
        "buy quote": 10 * after_fee / (Decimal(buy["outAmount"]) / 10**token.decimals),
    }


#: How far each may be from the scripted price, as a fraction of it.
PRECISION = {
    "control": Decimal(0),
    "dexscreener": Decimal(0),
    "jupiter price": Decimal("1e-15"),
    "jupiter tokens": Decimal("1e-15"),
    "sale quote": Decimal("1e-6"),
    "buy quote": Decimal("1e-6"),
}


def assert_everywhere(sandbox: SandboxControl, token: SandboxToken, price: Decimal) -> None:
    for source, seen in prices_everywhere(sandbox, token).items():
        assert abs(seen / price - 1) <= PRECISION[source], (source, seen, price)


def test_every_provider_tells_the_scripted_price_at_every_step(sandbox: SandboxControl, token: SandboxToken) -> None:
    prices = ["0.001", "0.0015", "0.00140003", "0.0000987", "1.25"]
    sandbox.script(token.mint, *prices, speed=0)
    assert_everywhere(sandbox, token, Decimal(prices[0]))
    for price in prices[1:]:
        assert sandbox.next_price(token.mint) == Decimal(price)
        assert_everywhere(sandbox, token, Decimal(price))


def test_a_chart_plays_in_real_time_and_its_last_price_stays(sandbox: SandboxControl, token: SandboxToken) -> None:
    chart = [Decimal("0.001"), Decimal("0.002"), Decimal("0.0005")]
    sandbox.set_path(token.mint, chart, interval_ms=600)
    began, seen = time.monotonic(), [sandbox.price_of(token.mint)]
    while sandbox.token_state(token.mint)["scenario"] == "path":
        assert time.monotonic() - began < 60
        seen.append(sandbox.price_of(token.mint))
        time.sleep(0.03)
    assert time.monotonic() - began > 0.6 and seen[0] == chart[0]
    in_order = list(dict.fromkeys(seen))  # whoever looks too late misses one
    assert in_order == [price for price in chart if price in in_order]
    assert sandbox.price_of(token.mint) == chart[-1]


def test_points_come_at_their_seconds(sandbox: SandboxControl, token: SandboxToken) -> None:
    (started,) = sandbox.script(
        token.mint,
        {"percent": 0},
        {"at_seconds": "0.8", "percent": 50},
        {"after_seconds": "0.7", "percent": "40"},
    )
    assert (started["step"], started["steps"], started["length_seconds"]) == (1, 3, 2.2)
    assert started["remaining_seconds"] == pytest.approx(2.2, abs=0.2)
    comes_at = {Decimal("0.001"): 0.0, Decimal("0.0015"): 0.8, Decimal("0.0014"): 1.5}
    first_seen: dict[Decimal, float] = {}
    while playing := sandbox.get("/control/path").json()["playing"]:
        first_seen.setdefault(Decimal(playing[0]["price_sol"]), playing[0]["elapsed_seconds"])
    # A busy machine may be late, and show one only when the next is due: never early, never in another order.
    assert all(elapsed >= comes_at[price] - 0.01 for price, elapsed in first_seen.items())
    assert list(first_seen) == [price for price in comes_at if price in first_seen]
    assert sandbox.price_of(token.mint) == Decimal("0.0014")


def test_what_plays_is_told_step_by_step(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.script(token.mint, "0%", "50%", "-20%", speed=0)
    sandbox.next_price(token.mint)
    (playing,) = sandbox.get("/control/path").json()["playing"]
    assert playing["symbol"] == token.symbol
    assert (playing["step"], playing["steps"], playing["speed"]) == (2, 3, 0)
    assert (playing["price_sol"], playing["start_price_sol"]) == ("0.0015", "0.001")
    assert playing["next_in_seconds"] is playing["remaining_seconds"] is None
    assert sandbox.state()["playing"][0]["mint"] == token.mint


def test_a_cancelled_chart_stays_where_it_is(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.script(token.mint, "0.002", "0.003", loop=True)
    answer = sandbox.client.delete("/control/path", params={"symbol": token.symbol})
    assert answer.json() == {"cancelled": 1}
    assert sandbox.get("/control/path").json() == {"playing": []}
    assert sandbox.price_of(token.mint) == Decimal("0.002")
    again = sandbox.client.delete("/control/path", params={"mint": token.mint})
    assert (again.status_code, again.json()["code"]) == (404, "NOTHING_PLAYS")


def test_all_charts_are_cancelled_at_once(sandbox: SandboxControl) -> None:
    tokens = sandbox.add_tokens(3)
    sandbox.script([token.mint for token in tokens], "0%", "50%", speed=0)
    assert sandbox.client.delete("/control/path").json() == {"cancelled": 3}


def test_the_speed_of_what_plays_can_be_changed(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.script(token.mint, {"percent": 0}, {"after_seconds": 60, "percent": 50})
    (faster,) = sandbox.post("/control/path/speed", {"mint": token.mint, "speed": 300})["started"]
    assert faster["next_in_seconds"] <= 0.2
    deadline = time.monotonic() + 60
    while sandbox.price_of(token.mint) != Decimal("0.0015"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_point_after_another_is_shown_on_demand(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.script(token.mint, "0.001", "0.0015", "0.0014", speed=0)
    time.sleep(1.2)
    assert sandbox.price_of(token.mint) == Decimal("0.001")
    assert [sandbox.next_price(token.mint) for _ in range(2)] == [Decimal("0.0015"), Decimal("0.0014")]
    ended = sandbox.post("/control/path/next", {"mint": token.mint})["started"][0]
    assert (ended["scenario"], ended["price_sol"]) == ("still", "0.0014")
    assert "step" not in ended


# By name


def test_every_ready_made_chart_is_listed_with_its_points(sandbox: SandboxControl) -> None:
    listed = sandbox.get("/control/scenarios").json()
    assert [chart["name"] for chart in listed["scripts"]] == list(READY_MADE)
    ladder = next(chart for chart in listed["scripts"] if chart["name"] == "take_profit_ladder")
    assert [point["percent"] for point in ladder["points"]][-1] == "406"
    assert "moon bag" in ladder["sentence"]
    assert {move["name"] for move in listed["moves"]} == {"calm", "still", "pump", "crash", "gap", "rug"}


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_chart_is_played_by_one_post(sandbox: SandboxControl, token: SandboxToken, name: str) -> None:
    (started,) = sandbox.scenario(name, mint=token.mint, speed=0)
    assert (started["scenario"], started["step"]) == (name, 1)
    points = READY_MADE[name].script.points
    for point in points[1:]:
        price = Decimal("0.001") * (1 + point.percent / 100)
        assert sandbox.next_price(token.mint) == price
    assert sandbox.token_state(token.mint)["scenario"] == name


def test_bad_ticks_are_one_sources_word_against_all_others(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.scenario("bad_tick", mint=token.mint, speed=0)
    true = Decimal("0.001")
    said = []
    for _ in range(6):
        sandbox.next_price(token.mint)
        seen = prices_everywhere(sandbox, token)
        assert seen["control"] == true
        assert abs(seen["sale quote"] / true - 1) < Decimal("1e-6")
        said.append((round(seen["jupiter price"] / true, 6), round(seen["dexscreener"] / true, 6)))
    assert said == [(Decimal("0.1"), 1), (1, 1), (1, Decimal("0.1")), (1, 1), (10, 1), (1, 1)]


def test_held_means_the_tokens_whose_prices_are_asked_for(sandbox: SandboxControl) -> None:
    with running_sandbox("--no-autonomous") as own:
        nothing = own.client.post("/control/scenarios", json={"scenario": "flash_crash", "held": True})
        assert (nothing.status_code, nothing.json()["code"]) == (409, "NOTHING_HELD")
        first, second, _ = own.add_tokens(3)
        own.get("/jupiter/price/v3", ids=f"{first.mint},{SOL_MINT}")
        own.get(f"/dexscreener/tokens/v1/solana/{second.mint}")
        assert own.state()["held"] == [first.mint, second.mint]
        started = own.scenario("flash_crash", held=True)
        assert [row["mint"] for row in started] == [first.mint, second.mint]


def test_a_token_whose_price_nobody_asks_for_any_more_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    noticed = attention.Attention()
    noticed.note(["first"])
    later = time.monotonic() + attention.REMEMBERED_SECONDS + 0.1
    with monkeypatch.context() as patch:
        patch.setattr(attention, "time", SimpleNamespace(monotonic=lambda: later))
        noticed.note(["second"])
        assert noticed.held() == {"second"}


# Refusals


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "REQUIRED_FIELD", "points"),
        ({"prices": []}, "INVALID_FIELD", "prices"),
        ({"prices": ["0.1", "x"]}, "INVALID_FIELD", "prices.1"),
        ({"prices": ["0.1", "1e-18"]}, "PRICE_OUT_OF_RANGE", "prices.1"),
        ({"prices": ["0.1"], "interval_ms": 1}, "INVALID_FIELD", "interval_ms"),
        ({"prices": ["0.1"], "points": [{"percent": 1}]}, "UNKNOWN_FIELD", "points"),
        ({"points": []}, "INVALID_FIELD", "points"),
        ({"points": [{"percent": 0}] * 10_001}, "INVALID_FIELD", "points"),
        ({"points": [{"percent": 0}, 5]}, "INVALID_FIELD", "points.1"),
        ({"points": [{}]}, "REQUIRED_FIELD", "points.0.price_sol"),
        ({"points": [{"percent": 0}, {"at_seconds": 3}]}, "REQUIRED_FIELD", "points.1.price_sol"),
        ({"points": [{"percent": 0, "price_sol": 1}]}, "INVALID_FIELD", "points.0.percent"),
        ({"points": [{"percent": -100}]}, "INVALID_FIELD", "points.0.percent"),
        ({"points": [{"percent": "much"}]}, "INVALID_FIELD", "points.0.percent"),
        ({"points": [{"percent": "1." + "1" * 80}]}, "INVALID_FIELD", "points.0.percent"),
        ({"points": [{"price_sol": -1}]}, "INVALID_FIELD", "points.0.price_sol"),
        ({"points": [{"price_sol": 1, "at_seconds": -1}]}, "INVALID_FIELD", "points.0.at_seconds"),
        (
            {"points": [{"price_sol": 1, "at_seconds": 1, "after_seconds": 1}]},
            "INVALID_FIELD",
            "points.0.after_seconds",
        ),
        (
            {"points": [{"percent": 1, "at_seconds": 2}, {"percent": 1, "at_seconds": 2}]},
            "INVALID_FIELD",
            "points.1.at_seconds",
        ),
        (
            {"points": [{"percent": 1}, {"percent": 1, "after_seconds": 0}]},
            "INVALID_FIELD",
            "points.1.after_seconds",
        ),
        ({"points": [{"percent": 0}, {"price_sol": "1e-18"}]}, "PRICE_OUT_OF_RANGE", "points.1"),
        ({"points": [{"percent": 0, "colour": "red"}]}, "UNKNOWN_FIELD", "points.0.colour"),
        ({"points": [{"percent": 0, "told": {"pyth": 2}}]}, "UNKNOWN_FIELD", "points.0.told.pyth"),
        ({"points": [{"percent": 0, "told": {"dexscreener": 0}}]}, "INVALID_FIELD", "points.0.told.dexscreener"),
        ({"points": [{"percent": 0, "told": 3}]}, "INVALID_FIELD", "points.0.told"),
        ({"points": [{"percent": 0}], "loop": True, "hold": True}, "INVALID_FIELD", "hold"),
        ({"points": [{"percent": 0}], "loop": 1}, "INVALID_FIELD", "loop"),
        ({"points": [{"percent": 0}], "speed": 1_001}, "INVALID_FIELD", "speed"),
        ({"points": [{"percent": 0}], "interval_ms": 100}, "UNKNOWN_FIELD", "interval_ms"),
    ],
)
def test_a_bad_chart_is_a_400_that_names_the_field_and_plays_nothing(
    sandbox: SandboxControl, token: SandboxToken, body: dict[str, Any], code: str, field: str
) -> None:
    before = sandbox.token_state(token.mint)["pool"]
    answer = sandbox.client.post("/control/path", json={"mint": token.mint, **body})
    assert answer.status_code == 400, answer.text
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
    assert answer.json()["message"]
    assert sandbox.token_state(token.mint)["pool"] == before
    assert sandbox.get("/control/path").json()["playing"] == []


def test_a_long_chart_for_many_tokens_is_refused(sandbox: SandboxControl) -> None:
    mints = [token.mint for token in sandbox.add_tokens(6)]
    answer = sandbox.client.post("/control/path", json={"mints": mints, "points": [{"percent": 0}] * 9_000})
    assert (answer.status_code, answer.json()["field"]) == (400, "points")


def test_a_chart_of_ten_thousand_points_begins_at_once(sandbox: SandboxControl, token: SandboxToken) -> None:
    started = time.monotonic()
    sandbox.set_path(token.mint, [f"0.00{1000 + number}" for number in range(8_000)], interval_ms=1000)
    assert time.monotonic() - started < 30  # it lasts for hours
    assert sandbox.token_state(token.mint)["scenario"] == "path"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("", {"mint": "nosuch", "prices": [1]}, 404, "UNKNOWN_TOKEN"),
        ("", {"mint": SOL_MINT, "prices": [1]}, 400, "INVALID_FIELD"),
        ("", {"prices": [1]}, 400, "REQUIRED_FIELD"),
        ("/next", {"mint": "MINT"}, 404, "NOTHING_PLAYS"),
        ("/next", {}, 404, "NOTHING_PLAYS"),
        ("/next", {"mint": SOL_MINT}, 404, "NOTHING_PLAYS"),
        ("/speed", {"mint": "MINT", "speed": 2}, 404, "NOTHING_PLAYS"),
        ("/speed", {"symbol": "NOSUCH", "speed": 2}, 404, "UNKNOWN_TOKEN"),
    ],
)
def test_what_cannot_be_steered_is_said(
    sandbox: SandboxControl, token: SandboxToken, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    sent = {name: token.mint if value == "MINT" else value for name, value in body.items()}
    answer = sandbox.client.post(f"/control/path{path}", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_speed_must_be_given(sandbox: SandboxControl, token: SandboxToken) -> None:
    sandbox.script(token.mint, "0%", "1%", speed=0)
    answer = sandbox.client.post("/control/path/speed", json={"mint": token.mint})
    assert (answer.status_code, answer.json()["field"]) == (400, "speed")
