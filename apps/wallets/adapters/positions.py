"""Who ends positions whose tokens are gone: `trading`, once it is there."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from apps.wallets.ports import EndedPosition, EndsPositions
from apps.wallets.services.books import LockedWallet

_connected: EndsPositions | None = None


def connect(positions: EndsPositions) -> None:
    """Ask `positions` from now on."""
    global _connected
    _connected = positions


def end(wallet: LockedWallet, mint: str, *, missing: Decimal, transaction_id: UUID) -> EndedPosition | None:
    """End the open position that held exactly the missing tokens, if there is one."""
    return None if _connected is None else _connected(wallet, mint, missing=missing, transaction_id=transaction_id)
