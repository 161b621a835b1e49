"""What a client knows from an old snapshot and the messages after it is what a new snapshot says, whatever happened.

Real services on the sandbox market change the books; the relay and the watch publish; a real hub hears them and serves
clients without a network (`pipes`), which keep what the documentation tells them to (`folding`). Followed: an agent, a
user's all agents, and the desk, by clients that were there from the start and by some that joined in the middle.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.agents import services as agents
from apps.agents.models import Agent
from apps.console import feed
from apps.console.clients import Scope, Snapshot
from apps.console.hub import Hub
from apps.core import feed as channel
from apps.core import outbox, redis, relay
from apps.core import quick_redis as quick_redis_module
from apps.core.errors import Conflict
from apps.core.models import OutboxMessage
from apps.core.money import SOL_MINT
from apps.core.quick_redis import quick_redis
from apps.prices import selectors as prices
from apps.prices.models import Tick
from apps.signals import services as signals
from apps.signals.models import TradingSignal
from apps.trading.errors import EntryRefused
from apps.trading.models import ClosedTrade, CloseReason, DeadToken, Position, SignalExecution, State
from apps.trading.selectors import positions
from apps.trading.services import (
    alerts,
    entries,
    exit_runner,
    exits,
    hand_buys,
    position_feed,
    trading_state,
    wallet_reset,
    write_off,
)
from apps.trading.services.alerts import Alert
from apps.trading.services.watch import ShardWatch
from tests import factories
from tests.console.folding import EVENTS, Folding
from tests.console.pipes import Socket
from tests.prices import world
from tests.trading import closing

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG: dict[str, Any] = {
    "purchaseLimits": {"minimumAgentBalance": 0.1, "maxPurchasePerToken": 2, "maxPriceImpact": 0.5},
    "stopLoss": {"enabled": True, "mode": "zones", "defaultPercentage": -20},
    "staleTrade": {"enabled": True, "minHoldTimeMinutes": 60, "minProfitPercent": 1, "maxProfitPercent": 7},
    "takeProfit": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"targetPercent": target, "sellPercent": 25} for target in (10, 25, 45)],
        "moonBag": {"enabled": True, "triggerPercent": 40, "retainPercent": 10},
    },
    "dca": {
        "enabled": True,
        "mode": "custom",
        "levels": [{"dropPercent": -8, "buyPercent": 40}, {"dropPercent": -12, "buyPercent": 40}],
        "maxDCACount": 2,
        "cooldownSeconds": 10,
    },
}
#: Worked out from prices with floats by the client, with decimals by the server.
FIGURES = {
    "currentPriceUsd",
    "purchasePriceUsd",
    "positionValueSol",
    "positionValueUsd",
    "profitLossSol",
    "profitLossUsd",
    "profitLossPercent",
    "priceChangePercent",
}
#: The row's own time of writing: a rise of the stored peak touches no client.
NOT_TOLD = {"updatedAt"}


class Threads:
    """The hub's reads, each on a thread whose database connection ends with it."""

    async def snapshot(self, scope: Scope) -> Snapshot:
        return await self._run(feed.snapshot, scope)

    async def streams(self, scope: Scope) -> list[str]:
        return await self._run(feed.stream_names, scope)

    async def panel(self, scope: Scope) -> dict[str, Any]:
        return {}

    async def sequences(self, streams: set[str]) -> dict[str, int]:
        return {}

    async def ended(self, credentials: set[Any]) -> set[Any]:
        return set()

    async def _run(self, read: Callable[[Scope], Any], scope: Scope) -> Any:
        def run() -> Any:
            try:
                return read(scope)
            finally:
                connection.close()

        return await asyncio.to_thread(run)


class QuietHub(Hub):
    """A hub that hears what it is given, in the order it is given it."""

    def start(self) -> None:
        self.connected = True


class Follower:
    """A client and what it keeps."""

    def __init__(self, hub: Hub, scope: Scope) -> None:
        self.scope = scope
        self.socket = Socket(hub, scope)
        self.knows = Folding()
        self._taken = 0

    def take(self) -> None:
        for message in self.socket.heard[self._taken :]:
            self.knows.take(message)
        self._taken = len(self.socket.heard)


class Wire:
    """What lies between the books and the clients: relay, Redis and hub; `carry` lets everything arrive."""

    def __init__(self, dice: random.Random) -> None:
        self._dice, self._runner = dice, asyncio.Runner()
        self._hub = QuietHub(Threads())
        self._relay = relay.Relay()
        self._ears = quick_redis()._client.pubsub(ignore_subscribe_messages=True)
        self._feed, self._prices = (redis.name(each) for each in (channel.FEED_CHANNEL, channel.PRICES_CHANNEL))
        self._ears.subscribe(self._feed, self._prices)
        self._ears.get_message(timeout=1)
        self._ears.get_message(timeout=1)
        self.followers: list[Follower] = []

    def follow(self, scope: Scope) -> Follower:
        """Let a client join; what was committed and not yet carried reaches it after its snapshot."""

        async def join() -> Follower:
            follower = Follower(self._hub, scope)
            await self._settled()
            return follower

        follower = self._runner.run(join())
        self.followers.append(follower)
        return follower

    def carry(self) -> None:
        """Publish what is due and hand it to the clients; prices or changes first, as chance has it."""
        self._relay.run()
        frames: dict[str, list[bytes]] = {self._feed: [], self._prices: []}
        while (heard := self._ears.get_message(timeout=0.02)) is not None:
            frames[heard["channel"].decode()].append(heard["data"])
        self._runner.run(self._hand_over(frames))
        for follower in self.followers:
            follower.take()

    async def _hand_over(self, frames: dict[str, list[bytes]]) -> None:
        for each in self._dice.sample([self._feed, self._prices], 2):
            for frame in frames[each]:
                if each == self._feed:
                    self._hub.dispatch(frame)
                else:
                    self._hub.dispatch_prices(frame)
        await self._settled()

    async def _settled(self) -> None:
        while not all(client.live for client in self._hub._clients):
            await asyncio.sleep(0.002)

    def close(self) -> None:
        self._runner.run(self._hub.stop())
        self._runner.close()
        self._relay.close()
        self._ears.close()


class World:
    """Two users, their agents, a market, and everything that may happen to them."""

    def __init__(self, market, watch: ShardWatch, dice: random.Random) -> None:
        self.market, self.watch, self.dice = market, watch, dice
        self.users = [factories.make_user() for _ in range(2)]
        self.agents = [factories.make_agent(user, sol="60", config=CONFIG) for user in self.users for _ in range(2)]
        self.tokens = market.add_tokens(4, liquidity_sol=200_000)

    @property
    def agent(self) -> Agent:
        return self.dice.choice(self.agents)

    @property
    def token(self):
        return self.dice.choice(self.tokens)

    def signal(self) -> None:
        user = self.dice.choice(self.users)
        kind = f"kind {TradingSignal.objects.count()}"
        signal = signals.create_signal(
            user=user, api_key=None, token_address=self.token.mint, signal_type=kind, signal_strength=3
        )
        entries.process_signal(signal.pk)

    def buy(self, agent: Agent | None = None, token=None) -> None:
        try:
            hand_buys.buy_by_hand(
                agent=agent or self.agent,
                token_address=(token or self.token).mint,
                actor=None,
                position_size_sol=Decimal("0.5"),
            )
        except (EntryRefused, Conflict) as error:
            assert error.code in ("POSITION_EXISTS", "VIOLATES_MINIMUM_BALANCE", "TRADING_HALTED", "TRADING_REDUCING")

    def move(self, token=None, factor: str | None = None) -> None:
        """Move a token's price, let the watch see it, and do what fired."""
        token = token or self.token
        by = Decimal(factor or self.dice.choice(("0.78", "0.9", "0.95", "1.02", "1.06", "1.15", "1.3")))
        self.market.set_price(token.mint, self.market.price_of(token.mint) * by)
        channel._said.clear()
        self.watch.tick()
        exit_runner.run_due()

    def close(self, position: Position | None = None) -> None:
        position = position or self.dice.choice(
            [*Position.objects.filter(closed_at=None).order_by("mint", "opened_at"), None]
        )
        if position is not None:
            exits.close_position(position=position, reason=CloseReason.MANUAL, actor=None)

    def stale(self, agent: Agent | None = None) -> None:
        """Let a position appear that was opened long ago and stands a little above its average."""
        agent, token = agent or self.agent, self.market.add_token(liquidity_sol=200_000)
        newest = Tick.objects.order_by("-id").values_list("id", flat=True).first() or 0
        with transaction.atomic():
            position = closing.hold(
                agent, token, opened_at=timezone.now() - timedelta(hours=2), peak_from_tick=newest, invested="0.5"
            )
            outbox.append([position_feed.created(position, position.wallet.address)])
        self.move(token, "1.03")

    def write_off(self, agent: Agent | None = None) -> None:
        agent, token = agent or self.agent, self.market.add_token(liquidity_sol=200_000)
        self.buy(agent, token)
        if not Position.objects.filter(mint=token.mint, closed_at=None).exists():
            return
        factories.make_dead_token(closing.stored(token), checks=5, seconds=600)
        alerts.tell_holders(Alert("TOKEN_DEAD", "Nobody prices it.", {token.mint: token.symbol}))
        write_off.request(mint=token.mint, actor=None)
        write_off.run()
        DeadToken.objects.all().delete()

    def reset(self, agent: Agent | None = None) -> None:
        wallet = factories.wallet_of(agent or self.agent)
        wallet_reset.reset_wallet(wallet=wallet, actor=None)
        wallet.refresh_from_db()
        factories.fund(wallet, "60")

    def create(self, user: User | None = None) -> None:
        made = agents.create_agent(user=user or self.dice.choice(self.users), name="Newcomer")
        agents.update_config(agent=made, patch=CONFIG, actor=None)
        factories.fund(factories.wallet_of(made), "60")
        self.agents.append(made)

    def rename(self) -> None:
        agents.update_agent(agent=self.agent, actor=None, name=f"Agent {self.dice.randrange(1000)}")

    def switch(self, agent: Agent | None = None) -> None:
        agent = agent or self.agent
        agents.update_agent(agent=agent, actor=None, automated_trading_simulation=self.dice.random() < 0.5)
        agents.update_agent(agent=agent, actor=None, trading_mode="live")
        agents.update_agent(agent=agent, actor=None, trading_mode="simulation", automated_trading_simulation=True)

    def configure(self) -> None:
        patch = {"stopLoss": {"defaultPercentage": self.dice.choice((-30, -20, -15))}}
        agents.update_config(agent=self.agent, patch=patch, actor=None)

    def archive(self) -> None:
        """Archive one of the agents that were made on the way, with what it holds."""
        if len(self.agents) > 4:
            agents.archive_agent(agent=self.agents.pop(self.dice.randrange(4, len(self.agents))), actor=None)

    def state(self) -> None:
        state = self.dice.choice((State.ACTIVE, State.ACTIVE, State.REDUCING, State.HALTED))
        agent = self.agent if self.dice.random() < 0.7 else None
        trading_state.set_state(agent=agent, state=state, exits_enabled=self.dice.random() < 0.8, actor=None)

    def resume(self) -> None:
        for agent in (None, *self.agents):
            trading_state.set_state(agent=agent, state=State.ACTIVE, actor=None)

    def anything(self) -> None:
        """Do one of all these things, those that trade most often."""
        some, more, most = 1, 4, 12
        what: dict[Callable[[], None], int] = {
            self.signal: more,
            self.buy: more,
            self.move: most * 2,
            self.close: some,
            self.stale: some,
            self.write_off: some,
            self.reset: some,
            self.create: some,
            self.rename: some,
            self.switch: some,
            self.configure: some,
            self.archive: some,
            self.state: some,
            self.resume: some,
        }
        self.dice.choices(list(what), list(what.values()))[0]()


@pytest.fixture
def dice(request) -> random.Random:
    return random.Random(getattr(request, "param", 0))


@pytest.fixture
def patient_redis(monkeypatch) -> Iterator[None]:
    """On a busy machine 50 ms may pass without an answer; what is lost then comes a second later, too late for here."""
    monkeypatch.setattr(quick_redis_module, "LIMIT_SECONDS", 10.0)
    quick_redis_module._forget()
    yield
    quick_redis_module._forget()


@pytest.fixture
def here(market, dice, patient_redis) -> Iterator[World]:
    world.forget()
    channel._said.clear()
    watch = ShardWatch(0, shards=1)
    yield World(market, watch, dice)
    watch.close()
    exit_runner.stop()
    world.forget()


@pytest.fixture
def wire(dice, here) -> Iterator[Wire]:
    made = Wire(dice)
    yield made
    made.close()


def scopes(here: World) -> list[Scope]:
    first = here.agents[0]
    return [Scope(agent_id=first.pk), Scope(agent_id=here.agents[2].pk), Scope(user_id=first.user_id), Scope()]


def check(wire: Wire) -> None:
    """Compare what every follower knows with a new snapshot of its scope."""
    say_sol()
    wire.carry()
    fresh = {follower.scope: feed.snapshot(follower.scope) for follower in wire.followers}
    for follower in wire.followers:
        assert follower.socket.code is None
        known, new = follower.knows.state(), fresh[follower.scope]
        now = new.data | {"positions": {position["id"]: position for position in new.data["positions"]}}
        assert known["totalPositions"] == now["totalPositions"] == len(known["positions"])
        assert known["solUsd"] == now["solUsd"]
        assert {name: known["streams"].get(name) for name in new.sequences} == new.sequences
        assert known.get("tradingState") == now.get("tradingState")
        assert known.get("agents") == ({a["id"]: a for a in now["agents"]} if "agents" in now else None)
        assert known["positions"].keys() == now["positions"].keys()
        assert apart(known["positions"], now["positions"]) == []
        for key, position in now["positions"].items():
            for name in FIGURES:
                assert known["positions"][key][name] == pytest.approx(position[name], rel=1e-9, abs=1e-12), name


def say_sol() -> None:
    """Tell SOL in dollars as each second's watch does; bookings ask for it in between."""
    known = prices.sol_usd()
    if known is not None:
        channel.publish_prices(
            [{"mint": SOL_MINT, "price_sol": 1, "price_usd": known.value, "source": known.source, "at": known.at}]
        )


def apart(known: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """Return the fields that differ, with what a client knows of them and what the snapshot says."""
    return [
        (f"{position['tokenSymbol']} {name}", known[key].get(name), value)
        for key, position in now.items()
        for name, value in position.items()
        if name not in FIGURES | NOT_TOLD and known[key].get(name) != value
    ]


def check_events(wire: Wire, here: World) -> None:
    """Those who were there from the start were told every event of the books, once, in its order."""
    user, desk = (follower.knows for follower in wire.followers[2:4])
    assert (user.snapshots, desk.snapshots) == (1, 1)
    for knows, own in ((user, here.users[:1]), (desk, here.users)):
        told = {kind: [data for each, data in knows.events if each == kind] for kind in EVENTS}
        made = TradingSignal.objects.filter(user__in=own).order_by("pk")
        assert [data["id"] for data in told["signal_created"]] == list(made.values_list("pk", flat=True))
        assert [data["id"] for data in told["signal_finished"]] == list(made.values_list("pk", flat=True))
        verdicts = {
            (data["signalId"], execution["agentId"]): execution["verdict"]
            for data in told["executions"]
            for execution in data["executions"]
        }
        stored = SignalExecution.objects.filter(agent__user__in=own)
        assert verdicts == {(row.signal_id, str(row.agent_id)): row.verdict for row in stored}
        trades = ClosedTrade.objects.filter(agent__user__in=own).values_list("pk", flat=True)
        assert sorted(data["trade"]["id"] for data in told["trade_closed"]) == sorted(str(pk) for pk in trades)
        streams = [outbox.user_stream(each.pk) for each in own]
        for kind in ("alert", "wallet_reset"):
            assert len(told[kind]) == OutboxMessage.objects.filter(stream__in=streams, kind=kind).count()


def check_list(here: World) -> None:
    """The snapshot's profit is the one the HTTP list tells."""
    for agent in here.agents:
        told = {p["id"]: p for p in feed.snapshot(Scope(agent_id=agent.pk)).data["positions"]}
        listed = {str(view.position.pk): view for view in positions.list_open(agent=agent)}
        assert listed.keys() == told.keys()
        for key, view in listed.items():
            assert float(view.profit_sol) == pytest.approx(told[key]["profitLossSol"], abs=2e-9)


def test_every_event_is_told_so_that_messages_lead_to_the_new_snapshot(here, wire):
    """One of everything, looked at after each step by clients that were there from the start."""
    for scope in scopes(here):
        wire.follow(scope)
    agent = here.agents[0]
    up, down, by_hand, left = here.tokens
    steps: list[Callable[[], Any]] = [
        *(lambda token=token: here.buy(agent, token) for token in here.tokens),
        lambda: here.move(up, "1.12"),
        lambda: here.move(up, "1.04"),
        lambda: here.move(up, "0.99"),
        lambda: here.move(up, "1.1"),
        lambda: here.move(down, "0.91"),
        lambda: here.move(down, "1.02"),
        lambda: here.move(up, "1.15"),
        lambda: here.move(down, "0.74"),
        lambda: here.move(by_hand, "1.12"),
        lambda: here.close(Position.objects.get(agent=agent, mint=by_hand.mint, closed_at=None)),
        lambda: here.buy(agent, by_hand),
        here.signal,
        lambda: here.stale(agent),
        lambda: here.write_off(agent),
        lambda: here.reset(agent),
        lambda: here.buy(agent, left),
        lambda: here.create(here.users[0]),
        lambda: here.buy(here.agents[4], left),
        here.rename,
        lambda: here.switch(agent),
        here.configure,
        here.archive,
        here.state,
        here.resume,
    ]
    for step in steps:
        step()
        check(wire)
    seen = sum((follower.knows.seen for follower in wire.followers), start=type(wire.followers[0].knows.seen)())
    assert seen.keys() - {"repeated"} == {
        *("opened", "stop rose", "took profit", "moon bag", "added to", "closed"),
        *("agent_created", "agent_updated", "agent_archived", "trading_state"),
        *EVENTS,
    }
    reasons = set(Position.objects.exclude(closed_at=None).values_list("close_reason", flat=True))
    assert reasons >= {"stop_loss", "manual", "stale_trade", "write_off", "reset"}
    check_events(wire, here)
    check_list(here)
    assert closing.differences() == []


@pytest.mark.parametrize("dice", range(4), indirect=True)
def test_messages_lead_to_the_new_snapshot_whatever_happens_in_whatever_order(here, wire, dice):
    for scope in scopes(here):
        wire.follow(scope)
    for step in range(60):
        here.anything()
        if step % 15 == 7:  # others join while messages of this step are still on their way
            for scope in scopes(here):
                wire.follow(scope)
        if dice.random() < 0.7:  # several steps may arrive together
            check(wire)
    here.resume()
    check(wire)
    assert sum(wire.followers[3].knows.seen.values()) > 30
    check_events(wire, here)
    check_list(here)
    assert closing.differences() == []
