"""Candles: exact, made once a time is over, the same however often and whenever they are made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core import bulk
from apps.prices import selectors
from apps.prices import services as prices
from apps.prices.domain.candles import Candle, Interval, Span, begin_of, joined
from apps.prices.models import Candle as StoredCandle
from apps.prices.models import Tick
from apps.prices.services import candles, pruning

pytestmark = pytest.mark.django_db(transaction=True)
START = datetime(2026, 11, 20, 9, 58, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    candles.forget()
    yield
    candles.forget()


def tick(seconds: float, price: str, *, mint: str = "M", usd: str | None = None) -> Tick:
    at = START + timedelta(seconds=seconds)
    usd_price = None if usd is None else Decimal(usd)
    return Tick.objects.create(
        mint=mint, price_sol=Decimal(price), price_usd=usd_price, source="jupiter", received_at=at
    )


def make(seconds: float) -> int:
    """Make candles as if it were so many seconds after the start."""
    return prices.make_candles(now=START + timedelta(seconds=seconds))


def read(interval: Interval, seconds: float = 7200, *, mint: str = "M", count: int = 1000) -> list[Candle]:
    return selectors.candles(mint, interval, start=START, end=START + timedelta(seconds=seconds), count=count).candles


def stored(interval: str = "1m") -> list[tuple[str, int, Decimal, Decimal, Decimal, Decimal, int]]:
    rows = StoredCandle.objects.filter(interval=interval).order_by("mint", "opened_at")
    return [
        (
            row.mint,
            int((row.opened_at - START).total_seconds()),
            row.open_sol,
            row.high_sol,
            row.low_sol,
            row.close_sol,
            row.ticks,
        )
        for row in rows
    ]


def test_a_minute_holds_its_first_highest_lowest_and_last_price() -> None:
    for second, price in ((0, "5"), (10, "9.000000000000000000000001"), (30, "2"), (59.999, "3"), (60, "7")):
        tick(second, price)
    assert make(131) == 3  # with the hour that ended at 10:00
    assert stored() == [
        ("M", 0, Decimal(5), Decimal("9.000000000000000000000001"), Decimal(2), Decimal(3), 4),
        ("M", 60, Decimal(7), Decimal(7), Decimal(7), Decimal(7), 1),
    ]


def test_dollars_cover_the_prices_that_had_them_and_are_unknown_without_any() -> None:
    for second, usd in ((1, None), (2, "700"), (3, "900"), (4, None), (61, None)):
        tick(second, "5", usd=usd)
    make(131)
    first, second_minute = read(Interval.MINUTE, 120)
    assert first.usd == Span(Decimal(700), Decimal(900), Decimal(700), Decimal(900))
    assert second_minute.usd is None


def test_a_minute_is_stored_once_it_is_over_and_shown_before() -> None:
    tick(5, "5")
    assert make(69) == 0
    assert stored() == []
    assert [candle.sol.close for candle in read(Interval.MINUTE, 69)] == [Decimal(5)]
    assert make(70) == 1
    assert len(stored()) == 1


def test_a_chart_ends_with_the_newest_tick_whatever_is_stored() -> None:
    for second in range(0, 7200, 30):
        tick(second, str(1 + second))
    before = {interval: read(interval, 7199) for interval in (Interval.MINUTE, Interval.HOUR)}
    for now in (100, 3000, 3700, 7000):
        make(now)
        assert {interval: read(interval, 7199) for interval in before} == before
    assert before[Interval.HOUR][-1].sol.close == 1 + 7170
    assert [candle.ticks for candle in before[Interval.HOUR]] == [4, 120, 116]


def test_a_second_is_read_from_the_ticks() -> None:
    for second, price in ((10.1, "1"), (10.9, "3"), (12, "2")):
        tick(second, price)
    first, last = read(Interval.SECOND, 60)
    assert first == Candle(START + timedelta(seconds=10), Span(Decimal(1), Decimal(3), Decimal(1), Decimal(3)), None, 2)
    assert last.at == START + timedelta(seconds=12)
    assert not StoredCandle.objects.exists()


def test_an_hour_is_made_of_its_minutes_when_it_is_over_though_nothing_ticked_since() -> None:
    for second, price in ((0, "4"), (60, "8"), (125, "1"), (180, "6")):
        tick(second, price)
    make(200)  # 10:01:20, the minute that began at 10:00 is not over by ten seconds
    assert stored("1h") == [("M", -58 * 60, Decimal(4), Decimal(8), Decimal(4), Decimal(8), 2)]
    make(3 * 3600)
    assert stored("1h")[1:] == [("M", 120, Decimal(1), Decimal(6), Decimal(1), Decimal(6), 2)]


def test_making_again_changes_nothing() -> None:
    for second in range(0, 600, 7):
        tick(second, str(1 + second % 13), mint=f"M{second % 3}")
    make(700)
    once = list(StoredCandle.objects.order_by("id").values())
    candles.forget()
    assert make(700) == 0
    assert list(StoredCandle.objects.order_by("id").values()) == once


def test_a_run_that_finds_no_new_minute_asks_nothing(django_assert_num_queries) -> None:
    tick(0, "1")
    make(100)
    with django_assert_num_queries(0):
        assert make(105) == 0


@pytest.mark.parametrize("restart", [False, True])
def test_a_late_tick_goes_into_its_minute_and_its_hour(restart: bool) -> None:
    for second in range(0, 2400, 20):
        tick(second, "5")
    make(2500)
    tick(61, "9")  # received half an hour before it was recorded
    tick(2490, "5")
    if restart:
        candles.forget()
    make(2600)
    minute = next(row for row in stored() if row[1] == 60)
    assert minute == ("M", 60, Decimal(5), Decimal(9), Decimal(5), Decimal(9), 4)
    assert stored("1h")[0][3] == Decimal(9)


def test_a_tick_whose_transaction_took_a_minute_is_not_lost() -> None:
    slow = tick(119, "9")
    Tick.objects.filter(pk=slow.pk).delete()
    tick(118, "5")
    make(131)
    assert stored()[-1][3] == 5
    slow.save(force_insert=True)  # committed late, with its early id
    make(191)
    assert stored() == [("M", 60, Decimal(9), Decimal(9), Decimal(5), Decimal(5), 2)]


def test_after_a_long_stop_everything_the_ticks_still_tell_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candles, "_AT_ONCE", timedelta(minutes=3))
    for second in [*range(0, 900, 30), *range(40_000, 40_900, 30)]:
        tick(second, str(1 + second))
    make(300)
    candles.forget()
    make(50_000)
    whole = stored()
    hours = stored("1h")
    StoredCandle.objects.all().delete()
    candles.forget()
    monkeypatch.undo()
    make(50_000)
    assert stored() == whole
    assert stored("1h") == hours
    assert sum(row[-1] for row in hours) == sum(row[-1] for row in whole) == Tick.objects.count()


def test_a_candle_is_never_made_anew_from_fewer_ticks() -> None:
    for second in (1, 2, 3):
        tick(second, str(second))
    make(100)
    Tick.objects.filter(price_sol=1).delete()  # as pruning does
    candles.forget()
    make(150)
    assert stored() == [("M", 0, Decimal(1), Decimal(3), Decimal(1), Decimal(3), 3)]


def test_two_processes_do_not_make_the_same_candles_at_once() -> None:
    for second in range(300):
        tick(second, "5", mint=f"M{second % 7}")
    made: list[int] = []

    def other() -> None:
        try:
            made.append(make(400))
        finally:
            connection.close()

    with transaction.atomic():
        bulk.fetch_all(candles._LOCK)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
    assert made == [0]
    candles.forget()
    assert make(400) == 7 * 5 + 7


def test_a_price_from_the_future_does_not_stop_the_clock() -> None:
    tick(30, "5")
    tick(10_000_000, "6")
    make(100)
    tick(90, "7")
    make(161)
    assert [row[1] for row in stored()] == [0, 60]


def test_pruned_candles_are_those_before_the_time_and_of_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "_AT_ONCE", 3)
    for second in range(0, 7200, 60):
        tick(second, "5")
    make(7300)
    assert (len(stored()), len(stored("1h"))) == (120, 2)
    assert prices.prune_candles(Interval.MINUTE, START + timedelta(seconds=3600)) == 60
    assert (len(stored()), len(stored("1h"))) == (60, 2)
    assert prices.prune_candles(Interval.HOUR, START) == 1
    assert [row[1] for row in stored("1h")] == [120]


def test_a_range_is_cut_to_as_many_spans_as_are_asked_for() -> None:
    for second in range(0, 600, 60):
        tick(second, "5")
    found = selectors.candles("M", Interval.MINUTE, start=None, end=START + timedelta(seconds=599), count=4)
    assert (found.start, found.end) == (START + timedelta(minutes=6), START + timedelta(minutes=10))
    assert [candle.at for candle in found.candles] == [START + timedelta(minutes=number) for number in (6, 7, 8, 9)]
    late = selectors.candles("M", Interval.MINUTE, start=START + timedelta(seconds=541), end=START + timedelta(hours=1))
    assert [candle.at for candle in late.candles] == [START + timedelta(minutes=9)]
    assert selectors.candles("M", Interval.MINUTE, start=START + timedelta(hours=2), end=START).candles == []


TICKS = st.lists(
    st.tuples(
        st.integers(0, 9_000),
        st.integers(1, 10**9),
        st.one_of(st.none(), st.integers(1, 10**6)),
        st.sampled_from(["M", "N"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(TICKS, st.lists(st.integers(60, 9_100), max_size=4))
def test_candles_are_what_the_ticks_say_whenever_they_are_made(
    ticks: list[tuple[int, int, int | None, str]], runs: list[int]
) -> None:
    Tick.objects.all().delete()
    StoredCandle.objects.all().delete()
    candles.forget()
    ticks = sorted(ticks, key=lambda row: row[0])
    for now in [*sorted(runs), 9_100]:
        while ticks and ticks[0][0] <= now:
            second, price, usd, mint = ticks.pop(0)
            tick(second, str(Decimal(price).scaleb(-12)), usd=None if usd is None else str(usd), mint=mint)
        make(now)
    for mint in ("M", "N"):
        rows = list(Tick.objects.filter(mint=mint).order_by("id"))
        single = [
            Candle(
                row.received_at,
                Span(*[row.price_sol] * 4),
                None if row.price_usd is None else Span(*[row.price_usd] * 4),
                1,
            )
            for row in rows
        ]
        for interval in Interval:
            expected = joined(single, interval)
            assert read(interval, 9_100, mint=mint, count=20_000) == expected
            for candle in expected:
                assert candle.at == begin_of(candle.at, interval)
                assert candle.sol.low <= min(candle.sol.open, candle.sol.close)
                assert candle.sol.high >= max(candle.sol.open, candle.sol.close)
