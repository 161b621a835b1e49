"""What wallets tells the rest of the house, in the transaction of the change; a subscriber may veto by raising."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class BalanceCorrecting:
    """Somebody sets a balance to `amount` whole tokens; the wallet is locked. `trading` guards open positions."""

    wallet_id: UUID
    mint: str
    amount: Decimal
