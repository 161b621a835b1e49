"""The live feed as clients meet it: a real web process, real sockets, real Redis and PostgreSQL (api.md section 3)."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from apps.accounts import tokens
from apps.accounts.models import RefreshFamily
from apps.accounts.services import sessions, users
from apps.agents import services as agents
from apps.console import feed
from apps.console.clients import Scope
from apps.core import feed as channel
from apps.core import outbox
from apps.core.feed import publish_prices
from apps.core.money import SOL_MINT
from apps.core.outbox import Message
from apps.core.quick_redis import quick_redis
from apps.core.redis import name
from apps.trading.models import Position
from apps.trading.services import position_feed, watch
from tests import factories
from tests.console.web_process import WebProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.stack]

ENRICHED = {
    "currentPrice",
    "currentPriceUsd",
    "purchasePriceUsd",
    "positionValueSol",
    "positionValueUsd",
    "profitLossSol",
    "profitLossUsd",
    "profitLossPercent",
    "priceChangePercent",
}


def access_token(user) -> str:
    return sessions.open_session(user=user, remember=False).access_token


def query(user, agent="*") -> str:
    return f"token={access_token(user)}&agentId={getattr(agent, 'pk', agent)}"


def opened(position: Position) -> Message:
    return position_feed.created(position, position.wallet.address)


def closed(position: Position) -> Message:
    return position_feed.closed(position.agent_id, position.pk)


def open_position(agent, token, **fields) -> Position:
    """Open a position and tell the feed, as a booking does."""
    with transaction.atomic():
        position = factories.make_position(agent, token, **fields)
        outbox.append([opened(position)])
    return position


def test_a_client_is_greeted_gets_a_snapshot_and_then_deltas_with_numbers(web, relaying):
    agent = factories.make_agent()
    held = open_position(agent, factories.make_token("HELD"), invested="1", price="0.001")
    with web.socket(query(agent.user, agent)) as watcher:
        connected = watcher.next()
        assert connected["type"] == "connected"
        assert connected["data"]["agentId"] == str(agent.pk)
        initial = watcher.next("initial_data")["data"]
        assert [position["id"] for position in initial["positions"]] == [str(held.pk)]
        assert initial["positions"][0].keys() >= ENRICHED
        assert initial["streams"] == {outbox.agent_stream(agent.pk): 1}

        new = open_position(agent, factories.make_token("NEW"))
        created = watcher.next("position_update")
        assert created["sequence"] == 2
        assert created["data"]["eventType"] == "position_created"
        assert created["data"]["position"]["id"] == str(new.pk)
        with transaction.atomic():
            factories.close_position(held, proceeds="1.2")
            outbox.append([closed(held)])
        gone = watcher.next("position_update")
        assert gone["data"] == {"eventType": "position_closed", "positionId": str(held.pk)}
        assert gone["sequence"] == 3


def test_figures_of_the_snapshot_are_those_of_the_books(redis, settings):
    agent = factories.make_agent()
    token = factories.make_token("FIG")
    factories.make_position(agent, token, invested="1", price="0.001")
    factories.make_tick(token, "0.0015")
    factories.make_tick(factories.make_token("SOL", mint=SOL_MINT, decimals=9), "1", price_usd="200", source="pyth")
    (position,) = feed.snapshot(Scope(agent_id=agent.pk)).data["positions"]
    assert position["currentPrice"] == 0.0015
    assert position["positionValueSol"] == 1.5
    assert position["profitLossSol"] == 0.5
    assert position["profitLossPercent"] == 50
    assert position["priceChangePercent"] == 50
    assert position["profitLossUsd"] == 100
    assert position["priceSource"] == "jupiter"


def test_without_any_price_the_average_stands_in_and_says_so(redis):
    agent = factories.make_agent()
    factories.make_position(agent, factories.make_token("NOP"), invested="1", price="0.001")
    (position,) = feed.snapshot(Scope(agent_id=agent.pk)).data["positions"]
    assert position["currentPrice"] == position["purchasePrice"] == 0.001
    assert position["priceAt"] is None
    assert position["currentPriceUsd"] is None
    assert position["profitLossUsd"] is None


def test_a_snapshot_takes_the_same_few_queries_however_many_positions(redis, django_assert_num_queries):
    user = factories.make_user()
    few = [factories.make_agent(user) for _ in range(3)]
    coins = [factories.make_token() for _ in range(4)]
    for token in coins:
        factories.make_tick(token, "0.001")

    def count() -> int:
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            feed.snapshot(Scope(user_id=user.pk))
        return len(queries)

    factories.make_position(few[0], coins[0])
    before = count()
    for agent in few:
        for token in coins[1:]:
            factories.make_position(agent, token)
    assert count() == before


def test_old_snapshot_plus_deltas_is_the_new_snapshot_while_bookings_race(web, relaying):
    """Sockets join in the middle of a stream of bookings; each ends with what a fresh snapshot says."""
    user = factories.make_user()
    own = [factories.make_agent(user, sol="1000") for _ in range(2)]
    coins = [factories.make_token() for _ in range(8)]
    stop = threading.Event()
    booked: list[uuid.UUID] = []

    def book(agent, seed: int) -> None:
        dice = random.Random(seed)
        held: dict[str, Position] = {}
        while not stop.is_set():
            token = dice.choice(coins)
            with transaction.atomic():
                list(type(agent.state).objects.select_for_update().filter(pk=agent.pk))
                position, chance = held.get(token.mint), dice.random()
                if position is None:
                    held[token.mint] = position = factories.make_position(agent, token)
                    messages = [opened(position)]
                elif chance < 0.4:
                    factories.close_position(held.pop(token.mint), proceeds="1")
                    messages = [closed(position)]
                else:
                    if chance < 0.6:
                        Position.objects.filter(pk=position.pk).update(stop_percent=Decimal(dice.randint(-50, -1)))
                    elif chance < 0.8:
                        factories.take_profit(position, tokens="10", proceeds="0.02")
                    else:
                        factories.add_to(position, invested="0.01", price="0.0008")
                    position.refresh_from_db()
                    messages = position_feed.updated([(position, position.wallet.address)])
                outbox.append(messages)
            booked.append(agent.pk)
        connection.close()

    states: list[dict] = []
    failures: list[str] = []

    def watch(agent, turn: int) -> None:
        time.sleep(0.15 * turn)
        with web.socket(query(user, agent)) as watcher:
            state: dict[str, dict] = {}
            numbers: dict[str, int] = {}
            quiet_since = None
            while quiet_since is None or time.monotonic() - quiet_since < 1.5:
                try:
                    message = watcher.next("initial_data", "position_update", seconds=0.5)
                except (AssertionError, TimeoutError):
                    if stop.is_set():
                        quiet_since = quiet_since or time.monotonic()
                    continue
                if message["type"] == "initial_data":
                    state = {p["id"]: p for p in message["data"]["positions"]}
                    numbers = message["data"]["streams"]
                    continue
                if message["sequence"] != numbers.get(message["stream"], 0) + 1:
                    failures.append(f"{message['stream']} jumped to {message['sequence']} from {numbers}")
                numbers[message["stream"]] = message["sequence"]
                data = message["data"]
                if data["eventType"] == "position_closed":
                    state.pop(data["positionId"])
                else:
                    state[data["position"]["id"]] = data["position"]
            states.append({"agent": agent, "state": state})
        connection.close()

    writers = [threading.Thread(target=book, args=(agent, n)) for n, agent in enumerate(own)]
    watchers = [threading.Thread(target=watch, args=(agent, n)) for n, agent in enumerate([*own, "*", *own, "*"])]
    for thread in [*writers, *watchers]:
        thread.start()
    until = time.monotonic() + 90
    while len(booked) < 60 and time.monotonic() < until:
        time.sleep(0.1)
    stop.set()
    for thread in [*writers, *watchers]:
        thread.join()

    assert failures == []
    assert len(states) == 6
    for ended in states:
        scope = Scope(user_id=user.pk) if ended["agent"] == "*" else Scope(agent_id=ended["agent"].pk)
        fresh = {p["id"]: p for p in feed.snapshot(scope).data["positions"]}
        assert bare(ended["state"]) == bare(fresh)
    assert len(booked) >= 60


def bare(positions: dict[str, dict]) -> dict[str, dict]:
    """What the books know, without what a price adds and the row's own time of writing."""
    beside = ENRICHED | {"priceAt", "priceSource", "updatedAt"}
    return {key: {name: v for name, v in position.items() if name not in beside} for key, position in positions.items()}


def test_a_missed_message_means_a_new_snapshot(web, relaying):
    agent = factories.make_agent()
    open_position(agent, factories.make_token("A"))
    with web.socket(query(agent.user, agent)) as watcher:
        watcher.next("initial_data")
        with transaction.atomic():  # this one is never published
            lost = factories.make_position(agent, factories.make_token("B"))
            outbox.append([opened(lost)])
            outbox.OutboxMessage.objects.filter(published_at=None).update(published_at=timezone.now())
        open_position(agent, factories.make_token("C"))
        again = watcher.next("initial_data", "position_update")
        assert again["type"] == "initial_data"
        assert len(again["data"]["positions"]) == 3


def test_a_stream_that_silently_lost_its_end_is_noticed(web, relaying):
    agent = factories.make_agent()
    open_position(agent, factories.make_token("A"))
    with web.socket(query(agent.user, agent)) as watcher:
        watcher.next("initial_data")
        with transaction.atomic():
            outbox.append([opened(factories.make_position(agent, factories.make_token("B")))])
            outbox.OutboxMessage.objects.filter(published_at=None).update(published_at=timezone.now())
        again = watcher.next("initial_data", seconds=30)
        assert len(again["data"]["positions"]) == 2


def test_every_client_gets_a_new_snapshot_after_redis_came_back(own_web, own_redis, relaying):
    agent = factories.make_agent()
    with own_web.socket(query(agent.user, agent)) as watcher, own_web.socket(query(agent.user)) as desk:
        watcher.next("initial_data")
        desk.next("initial_data")
        own_redis.kill()
        assert desk.next("feed_state")["data"]["live"] is False
        with transaction.atomic():
            position = factories.make_position(agent, factories.make_token("A"))
            outbox.append([opened(position)])
        own_redis.start()
        assert desk.next("feed_state")["data"]["live"] is True
        for each in (watcher, desk):
            held: list[str] = []
            while held != [str(position.pk)]:
                held = [p["id"] for p in each.next("initial_data", seconds=20)["data"]["positions"]]
        second = open_position(agent, factories.make_token("B"))
        assert watcher.next("position_update", seconds=20)["data"]["position"]["id"] == str(second.pk)


def test_a_client_that_joins_while_redis_is_away_still_gets_its_snapshot(own_web, own_redis):
    agent = factories.make_agent()
    factories.make_position(agent, factories.make_token("A"))
    own_redis.kill()
    with own_web.socket(query(agent.user, agent)) as watcher:
        assert len(watcher.next("initial_data")["data"]["positions"]) == 1


def test_several_sockets_may_watch_one_agent(web, relaying):
    agent = factories.make_agent()
    with web.socket(query(agent.user, agent)) as one, web.socket(query(agent.user, agent)) as two:
        one.next("initial_data")
        two.next("initial_data")
        open_position(agent, factories.make_token("A"))
        assert one.next("position_update")["data"] == two.next("position_update")["data"]


def test_prices_go_to_those_who_hold_the_token(web, relaying):
    agent, other = factories.make_agent(), factories.make_agent()
    mine, theirs = factories.make_token("Mine"), factories.make_token("Theirs")
    open_position(agent, mine)
    open_position(other, theirs)
    with web.socket(query(agent.user, agent)) as watcher, web.socket(query(agent.user)) as wide:
        watcher.next("initial_data")
        wide.next("initial_data")
        time.sleep(1.2)  # the first subscription's own round of snapshots
        assert publish_prices(
            [
                {
                    "mint": mine.mint,
                    "price_sol": Decimal("0.002"),
                    "price_usd": Decimal("0.3"),
                    "source": "jupiter",
                    "at": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
                    "tick": 42,
                },
                {"mint": theirs.mint, "price_sol": Decimal("0.004"), "price_usd": None, "source": "jupiter"},
                {"mint": SOL_MINT, "price_sol": Decimal(1), "price_usd": Decimal("150"), "source": "pyth"},
            ]
        )
        batch = watcher.next("price_update_batch")["data"]
        told = {u["mint"]: u for u in batch["updates"]}
        assert told.keys() == {mine.mint, SOL_MINT}
        own = told[mine.mint]
        assert (own["price"], own["priceUsd"], own["source"]) == (0.002, 0.3, "jupiter")
        assert (own["high"], own["low"], own["tick"]) == (0.002, 0.002, 42)
        assert own["tokenAddress"] == mine.mint.lower()
        assert own["timestamp"] == "2026-01-02T03:04:05.678Z" < batch["timestamp"]
        assert told[SOL_MINT]["priceUsd"] == 150
        assert batch["sequence"] == 1
        assert {u["mint"] for u in wide.next("price_update_batch")["data"]["updates"]} == {mine.mint, SOL_MINT}
        new = factories.make_token("Later")
        open_position(agent, new)
        watcher.next("position_update")
        publish_prices([{"mint": new.mint, "price_sol": Decimal("0.5"), "price_usd": None, "source": "jupiter"}])
        batch = watcher.next("price_update_batch")["data"]
        assert batch["updates"][0]["mint"] == new.mint
        assert batch["updates"][0]["priceUsd"] is None
        assert batch["sequence"] == 2


def test_that_sol_in_dollars_is_unknown_is_told(web, redis):
    agent = factories.make_agent()
    with web.socket(query(agent.user, agent)) as watcher:
        watcher.next("initial_data")
        time.sleep(1.2)  # the first subscription's own round of snapshots
        watch._publish([], None, {})
        (update,) = watcher.next("price_update_batch")["data"]["updates"]
        assert (update["mint"], update["price"], update["priceUsd"]) == (SOL_MINT, 1, None)


def test_a_foreign_message_on_the_channel_stops_nothing(web, redis, relaying):
    agent = factories.make_agent()
    with web.socket(query(agent.user, agent)) as watcher:
        watcher.next("initial_data")
        for nonsense in (b"no json", b"{}", b"[[1]]", b'["x"]'):
            for place in (channel.FEED_CHANNEL, channel.PRICES_CHANNEL):
                publish(place, nonsense)
        open_position(agent, factories.make_token("A"))
        assert watcher.next("position_update")["sequence"] == 1


def publish(place: str, frame: bytes) -> None:
    quick_redis().ask(lambda client: client.publish(name(place), frame))


def test_an_unchanged_price_is_not_repeated_at_once(redis):
    token = factories.make_token()
    update: channel.PriceUpdate = {
        "mint": token.mint,
        "price_sol": Decimal("0.5"),
        "price_usd": None,
        "source": "jupiter",
    }
    higher: channel.PriceUpdate = {**update, "price_sol": Decimal("0.6")}
    channel._said.clear()
    now = time.monotonic()
    assert channel._is_news(update, now)
    assert not channel._is_news(update, now + 1)
    assert channel._is_news(higher, now + 1)
    assert channel._is_news(higher, now + 3.1)


def test_client_messages_are_answered(web):
    agent = factories.make_agent()
    with web.socket(query(agent.user, agent)) as watcher:
        watcher.next("initial_data")
        watcher.say({"type": "ping"})
        pong = watcher.next("pong")
        assert set(pong) == {"type", "timestamp"}
        watcher.say({"type": "subscribe"})
        assert watcher.next("subscribed")["data"] == {"agentId": str(agent.pk)}
        for nonsense in ("{", "[]", '"text"', "{}"):
            watcher.say(nonsense)
            assert watcher.next("error")["data"]["message"]
        watcher.say({"type": "whatever"})
        watcher.say({"type": "resync"})
        assert watcher.next("initial_data")


def refused(web, query_string: str, **options) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        web.socket(query_string, **options)
    body = json.loads(refusal.value.response.body)
    assert body["error"]
    return refusal.value.response.status_code


def test_an_upgrade_without_a_good_access_token_is_401(web):
    agent = factories.make_agent()
    pair = sessions.open_session(user=agent.user, remember=False)
    assert refused(web, f"agentId={agent.pk}") == 401
    assert refused(web, f"token={pair.access_token}") == 401
    assert refused(web, f"token=nonsense&agentId={agent.pk}") == 401
    assert refused(web, f"token={pair.refresh_token}&agentId={agent.pk}") == 401
    _, key = factories.make_api_key(agent.user)
    assert refused(web, f"token={key}&agentId={agent.pk}") == 401
    sessions.sign_out(claims=tokens.read(pair.access_token, tokens.Kind.ACCESS))
    assert refused(web, f"token={pair.access_token}&agentId={agent.pk}") == 401


def test_an_agent_that_is_not_the_users_is_an_error_and_1008(web):
    agent, stranger = factories.make_agent(), factories.make_user()
    for wanted in (agent.pk, uuid.uuid4(), "no-id"):
        with web.socket(query(stranger, wanted)) as watcher:
            assert watcher.next()["type"] == "error"
            assert watcher.close_code() == 1008


def test_a_page_of_another_site_may_not_connect(web, settings):
    agent = factories.make_agent()
    assert refused(web, query(agent.user, agent), origin="https://evil.example") == 403
    with web.socket(query(agent.user, agent), origin=f"http://127.0.0.1:{web.port}") as watcher:
        assert watcher.next()["type"] == "connected"
    with web.socket(query(agent.user, agent), origin="http://localhost:3000") as watcher:
        assert watcher.next()["type"] == "connected"


def test_a_ticket_opens_one_socket(web):
    agent = factories.make_agent()
    family = RefreshFamily.objects.create(user=agent.user, expires_at=timezone.now() + timedelta(days=1))
    ticket = tokens.ticket(agent.user, family_id=family.pk, now=timezone.now(), lives_seconds=30)
    with web.socket(f"ticket={ticket}&agentId={agent.pk}") as watcher:
        assert watcher.next()["type"] == "connected"
    assert refused(web, f"ticket={ticket}&agentId={agent.pk}") == 401


def test_a_ticket_of_a_session_that_ended_opens_nothing(web):
    agent = factories.make_agent()
    pair = sessions.open_session(user=agent.user, remember=False)
    claims = tokens.read(pair.access_token, tokens.Kind.ACCESS)
    ticket = sessions.issue_ticket(user=agent.user, claims=claims)
    sessions.sign_out(claims=claims, refresh_token=pair.refresh_token)
    assert refused(web, f"ticket={ticket}&agentId={agent.pk}") == 401


def test_a_socket_closes_when_its_agent_is_archived(web, relaying):
    agent = factories.make_agent()
    with web.socket(query(agent.user, agent)) as watcher, web.socket(query(agent.user)) as wide:
        watcher.next("initial_data")
        wide.next("initial_data")
        agents.archive_agent(agent=agent, actor=None)
        assert watcher.next("error")["data"]["message"] == "Agent not found"
        assert watcher.close_code() == 1008
        assert wide.next("agent_archived")["data"]["agentId"] == str(agent.pk)


@pytest.fixture
def narrow_web(redis, tmp_path, transactional_db):
    """A web process with limits a test can reach."""
    limits = {
        "FEED_SOCKETS_PER_USER": "2",
        "FEED_SOCKETS_PER_PROCESS": "3",
        "FEED_MESSAGES_PER_SECOND": "1",
        "FEED_MESSAGE_BYTES": "2048",
        "FEED_SNAPSHOT_POSITIONS": "2",
        "WEB_PROCESSES": "1",
    }
    process = WebProcess(redis.url, tmp_path / "narrow.log", **limits)
    process.start()
    yield process
    process.kill()


def test_limits_are_kept_and_said(narrow_web, relaying):
    agent, other = factories.make_agent(), factories.make_agent()
    for _ in range(3):
        open_position(agent, factories.make_token())
    newest = open_position(agent, factories.make_token())
    own = [narrow_web.socket(query(agent.user, agent)) for _ in range(2)]
    initial = own[0].next("initial_data")["data"]
    assert len(initial["positions"]) == 2
    assert initial["positions"][0]["id"] == str(newest.pk)
    assert initial["totalPositions"] == 4

    with narrow_web.socket(query(agent.user)) as third:
        assert third.next()["data"]["code"] == "TOO_MANY_SOCKETS"
        assert third.close_code() == 1008
    with narrow_web.socket(query(other.user)) as elsewhere:
        assert elsewhere.next()["type"] == "connected"
        assert refused(narrow_web, query(factories.make_agent().user)) == 503

    for _ in range(15):
        own[0].say({"type": "pong"})
    assert own[0].next("error")["data"]["code"] == "TOO_MANY_MESSAGES"
    assert own[0].close_code() == 1008
    own[1].say("x" * 3000)
    assert own[1].close_code() == 1009
    with narrow_web.socket(query(agent.user, agent)) as again:  # what was closed counts no more
        assert again.next("initial_data")


def test_sockets_close_when_their_session_ends(web):
    agent = factories.make_agent()
    pair = sessions.open_session(user=agent.user, remember=False)
    others = sessions.open_session(user=agent.user, remember=False)
    with (
        web.socket(f"token={pair.access_token}&agentId={agent.pk}") as ending,
        web.socket(f"token={others.access_token}&agentId={agent.pk}") as staying,
    ):
        ending.next("initial_data")
        staying.next("initial_data")
        sessions.sign_out(claims=tokens.read(pair.access_token, tokens.Kind.ACCESS))
        assert ending.close_code(seconds=15) == 1008
        staying.say({"type": "ping"})
        assert staying.next("pong")
        users.set_password(user=agent.user, password="another-long-passphrase", actor=None)
        assert staying.close_code(seconds=15) == 1008


def test_a_wide_client_follows_agents_made_later_and_the_users_own_stream(web, relaying):
    user, stranger = factories.make_user(), factories.make_user()
    with web.socket(query(user)) as watcher:
        assert watcher.next("initial_data")["data"]["agents"] == []
        agents.create_agent(user=stranger, name="Stranger", actor=stranger)
        mine = agents.create_agent(user=user, name="Newcomer", actor=user)
        created = watcher.next("agent_created")
        assert created["data"]["agentId"] == str(mine.pk)
        factories.fund(factories.wallet_of(mine), "10")
        position = open_position(mine, factories.make_token("A"))
        update = watcher.next("position_update")
        assert update["data"]["position"]["id"] == str(position.pk)
        panel = watcher.next("desk_update")["data"]
        assert panel["summary"]["openPositions"] == 1


def test_a_slow_client_is_bounded_and_gets_a_new_snapshot_once_it_reads(web, relaying):
    agent = factories.make_agent(max_open_positions=3000)
    slow = web.socket(query(agent.user, agent), max_queue=2)
    with web.socket(query(agent.user, agent)) as quick, slow:
        quick.next("initial_data")
        slow.next("initial_data")
        padding = "x" * 4_000
        stream = outbox.agent_stream(agent.pk)
        for _ in range(40):  # 32 MB, far above what sockets and queues hold
            with transaction.atomic():
                outbox.append([Message(stream, "alert", {"text": padding}) for _ in range(200)])
        with transaction.atomic():
            outbox.append([Message(stream, "last", {})])
        until = time.monotonic() + 60
        while not told_the_end(quick.next("alert", "last", "initial_data"), stream):
            assert time.monotonic() < until
        assert resident_megabytes(web.process.pid) < 250
        seen = Counter[str]()
        while True:
            message = slow.next("alert", "last", "initial_data", seconds=20)
            if told_the_end(message, stream):
                break
            seen[message["type"]] += 1
        assert seen["alert"] < 8_000


def told_the_end(message: dict, stream: str) -> bool:
    if message["type"] == "initial_data":
        return message["data"]["streams"][stream] == 8_001
    return message["type"] == "last"


def resident_megabytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def test_the_process_ends_in_seconds_with_open_sockets_and_says_goodbye(own_web):
    agent = factories.make_agent()
    with own_web.socket(query(agent.user, agent)) as watcher, own_web.socket(query(agent.user)):
        watcher.next("initial_data")
        started = time.monotonic()
        assert own_web.stop() == 0
        assert time.monotonic() - started < 20
        assert watcher.close_code() == 1000
