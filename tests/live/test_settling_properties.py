"""Random lives of live positions: whatever is reserved, lands, fails, expires or is taken back, the audit is at zero.

And the wallet's books are what the chain did to it, to the lamport and to the base unit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.agents.models import Agent
from apps.core import bulk
from apps.core.money import SOL_MINT
from apps.trading.models import ExitIntent, Order, OrderSide, Position
from apps.trading.services import exit_runner, exits
from apps.trading.services.live import reversing, settling
from tests import factories
from tests.live import trading
from tests.sandbox_server import SandboxControl, SandboxToken
from tests.trading import adjusting
from tests.trading.closing import at, differences

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["signal", "dca", "take_profit", "stop", "close", "land", "land", "land", "fail", "refuse"])
        | st.sampled_from(["expire", "reverse", "land_part"]),
        st.integers(0, 2**16),
    ),
    min_size=6,
    max_size=14,
)


#: A position in each token, and one more signal.
BEGINNING = [("signal", 0), ("land", 7), ("signal", 1), ("land", 0)]


@dataclass
class Life:
    """One wallet's life, and what the chain has done to it."""

    market: SandboxControl
    agent: Agent
    tokens: list[SandboxToken]
    chain: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    done: dict[str, tuple[str, int, int]] = field(default_factory=dict)

    def step(self, kind: str, dice: int) -> None:
        getattr(self, kind)(dice)
        ExitIntent.objects.filter(status="due").update(due_at="2020-01-01T00:00Z")

    def _order(self, dice: int, *, sent: bool) -> Order | None:
        orders = list(Order.objects.filter(status__in=["reserved", "sent"], agent=self.agent).order_by("created_at"))
        if not orders:
            return None
        order = orders[dice % len(orders)]
        return trading.sign(order) if sent and order.status == "reserved" else order

    def signal(self, dice: int) -> None:
        trading.send(self.agent.user, self.tokens[dice % len(self.tokens)])

    def _adjust(self, reason: str, percent: str) -> None:
        position = Position.objects.filter(agent=self.agent, closed_at=None, remaining_amount__gt=0).first()
        if position is not None:
            self.market.set_price(position.mint, at(position, percent))
            adjusting.exit_intents.fire([adjusting.fired_of(position, reason, at(position, percent))])
            exit_runner.run_due()

    def dca(self, _dice: int) -> None:
        self._adjust("dca", "-30")

    def take_profit(self, _dice: int) -> None:
        self._adjust("take_profit", "60")

    def stop(self, dice: int) -> None:
        open_now = list(Position.objects.filter(agent=self.agent, closed_at=None).order_by("created_at"))
        if open_now:
            exits.request_close(position=open_now[dice % len(open_now)], reason="stop_loss", actor=None)
            exit_runner.run_due()

    close = stop

    def land(self, dice: int, part: bool = False) -> None:
        order = self._order(dice, sent=True)
        if order is None:
            return
        units = int(order.in_base_units)
        buys = order.side == OrderSide.BUY
        tokens = units // 2_000 + dice if buys else max(1, units // 2) if part else units
        lamports = units if buys else 400_000_000 + dice
        swap = trading.landed(order, tokens=tokens, lamports=lamports, rent_lamports=dice if buys else 0)
        assert settling.settle_landed([(order.pk, swap)]) == {order.pk}
        self.chain[SOL_MINT] += swap.wallet_lamports_delta
        self.chain[order.mint] += swap.wallet_token_delta
        self.done[str(order.pk)] = order.mint, swap.wallet_lamports_delta, swap.wallet_token_delta

    def land_part(self, dice: int) -> None:
        self.land(dice, part=True)

    def fail(self, dice: int) -> None:
        order = self._order(dice, sent=True)
        if order is not None:
            swap = trading.landed(order, error='{"InstructionError":[3,{"Custom":6001}]}')
            settling.settle_landed([(order.pk, swap)])
            self.chain[SOL_MINT] += swap.wallet_lamports_delta

    def refuse(self, dice: int) -> None:
        order = self._order(dice, sent=False)
        if order is not None:
            settling.settle_ended([(order.pk, "failed", "BUILD_REFUSED")])

    def expire(self, dice: int) -> None:
        order = self._order(dice, sent=True)
        if order is not None:
            settling.settle_ended([(order.pk, "expired", "EXPIRED")])

    def reverse(self, _dice: int) -> None:
        order = Order.objects.filter(status="landed", agent=self.agent).order_by("-landed_slot").first()
        busy = {} if order is None else {"wallet": order.wallet_id, "mint": order.mint, "side": order.side}
        if order is None or Order.objects.filter(status__in=["reserved", "sent", "unresolved"], **busy).exists():
            return
        try:
            reversing.reverse_landed(order.pk)
        except reversing.NotReversible:
            return
        mint, lamports, tokens = self.done.pop(str(order.pk))
        self.chain[SOL_MINT] -= lamports
        self.chain[mint] -= tokens
        settling.settle_ended([(order.pk, "expired", "EXPIRED")])

    def check(self) -> None:
        assert differences() == []
        wallet = factories.wallet_of(self.agent, "live")
        rows = bulk.fetch_all("SELECT mint, amount + held FROM balance WHERE wallet_id = %s", [wallet.pk])
        decimals = {token.mint: token.decimals for token in self.tokens} | {SOL_MINT: 9}
        books = {mint: int(total.scaleb(decimals[mint])) for mint, total in rows}
        expected = {mint: units for mint, units in self.chain.items() if units or mint in books}
        assert {mint: books.get(mint, 0) for mint in expected} == expected


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_the_books_stay_those_of_the_chain_through_any_life(market, steps):
    rules = {**trading.ONE_SOL, **adjusting.adding(), **adjusting.taking()}
    agent = trading.live_agent(sol="40", config=rules)
    tokens = [market.add_token(**adjusting.DEEP) for _ in range(2)]
    life = Life(market, agent, tokens)
    life.chain[SOL_MINT] = int(Decimal(40).scaleb(9))
    for kind, dice in [*BEGINNING, *steps]:
        life.step(kind, dice)
        life.check()
