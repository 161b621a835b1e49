"""The home page answers four questions with figures that are right, at a price that does not grow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.agents import services as agents
from apps.console import dashboard, exit_figures, figures, panel
from apps.core import heartbeats
from apps.core.models import OutboxMessage
from apps.trading.models import CloseReason, DeadToken, ExitIntent, Position
from apps.trading.selectors import marks
from tests import factories
from tests.admin.rows import count_queries, make_desk

HOME = "admin:index"
NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)


def home(client: Client) -> dict[str, Any]:
    answer = client.get(reverse(HOME))
    assert answer.status_code == 200
    return dict(answer.context_data or {})


@pytest.fixture
def trader(operator: User):
    return factories.make_agent(sol="10")


def test_the_admin_is_found_without_its_slash(client: Client, operator: User) -> None:
    assert client.get("/admin")["Location"] == reverse(HOME) == "/admin/"


def test_an_empty_desk_has_a_home(client: Client, operator: User) -> None:
    context = home(client)
    assert [card.value for card in context["money"][0][1]] == ["0.0000", "0.0000", "0.0000", "0.0000", "–"]
    assert not context["needs_me"]
    assert (context["failures"], context["stuck"], context["unwatchable"], context["dead"]) == ([], [], [], [])
    assert (context["switched"], context["exits_off"]) == ([], [])


def test_money_is_counted_from_cash_prices_and_closed_trades(trader) -> None:
    held, sold, lost, old = (factories.make_token() for _ in range(4))
    factories.make_position(trader, held, invested="2", price="0.5", opened_at=NOON)
    factories.make_tick(held, "0.4")
    factories.make_tick(held, "0.75")
    for token, proceeds, at in (
        (sold, "1.5", NOON - timedelta(hours=1)),
        (lost, "0.8", NOON - timedelta(days=6)),
        (old, "9", NOON - timedelta(days=8)),
    ):
        position = factories.make_position(trader, token, opened_at=at - timedelta(minutes=5))
        factories.close_position(position, proceeds=proceeds, at=at)
    (money,) = figures.money(now=NOON)
    assert (money.mode, money.open_positions, money.unpriced_positions) == ("simulation", 1, 0)
    assert money.cash_sol == Decimal(10) - 2 + Decimal("0.5") - Decimal("0.2") + 8
    assert (money.positions_value_sol, money.unrealized_sol) == (Decimal(3), Decimal(1))
    assert money.portfolio_sol == money.cash_sol + 3
    assert (money.realized_today_sol, money.trades_today) == (Decimal("0.5"), 1)
    assert (money.realized_days_sol, money.trades_days, money.wins_days) == (Decimal("0.3"), 2, 1)
    assert money.win_rate_percent == 50
    assert figures.money(factories.make_agent(sol="1").pk, now=NOON)[0].portfolio_sol == 1


def test_a_position_without_a_price_since_its_fill_is_worth_what_was_paid_and_counted_beside(trader) -> None:
    bought_again, never_priced = factories.make_token(), factories.make_token()
    factories.make_tick(bought_again, "9", at=NOON - timedelta(minutes=1))
    for token in (bought_again, never_priced):
        factories.make_position(trader, token, invested="2", opened_at=NOON)
    (money,) = figures.money()
    assert (money.open_positions, money.unpriced_positions) == (2, 2)
    assert (money.positions_value_sol, money.unrealized_sol) == (Decimal(4), Decimal(0))
    summary = panel.summary(None)
    assert (summary["unpricedPositions"], summary["valueSol"], summary["unrealizedSol"]) == (2, 4, 0)


def test_simulated_and_live_money_are_never_added(trader) -> None:
    factories.fund(factories.make_wallet(trader, wallet_type="live"), "3")
    assert [(money.mode, money.cash_sol) for money in figures.money()] == [
        ("simulation", Decimal(10)),
        ("live", Decimal(3)),
    ]


def test_an_archived_agent_leaves_its_gains_and_nothing_else(trader) -> None:
    held, sold = factories.make_token(), factories.make_token()
    factories.make_tick(held, "0.4")
    factories.make_position(trader, held, invested="2", price="0.5")
    factories.close_position(factories.make_position(trader, sold), proceeds="1.5")
    factories.make_snapshot(factories.wallet_of(trader))
    factories.make_execution(factories.make_signal(trader.user, held), trader, verdict="failed", code="NO_QUOTE")
    factories.set_state("halted", agent=trader, reason="testing")
    assert (len(figures.failures()), len(figures.switched()), len(figures.portfolio_by_hour("simulation"))) == (1, 1, 1)
    assert panel.summary(None)["tradingState"]["agentsSwitched"] == 1
    agents.archive_agent(agent=trader, actor=None)
    (money,) = figures.money()
    assert money.portfolio_sol == money.unrealized_sol == money.open_positions == 0
    assert (money.realized_today_sol, money.trades_today, money.trades_days) == (Decimal("0.5"), 1, 1)
    assert (figures.failures(), figures.switched(), figures.portfolio_by_hour("simulation")) == ([], [], [])
    summary = panel.summary(None)
    assert (summary["openPositions"], summary["closedToday"], summary["tradingState"]["agentsSwitched"]) == (0, 1, 0)


def test_profit_by_day_is_seven_days_with_zeros(trader) -> None:
    at = NOON - timedelta(days=2)
    position = factories.make_position(trader, factories.make_token(), opened_at=at)
    factories.close_position(position, proceeds="1.25", at=at)
    days = figures.profit_by_day("simulation", now=NOON)
    assert [profit for _, profit in days] == [0, 0, 0, 0, Decimal("0.25"), 0, 0]


def test_health_tells_how_late_each_queue_is(trader, operator: User) -> None:
    now = timezone.now()
    token = factories.make_token()
    factories.make_position(trader, token, opened_at=now - timedelta(minutes=1))
    factories.make_tick(token, "1", at=now - timedelta(seconds=30))
    factories.make_signal(trader.user, token, due_at=now)
    factories.make_intent(Position.objects.get())
    OutboxMessage.objects.create(stream="global", sequence=1, kind="x", payload={})
    health = figures.health(marks.worth_by_token())
    assert 29 < (health.newest_tick_seconds or 0) < 60
    assert (health.held_tokens, health.stale_tokens) == (1, 1)
    assert (health.due_signals, health.open_intents, health.outbox_waiting) == (1, 1, 1)
    tones = {card.title: card.tone for card in dashboard.health_cards(health)}
    assert tones == {"Newest price": "warning", "Signals due": "ok", "Exits due": "ok", "Feed waiting": "ok"}


def test_what_needs_a_person_is_named_and_linked(client: Client, trader, operator: User) -> None:
    stuck, unwatched = factories.make_token("STUCK"), factories.make_token("DARK")
    long_ago = timezone.now() - timedelta(minutes=5)
    factories.make_tick(stuck, "0.001")
    position = factories.make_position(trader, stuck, opened_at=long_ago)
    factories.make_position(trader, unwatched, opened_at=long_ago)
    now = timezone.now()
    DeadToken.objects.create(
        mint=unwatched.mint, symbol="DARK", asked_at=now, first_seen_at=long_ago, last_seen_at=now, checks=5
    )
    intent = factories.make_intent(position, reason=CloseReason.STOP_LOSS, attempts=3, last_error="PROVIDER_TIMEOUT")
    failed = factories.make_signal(trader.user, stuck)
    factories.make_execution(failed, trader, verdict="failed", code="PRICE_IMPACT_TOO_HIGH")
    factories.set_state("halted", agent=trader, reason="odd fills")
    context = home(client)
    assert [(row.code, row.count) for row in context["failures"]] == [("PRICE_IMPACT_TOO_HIGH", 1)]
    assert [(row.intent_id, row.symbol) for row in context["stuck"]] == [(intent.pk, "STUCK")]
    assert [(row.symbol, row.positions, row.price_at) for row in context["unwatchable"]] == [("DARK", 1, None)]
    assert [(row.symbol, row.checks, row.positions) for row in context["dead"]] == [("DARK", 5, 1)]
    assert [(row.agent, row.reason) for row in context["switched"]] == [(trader.name, "odd fills")]
    page = client.get(reverse(HOME)).content.decode()
    for label, key in (
        ("trading_exitintent", intent.pk),
        ("trading_deadtoken", unwatched.mint),
        ("agents_agent", trader.pk),
    ):
        assert reverse(f"admin:{label}_change", args=[key]) in page
    assert f"{reverse('admin:trading_position_changelist')}?q={unwatched.mint}" in page
    assert "Stop loss: the provider did not answer in time, 3 attempts" in page
    filtered = f"{reverse('admin:trading_signalexecution_changelist')}?verdict__exact=failed&code=PRICE_IMPACT_TOO_HIGH"
    assert filtered.replace("&", "&amp;") in page
    assert client.get(filtered).context["cl"].result_list.count() == 1


def test_a_done_intent_and_a_fresh_position_need_nobody(client: Client, trader) -> None:
    position = factories.make_position(trader, factories.make_token())
    ExitIntent.objects.create(position=position, reason="stop_loss", generation=1, status="done", last_error="OLD")
    context = home(client)
    assert (context["stuck"], context["unwatchable"]) == ([], [])


def test_the_state_of_the_desk_is_told_with_its_reason(client: Client, operator: User) -> None:
    assert home(client)["desk"] is None
    factories.set_state("halted", reason="provider lies")
    page = client.get(reverse(HOME)).content.decode()
    assert "provider lies" in page and "exits go on" in page
    assert "nothing is sold" not in page


def test_exits_that_are_off_are_said_before_anything_else_with_what_waits(client: Client, trader) -> None:
    factories.make_intent(factories.make_position(trader, factories.make_token()))
    factories.set_state("halted", agent=trader, exits_enabled=False, reason="odd fills")
    page = client.get(reverse(HOME)).content.decode()
    assert "Exits are off for 1 agent: nothing is sold, not even by a stop loss" in page
    assert "1 fired exit waits to be sold" in page
    assert "halted, exits off: nothing is sold" in page
    factories.set_state("halted", exits_enabled=False, reason="provider lies")
    page = client.get(reverse(HOME)).content.decode()
    assert "Exits are off: nothing is sold" in page
    assert page.index("Exits are off") < page.index("Trading is")


def test_todays_closed_trades_are_told_by_what_closed_them(client: Client, trader) -> None:
    now = timezone.now()
    yesterday = now - timedelta(days=1)
    for reason, proceeds, at in (
        ("stop_loss", "0.7", now),
        ("stop_loss", "1.1", now),
        ("take_profit", "1.5", now),
        ("stale_trade", "1", yesterday),
    ):
        position = factories.make_position(trader, factories.make_token(), opened_at=at)
        factories.close_position(position, proceeds=proceeds, reason=reason, at=at)
    ((_, _, closed),) = home(client)["money"]
    assert [(row.reason, row.count, row.wins, row.profit_sol) for row in closed] == [
        (CloseReason.STOP_LOSS, 2, 1, Decimal("-0.2")),
        (CloseReason.TAKE_PROFIT, 1, 1, Decimal("0.5")),
    ]
    assert [client.get(row.link).context["cl"].result_count for row in closed] == [2, 1]
    assert panel.summary(trader.user_id)["exits"]["closedToday"] == [
        {"reason": "stop_loss", "count": 2, "wins": 1, "profitSol": -0.2},
        {"reason": "take_profit", "count": 1, "wins": 1, "profitSol": 0.5},
    ]


def test_exits_of_one_token_that_one_thing_holds_up_are_one_line(client: Client, operator: User) -> None:
    token, now = factories.make_token("JAM"), timezone.now()
    for attempts in (3, 5):
        position = factories.make_position(factories.make_agent(), token)
        factories.make_intent(position, attempts=attempts, last_error="PROVIDER_TIMEOUT")
    factories.make_intent(
        factories.make_position(factories.make_agent(), token), attempts=4, last_error="TOKEN_NOT_TRADABLE"
    )
    kinds = exit_figures.stuck()
    assert [(row.count, row.attempts, row.why) for row in kinds] == [
        (2, 5, "the provider did not answer in time"),
        (1, 4, "nobody quotes the token"),
    ]
    assert all(now <= row.since for row in kinds)
    page = client.get(reverse(HOME)).content.decode()
    assert "3 exits do not get done" in page
    assert "JAM · 2 positions" in page
    due = f"{reverse('admin:trading_exitintent_changelist')}?status__exact=due&q={token.mint}"
    assert due.replace("&", "&amp;") in page
    assert client.get(due).context["cl"].result_count == 3


def test_exits_are_counted_with_the_stuck_ones_and_those_a_halt_holds_back(trader) -> None:
    other = factories.make_agent(sol="10")
    now = timezone.now()
    for agent, fields in (
        (trader, {}),
        (trader, {"status": "leased", "attempts": 1, "lease_until": now}),
        (trader, {"attempts": 3, "last_error": "TOKEN_NOT_TRADABLE"}),
        (other, {"status": "done", "finished_at": now}),
        (other, {"created_at": now - timedelta(minutes=2)}),
    ):
        intent = factories.make_intent(factories.make_position(agent, factories.make_token()), **fields)
        ExitIntent.objects.filter(pk=intent.pk).update(created_at=fields.get("created_at", now))
    factories.set_state("halted", agent=other, exits_enabled=False)
    work = exit_figures.work()
    assert (work.due, work.in_work, work.stuck, work.held_back) == (3, 1, 2, 1)
    assert work.oldest_at == now - timedelta(minutes=2)
    assert [row.why for row in exit_figures.stuck()] == ["selling is switched off", "nobody quotes the token"]
    mine = panel.summary(trader.user_id)
    assert (mine["exits"]["due"], mine["exits"]["stuckCount"], mine["exits"]["heldBack"]) == (2, 1, 0)
    assert mine["tradingState"]["agentsExitsOff"] == 0
    assert panel.summary(None)["tradingState"]["agentsExitsOff"] == 1


def test_a_process_that_should_live_and_gives_no_sign_is_shown_missing(client: Client, operator: User) -> None:
    heartbeats.write("worker-trading")
    try:
        states = {process.name: process.state for process in dashboard.processes() or []}
    finally:
        heartbeats.erase("worker-trading")
    assert states["worker-trading"] == "alive"
    silent = {"worker-critical", "worker-prices-0", "worker-default", "beat", "relay", "streams"}
    assert {states[name] for name in silent} == {"not there"}


def test_home_and_agent_page_cost_the_same_however_much_there_is(client: Client, operator: User) -> None:
    desk = make_desk(operator)
    pages = (reverse(HOME), reverse("admin:agents_agent_change", args=[desk.agent.pk]))
    for page in pages:
        client.get(page)
    few = [count_queries(client, page) for page in pages]
    for _ in range(3):
        make_desk(operator)
    for _ in range(3):
        token = factories.make_token()
        factories.make_tick(token, "1")
        signal = factories.make_signal(desk.owner, token)
        position = factories.make_position(desk.agent, token, invested="0.5", price="0.5", signal=signal)
        factories.make_execution(signal, desk.agent, verdict="executed", position=position)
    assert [count_queries(client, page) for page in pages] == few
    assert max(few) < 45
