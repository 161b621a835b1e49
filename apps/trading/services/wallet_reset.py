"""Ending an epoch of a wallet: positions closed without a trade, intents cancelled, slots freed, balances posted out.

The old epoch's rows stay as history; the wallet goes on in a new epoch: a simulation wallet empty, a live one with what
the chain holds. Archiving an agent and unassigning a wallet end epochs in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from django.db import transaction as database

from apps.accounts.models import User
from apps.accounts.services import audit
from apps.agents import locks
from apps.agents.models import TradingMode
from apps.core import bulk, outbox
from apps.trading.domain import order_machine
from apps.trading.models import BalanceSnapshot, ClosedTrade, CloseReason
from apps.trading.services import exit_intents, position_feed
from apps.wallets.adapters import chain
from apps.wallets.errors import OrdersOpen, WalletBusy, WalletReleased
from apps.wallets.models import LedgerReason, Transaction, Wallet
from apps.wallets.services import books, chain_deposits
from apps.wallets.services.books import LockedWallet, Posting

WALLET_RESET = "WALLET_RESET"
_ENDED = sorted(order_machine.TERMINAL)


@dataclass(frozen=True, slots=True)
class ResetCounts:
    """What belonged to the epoch that ended; `positions` are those the reset closed."""

    positions: int
    historical_swaps: int
    balances: int
    transactions: int
    balance_snapshots: int


def reset_wallet(*, wallet: Wallet, actor: User | None) -> ResetCounts:
    """Start a wallet over in a new epoch; return what the old one had.

    One transaction; a sale under way finds the epoch changed and books nothing. A live wallet begins with what the
    chain said it holds, asked before; on a desk without a node, empty until its deposits are checked. Locks agent
    state, wallet, positions.

    Raises:
        WalletReleased: the wallet was unassigned meanwhile. WalletBusy: its books changed while the chain was asked.
        OrdersOpen: part of a balance is reserved for an order under way.
        ChainUnavailable: no node told what a live wallet holds; nothing was reset.
    """
    seen = _seen_on_chain(wallet)
    with database.atomic():
        locks.lock_states([wallet.agent_id])
        locked = books.lock_wallets([wallet.pk])[wallet.pk]
        if locked.released:
            raise WalletReleased
        if seen is not None and not chain_deposits.is_current(wallet.pk, seen):
            raise WalletBusy
        counts = end_epoch(locked)
        if seen is not None:
            opened = replace(locked, epoch=locked.epoch + 1)
            chain_deposits.open_epoch(wallet=opened, told=seen.balance, actor=actor)
        audit.record(
            actor=actor,
            action="wallet.reset",
            object_type="wallet",
            object_id=str(wallet.pk),
            before={"epoch": locked.epoch, **asdict(counts)},
            after={"epoch": locked.epoch + 1},
        )
        user_id = Wallet.objects.values_list("agent__user_id", flat=True).get(pk=wallet.pk)
        payload = {"agentId": str(locked.agent_id), "walletAddress": locked.address, "epoch": locked.epoch + 1}
        outbox.append([outbox.Message(outbox.user_stream(user_id), "wallet_reset", payload)])
    return counts


def _seen_on_chain(wallet: Wallet) -> chain_deposits.Observation | None:
    """Ask what a live wallet holds; None for a simulation wallet, or without anybody to ask."""
    if wallet.wallet_type != TradingMode.LIVE or not chain.is_connected():
        return None
    return chain_deposits.observe(wallet)


# What has landed but is not final yet may still be taken back, into the books it was booked in.
_UNDER_WAY = f"""
SELECT 1 FROM balance WHERE wallet_id = %s AND held <> 0
UNION ALL
SELECT 1 FROM trade_order WHERE wallet_id = %s AND status NOT IN ({", ".join(f"'{status}'" for status in _ENDED)})
LIMIT 1
"""


def end_epoch(wallet: LockedWallet) -> ResetCounts:
    """Close everything of a locked wallet's epoch and raise it, in the caller's transaction (agent state locked too).

    Raises:
        OrdersOpen: an order is under way, or not final yet.
    """
    if bulk.fetch_all(_UNDER_WAY, [wallet.id, wallet.id]):
        raise OrdersOpen
    closed = _close_positions(wallet)
    balances = _post_out(wallet)
    counts = ResetCounts(
        positions=len(closed),
        historical_swaps=ClosedTrade.objects.filter(wallet_id=wallet.id, epoch=wallet.epoch, deleted_at=None).count(),
        balances=balances,
        transactions=Transaction.objects.filter(wallet_id=wallet.id, epoch=wallet.epoch, deleted_at=None).count(),
        balance_snapshots=BalanceSnapshot.objects.filter(wallet_id=wallet.id, epoch=wallet.epoch).count(),
    )
    bulk.execute("UPDATE wallet SET epoch = epoch + 1, updated_at = clock_timestamp() WHERE id = %s", [wallet.id])
    outbox.append(position_feed.closed(wallet.agent_id, position_id) for position_id in closed)
    return counts


def _close_positions(wallet: LockedWallet) -> Sequence[UUID]:
    """Close the wallet's open positions without a trade; what they held and cost stays on the row, as history."""
    rows = bulk.fetch_all(
        "SELECT id FROM position WHERE wallet_id = %s AND closed_at IS NULL ORDER BY id FOR NO KEY UPDATE", [wallet.id]
    )
    closed = [row[0] for row in rows]
    if closed:
        exit_intents.cancel_open(closed, WALLET_RESET)
        bulk.execute(
            "UPDATE position SET closed_at = clock_timestamp(), close_reason = %s, updated_at = clock_timestamp()"
            " WHERE id = ANY(%s)",
            [str(CloseReason.RESET), closed],
        )
        locks.count_positions({wallet.agent_id: -len(closed)})
    return closed


def _post_out(wallet: LockedWallet) -> int:
    """Post closing entries for every balance and remove the rows; return how many there were."""
    rows = bulk.fetch_all("SELECT mint, symbol, amount FROM balance WHERE wallet_id = %s ORDER BY mint", [wallet.id])
    books.post(
        [
            Posting(wallet.id, wallet.epoch, mint, symbol, amount.copy_negate(), LedgerReason.RESET, None)
            for mint, symbol, amount in rows
            if amount
        ]
    )
    bulk.execute("DELETE FROM balance WHERE wallet_id = %s", [wallet.id])
    return len(rows)
