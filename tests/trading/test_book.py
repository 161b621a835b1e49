"""The position book against the exact rules, position by position: it may think in floats, not decide by them."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from apps.agents import services as agents
from apps.core.money import quantize_price, to_base_units
from apps.prices import services as prices
from apps.prices.domain.points import PricePoint, PriceSource
from apps.prices.services import FetchResult
from apps.trading.book import reading
from apps.trading.book.book import PositionBook
from apps.trading.book.check import Checker
from apps.trading.book.columns import ODD, Columns
from apps.trading.domain import watch_rules
from apps.trading.domain.position_changes import Books
from apps.trading.domain.watch_rules import Watched
from apps.trading.models import Position
from apps.trading.selectors.configs import read_config
from apps.trading.services import stop_levels, trading_state
from apps.trading.services.watch import ShardWatch
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

SEED = 20261120
LADDER = {"enabled": True, "mode": "aggressive"}
#: A custom stop that comes down again further up: the highest it ever was must stay.
UNEVEN = [{"change": 300, "stopLoss": 60}, {"change": 100, "stopLoss": 80}, {"change": 50, "stopLoss": 20}]
MANY = [{"change": 400 - 10 * step, "stopLoss": 380 - 10 * step} for step in range(30)]
CONFIGS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"stopLoss": {"mode": "exponential", "defaultPercentage": -15}, "takeProfit": LADDER},
    {"stopLoss": {"mode": "zones"}, "staleTrade": {"minHoldTimeMinutes": 5, "minProfitPercent": -5}},
    {"stopLoss": {"enabled": False}, "staleTrade": {"minProfitPercent": -99, "maxProfitPercent": 500}},
    {"stopLoss": {"mode": "custom", "trailingLevels": UNEVEN}, "dca": {"enabled": True, "mode": "aggressive"}},
    {"stopLoss": {"mode": "custom", "trailingLevels": MANY, "defaultPercentage": -90}},
    {"staleTrade": {"enabled": False}, "dca": {"enabled": True}, "takeProfit": {"enabled": True}},
    {"stopLoss": {"mode": "custom", "trailingLevels": "broken"}},
)


def make_positions(number: int, chance: random.Random) -> list[Position]:
    made = []
    tokens = [factories.make_token() for _ in range(5)]
    for index in range(number):
        agent = factories.make_agent(config=CONFIGS[index % len(CONFIGS)], max_open_positions=5)
        for token in tokens:
            price = f"0.00{chance.randrange(10**6, 10**7)}{chance.randrange(10**6)}"
            sold = chance.choice([0, 0, 1])
            made.append(
                factories.make_position(
                    agent,
                    token,
                    price=price,
                    opened_at=timezone.now() - timedelta(minutes=chance.choice([0, 3, 10, 59, 61, 600])),
                    dca_count=chance.choice([0, 0, 1, 2]),
                    last_dca_at=chance.choice([None, timezone.now() - timedelta(seconds=chance.choice([5, 300]))]),
                    take_profit_levels_hit=sold,
                    moon_bag_activated=bool(sold),
                    moon_bag_amount=Decimal("0.5") if sold else None,
                )
            )
    return made


class Oracle:
    """What the exact rules alone say of every position, tick by tick, from the stored rows and nothing else."""

    def __init__(self) -> None:
        rows = Position.objects.filter(closed_at=None).select_related("agent")
        self.positions = {row.pk: self._watched(row) for row in rows}
        self.peaks = {row.pk: row.peak_price_sol for row in rows}

    def _watched(self, row: Position) -> Watched:
        config = read_config(
            reading.bulk.fetch_all("SELECT trading_config::text FROM agent WHERE id=%s", [row.agent_id])[0][0]
        )
        units = to_base_units(row.purchase_amount, row.decimals)
        bag = None if row.moon_bag_amount is None else to_base_units(row.moon_bag_amount, row.decimals)
        return Watched(
            id=row.pk,
            agent_id=row.agent_id,
            mint=row.mint,
            books=Books(
                row.decimals,
                units,
                to_base_units(row.remaining_amount, row.decimals),
                0,
                0,
                row.purchase_price,
                dca_count=row.dca_count,
                levels_hit=row.take_profit_levels_hit,
                moon_bag_active=row.moon_bag_activated,
                moon_bag_units=bag,
            ),
            stop_percent=row.stop_percent,
            generation=row.generation,
            opened_at=row.opened_at,
            config=config,
            last_dca_at=row.last_dca_at,
        )

    def tick(
        self, trusted: dict[str, PricePoint], doubted: dict[str, PricePoint], now: datetime
    ) -> set[tuple[UUID, str]]:
        fired = set()
        for key, position in self.positions.items():
            if position.mint in trusted:
                price = trusted[position.mint].price_sol
                peak = self.peaks[key] = max(self.peaks[key], price)
                if position.config is not None and position.config.stop_loss.enabled:
                    percent = watch_rules.raised(
                        position.stop_percent, position.books.average_price, peak, position.config.stop_loss
                    )
                    position = self.positions[key] = replace(position, stop_percent=percent)
                verdict = watch_rules.judge(position, price, now=now)
            elif position.mint in doubted:
                verdict = watch_rules.judge_doubted(position, doubted[position.mint].price_sol)
            else:
                continue
            if verdict.reason is not None:
                fired.add((key, verdict.reason))
        return fired


def point(mint: str, price: Decimal) -> PricePoint:
    return PricePoint(mint, quantize_price(price), None, PriceSource.JUPITER, None, datetime.now(UTC))


def read_book() -> PositionBook:
    book = PositionBook(0, 1)
    book.synchronise()
    return book


def tick(
    book: PositionBook, trusted: dict[str, PricePoint], doubted: dict[str, PricePoint], now: datetime
) -> set[tuple[UUID, str]]:
    book.synchronise()
    wild = {mint: (found, "wild_move") for mint, found in doubted.items()}
    done = book.evaluate(trusted, wild, now=now)
    book.recorded(prices.record_ticks(trusted.values()))
    return {(item.position.id, item.verdict.reason or "") for item in done.fired}


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_the_book_fires_exactly_what_the_exact_rules_fire(seed):
    chance = random.Random(seed)
    mints = sorted({position.mint for position in make_positions(24, chance)})
    book, oracle = read_book(), Oracle()
    fired = 0
    for step in range(40):
        trusted: dict[str, PricePoint] = {}
        doubted: dict[str, PricePoint] = {}
        for mint in mints:
            found = point(mint, Decimal(repr(0.005 * chance.lognormvariate(0, 0.8))))
            chance.choice([trusted, trusted, trusted, doubted, {}])[mint] = found
        now = datetime.now(UTC) + timedelta(minutes=step)
        expected = oracle.tick(trusted, doubted, now)
        assert tick(book, trusted, doubted, now) == expected, f"seed {seed}, step {step}"
        fired += len(expected)
        if step % 7 == 3:
            stop_levels.write_back(book, within_seconds=chance.choice([0.0, 0.01, 5]))
        if step % 11 == 10:
            # A watch that dies here leaves what it had not written back to the ticks.
            stop_levels.keep_progress(1, 0, book.progress())
            book = read_book()
    assert fired > 200
    stop_levels.write_back(book, within_seconds=30)
    stored = Position.objects.all()
    assert {row.pk: row.peak_price_sol for row in stored} == oracle.peaks
    assert {row.pk: row.stop_percent for row in stored} == {
        key: position.stop_percent for key, position in oracle.positions.items()
    }


def test_a_rise_counts_although_it_was_never_written_back_and_the_watch_died():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book = read_book()
    now = datetime.now(UTC)
    assert tick(book, {position.mint: point(position.mint, Decimal("1.5"))}, {}, now) == set()
    assert Position.objects.get().peak_price_sol == 1

    fired = tick(read_book(), {position.mint: point(position.mint, Decimal("1.4"))}, {}, now)

    assert fired == {(position.pk, "stop_loss")}


def test_a_rise_from_before_the_last_dca_does_not_count_after_a_restart():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    ticks = prices.record_ticks([point(position.mint, Decimal("1.9"))])
    Position.objects.update(
        peak_from_tick=ticks[position.mint], last_dca_at=timezone.now(), generation=2, peak_generation=2
    )
    assert tick(read_book(), {position.mint: point(position.mint, Decimal("1.1"))}, {}, datetime.now(UTC)) == set()


def test_a_dca_starts_the_peak_of_a_held_position_over():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book, now = read_book(), datetime.now(UTC)
    tick(book, {position.mint: point(position.mint, Decimal("1.19"))}, {}, now)
    Position.objects.update(
        purchase_price=Decimal("0.9"),
        peak_price_sol=Decimal("0.8"),
        stop_percent=Decimal(-32),
        last_dca_at=timezone.now(),
        generation=2,
        peak_generation=2,
    )
    assert tick(book, {position.mint: point(position.mint, Decimal("0.85"))}, {}, now) == set()
    row = book.columns.index[position.pk.bytes]
    assert book.columns.peak[row] == 0.85 and book.columns.average[row] == pytest.approx(0.9)


def test_a_write_back_of_the_watch_does_not_come_back_as_a_change():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book = read_book()
    tick(book, {position.mint: point(position.mint, Decimal("1.5"))}, {}, datetime.now(UTC))
    before = reading.watermark()
    assert stop_levels.write_back(book, within_seconds=5) == 1
    assert len(reading.changed_since(before)) == 0
    assert book.unsaved_count() == 0
    assert book.progress() == prices.record_ticks([point(position.mint, Decimal(1))])[position.mint] - 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda book, row: book.columns.index.pop(book.columns.id[row].tobytes()), "missing"),
        (lambda book, row: book.columns.remaining.__setitem__(row, 7), "figures"),
        (lambda book, row: book.columns.peak.__setitem__(row, 0.5), "peak_behind"),
        (lambda book, row: book.columns.stop_percent.__setitem__(row, -99 * 10**8), "stop_behind"),
    ],
)
def test_a_book_that_differs_from_the_database_is_told_and_put_right(change, kind):
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book = read_book()
    assert Checker(book).step() == {}
    change(book, book.columns.index[position.pk.bytes])
    assert Checker(book).step()[kind] == 1
    assert Checker(book).step() == {}


def test_a_position_only_the_book_holds_is_found_and_dropped():
    kept = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book = read_book()
    book.columns.insert(book.tokens.by_mint[kept.mint].number, [b"x" * 16])
    assert Checker(book).step() == {"extra": 1}
    assert Checker(book).step() == {} and len(book) == 1


def test_what_was_written_after_the_watermark_is_no_difference():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book = read_book()
    Position.objects.filter(pk=position.pk).update(remaining_amount=position.remaining_amount / 2, generation=2)
    factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    assert Checker(book).step() == {}


def no_prices(mints: Any, **_: Any) -> FetchResult:
    return FetchResult({})


def test_a_stop_that_moved_by_configuration_counts_although_its_token_has_no_price():
    agent = factories.make_agent()
    position = factories.make_position(agent, factories.make_token(), price="1", peak_price_sol=Decimal("1.5"))
    watch = ShardWatch(0, shards=1, fetch=no_prices)
    watch.tick()
    assert Position.objects.get().stop_percent == 40
    agents.update_config(agent=agent, patch={"stopLoss": {"defaultPercentage": -10}}, actor=agent.user)
    watch.tick()
    assert Position.objects.get().stop_percent == 40
    agents.update_config(
        agent=agent,
        patch={"stopLoss": {"mode": "custom", "trailingLevels": [{"change": 50, "stopLoss": 49}]}},
        actor=agent.user,
    )
    watch.tick()
    stored = Position.objects.get()
    assert (stored.stop_percent, stored.stop_price_sol) == (Decimal(49), position.purchase_price * Decimal("1.49"))


def test_a_rise_counts_by_the_rules_it_was_made_under():
    agent = factories.make_agent()
    position = factories.make_position(agent, factories.make_token(), price="1")
    book, now = read_book(), datetime.now(UTC)
    tick(book, {position.mint: point(position.mint, Decimal("1.9"))}, {}, now)
    agents.update_config(agent=agent, patch={"stopLoss": {"mode": "zones"}}, actor=agent.user)
    assert tick(book, {position.mint: point(position.mint, Decimal("1.81"))}, {}, now) == set()
    assert tick(book, {position.mint: point(position.mint, Decimal("1.8"))}, {}, now) == {(position.pk, "stop_loss")}


@pytest.mark.parametrize(
    ("switch", "adds", "sells"),
    [
        ({"state": "reducing"}, False, True),
        ({"state": "halted"}, False, True),
        ({"state": "halted", "exits_enabled": False}, False, False),
        ({"state": "active"}, True, True),
    ],
)
@pytest.mark.parametrize("whole_desk", [True, False])
def test_a_trading_state_counts_from_the_next_batch(whole_desk, switch, adds, sells):
    agent = factories.make_agent(config={"dca": {"enabled": True}, "takeProfit": {"enabled": True}})
    falls, rises = (
        factories.make_position(agent, factories.make_token(), price="1", stop_percent=Decimal(-60)) for _ in range(2)
    )
    book, now = read_book(), datetime.now(UTC)
    trading_state.set_state(agent=None if whole_desk else agent, reason="test", actor=None, **switch)
    fired = tick(
        book, {p.mint: point(p.mint, Decimal(price)) for p, price in ((falls, "0.79"), (rises, "1.6"))}, {}, now
    )
    expected = {(falls.pk, "dca")} if adds else set()
    assert fired == expected | ({(rises.pk, "take_profit")} if sells else set())


def test_who_pauses_is_not_added_to_and_still_sold():
    agent = factories.make_agent(config={"dca": {"enabled": True}})
    position = factories.make_position(agent, factories.make_token(), price="1", stop_percent=Decimal(-32))
    book, now = read_book(), datetime.now(UTC)
    agents.update_agent(agent=agent, actor=agent.user, automated_trading_simulation=False)
    assert tick(book, {position.mint: point(position.mint, Decimal("0.79"))}, {}, now) == set()
    assert tick(book, {position.mint: point(position.mint, Decimal("0.6"))}, {}, now) == {(position.pk, "stop_loss")}


def test_an_agent_in_another_mode_adds_nothing_to_what_it_holds_and_still_sells_it():
    agent = factories.make_agent(config={"dca": {"enabled": True}})
    position = factories.make_position(agent, factories.make_token(), price="1", stop_percent=Decimal(-32))
    book, now = read_book(), datetime.now(UTC)
    type(agent).objects.update(trading_mode="live", automated_trading_live=True)
    assert tick(book, {position.mint: point(position.mint, Decimal("0.79"))}, {}, now) == set()
    assert tick(book, {position.mint: point(position.mint, Decimal("0.6"))}, {}, now) == {(position.pk, "stop_loss")}
    type(agent).objects.update(trading_mode="simulation")
    assert tick(book, {position.mint: point(position.mint, Decimal("0.79"))}, {}, now) == {(position.pk, "dca")}


def test_an_open_adjust_bars_another_and_a_cancelled_one_rests():
    agent = factories.make_agent(config={"takeProfit": {"enabled": True}})
    position = factories.make_position(agent, factories.make_token(), price="1")
    book, now = read_book(), datetime.now(UTC)
    trusted = {position.mint: point(position.mint, Decimal("1.6"))}
    assert tick(book, trusted, {}, now) == {(position.pk, "take_profit")}
    intent = factories.make_intent(position, kind="adjust", reason="take_profit")
    assert tick(book, trusted, {}, now) == set()
    type(intent).objects.update(status="cancelled", finished_at=timezone.now(), last_error="LAPSED")
    assert tick(book, trusted, {}, now) == set()
    assert tick(book, trusted, {}, now + timedelta(seconds=10)) == {(position.pk, "take_profit")}


def test_a_fill_ends_the_rest_and_the_next_level_fires_at_once():
    agent = factories.make_agent(config={"takeProfit": {"enabled": True}})
    position = factories.make_position(agent, factories.make_token(), price="1")
    book, now = read_book(), datetime.now(UTC)
    assert tick(book, {position.mint: point(position.mint, Decimal("1.6"))}, {}, now) == {(position.pk, "take_profit")}
    book.rest([position.pk], now=now)
    risen = {position.mint: point(position.mint, Decimal("2.6"))}
    assert tick(book, risen, {}, now) == set()
    Position.objects.update(remaining_amount=Decimal("0.75"), generation=2, take_profit_levels_hit=1)
    assert tick(book, risen, {}, now) == {(position.pk, "take_profit")}


def test_a_certain_close_ends_the_watching_until_it_is_cancelled():
    position = factories.make_position(factories.make_agent(), factories.make_token(), price="1")
    book, now = read_book(), datetime.now(UTC)
    trusted = {position.mint: point(position.mint, Decimal("0.5"))}
    intent = factories.make_intent(position, reason="manual")
    assert tick(book, trusted, {}, now) == set()
    type(intent).objects.update(status="cancelled", finished_at=timezone.now())
    assert tick(book, trusted, {}, now) == {(position.pk, "stop_loss")}


def test_figures_too_large_for_the_columns_are_judged_from_the_database():
    position = factories.make_position(factories.make_agent(), factories.make_token(decimals=0), price="9000000000001")
    book, now = read_book(), datetime.now(UTC)
    assert book.columns.flags[book.columns.index[position.pk.bytes]] & ODD
    near = position.purchase_price * Decimal("0.68")
    assert tick(book, {position.mint: point(position.mint, near + 1)}, {}, now) == set()
    assert tick(book, {position.mint: point(position.mint, near)}, {}, now) == {(position.pk, "stop_loss")}


def test_rows_keep_their_positions_through_growth_removal_and_packing():
    chance = random.Random(SEED)
    columns = Columns()
    held: dict[bytes, int] = {}
    for _ in range(3_000):
        if held and chance.random() < 0.4:
            gone = chance.choice(sorted(held))
            assert columns.remove(gone)
            del held[gone]
        else:
            token = chance.randrange(1, 40)
            new = [chance.randbytes(16) for _ in range(chance.randrange(1, 9))]
            rows = columns.insert(token, new)
            columns.agent[rows] = token * 7
            held |= dict.fromkeys(new, token)
        columns.pack_if_wasteful()
    assert columns.index.keys() == held.keys()
    for position_id, token in held.items():
        row = columns.index[position_id]
        assert columns.id[row].tobytes() == position_id
        assert (columns.token[row], columns.agent[row]) == (token, token * 7)
        assert row in range(columns.used)[columns.rows_of(token)]
    assert int((columns.token[: columns.used] != 0).sum()) == len(held)
    assert not columns.remove(b"x" * 16)
