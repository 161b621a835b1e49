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


@dataclass(frozen=True, slots=True)
class WalletReplacing:
    """Another wallet is about to take this one's place; agent state and wallet are locked.

    `trading` refuses while positions are open, and ends the wallet's epoch.
    """

    wallet_id: UUID
