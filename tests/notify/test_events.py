"""What events say of what the desk really did, and that none is missed however late it is committed."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.db import connection, transaction

from apps.core import outbox
from apps.core.models import OutboxMessage, OutboxReader
from apps.notify.models import WebhookDelivery, WebhookMessage
from apps.notify.services.intake import READER, Intake
from apps.signals import services as signals
from apps.trading import presentation
from apps.trading.models import ClosedTrade, CloseReason, Position
from apps.trading.services import entries, exits, wallet_reset
from tests import factories
from tests.notify.subscribing import alert, subscribe, tell
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://example.com/hooks"


def bodies(event_type: str) -> list[dict]:
    import orjson

    return [orjson.loads(row.body) for row in WebhookMessage.objects.filter(type=event_type).order_by("id")]


def test_a_signal_that_is_traded_tells_the_verdict_and_the_position_it_opened(market, desk_intake):
    agent = factories.make_agent(sol="10")
    poor = factories.make_agent(agent.user, sol="0.01")
    subscribe(agent.user, URL)
    token = market.add_token()
    closing.stored(token)
    signal = signals.create_signal(
        user=agent.user, api_key=None, token_address=token.mint, signal_type="Momentum", signal_strength=4
    )
    entries.process_signal(signal.pk)
    desk_intake.run()

    position = Position.objects.get(agent=agent)
    (executed,) = bodies("signal.executed")
    assert executed["data"]["agentId"] == str(agent.pk)
    assert executed["data"]["positionId"] == str(position.pk)
    assert executed["data"]["signal"]["tokenAddress"] == token.mint
    assert executed["data"]["signal"]["signalStrength"] == 4
    (skipped,) = bodies("signal.skipped")
    assert skipped["data"]["agentId"] == str(poor.pk)
    assert skipped["data"]["code"] == skipped["data"]["reasons"][0]
    (opened,) = bodies("position.opened")
    assert opened["data"]["positionId"] == str(position.pk)
    assert opened["data"]["position"] == presentation.open_position(position, factories.wallet_of(agent).address)
    assert closing.differences() == []


def test_the_end_of_a_position_carries_the_figures_of_its_trade(market, desk_intake):
    agent, (position,) = closing.agent_holding(market)
    subscribe(agent.user, URL, "position.closed")
    market.set_price(position.mint, position.purchase_price * 2)
    exits.close_position(position=position, reason=CloseReason.MANUAL, actor=agent.user)
    assert desk_intake.run() == 1

    (closed,) = bodies("position.closed")
    data, trade = closed["data"], ClosedTrade.objects.get()
    assert data["positionId"] == str(position.pk)
    assert (data["agentId"], data["closeReason"]) == (str(agent.pk), "manual")
    assert data["trade"] == presentation.closed_trade(trade, position.wallet.address)
    assert Decimal(data["trade"]["profitLossSol"]) == trade.profit_sol > 0
    assert closing.differences() == []


def test_a_reset_ends_positions_without_a_trade(market, desk_intake):
    agent, (position,) = closing.agent_holding(market)
    subscribe(agent.user, URL, "position.closed")
    wallet_reset.reset_wallet(wallet=position.wallet, actor=agent.user)
    desk_intake.run()
    (closed,) = bodies("position.closed")
    assert (closed["data"]["closeReason"], closed["data"]["trade"]) == ("reset", None)
    assert closed["data"]["tokenAddress"] == position.mint


def test_a_booking_that_commits_late_is_told_although_later_ones_were_told_before(desk_intake):
    slow, quick = factories.make_user(), factories.make_user()
    for user in (slow, quick):
        subscribe(user, URL)
    appended, let_go = threading.Event(), threading.Event()

    def slow_booking() -> None:
        with transaction.atomic():
            outbox.append([alert(slow, "SLOW")])
            appended.set()
            let_go.wait(60)
        connection.close()

    thread = threading.Thread(target=slow_booking)
    thread.start()
    appended.wait(60)
    tell(alert(quick, "QUICK"))
    assert desk_intake.run() == 1
    assert desk_intake.run() == 0
    let_go.set()
    thread.join()
    assert desk_intake.run() == 1
    assert [body["data"]["code"] for body in bodies("alert")] == ["QUICK", "SLOW"]


def test_events_of_a_stream_are_told_in_its_order_whichever_transaction_began_first(desk_intake):
    """The later booking has the lower transaction id: it wrote something else first and then waited for the stream."""
    user = factories.make_user()
    subscribe(user, URL)
    began, first_done = threading.Event(), threading.Event()

    def later_booking() -> None:
        with transaction.atomic():
            factories.make_token("WRITTEN-FIRST")
            began.set()
            first_done.wait(60)
            outbox.append([alert(user, "SECOND")])
        connection.close()

    thread = threading.Thread(target=later_booking)
    thread.start()
    began.wait(60)
    tell(alert(user, "FIRST"))
    first_done.set()
    thread.join()
    assert desk_intake.run() == 2
    assert [body["data"]["code"] for body in bodies("alert")] == ["FIRST", "SECOND"]


def test_one_intake_leads_and_another_takes_over_without_telling_twice(desk_intake):
    user = factories.make_user()
    subscribe(user, URL)
    other = Intake()
    tell(alert(user))
    assert desk_intake.run() == 1
    tell(alert(user))
    assert other.run() == 0
    desk_intake.close()
    assert other.run() == 1
    other.close()
    assert WebhookDelivery.objects.count() == 2


def test_what_was_written_before_an_endpoint_was_made_is_not_told_to_it(desk_intake):
    user = factories.make_user()
    tell(alert(user, "BEFORE"))
    subscribe(user, URL)
    tell(alert(user, "AFTER"))
    desk_intake.run()
    assert [body["data"]["code"] for body in bodies("alert")] == ["AFTER"]


def test_a_watermark_of_another_cluster_starts_over_and_tells_nothing_twice():
    user = factories.make_user()
    subscribe(user, URL)
    intake = Intake()
    tell(alert(user))
    assert intake.run() == 1
    intake.close()
    OutboxReader.objects.filter(name=READER).update(watermark=2**60)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox SET written_xid = '1152921504606846975'")
    tell(alert(user))
    restored = Intake()
    assert restored.run() == 1
    assert restored.run() == 0
    restored.close()
    assert WebhookDelivery.objects.count() == 2
    assert OutboxReader.objects.get(name=READER).watermark < 2**60
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox WHERE written_xid > pg_snapshot_xmax(pg_current_snapshot())")
        assert cursor.fetchone() == (0,)


def test_a_message_nobody_can_read_keeps_no_other_from_being_told(desk_intake):
    user = factories.make_user()
    subscribe(user, URL)
    tell(outbox.Message(outbox.user_stream(user.pk), "trading_state", {"surprise": 1}), alert(user))
    assert desk_intake.run() == 1
    assert [body["type"] for body in bodies("alert")] == ["alert"]


def test_retention_waits_for_what_was_not_read_and_forgets_old_events(desk_intake):
    from datetime import timedelta

    from django.utils import timezone

    from apps.notify.services import retention

    user = factories.make_user()
    subscribe(user, URL)
    tell(alert(user))
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(hours=2))
    assert outbox.prune_outbox() == 0, "nobody has read it yet"
    desk_intake.run()
    tell(alert(user))
    desk_intake.run()
    assert outbox.prune_outbox() == 1
    old = WebhookMessage.objects.earliest("id")
    WebhookMessage.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=31))
    assert retention.prune() == 0, "it is still pending"
    WebhookDelivery.objects.filter(message=old).update(status="delivered")
    assert retention.prune() == 1
    assert WebhookDelivery.objects.count() == WebhookMessage.objects.count() == 1


def test_nothing_is_written_while_nobody_listens(desk_intake):
    tell(alert(factories.make_user()))
    assert desk_intake.run() == 0
    assert WebhookMessage.objects.count() == 0
