"""A position whose tokens are gone from the chain: an operator writes the difference off, and it ends with its loss.

The other side of `wallets.services.differences`, which books the burn; called in its transaction, under its locks.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from apps.agents import locks
from apps.core import bulk, outbox
from apps.prices import services as prices
from apps.trading import presentation
from apps.trading.domain import exit_decision
from apps.trading.models import CloseReason, Position
from apps.trading.services import exit_intents, exit_locks, new_closed_trades, position_feed
from apps.trading.services.exit_locks import HeldPosition
from apps.trading.services.new_closed_trades import NewClosedTrade
from apps.wallets.ports import EndedPosition
from apps.wallets.services.books import LockedWallet

_CLOSE = """
UPDATE position p
SET remaining_amount = 0, remaining_cost_sol = 0, realized_profit_sol = p.realized_profit_sol - p.remaining_cost_sol,
    generation = p.generation + 1, closed_at = %(at)s, close_reason = %(reason)s, updated_at = %(at)s
WHERE p.id = %(id)s
"""


def end_position(wallet: LockedWallet, mint: str, *, missing: Decimal, transaction_id: UUID) -> EndedPosition | None:
    """End the open position that holds exactly the `missing` tokens, written off by the burn `transaction_id`.

    None where there is no such position, or where it holds another amount: then the tokens are not its own alone.
    Agent state and wallet are locked; locks the position.
    """
    found = Position.objects.filter(wallet_id=wallet.id, mint=mint, closed_at=None).values_list("pk", flat=True)
    held = exit_locks.lock_positions(found)
    position = next((each for each in held.values() if each.is_open and each.remaining_amount == missing), None)
    if position is None or not exit_locks.is_current(position, wallet):
        return None
    ((at,),) = bulk.fetch_all("SELECT clock_timestamp()")
    trade = new_closed_trades.ended(
        position,
        transaction_id=transaction_id,
        reason=CloseReason.WRITE_OFF,
        proceeds_sol=position.proceeds_sol,
        at=at,
        sol_usd=prices.usable_sol_usd(),
    )
    bulk.execute(_CLOSE, {"at": at, "reason": str(CloseReason.WRITE_OFF), "id": position.id})
    new_closed_trades.insert([trade])
    locks.count_positions({position.agent_id: -1})
    exit_intents.cancel_open([position.id], exit_decision.POSITION_CLOSED)
    outbox.append(_messages(position, trade, wallet))
    return EndedPosition(position.id, position.signal_id)


def _messages(position: HeldPosition, trade: NewClosedTrade, wallet: LockedWallet) -> list[outbox.Message]:
    told = {"agentId": str(position.agent_id), "trade": presentation.closed_trade(trade, wallet.address)}
    return [
        position_feed.closed(position.agent_id, position.id),
        outbox.Message(outbox.user_stream(position.user_id), "trade_closed", told),
    ]
