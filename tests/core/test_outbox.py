"""Outbox: numbers without gaps in the transaction that books, published in order after commit, lost by nothing."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta
from decimal import Decimal

import orjson
import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.agents.models import AgentState
from apps.core import feed, outbox, relay
from apps.core.models import FeedStream, OutboxMessage, OutboxReader
from apps.core.outbox import Message
from apps.core.quick_redis import quick_redis
from apps.core.redis import name
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener():
    ears = quick_redis().ask(lambda client: client.pubsub(ignore_subscribe_messages=True))
    ears.subscribe(name(feed.FEED_CHANNEL))
    ears.get_message(timeout=1)
    yield ears
    ears.close()


@pytest.fixture
def working_relay():
    working = relay.Relay()
    yield working
    working.close()


def heard(ears, wanted: int, seconds: float = 60.0) -> list[list]:
    messages: list[list] = []
    until = time.monotonic() + seconds
    while len(messages) < wanted and time.monotonic() < until:
        frame = ears.get_message(timeout=0.1)
        if frame is not None:
            messages += orjson.loads(frame["data"])
    return messages


def sequences(stream: str) -> list[int]:
    return list(OutboxMessage.objects.filter(stream=stream).order_by("id").values_list("sequence", flat=True))


def test_streams_are_numbered_each_for_itself_in_the_order_given():
    agent, other = factories.make_agent(), factories.make_agent()
    user = outbox.user_stream(agent.user_id)
    stream, other_stream = outbox.agent_stream(agent.pk), outbox.agent_stream(other.pk)
    with transaction.atomic():
        outbox.append(
            [
                Message(stream, "a", {}),
                Message(user, "b", {}),
                Message(stream, "c", {}),
                Message(other_stream, "d", {}),
                Message("global", "e", {}),
                Message(stream, "f", {}),
            ]
        )
        outbox.append([Message(stream, "g", {}), Message(user, "h", {})])
    assert sequences(stream) == [1, 2, 3, 4]
    assert sequences(user) == [1, 2]
    assert sequences(other_stream) == sequences("global") == [1]
    assert list(OutboxMessage.objects.order_by("id").values_list("kind", flat=True)) == list("abcdefgh")
    assert AgentState.objects.get(pk=agent.pk).feed_sequence == 4
    assert FeedStream.objects.get(pk=user).sequence == 2


def test_numbers_the_caller_took_itself_are_used_as_given():
    agent = factories.make_agent()
    stream = outbox.agent_stream(agent.pk)
    with transaction.atomic():
        AgentState.objects.filter(pk=agent.pk).update(feed_sequence=2)
        outbox.append(
            [Message(stream, "a", {}), Message("global", "b", {}), Message(stream, "c", {})], taken={stream: 2}
        )
        outbox.append([Message(stream, "d", {})])
    assert sequences(stream) == [1, 2, 3]
    assert sequences("global") == [1]


def test_a_booking_that_rolls_back_leaves_no_message_and_no_gap():
    agent = factories.make_agent()
    stream = outbox.agent_stream(agent.pk)
    with pytest.raises(RuntimeError), transaction.atomic():
        outbox.append([Message(stream, "lost", {}), Message("global", "lost", {})])
        raise RuntimeError
    with transaction.atomic():
        outbox.append([Message(stream, "kept", {}), Message("global", "kept", {})])
    assert sequences(stream) == sequences("global") == [1]


def test_numbers_have_no_gap_and_ids_follow_them_when_bookings_race():
    agents = [factories.make_agent() for _ in range(4)]
    streams = [outbox.agent_stream(agent.pk) for agent in agents] + ["global", outbox.user_stream(uuid.uuid4())]
    failures: list[DatabaseError] = []

    def book(turn: int) -> None:
        try:
            for step in range(10):
                order = streams if (turn + step) % 2 else streams[::-1]
                with transaction.atomic():
                    outbox.append([Message(stream, "k", {"turn": turn}) for stream in order])
        except DatabaseError as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=book, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for stream in streams:
        assert sequences(stream) == list(range(1, 41))


def test_an_unknown_agent_is_an_error_and_writes_nothing():
    with pytest.raises(LookupError), transaction.atomic():
        outbox.append([Message(outbox.agent_stream(uuid.uuid4()), "k", {}), Message("global", "k", {})])
    assert OutboxMessage.objects.count() == 0


def test_decimals_and_times_keep_their_wire_form():
    at = timezone.now().replace(microsecond=123456)
    with transaction.atomic():
        outbox.append([Message("global", "k", {"price": Decimal("0.000000000066320"), "at": at, "text": "é'\\\""})])
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload::text, payload->>'text' FROM outbox")
        written, text = cursor.fetchone()
    assert "0.000000000066320" in written
    assert "6.632e" not in written
    assert f"{at:%Y-%m-%dT%H:%M:%S}.123Z" in written
    assert text == "é'\\\""


def test_the_relay_publishes_each_message_once_in_stream_order(listener, working_relay):
    agent = factories.make_agent()
    stream = outbox.agent_stream(agent.pk)
    with transaction.atomic():
        outbox.append([Message(stream, "position_update", {"n": n}) for n in range(1_100)])
    assert working_relay.run() == 1_100
    assert working_relay.run() == 0
    messages = heard(listener, 1_100)
    assert [(message[0], message[1], message[2], message[3]["n"]) for message in messages] == [
        (stream, n + 1, "position_update", n) for n in range(1_100)
    ]
    assert not OutboxMessage.objects.filter(published_at=None).exists()


def test_a_message_committed_late_is_published_although_later_ids_went_first(listener, working_relay):
    first, second = factories.make_agent(), factories.make_agent()
    appended, let_go = threading.Event(), threading.Event()

    def slow_booking() -> None:
        with transaction.atomic():
            outbox.append([Message(outbox.agent_stream(first.pk), "slow", {})])
            appended.set()
            let_go.wait(60)
        connection.close()

    thread = threading.Thread(target=slow_booking)
    thread.start()
    appended.wait(60)
    with transaction.atomic():
        outbox.append([Message(outbox.agent_stream(second.pk), "quick", {})])
    assert working_relay.run() == 1
    let_go.set()
    thread.join()
    assert working_relay.run() == 1
    assert [message[2] for message in heard(listener, 2)] == ["quick", "slow"]


def test_one_relay_leads_and_another_takes_over_when_it_is_gone(working_relay):
    other = relay.Relay()
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    assert working_relay.run() == 1
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    assert other.run() == 0
    working_relay.close()
    assert other.run() == 1
    other.close()


def test_the_lead_is_free_before_postgresql_has_noticed_that_its_session_was_left(working_relay, monkeypatch):
    other = relay.Relay()
    working_relay.run()
    with monkeypatch.context() as patch:
        patch.setattr(working_relay, "_close_connection", lambda: None)
        working_relay.close()
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    assert other.run() == 1
    other.close()


def test_a_relay_that_loses_its_connection_comes_back(working_relay):
    assert working_relay.run() == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'soldesk-relay'"
        )
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    published = 0
    for _ in range(3):
        try:
            published += working_relay.run()
        except psycopg.OperationalError:
            continue
    assert published == 1


def test_commit_wakes_the_relay_at_once(working_relay):
    woken = threading.Event()
    working_relay.pause(threading.Event(), 1)

    def wait() -> None:
        working_relay.pause(threading.Event(), 120)
        woken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    assert woken.wait(60)
    thread.join()


def test_prune_removes_published_messages_only_once_they_are_old():
    with transaction.atomic():
        outbox.append([Message("global", "k", {}) for _ in range(3)])
    first, second, _ = OutboxMessage.objects.order_by("id")
    OutboxMessage.objects.filter(pk=first.pk).update(published_at=timezone.now() - timedelta(hours=2))
    OutboxMessage.objects.filter(pk=second.pk).update(published_at=timezone.now())
    assert outbox.prune_outbox() == 1
    assert set(OutboxMessage.objects.values_list("sequence", flat=True)) == {2, 3}


def test_prune_leaves_what_a_reader_has_not_read():
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            (written,) = cursor.fetchone()
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(hours=2))
    OutboxReader.objects.create(name="quick", watermark=written + 1)
    OutboxReader.objects.create(name="slow", watermark=written)
    assert outbox.prune_outbox() == 0
    assert OutboxMessage.objects.count() == 1
    OutboxReader.objects.filter(name="slow").update(watermark=written + 1)
    assert outbox.prune_outbox() == 1


def test_the_age_of_the_oldest_waiting_message_is_known():
    assert outbox.oldest_unpublished_seconds() == 0
    with transaction.atomic():
        outbox.append([Message("global", "k", {})])
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(seconds=90))
    assert 89 < outbox.oldest_unpublished_seconds() < 95
