"""Wallets that leave their agent: a live one given back by a person, any one that makes room for another.

Their trading ends as with a reset; the row and its books stay as history, and the address is free for a new row.
"""

from __future__ import annotations

from dataclasses import asdict

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import TradingMode
from apps.core import outbox
from apps.trading import errors
from apps.trading.models import Position
from apps.trading.services import wallet_reset
from apps.trading.services.wallet_reset import ResetCounts
from apps.wallets.errors import NotALiveWallet, WalletReleased
from apps.wallets.events import WalletReplacing
from apps.wallets.models import Wallet
from apps.wallets.services import assignments, books


def unassign_wallet(*, wallet: Wallet, actor: User | None) -> ResetCounts:
    """Take a live wallet from its agent: its epoch ends, open positions without a sale; return what it had.

    One transaction. The tokens stay on the chain; nobody watches them any more. Locks agent state, wallet, positions.

    Raises:
        NotALiveWallet: an agent keeps its simulation wallet. WalletReleased: unassigned meanwhile.
        OrdersOpen: part of a balance is reserved for an order under way.
    """
    if wallet.wallet_type != TradingMode.LIVE:
        raise NotALiveWallet
    with database.atomic():
        locks.lock_states([wallet.agent_id])
        locked = books.lock_wallets([wallet.pk])[wallet.pk]
        if locked.released:
            raise WalletReleased
        counts = wallet_reset.end_epoch(locked)
        assignments.release([wallet.pk])
        audit.record(
            actor=actor,
            action="wallet.unassigned",
            object_type="wallet",
            object_id=wallet.pk,
            before={"agent": locked.agent_id, "address": locked.address, "epoch": locked.epoch, **asdict(counts)},
            after=None,
        )
        user_id = Wallet.objects.values_list("agent__user_id", flat=True).get(pk=wallet.pk)
        payload = {"agentId": str(locked.agent_id), "walletAddress": locked.address}
        outbox.append([outbox.Message(outbox.user_stream(user_id), "wallet_unassigned", payload)])
    return counts


def on_wallet_replacing(event: WalletReplacing) -> None:
    """Let another wallet take this one's place unless it still trades; its epoch ends (agent state and wallet locked).

    Raises:
        PositionsOpen: nobody confirmed that they are given up. OrdersOpen: part of a balance is reserved.
    """
    if Position.objects.filter(wallet_id=event.wallet_id, closed_at=None).exists():
        raise errors.PositionsOpen("Close the positions of the agent's present wallet first; then it can be replaced")
    wallet_reset.end_epoch(books.lock_wallets([event.wallet_id])[event.wallet_id])
