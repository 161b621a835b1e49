"""What a poll tells: a record every process can read, with or without Redis, and ages that are honest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError
from django.test import override_settings
from pytest_django import Settings

from apps.core.metrics_registry import REGISTRY
from apps.prices import selectors
from apps.prices import services as prices
from apps.prices.domain.points import PricePoint, PriceSource
from apps.prices.domain.trust import Trust, TrustDecision, judge
from apps.prices.services import FetchResult, polling
from tests.prices import world
from tests.prices.world import providers
from tests.sandbox_server import SandboxControl

pytestmark = pytest.mark.django_db(transaction=True)

#: Seconds a busy machine may add to an age.
LATE = 20


@pytest.fixture(autouse=True)
def nothing_noted() -> Iterator[None]:
    polling.forget()
    yield
    polling.forget()


def point(mint: str, *, age: float = 0) -> PricePoint:
    at = datetime.now(UTC) - timedelta(seconds=age)
    return PricePoint(mint, Decimal("0.5"), None, PriceSource.JUPITER, at, datetime.now(UTC))


def found(*points: PricePoint, missing: tuple[str, ...] = (), doubted: tuple[PricePoint, ...] = ()) -> FetchResult:
    now = datetime.now(UTC)
    decisions = {one.mint: judge(one, last_good_sol=None, now=now) for one in points}
    decisions |= {mint: judge(None, last_good_sol=None, now=now) for mint in missing}
    decisions |= {
        one.mint: TrustDecision(Trust.NEEDS_CONFIRMATION, "wild_without_second_source", one) for one in doubted
    }
    return FetchResult(decisions, took_seconds=0.25)


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"shard": "0", **labels})


def test_a_poll_is_noted_for_every_process(market: SandboxControl) -> None:
    polling.note_poll(0, found(point("a", age=1), point("b", age=4), point("c", age=2), missing=("d",)))
    (poll,) = selectors.latest_polls()
    now = datetime.now(UTC)
    assert (poll.tokens, poll.trusted, poll.doubted, poll.missing, poll.unpriced) == (4, 3, 0, 1, 1)
    assert (poll.source, poll.plan, poll.interval_seconds, poll.took_seconds) == ("jupiter", "sandbox", 1.0, 0.25)
    assert poll.age_seconds(now) < 1 + LATE
    assert 4 <= (poll.oldest_seconds(now) or 0) < 4 + LATE
    assert poll.median_at is not None and 2 <= (now - poll.median_at).total_seconds() < 2 + LATE
    assert poll.oldest_at is not None and (poll.median_at - poll.oldest_at).total_seconds() == pytest.approx(2, abs=0.9)
    oldest, median = (gauge("price_age_seconds", statistic=name) or 0 for name in ("oldest", "median"))
    assert 4 <= oldest < 4 + LATE and 2 <= median < 2 + LATE and median < oldest
    assert gauge("price_poll_tokens", outcome="trusted") == 3
    assert gauge("price_poll_interval_seconds") == 1
    assert now.timestamp() - (gauge("price_poll_timestamp_seconds") or 0) < 1 + LATE


def test_a_price_that_is_not_trusted_leaves_the_age_of_the_last_good_one_growing(market: SandboxControl) -> None:
    polling.note_poll(0, found(point("a", age=5), point("b")))
    poll = polling.note_poll(0, found(point("b"), doubted=(point("a"),)))
    assert (poll.trusted, poll.doubted) == (1, 1)
    assert 5 <= (poll.oldest_seconds(datetime.now(UTC)) or 0) < 5 + LATE


def test_what_a_quote_confirmed_counts_as_trusted(market: SandboxControl) -> None:
    doubted = point("a", age=1)
    poll = polling.note_poll(0, found(doubted=(doubted,)), {"a": doubted})
    assert (poll.trusted, poll.doubted, poll.unpriced) == (1, 0, 0)


def test_a_process_that_starts_knows_the_age_of_a_price_recorded_before_it(market: SandboxControl) -> None:
    prices.record_ticks([point("a", age=30)])
    poll = polling.note_poll(0, found(missing=("a", "b")))
    assert (poll.missing, poll.unpriced) == (2, 1)
    assert 30 <= (poll.oldest_seconds(datetime.now(UTC)) or 0) < 30 + LATE


def test_a_database_that_is_away_fails_no_poll_and_is_asked_again(
    market: SandboxControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices.record_ticks([point("a", age=30)])
    world.forget()
    with monkeypatch.context() as patched:
        patched.setattr(selectors, "latest_prices", away)
        assert polling.note_poll(0, found(point("b"), missing=("a",))).unpriced == 1
    assert polling.note_poll(0, found(point("b"), missing=("a",))).unpriced == 0


def away(_mints: list[str]) -> dict[str, PricePoint]:
    raise OperationalError("the database is away")


def test_a_shard_that_holds_nothing_says_so(market: SandboxControl) -> None:
    polling.note_poll(0, found(point("a", age=5)))
    polling.note_poll(0)
    (poll,) = selectors.latest_polls()
    assert (poll.tokens, poll.oldest_at) == (0, None)
    assert gauge("price_age_seconds", statistic="oldest") == 0


def test_each_shard_has_its_record_and_those_of_a_smaller_division_only_are_read(
    market: SandboxControl, settings: Settings
) -> None:
    settings.PRICE_SHARDS = 2
    polling.note_poll(0, found(point("a")))
    polling.note_poll(1, found(point("b"), point("c")))
    assert [(poll.shard, poll.tokens) for poll in selectors.latest_polls()] == [(0, 1), (1, 2)]
    settings.PRICE_SHARDS = 1
    assert [poll.shard for poll in selectors.latest_polls()] == [0]


def test_without_redis_the_process_itself_still_knows(market: SandboxControl) -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        polling.note_poll(0, found(point("a")))
        assert [poll.tokens for poll in selectors.latest_polls()] == [1]


def test_a_small_plan_and_its_interval_are_shown(market: SandboxControl, settings: Settings) -> None:
    settings.PROVIDERS = providers(market, jupiter="keyless", dexscreener="keyless")
    poll = polling.note_poll(0, found(missing=tuple(f"m{number}" for number in range(200))))
    assert (poll.source, poll.plan) == ("dexscreener", "keyless")
    assert poll.interval_seconds == pytest.approx(2.8)
