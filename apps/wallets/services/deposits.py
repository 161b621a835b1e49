"""Money that a person puts into a simulation wallet: a row entered by hand, told in few words."""

from __future__ import annotations

from decimal import Decimal

from django.utils import timezone

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.wallets.models import Transaction, TransactionType, Wallet
from apps.wallets.services import hand_rows
from apps.wallets.services.hand_rows import HandRow


def deposit(
    *, agent: Agent, wallet: Wallet, mint: str, symbol: str, amount: Decimal, actor: User | None
) -> Transaction:
    """Credit `amount` whole tokens to a simulation wallet, now, and record who did it.

    Locks agent state, then the wallet. Raises what `hand_rows.enter` raises.
    """
    row = HandRow(
        transaction_type=TransactionType.DEPOSIT,
        transaction_time=timezone.now(),
        input_mint=mint,
        input_symbol=symbol,
        input_amount=amount,
    )
    return hand_rows.enter(agent=agent, wallet=wallet, row=row, actor=actor)
