"""Money that a person puts into a simulation wallet."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from django.db import transaction as database
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import Agent, TradingMode
from apps.core.errors import Invalid
from apps.core.money import AMOUNT_QUANTUM, SOL_MINT, quantize_amount
from apps.wallets import errors
from apps.wallets.models import LedgerReason, Origin, Transaction, TransactionType, Wallet
from apps.wallets.services import books


def deposit(
    *,
    agent: Agent,
    wallet: Wallet,
    mint: str,
    symbol: str,
    amount: Decimal,
    actor: User | None,
    price_sol: Decimal | None = None,
    value_usd: Decimal | None = None,
    at: datetime | None = None,
    signal_id: int | None = None,
    destination_address: str | None = None,
) -> Transaction:
    """Credit `amount` whole tokens to a simulation wallet and record who did it.

    Locks agent state, then the wallet.

    Raises:
        Invalid: INVALID_AMOUNT (not positive, or finer than 18 places), LIVE_WALLET (money is sent on chain there).
        WalletReleased: the wallet was unassigned meanwhile.
    """
    if amount < AMOUNT_QUANTUM or quantize_amount(amount) != amount:
        raise Invalid("INVALID_AMOUNT", "inputAmount must be positive and have at most 18 decimal places")
    if wallet.wallet_type != TradingMode.SIMULATION:
        raise Invalid("LIVE_WALLET", "A live wallet is funded on chain, not by a simulated deposit")
    identifier = uuid.uuid4()
    with database.atomic():
        locks.lock_states([agent.pk])
        locked = books.lock_wallets([wallet.pk])[wallet.pk]
        if locked.released:
            raise errors.WalletReleased()
        books.insert_transactions(
            [
                books.NewTransaction(
                    id=identifier,
                    agent_id=agent.pk,
                    wallet_id=wallet.pk,
                    epoch=locked.epoch,
                    transaction_type=TransactionType.DEPOSIT,
                    transaction_time=at or timezone.now(),
                    origin=Origin.HAND,
                    signal_id=signal_id,
                    value_usd=value_usd,
                    input_mint=mint,
                    input_symbol=symbol,
                    input_amount=amount,
                    input_price=Decimal(1) if mint == SOL_MINT and price_sol is None else price_sol,
                    destination_address=destination_address,
                )
            ]
        )
        books.post([books.Posting(wallet.pk, locked.epoch, mint, symbol, amount, LedgerReason.DEPOSIT, identifier)])
        audit.record(
            actor=actor,
            action="wallet.deposited",
            object_type="wallet",
            object_id=str(wallet.pk),
            before=None,
            after={"mint": mint, "amount": f"{amount:f}", "transaction": str(identifier)},
        )
    return Transaction.objects.get(pk=identifier)
