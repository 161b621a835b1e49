"""A position bought through a signal, on a token whose chart the test holds: show a price, watch, sell what is due.

The market's clock stands between points; what goes by the desk's clock (hold times, cool-downs) is moved by `wait`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import F

from apps.agents.models import Agent
from apps.signals import services as signals
from apps.trading.models import ClosedTrade, ExitIntent, Position
from apps.trading.services import entries, exit_runner
from apps.trading.services.watch import ShardWatch
from apps.wallets.models import Transaction
from tests import factories
from tests.sandbox_server import SandboxControl, SandboxToken

#: A pool in which a small trade neither moves the price nor pays for it.
FRICTIONLESS = {"price_sol": "0.001", "liquidity_sol": "100000000", "pool_fee_bps": 0}


def sizes(sol: float) -> dict[str, Any]:
    """Return the part of a configuration that buys for exactly `sol`."""
    span = {"min": sol, "max": sol}
    return {"positionCalculator": {"positionSizes": {"small": span, "medium": span, "large": span}}}


class Watching:
    """The watch of a desk's only shard, and the sellers behind it."""

    def __init__(self) -> None:
        self.watch = ShardWatch(0, shards=1)

    def look(self) -> None:
        """Watch once and carry out what is due."""
        self.watch.tick()
        exit_runner.run_due()

    def let_pass(self, seconds: float) -> None:
        """Let a take profit or DCA that has just fired have had its rest."""
        self.watch._book.columns.adjust_after -= int(seconds * 1_000_000)

    def close(self) -> None:
        self.watch.close()
        exit_runner.stop()


@dataclass
class Played:
    """One position and the chart under it."""

    market: SandboxControl
    watching: Watching
    token: SandboxToken
    agent: Agent
    position_id: Any
    seen: list[Decimal] = field(default_factory=list)

    @property
    def position(self) -> Position:
        return Position.objects.get(pk=self.position_id)

    @property
    def fills(self) -> list[Transaction]:
        """The position's buys and sales, oldest first."""
        position = self.position
        rows = Transaction.objects.filter(agent=self.agent, created_at__gte=position.created_at - timedelta(seconds=1))
        return [
            row
            for row in rows.order_by("created_at")
            if position.mint in (row.input_mint, row.output_mint) and row.transaction_type == "swap"
        ]

    @property
    def intents(self) -> list[ExitIntent]:
        return list(ExitIntent.objects.filter(position_id=self.position_id).order_by("id"))

    @property
    def closed_trade(self) -> ClosedTrade:
        return ClosedTrade.objects.get(position_id=self.position_id)

    def chart(self, *percents: str | Decimal) -> None:
        """Lay out a chart in percent of the position's average; the price stays where it is until `step`."""
        average = self.position.purchase_price
        points = [str(average * (1 + Decimal(one) / 100)) for one in percents]
        self.market.script(self.token.mint, "0%", *points, speed=0)

    def step(self, *, seconds: float = 4) -> Position:
        """Show the chart's next price `seconds` after the one before, watch, and carry out what fired."""
        self.wait(seconds)
        self.seen.append(self.market.next_price(self.token.mint))
        self.watching.look()
        return self.position

    def play(self, *percents: str | Decimal) -> list[Position]:
        """Play a whole chart; return the position after each price."""
        self.chart(*percents)
        return [self.step() for _ in percents]

    def wait(self, seconds: float) -> None:
        """Let the desk's clock pass, as far as the position and the watch know it."""
        ago = timedelta(seconds=seconds)
        self.watching.let_pass(seconds)
        Position.objects.filter(pk=self.position_id, closed_at=None).update(
            opened_at=F("opened_at") - ago, last_dca_at=F("last_dca_at") - ago
        )


def bought(
    market: SandboxControl,
    watching: Watching,
    config: dict[str, Any],
    *,
    token: SandboxToken | None = None,
    sol: str = "10",
) -> Played:
    """Let an agent with this configuration (and 1 SOL as its size, if it names none) buy on a signal."""
    listed = token or market.add_token(**FRICTIONLESS)
    agent = factories.make_agent(sol=sol, config={**sizes(1), **config})
    signal = signals.create_signal(
        user=agent.user,
        api_key=None,
        token_address=listed.mint,
        symbol=listed.symbol,
        signal_type="Whale Buy",
        signal_strength=5,
    )
    report = entries.process_signal(signal.pk)
    assert report.executed == 1, report
    played = Played(market, watching, listed, agent, Position.objects.get(agent=agent).pk)
    watching.look()
    return played


def reasons(intents: Iterable[ExitIntent]) -> list[tuple[str, str]]:
    """Return what fired and what became of it, in order."""
    return [(intent.reason, intent.status) for intent in intents]
