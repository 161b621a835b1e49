"""An agent's figures: what it is worth, what it made, how its balance moved. Reads only; no provider is called."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Avg, Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncDay

from apps.agents.models import Agent
from apps.core.money import MONEY, SOL_MINT, ZERO, divide
from apps.trading.domain import performance
from apps.trading.models import BalanceSnapshot, Position
from apps.trading.selectors import closed_trades, fills, marks
from apps.wallets import selectors as wallets
from apps.wallets.models import Balance, Wallet

DAY = timedelta(hours=24)
#: A day's chart begins with the snapshot before it.
CHART_DAY = timedelta(hours=25)


def of_agent(
    *, agent: Agent, since: datetime | None = None, wallet_address: str | None = None
) -> performance.Performance:
    """Return the summary over one wallet, or over those of the agent's present mode; closed trades from `since` on."""
    chosen = {"wallet_type": agent.trading_mode} if wallet_address is None else {"address": wallet_address}
    own = list(wallets.list_wallets(agent=agent).filter(**chosen))
    ids = [wallet.pk for wallet in own]
    sol = Balance.objects.filter(wallet_id__in=ids, mint=SOL_MINT).aggregate(held=Sum(F("amount") + F("held")))["held"]
    rows = list(Position.objects.filter(wallet_id__in=ids, closed_at=None))
    held = performance.summarise(sol or ZERO, (), list(_valued(rows)))
    counted = wallets.rows_of(own)
    if wallet_address is None:
        counted |= Q(wallet=None)  # entered by hand, without a wallet
    closed = closed_trades.of_wallets(agent=agent, rows=counted)
    if since is not None:
        closed = closed.filter(sale_time__gte=since)
    made = closed.aggregate(
        count=Count("id"),
        wins=Count("id", filter=Q(profit_sol__gt=0)),
        profit=Sum("profit_sol"),
        change=Avg("change_percent"),
    )
    profit = made["profit"] or ZERO
    return replace(
        held,
        total_profit_sol=held.total_profit_sol + profit,
        realised_profit_sol=held.realised_profit_sol + profit,
        average_return_percent=made["change"] or ZERO,
        win_rate_percent=divide(Decimal(made["wins"] * 100), Decimal(made["count"])) if made["count"] else ZERO,
        closed_trades=made["count"],
    )


def history(*, wallet: Wallet, since: datetime | None = None) -> QuerySet[BalanceSnapshot]:
    """Return the wallet's snapshots, oldest first: hourly from `since` on, else the last one of each UTC day."""
    found = BalanceSnapshot.objects.filter(wallet=wallet, epoch=wallet.epoch)
    if since is not None:
        return found.filter(hour__gt=since).order_by("hour")
    return found.annotate(day=TruncDay("hour", tzinfo=UTC)).order_by("day", "-hour").distinct("day")


def _valued(rows: Iterable[Position]) -> Iterable[performance.OpenPosition]:
    positions = list(rows)
    marked = marks.of_positions(positions, fills.of_positions(positions))
    for row in positions:
        yield performance.OpenPosition(
            remaining_tokens=row.remaining_amount,
            remaining_cost_sol=row.remaining_cost_sol,
            average_price=row.purchase_price,
            realised_sol=row.realized_profit_sol,
            price=MONEY.plus(marked[row.pk].price_sol),
        )
