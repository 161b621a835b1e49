"""What trading says when an agent is to be archived: no while live positions or orders are open; else its wallets end.

Subscribed to `agents.events.AgentArchiving`, inside its transaction, with the agent's state row locked.
"""

from __future__ import annotations

from apps.agents.events import AgentArchiving
from apps.agents.models import TradingMode
from apps.trading import errors
from apps.trading.models import Position
from apps.trading.services import wallet_reset
from apps.wallets.models import Wallet
from apps.wallets.services import assignments, books


def on_agent_archiving(event: AgentArchiving) -> None:
    """End the epochs of the agent's wallets as a reset does, simulation positions included, and release them.

    Raises:
        PositionsOpen: live positions are open; nothing is archived.
        OrdersOpen: part of a balance is reserved for an order under way; nothing is archived.
    """
    wallets = Wallet.objects.filter(agent=event.agent, released_at=None)
    locked = books.lock_wallets(list(wallets.values_list("pk", flat=True)))
    live = [wallet.id for wallet in locked.values() if wallet.wallet_type == TradingMode.LIVE]
    if Position.objects.filter(wallet_id__in=live, closed_at=None).exists():
        raise errors.PositionsOpen
    for wallet in sorted(locked.values(), key=lambda item: item.id):
        wallet_reset.end_epoch(wallet)
    assignments.release(list(locked))
