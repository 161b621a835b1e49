"""Recording prices and reading the newest: Redis, memory and PostgreSQL agree, and any of the first two may be gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from apps.core.money import SOL_MINT
from apps.prices import services as prices
from apps.prices.adapters import newest
from apps.prices.domain.points import PricePoint, PriceSource, SolUsd
from apps.prices.models import Tick
from apps.prices.services import pruning
from tests.prices.world import forget

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    forget()
    yield
    forget()


def point(mint: str, price: str = "0.5", *, age: float = 0, usd: str | None = "80") -> PricePoint:
    received = NOW - timedelta(seconds=age)
    return PricePoint(
        mint, Decimal(price), None if usd is None else Decimal(usd), PriceSource.JUPITER, received, received
    )


def test_ticks_are_stored_exactly_in_one_statement_and_ids_grow_in_order() -> None:
    points = [point(f"mint{number}", f"6.632e-{number + 1}") for number in range(21)]
    with CaptureQueriesContext(connection) as queries:
        ids = prices.record_ticks(points)
    assert len([query for query in queries if "INSERT" in query["sql"]]) == 1
    assert [ids[each.mint] for each in points] == sorted(ids.values())
    for each in points:
        tick = Tick.objects.get(pk=ids[each.mint])
        assert tick.price_sol == each.price_sol
        assert (tick.price_usd, tick.source) == (Decimal(80), "jupiter")
        assert (tick.provider_at, tick.received_at) == (each.provider_at, each.received_at)


def test_a_tick_without_dollars_or_provider_time_stays_without() -> None:
    bare = PricePoint("m", Decimal(1), None, PriceSource.DEXSCREENER, None, NOW)
    tick = Tick.objects.get(pk=prices.record_ticks([bare])["m"])
    assert (tick.price_usd, tick.provider_at) == (None, None)
    forget()
    assert prices.latest_prices(["m"]) == {"m": bare}


def test_two_ticks_of_one_token_return_the_last_ones_id() -> None:
    ids = prices.record_ticks([point("m", "1"), point("m", "2")])
    assert Tick.objects.get(pk=ids["m"]).price_sol == 2
    assert Tick.objects.count() == 2


def test_recording_nothing_does_nothing() -> None:
    assert prices.record_ticks([]) == {}


def test_latest_comes_from_redis_without_a_query_for_a_process_that_knows_nothing() -> None:
    prices.record_ticks([point("a", "1"), point("b", "2")])
    newest.forget()
    with CaptureQueriesContext(connection) as queries:
        found = prices.latest_prices(["a", "b"])
    assert {mint: each.price_sol for mint, each in found.items()} == {"a": 1, "b": 2}
    assert found["a"] == point("a", "1")
    assert len(queries) == 0


def test_latest_comes_from_the_ticks_when_redis_lost_everything() -> None:
    prices.record_ticks([point("a", "1", age=5), point("b", "9")])
    prices.record_ticks([point("a", "3")])
    forget()
    assert {mint: each.price_sol for mint, each in prices.latest_prices(["a", "b", "c"]).items()} == {"a": 3, "b": 9}


def test_while_redis_is_away_memory_answers_for_what_is_new_and_the_ticks_for_the_rest(settings: Settings) -> None:
    old, fresh = point("old", "1", age=60), point("fresh", "1")
    prices.record_ticks([old, fresh])
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    other_process = point("old", "2", age=1)
    Tick.objects.create(
        mint="old", price_sol=2, price_usd=80, source="jupiter", provider_at=NOW, received_at=other_process.received_at
    )
    found = prices.latest_prices(["old", "fresh"])
    assert found["old"].price_sol == 2
    assert found["fresh"] == fresh


@pytest.mark.usefixtures("hasty_redis")
def test_a_mute_redis_delays_recording_and_reading_by_no_more_than_its_limit(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings.REDIS_URL = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        started = time.perf_counter()
        for _ in range(60):
            prices.record_ticks([point("a")])
            prices.latest_prices(["a"])
            prices.sol_usd()
        assert time.perf_counter() - started < 6  # whoever waited each time would need nine
    assert Tick.objects.count() == 60


def test_an_older_price_never_replaces_a_newer_one_in_memory(settings: Settings) -> None:
    settings.REDIS_URL = ""
    prices.record_ticks([point("a", "2")])
    prices.record_ticks([point("a", "1", age=30)])
    assert prices.latest_prices(["a"])["a"].price_sol == 2


def test_prices_of_a_rolled_back_transaction_are_not_the_newest() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        prices.record_ticks([point("a", "7")])
        raise RuntimeError
    assert prices.latest_prices(["a"]) == {}


def test_pruning_keeps_what_is_recent_and_each_tokens_last_tick() -> None:
    prices.record_ticks(
        [point("a", "1", age=7200), point("a", "2", age=7100), point("a", "3"), point("b", "9", age=7200)]
    )
    assert prices.prune_ticks(NOW - timedelta(hours=1)) == 2
    assert sorted(Tick.objects.values_list("mint", "price_sol")) == [("a", Decimal(3)), ("b", Decimal(9))]


def test_pruning_spares_what_somebody_has_not_read_yet() -> None:
    prices.record_ticks([point("a", "1", age=7200)])
    unread = prices.record_ticks([point("a", "2", age=7100)])["a"]
    prices.record_ticks([point("a", "3")])
    assert prices.prune_ticks(NOW - timedelta(hours=1), spare_from=unread) == 1
    assert prices.prune_ticks(NOW - timedelta(hours=1)) == 1
    assert [tick.price_sol for tick in Tick.objects.all()] == [Decimal(3)]


def test_pruning_in_slices_takes_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_AT_ONCE", 3)
    for age in range(7200, 7180, -1):
        prices.record_ticks([point("a", "1", age=age), point("b", "2", age=age)])
    prices.record_ticks([point(f"c{number}", "1", age=7150) for number in range(9)] * 2)
    prices.record_ticks([point("a", "1")])
    assert prices.prune_ticks(NOW - timedelta(hours=1)) == 20 + 19 + 9
    assert Tick.objects.count() == 1 + 1 + 9


def test_the_price_at_a_moment_is_the_last_one_recorded_before_it() -> None:
    prices.record_ticks([point("a", "1", age=100), point("a", "2", age=20), point("a", "3", age=5)])
    assert prices.price_at("a", NOW - timedelta(seconds=10)) == 2
    assert prices.price_at("a", NOW) == 3
    assert prices.price_at("a", NOW - timedelta(seconds=21), within=timedelta(seconds=60)) is None
    assert prices.price_at("a", NOW - timedelta(seconds=200)) is None
    assert prices.price_at("b", NOW) is None


def test_a_price_of_yesterday_is_found_today_and_goes_with_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    prices.record_ticks([point("a", "1"), point("b", "2")])
    now = time.time()
    monkeypatch.setattr(newest.time, "time", lambda: now + 86_400)
    newest.forget()
    prices.record_ticks([point("b", "3")])
    newest.forget()
    found, answered = newest.recall(["a", "b", "c"])
    assert answered
    assert {mint: each.price_sol for mint, each in found.items()} == {"a": 1, "b": 3}
    monkeypatch.setattr(newest.time, "time", lambda: now + 2 * 86_400)
    newest.forget()
    assert list(newest.recall(["a", "b"])[0]) == ["b"]


def test_memory_of_prices_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = ""
    monkeypatch.setattr(newest, "MEMORY_TOKENS", 3)
    newest.remember([point(f"m{number}") for number in range(10)])
    assert len(newest.recall_here([f"m{number}" for number in range(10)])) == 3


def test_sol_usd_is_unknown_until_a_source_has_told_it() -> None:
    assert prices.sol_usd() is None


def test_sol_usd_is_found_in_redis_then_in_the_ticks_and_says_when_it_is_stale() -> None:
    prices.record_sol_usd(SolUsd(Decimal("164.2319"), NOW, PriceSource.PYTH))
    newest.forget()
    found = prices.sol_usd(now=NOW + timedelta(seconds=30))
    assert found == SolUsd(Decimal("164.2319"), NOW, "pyth", is_stale=False)
    forget()
    found = prices.sol_usd(now=NOW + timedelta(seconds=31))
    assert found == SolUsd(Decimal("164.2319"), NOW, "pyth", is_stale=True)
    assert Tick.objects.get(mint=SOL_MINT).price_sol == 1


def test_a_fallback_replaces_only_an_old_value_and_never_by_a_leap() -> None:
    from apps.prices.services.sol_price import offer_fallback

    prices.record_sol_usd(SolUsd(Decimal(160), NOW - timedelta(seconds=9), PriceSource.PYTH))
    assert not offer_fallback(SolUsd(Decimal(161), NOW, PriceSource.JUPITER))
    prices.record_sol_usd(SolUsd(Decimal(160), NOW - timedelta(seconds=20), PriceSource.PYTH))
    assert not offer_fallback(SolUsd(Decimal(1600), NOW, PriceSource.JUPITER))
    assert offer_fallback(SolUsd(Decimal(161), NOW, PriceSource.JUPITER))
    found = prices.sol_usd()
    assert found is not None
    assert (found.value, found.source) == (Decimal(161), "jupiter")
