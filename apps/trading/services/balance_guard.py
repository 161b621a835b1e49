"""What trading says when somebody sets a balance by hand: never below what an open position still holds.

Subscribed to `wallets.events.BalanceCorrecting`, inside its transaction, with the wallet locked.
"""

from __future__ import annotations

from apps.core.errors import Conflict
from apps.trading.models import Position
from apps.wallets.events import BalanceCorrecting


def on_balance_correcting(event: BalanceCorrecting) -> None:
    """Let the change pass unless the tokens of an open position would be gone.

    Raises:
        Conflict: POSITION_OPEN.
    """
    held = Position.objects.filter(
        wallet_id=event.wallet_id, mint=event.mint, closed_at=None, remaining_amount__gt=event.amount
    )
    if held.exists():
        raise Conflict("POSITION_OPEN", "An open position holds these tokens: close it first.")
