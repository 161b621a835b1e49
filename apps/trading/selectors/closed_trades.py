"""Closed trades ("historical swaps") of an agent, by the present epoch of their wallets, without those taken back."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F, Q, QuerySet

from apps.accounts.models import User
from apps.agents.errors import NotYourAgent
from apps.agents.models import Agent
from apps.core.errors import NotFound
from apps.trading.models import ClosedTrade

_PRESENT = Q(deleted_at=None) & (Q(wallet=None) | Q(epoch=F("wallet__epoch"), wallet__released_at=None))


def list_closed(*, agent: Agent) -> QuerySet[ClosedTrade]:
    """Return the agent's closed trades, unordered."""
    return ClosedTrade.objects.select_related("wallet").filter(_PRESENT, agent=agent)


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
