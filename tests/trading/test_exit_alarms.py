"""What people and Prometheus hear of exits: sales that fail again and again, their end, and every booking."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from apps.core.metrics_registry import REGISTRY
from apps.core.models import OutboxMessage
from apps.trading.models import ExitIntent
from apps.trading.services import exit_intents, exit_runner, trading_state
from tests import factories
from tests.trading import adjusting, closing
from tests.trading.adjusting import adding, fire_at, holding, taking

pytestmark = pytest.mark.django_db(transaction=True)


def try_again(attempts: int = 1) -> None:
    """Fail (or sell) that many times more, without the pauses in between."""
    for _ in range(attempts):
        ExitIntent.objects.filter(status="due").update(due_at=timezone.now())
        exit_runner.run_due()


def alerts() -> list[dict[str, Any]]:
    return [row.payload for row in OutboxMessage.objects.filter(kind="alert").order_by("id")]


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_third_failure_of_a_close_tells_its_owner_what_is_stuck_and_why(market):
    agent, (position,) = closing.agent_holding(market)
    factories.make_intent(position)
    market.fault("jupiter_quote", "server_error", status=503, mints=[position.mint])

    try_again(2)
    assert alerts() == []
    try_again()

    (told,) = alerts()
    assert OutboxMessage.objects.get(kind="alert").stream == f"user:{agent.user_id}"
    assert told == {
        "code": "EXIT_STUCK",
        "message": told["message"],
        "positionId": str(position.pk),
        "mint": position.mint,
        "symbol": position.symbol,
        "attempts": 3,
        "lastError": "PROVIDER_UNAVAILABLE",
    }
    assert "3 times" in told["message"]
    try_again(4)
    assert len(alerts()) == 1


@pytest.mark.parametrize(("before", "raised"), [(8, False), (9, True), (28, False), (29, True), (59, True)])
def test_later_failures_are_told_at_the_tenth_and_every_thirtieth(market, before, raised):
    _, (position,) = closing.agent_holding(market)
    factories.make_intent(position, attempts=before)
    market.fault("jupiter_quote", "server_error", status=503)
    try_again()
    assert [told["attempts"] for told in alerts()] == ([before + 1] if raised else [])


def test_a_close_people_had_heard_of_is_told_when_it_is_sold(market):
    _, (stuck, easy) = closing.agent_holding(market, 2)
    factories.make_intent(stuck, attempts=4)
    factories.make_intent(easy, attempts=1)
    try_again()
    assert [(told["code"], told["positionId"], told["attempts"]) for told in alerts()] == [
        ("EXIT_RECOVERED", str(stuck.pk), 5)
    ]
    assert closing.differences() == []


def test_what_waits_for_another_reason_is_no_failure(market):
    _, (position,) = closing.agent_holding(market)
    intent = factories.make_intent(position, attempts=2)
    (leased,) = exit_intents.lease_due()
    exit_intents.give_back([leased], "AMOUNT_CHANGED", at_once=True)
    intent.refresh_from_db()
    assert intent.attempts == 2

    trading_state.set_state(state="halted", exits_enabled=False, actor=None)
    try_again(2)
    intent.refresh_from_db()
    assert (intent.attempts, alerts()) == (2, [])


def test_a_failing_take_profit_raises_no_alert(market):
    position = holding(market, taking())
    intent = fire_at(market, position, "take_profit", "60")
    ExitIntent.objects.filter(pk=intent.pk).update(attempts=2)
    market.fault("jupiter_quote", "server_error", status=503)
    try_again()
    assert adjusting.ended(intent) == ("due", "PROVIDER_UNAVAILABLE")
    assert alerts() == []


def test_every_booking_failure_and_cancellation_is_counted_by_what_it_was_fired_for(market):
    profit, dca, closed = (holding(market, config) for config in (taking(), adding(), {}))
    booked = {name: metric("exits_booked_total", reason=name) for name in ("take_profit", "dca", "manual")}
    timed = metric("exit_booking_seconds_count", reason="dca")
    added = metric("trade_execution_total", type="dca_buy", status="success")
    fire_at(market, profit, "take_profit", "60")
    fire_at(market, dca, "dca", "-25")
    factories.make_intent(closed, reason="manual")
    try_again()
    assert {name: metric("exits_booked_total", reason=name) - count for name, count in booked.items()} == {
        "take_profit": 1,
        "dca": 1,
        "manual": 1,
    }
    assert metric("exit_booking_seconds_count", reason="dca") == timed + 1
    assert metric("trade_execution_total", type="dca_buy", status="success") == added + 1

    failed = metric("exit_failures_total", reason="take_profit", code="PROVIDER_UNAVAILABLE")
    refused = metric("exits_cancelled_total", reason="dca", code="COOLDOWN")
    fire_at(market, profit, "take_profit", "110")
    fire_at(market, dca, "dca", "-25")
    market.fault("jupiter_quote", "server_error", status=503)
    try_again()
    assert metric("exit_failures_total", reason="take_profit", code="PROVIDER_UNAVAILABLE") == failed + 1
    assert metric("exits_cancelled_total", reason="dca", code="COOLDOWN") == refused + 1
