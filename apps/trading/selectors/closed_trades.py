"""Closed trades ("historical swaps") of an agent, by the present epoch of their wallets, without those taken back."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F, Q, QuerySet

from apps.accounts.models import User
from apps.agents.errors import NotYourAgent
from apps.agents.models import Agent
from apps.core.errors import NotFound
from apps.trading.models import ClosedTrade
from apps.wallets import selectors as wallets

_PRESENT = Q(deleted_at=None) & (Q(wallet=None) | Q(epoch=F("wallet__epoch"), wallet__released_at=None))


def list_closed(*, agent: Agent, wallet_address: str | None = None) -> QuerySet[ClosedTrade]:
    """Return the agent's closed trades, or those of one of its wallets, unordered."""
    own = wallets.list_wallets(agent=agent)
    if wallet_address is None:
        return of_wallets(agent=agent, rows=wallets.rows_of(own) | Q(wallet=None))
    return of_wallets(agent=agent, rows=wallets.rows_of(own.filter(address=wallet_address)))


def of_wallets(*, agent: Agent, rows: Q) -> QuerySet[ClosedTrade]:
    """Return the agent's closed trades among `rows` (`wallets.selectors.rows_of`), unordered."""
    return ClosedTrade.objects.prefetch_related("wallet").filter(rows, agent=agent, deleted_at=None)


def get_closed(*, user: User, trade_id: UUID) -> ClosedTrade:
    """Return one closed trade of the user.

    Raises:
        NotFound: SWAP_NOT_FOUND. NotYourAgent: it is of another user's agent.
    """
    trade = (
        ClosedTrade.objects.select_related("wallet", "agent")
        .filter(_PRESENT, pk=trade_id, agent__archived_at=None)
        .first()
    )
    if trade is None:
        raise NotFound("SWAP_NOT_FOUND", "There is no such closed trade.")
    if trade.agent.user_id != user.pk:
        raise NotYourAgent
    return trade
