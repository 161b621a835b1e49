"""Taking back a landing that the finalized chain does not have (CONCURRENCY 19), by compensating entries alone.

Nothing that was written changes. A buy is sold back for exactly what it had cost, rent included; what a sale had sold
is bought back for exactly what it had brought. A position that is still open is as if the fill had never been
(`undoing`); where it has ended, what comes back is a position of its own, which is to be sold. The order is in flight
again, with its funds: its bytes may land after all, or are proven to have expired.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from uuid import UUID

import structlog
from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox
from apps.core.errors import Conflict
from apps.core.money import SOL_MINT, ZERO, lamports_to_sol
from apps.trading.domain import fills, order_machine, position_changes
from apps.trading.domain.fills import Fill
from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.models import CloseReason, OrderPurpose, OrderSide
from apps.trading.selectors import undone_fills
from apps.trading.services import exit_intents, new_closed_trades, new_positions, position_feed
from apps.trading.services import sold_positions as sold
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.exit_locks import HeldPosition
from apps.trading.services.live import order_rows, undoing
from apps.trading.services.live.order_rows import LockedOrder, Situation
from apps.trading.services.new_positions import NewPosition
from apps.trading.services.sold_positions import Sold
from apps.wallets.errors import InsufficientBalance
from apps.wallets.models import LedgerReason, TransactionType
from apps.wallets.services import books, reconciling
from apps.wallets.services.books import Hold, NewTransaction, Posting

log = structlog.get_logger(__name__)

REVERSED = "REVERSED"


class NotReversible(Conflict):
    """What the landing brought has moved on: what took it away has to be taken back first."""

    def __init__(self, order_id: UUID) -> None:
        super().__init__("NOT_REVERSIBLE", f"what order {order_id} brought is not there any more")


def reverse_landed(order_id: UUID) -> bool:
    """Take one landing back and return whether there was one; the order is `unresolved` then, its funds held again.

    Locks as a settlement does.

    Raises:
        NotReversible: a later fill has used what it brought, or an order under way has put it aside.
    """
    try:
        return _reverse(order_id)
    except InsufficientBalance as error:
        raise NotReversible(order_id) from error


def _reverse(order_id: UUID) -> bool:
    with database.atomic():
        now = order_rows.lock([order_id])
        order = next(iter(now.orders), None)
        if order is None or order.status != order_machine.LANDED or order.fill is None:
            return False
        if not now.is_current(order):
            raise NotReversible(order_id)
        landed = LandedSwap.from_document(order.fill)
        messages, slot, position_id = _take_back(order, landed, now)
        _hold_again(order, slot=slot, position_id=position_id)
        reconciling.look_soon([order.wallet_id])
        outbox.append(messages)
    log.warning("order_reversed", order_id=str(order_id), signature=order.signature)
    return True


_Told = tuple[list[outbox.Message], bool, UUID | None]


def _take_back(order: LockedOrder, landed: LandedSwap, now: Situation) -> _Told:
    """Write the compensation; return whom it is told, whether the order holds a slot again, and its position."""
    if not landed.token_base_units:
        _compensate(order, landed, None, now)
        return [], False, order.position_id
    fill = fills.landed(landed, token_decimals=order.decimals, price_impact=None, slippage_bps=0)
    moved = fill.debit_lamports if order.side == OrderSide.BUY else max(fill.net_lamports, 0)
    back = _without_fees(fill, moved)
    if order.side == OrderSide.BUY:
        return _sell_back(order, landed, back, now)
    return _buy_back(order, landed, back, now)


def _without_fees(fill: Fill, lamports: int) -> Fill:
    """Return the opposite of a fill: the same tokens for all that moved."""
    buys = fill.side == fills.SELL
    return replace(
        fill,
        side=fills.BUY if buys else fills.SELL,
        swap_lamports=lamports,
        network_fee_lamports=0,
        priority_fee_lamports=0,
        tip_lamports=0,
        protocol_fee_lamports=0,
        rent_lamports=0,
        debit_lamports=lamports if buys else 0,
        credit_lamports=0 if buys else lamports,
        price_sol=fills.price_per_token(lamports, fill.token_base_units, fill.token_decimals),
    )


def _sell_back(order: LockedOrder, landed: LandedSwap, back: Fill, now: Situation) -> _Told:
    held = now.open_by_token.get(order.token)
    if held is None or now.present[held.id].books.remaining_units < back.token_base_units:
        raise NotReversible(order.id)
    if undone_fills.is_dca(order.transaction_id):
        told, slot = [_undone(order, landed, held, back, now)], False
    else:
        told, slot = _sold_back(order, landed, held, back, now)
    if order.purpose == OrderPurpose.ENTRY:
        bulk.execute(
            "UPDATE signal_execution SET verdict = 'pending', code = '', reasons = '{}', transaction_id = NULL,"
            " position_id = NULL WHERE signal_id = %s AND agent_id = %s AND verdict = 'executed'",
            [order.signal_id, order.agent_id],
        )
    return told, slot, order.position_id


def _sold_back(
    order: LockedOrder, landed: LandedSwap, held: HeldPosition, back: Fill, now: Situation
) -> tuple[list[outbox.Message], bool]:
    """End the position a buy had opened; return who is told, and whether its order holds the slot again."""
    identifier = _compensate(order, landed, held.id, now, back)
    effect = sold.of_books(position_changes.sold(now.present[held.id].books, back).books)
    trade = None
    if not effect.remaining_amount:
        trade = new_closed_trades.ended(
            held,
            transaction_id=identifier,
            reason=CloseReason.REVERSED,
            proceeds_sol=effect.proceeds_sol,
            at=now.at,
            sol_usd=None,
        )
    gone = [Sold(held, now.wallets[order.wallet_id], effect, trade)]
    sold.write(gone, now.at)
    if trade is not None:
        exit_intents.cancel_open([held.id], REVERSED)
    slot = trade is not None and order.position_id is None
    if slot:
        locks.count_positions({order.agent_id: 1})
    return sold.messages(gone), slot


def _buy_back(order: LockedOrder, landed: LandedSwap, back: Fill, now: Situation) -> _Told:
    held = now.open_by_token.get(order.token)
    wallet = now.wallets[order.wallet_id]
    if held is not None:
        return [_undone(order, landed, held, back, now)], False, held.id
    position = _reopened(order, landed, back, now)
    new_positions.insert([position])
    locks.count_positions({order.agent_id: 1})
    if order.intent_reason is not None:
        exit_intents.fire([FiredExit(position.id, order.intent_reason, 1)])
    return [position_feed.created(position, wallet.address)], False, position.id


def _undone(order: LockedOrder, landed: LandedSwap, held: HeldPosition, back: Fill, now: Situation) -> outbox.Message:
    """Write the opposite of a fill and its position without both; return who is told."""
    _compensate(order, landed, held.id, now, back)
    address = now.wallets[order.wallet_id].address
    return undoing.undo(order, held.id, now.present[held.id].books, wallet_address=address, at=now.at)


def _reopened(order: LockedOrder, landed: LandedSwap, back: Fill, now: Situation) -> NewPosition:
    position_id = uuid.uuid4()
    return new_positions.at_buy(
        position_changes.opened(back),
        order.config,
        id=position_id,
        wallet=now.wallets[order.wallet_id],
        mint=order.mint,
        symbol=order.symbol,
        signal_id=order.signal_id,
        transaction_id=_compensate(order, landed, position_id, now, back),
        at=now.at,
        last_tick=now.last_tick,
    )


def _compensate(
    order: LockedOrder, landed: LandedSwap, position_id: UUID | None, now: Situation, back: Fill | None = None
) -> UUID:
    """Write the transaction that takes a landing back, and the opposite of its ledger lines; return its id."""
    wallet, identifier = now.wallets[order.wallet_id], uuid.uuid4()
    sol = lamports_to_sol(-landed.wallet_lamports_delta)
    row = NewTransaction(
        id=identifier,
        agent_id=order.agent_id,
        wallet_id=wallet.id,
        epoch=wallet.epoch,
        transaction_type=TransactionType.DEPOSIT if sol > 0 else TransactionType.BURN,
        transaction_time=now.at,
        position_id=position_id,
        corrects_id=order.transaction_id,
        input_mint=SOL_MINT,
        input_symbol="SOL",
        input_amount=abs(sol),
        input_price=None,
        transaction_hash=landed.signature,
    )
    books.insert_transactions([row if back is None else _as_swap(row, order, back)])
    lines = bulk.fetch_all(
        "SELECT mint, delta, reason FROM ledger_entry WHERE transaction_id = %s ORDER BY id", [order.transaction_id]
    )
    symbols = {SOL_MINT: "SOL", order.mint: order.symbol}
    books.post(
        [
            Posting(
                wallet.id,
                wallet.epoch,
                mint,
                symbols.get(mint, ""),
                -delta,
                LedgerReason.RENT if reason == LedgerReason.RENT and back is not None else LedgerReason.CORRECTION,
                identifier,
            )
            for mint, delta, reason in lines
        ]
    )
    return identifier


def _as_swap(row: NewTransaction, order: LockedOrder, back: Fill) -> NewTransaction:
    sol, buys = lamports_to_sol(back.swap_lamports), back.side == fills.BUY
    return replace(
        row,
        transaction_type=TransactionType.SWAP,
        input_mint=SOL_MINT if buys else order.mint,
        input_symbol="SOL" if buys else order.symbol,
        input_amount=sol if buys else back.token_amount,
        input_price=back.price_sol if not buys else None,
        output_mint=order.mint if buys else SOL_MINT,
        output_symbol=order.symbol if buys else "SOL",
        output_amount=back.token_amount if buys else sol,
        output_price=back.price_sol if buys else None,
    )


def _hold_again(order: LockedOrder, *, slot: bool, position_id: UUID | None) -> None:
    """Put the order in flight again with its funds, as far as they are free: what it spent is among them."""
    rows = bulk.fetch_all(
        "SELECT amount FROM balance WHERE wallet_id = %s AND mint = %s", [order.wallet_id, order.held_mint]
    )
    held = min(order.held_amount, rows[0][0]) if rows else ZERO
    books.hold([Hold(order.wallet_id, order.held_mint, held)])
    again = order.intent_id if position_id == order.position_id else None
    if again is not None:
        bulk.execute(
            "UPDATE exit_intent SET status = 'leased', lease_until = NULL, transaction_id = NULL, finished_at = NULL"
            " WHERE id = %s AND status = 'done'",
            [again],
        )
    bulk.execute(
        "UPDATE trade_order SET status = %s, code = %s, transaction_id = NULL, fill = NULL, landed_slot = NULL,"
        " landed_at = NULL, slot_held = %s, held_amount = %s, position_id = %s, intent_id = %s WHERE id = %s",
        [order_machine.UNRESOLVED, REVERSED, slot, held, position_id, again, order.id],
    )
