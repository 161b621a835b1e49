"""Entries at their edges: dust, deleted signals, refused quotes, slow providers, switches thrown meanwhile, bugs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db import transaction as database
from django.utils import timezone

from apps.agents import locks
from apps.agents import services as agents
from apps.agents.models import Agent
from apps.prices import services as prices
from apps.signals import queue
from apps.signals import services as signals
from apps.signals.models import TradingSignal
from apps.trading import tasks
from apps.trading.errors import EntryRefused
from apps.trading.models import Position, SignalExecution, State
from apps.trading.services import booking, entries, gate, hand_buys, trading_state
from apps.wallets.models import Transaction
from tests import factories
from tests.desk import wait_until
from tests.sandbox_server import SandboxControl, SandboxToken
from tests.trading.test_entries import FIXED_SIZE, assert_books_balance, balance, send, together, verdict

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def token(market: SandboxControl) -> SandboxToken:
    return market.add_token()


def sized(size: float) -> dict[str, Any]:
    span = {"min": size, "max": size}
    return {
        "positionCalculator": {
            "positionSizes": dict.fromkeys(("small", "medium", "large"), span),
            "randomization": {"enabled": False},
        }
    }


def age(signal: TradingSignal, agent: Agent, **by: float) -> None:
    """Let a signal be older than it is, and its agent older still."""
    TradingSignal.objects.filter(pk=signal.pk).update(created_at=timezone.now() - timedelta(**by))
    Agent.objects.filter(pk=agent.pk).update(created_at=timezone.now() - timedelta(days=1))


def start(work: Callable[[], object]) -> threading.Thread:
    """Run `work` beside the test, on a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextmanager
def uncommitted(work: Callable[[], object]) -> Iterator[None]:
    """Run `work` in a transaction of another connection that commits when the block ends."""
    done, commit = threading.Event(), threading.Event()

    def run() -> None:
        with database.atomic():
            work()
            done.set()
            commit.wait(120)

    thread = start(run)
    try:
        assert done.wait(60)
        yield
    finally:
        commit.set()
        thread.join()


# Sizes


@pytest.mark.parametrize("dust", [1e-10, 5e-10])
def test_a_size_below_one_lamport_is_skipped_and_costs_nobody_elses_trade(token, dust):
    user = factories.make_user()
    dusty = factories.make_agent(user, config=sized(dust))
    whole = factories.make_agent(user, config=FIXED_SIZE)
    signal = send(user, token)

    report = entries.process_signal(signal.pk)

    assert report is not None
    assert (report.executed, report.skipped, report.failed) == (1, 1, 0)
    assert (verdict(signal, dusty).verdict, verdict(signal, dusty).code) == ("skipped", "INVALID_POSITION_SIZE")
    assert verdict(signal, whole).verdict == "executed"


def test_a_balance_less_than_a_lamport_above_the_minimum_is_skipped(token):
    agent = factories.make_agent(sol="0.5000000005", config=FIXED_SIZE)
    signal = send(agent.user, token)

    entries.process_signal(signal.pk)

    assert (verdict(signal, agent).verdict, verdict(signal, agent).code) == ("skipped", "INVALID_POSITION_SIZE")
    assert TradingSignal.objects.get(pk=signal.pk).status == "done"


def test_a_buy_by_hand_of_less_than_a_lamport_is_refused(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    with pytest.raises(EntryRefused) as refused:
        hand_buys.buy_by_hand(
            agent=agent, token_address=token.mint, actor=agent.user, position_size_sol=Decimal("0.0000000009")
        )
    assert refused.value.code == "INVALID_POSITION_SIZE"


def test_a_size_finer_than_a_lamport_is_bought_rounded_down(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    bought = hand_buys.buy_by_hand(
        agent=agent, token_address=token.mint, actor=agent.user, position_size_sol=Decimal("0.1000000009")
    )
    assert bought.input_amount == Decimal("0.1")
    assert balance(agent) == Decimal("9.9")
    assert_books_balance()


# Quotes


def test_a_size_too_small_for_any_route_costs_nobody_elses_trade(market):
    coarse = market.add_token(price_sol="0.1", decimals=2)
    user = factories.make_user()
    dusty = factories.make_agent(user, sol="0.500000001", config=FIXED_SIZE)
    whole = factories.make_agent(user, config=FIXED_SIZE)
    signal = send(user, coarse)

    report = entries.process_signal(signal.pk)

    assert report is not None
    assert (report.executed, report.failed) == (1, 1)
    assert (verdict(signal, dusty).verdict, verdict(signal, dusty).code) == ("failed", "TOKEN_NOT_TRADABLE")
    assert verdict(signal, whole).verdict == "executed"


def test_one_quote_that_does_not_come_leaves_only_its_agents_to_the_next_attempt(market, token):
    user = factories.make_user()
    for size in (1, 2):
        factories.make_agent(user, config=sized(size))
    signal = send(user, token)
    prices.ensure_tokens([token.mint])
    market.fault("jupiter_quote", "null_price", count=1)

    assert entries.process_signal(signal.pk) is None
    assert SignalExecution.objects.filter(signal=signal, verdict="executed").count() == 1
    TradingSignal.objects.filter(pk=signal.pk).update(due_at=timezone.now())
    report = entries.process_signal(signal.pk)

    assert report is not None
    assert (report.executed, report.skipped, report.failed) == (2, 0, 0)
    assert_books_balance()


def test_quotes_slower_than_the_lease_keep_the_signal_in_one_pair_of_hands(market, token, monkeypatch):
    monkeypatch.setattr(queue, "LEASE_SECONDS", 3.0)
    monkeypatch.setattr(queue, "RENEW_BELOW_SECONDS", 2.4)
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    prices.ensure_tokens([token.mint])
    market.fault("jupiter_quote", "latency", latency_ms=2000, count=1)

    leases = set()

    def renewed() -> bool:
        leases.add(TradingSignal.objects.get(pk=signal.pk).lease_until)
        return len(leases - {None}) > 1

    processing = start(lambda: entries.process_signal(signal.pk))
    wait_until(renewed)
    assert queue.due_ids() == []
    processing.join()

    assert TradingSignal.objects.get(pk=signal.pk).attempts == 1
    assert verdict(signal, agent).verdict == "executed"


def test_a_signal_that_waited_is_held_against_the_price_it_came_with(market, token):
    user = factories.make_user()
    agent = factories.make_agent(user, config=FIXED_SIZE)
    signal = send(user, token)
    age(signal, agent, seconds=20)
    row = factories.make_token(token.symbol, mint=token.mint, decimals=token.decimals)
    factories.make_tick(row, str(token.price_sol / 2), at=timezone.now() - timedelta(seconds=21))

    entries.process_signal(signal.pk)

    assert (verdict(signal, agent).verdict, verdict(signal, agent).code) == ("skipped", "SIGNAL_EXPIRED")


# Deleted signals


def test_a_signal_deleted_before_it_is_traded_is_skipped_by_every_agent(token):
    user = factories.make_user()
    traders = [factories.make_agent(user, config=FIXED_SIZE) for _ in range(2)]
    signal = send(user, token)
    signals.delete_signals(user=user, actor=user, signal_id=signal.pk)

    report = entries.process_signal(signal.pk)

    assert report is not None
    assert (report.executed, report.skipped, report.failed) == (0, 2, 0)
    assert [verdict(signal, agent).reasons for agent in traders] == [["signal_deleted"]] * 2
    assert not Transaction.objects.filter(agent__in=traders, transaction_type="swap").exists()
    assert TradingSignal.objects.get(pk=signal.pk).status == "done"


def test_a_signal_deleted_while_it_is_quoted_is_not_booked(market, token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    prices.ensure_tokens([token.mint])
    market.fault("jupiter_quote", "latency", latency_ms=1500, count=1)

    processing = start(lambda: entries.process_signal(signal.pk))
    wait_until(lambda: market.state()["faults"] == [])  # it has asked
    signals.delete_signals(user=agent.user, actor=agent.user, signal_id=signal.pk)
    processing.join()

    assert verdict(signal, agent).reasons == ["signal_deleted"]
    assert balance(agent) == Decimal(10)


# Bugs and errors that pass


class Bug(Exception):
    """What nobody foresaw."""


def broken(*_: object, **__: object) -> None:
    raise Bug


def test_a_bug_gives_the_signal_back_after_growing_pauses(token, monkeypatch):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    monkeypatch.setattr(prices, "ensure_tokens", broken)

    pauses = []
    for _ in range(3):
        TradingSignal.objects.filter(pk=signal.pk).update(due_at=timezone.now())
        assert entries.process_signal(signal.pk) is None
        row = TradingSignal.objects.get(pk=signal.pk)
        assert row.status == "due"
        pauses.append(round((row.due_at - timezone.now()).total_seconds()))

    assert pauses == [1, 2, 4]
    monkeypatch.undo()
    TradingSignal.objects.filter(pk=signal.pk).update(due_at=timezone.now())
    report = entries.process_signal(signal.pk)
    assert report is not None and report.executed == 1


def test_a_bug_in_reading_agents_ends_as_expired_once_the_signal_is_too_old(token, monkeypatch):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    monkeypatch.setattr(entries.entry_orders, "for_signal", broken)
    assert entries.process_signal(signal.pk) is None
    age(signal, agent, minutes=2)
    TradingSignal.objects.filter(pk=signal.pk).update(due_at=timezone.now())

    report = entries.process_signal(signal.pk)

    assert report is not None and report.skipped == 1
    assert verdict(signal, agent).code == "SIGNAL_EXPIRED"


def test_one_signal_that_breaks_does_not_keep_the_sweep_from_the_next(token, monkeypatch):
    agent = factories.make_agent(config=FIXED_SIZE)
    first, second = send(agent.user, token), send(agent.user, token, signal_type="Breakout")
    real = queue.finish
    monkeypatch.setattr(queue, "finish", lambda signal: broken() if signal.id == first.pk else real(signal))

    tasks.take_due_signals()

    assert TradingSignal.objects.get(pk=first.pk).status == "due"
    assert TradingSignal.objects.get(pk=second.pk).status == "done"


def test_a_signal_is_given_back_also_after_its_lease_was_renewed(token, monkeypatch):
    monkeypatch.setattr(queue, "RENEW_BELOW_SECONDS", 60)
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)

    def lose_the_connection(**_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(booking, "book_entries", lose_the_connection)
    assert entries.process_signal(signal.pk) is None

    assert TradingSignal.objects.get(pk=signal.pk).status == "due"


def test_who_lost_the_lease_neither_finishes_nor_gives_back(token):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    former = queue.lease(signal.pk)
    assert former is not None
    TradingSignal.objects.filter(pk=signal.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    latter = queue.lease(signal.pk)
    assert latter is not None

    queue.give_back(former)
    assert not queue.finish(former)
    former.lease_until = timezone.now()
    with pytest.raises(queue.LeaseLost):
        queue.keep(former)

    assert TradingSignal.objects.get(pk=signal.pk).status == "leased"
    assert queue.finish(latter)


# Switches


def test_halting_the_desk_does_not_wait_for_bookings_that_keep_coming():
    trading_state.set_state(state=State.ACTIVE, actor=None)
    until = time.monotonic() + 25

    def book_on_and_on(delay: float) -> None:
        time.sleep(delay)
        while time.monotonic() < until and not halted:
            with database.atomic():
                gate.lock_desk()
                time.sleep(0.15)

    halted: list[float] = []

    def halt() -> None:
        time.sleep(0.4)
        started = time.monotonic()
        trading_state.set_state(state=State.HALTED, actor=None)
        halted.append(time.monotonic() - started)

    try:
        together(*[lambda delay=delay: book_on_and_on(delay) for delay in (0, 0.05, 0.1)], halt)
    finally:
        trading_state.set_state(state=State.ACTIVE, actor=None)
    assert halted[0] < 10


def test_a_halt_returns_only_after_the_booking_that_had_not_seen_it():
    trading_state.set_state(state=State.ACTIVE, actor=None)
    with uncommitted(gate.lock_desk):
        halting = start(lambda: trading_state.set_state(state=State.HALTED, actor=None))
        halting.join(0.4)
        assert halting.is_alive()
        assert gate.read([]).desk.state == State.ACTIVE
    halting.join()
    assert gate.read([]).desk.state == State.HALTED
    trading_state.set_state(state=State.ACTIVE, actor=None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"automated_trading_simulation": False}, "paused"), ({"trading_mode": "live"}, "TRADING_MODE_MISMATCH")],
)
def test_a_booking_that_waited_for_its_agent_honours_what_was_switched_meanwhile(token, change, reason):
    agent = factories.make_agent(config=FIXED_SIZE)
    signal = send(agent.user, token)
    prices.ensure_tokens([token.mint])

    with uncommitted(lambda: agents.update_agent(agent=agent, actor=None, **change)):
        processing = start(lambda: entries.process_signal(signal.pk))
        processing.join(1.0)
        assert processing.is_alive()
    processing.join()

    assert not Position.objects.filter(agent=agent).exists()
    assert verdict(signal, agent).reasons == [reason]


def test_a_pause_returns_only_after_the_booking_that_had_not_seen_it():
    agent = factories.make_agent()
    with uncommitted(lambda: locks.lock_states([agent.pk])):
        pausing = start(lambda: agents.update_agent(agent=agent, actor=None, automated_trading_simulation=False))
        pausing.join(0.4)
        assert pausing.is_alive()
    pausing.join()
    assert not Agent.objects.get(pk=agent.pk).automated


def test_an_agent_archived_while_its_signal_is_quoted_buys_nothing(market, token):
    user = factories.make_user()
    leaving, staying = (factories.make_agent(user, config=FIXED_SIZE) for _ in range(2))
    signal = send(user, token)
    prices.ensure_tokens([token.mint])
    market.fault("jupiter_quote", "latency", latency_ms=1500, count=1)

    processing = start(lambda: entries.process_signal(signal.pk))
    wait_until(lambda: market.state()["faults"] == [])  # it has asked
    agents.archive_agent(agent=leaving, actor=user)
    processing.join()

    assert verdict(signal, leaving).code == "AGENT_NOT_FOUND"
    assert verdict(signal, staying).verdict == "executed"
    assert_books_balance()
