"""What a landed order writes: its transaction, its ledger lines, what it makes of a position. By the chain's word.

A buy opens a position or adds to the open one; a sale takes from its position and ends it when nothing is left and
nothing can land any more. What failed on chain, or only brought rent back, is booked as what it cost.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from apps.agents.domain.trading_config import DEFAULT_CONFIG
from apps.core.money import SOL_MINT, ZERO
from apps.trading.domain import fills, position_changes
from apps.trading.domain.fills import Fill, Quote
from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.models import CloseReason, OrderPurpose, OrderSide
from apps.trading.services import added_positions, exit_facts, new_closed_trades, new_positions, quote_texts, swap_rows
from apps.trading.services import sold_positions as sold
from apps.trading.services.added_positions import Added
from apps.trading.services.exit_locks import HeldPosition
from apps.trading.services.live.order_rows import LockedOrder, Situation
from apps.trading.services.new_positions import NewPosition
from apps.trading.services.sold_positions import Sold
from apps.trading.services.swap_rows import Swap
from apps.wallets.models import LedgerReason, TransactionType
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting


@dataclass(slots=True)
class Rows:
    """What a chunk of landed orders writes, gathered and written together."""

    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    opened: list[tuple[NewPosition, str]] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)
    sold: list[Sold] = field(default_factory=list)
    facts: dict[int, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Booked:
    """One landed order as it was booked; `ends_position` when nothing of its position is left and it is closed."""

    transaction_id: UUID
    position_id: UUID | None = None
    opened: bool = False
    ends_position: bool = False
    fill: Fill | None = None


def swap(order: LockedOrder, landed: LandedSwap, now: Situation, sol_usd: Decimal | None, rows: Rows) -> Booked:
    """Book a swap that landed, into the position it belongs to.

    Raises:
        ValueError: a sale of more than its position holds.
    """
    fill = fills.landed(
        landed, token_decimals=order.decimals, price_impact=order.price_impact, slippage_bps=order.slippage_bps
    )
    if order.side == OrderSide.SELL:
        return _sell(order, landed, fill, now, sol_usd, rows)
    return _buy(order, landed, fill, now, sol_usd, rows)


def _buy(
    order: LockedOrder, landed: LandedSwap, fill: Fill, now: Situation, sol_usd: Decimal | None, rows: Rows
) -> Booked:
    held = now.open_by_token.get(order.token)
    position_id = uuid.uuid4() if held is None else held.id
    written = _swap(order, landed, fill, position_id, now, sol_usd)
    rows.transactions.append(swap_rows.buy(written, is_dca=held is not None))
    rows.postings.extend(swap_rows.buy_lines(written))
    if held is not None:
        _add(order, fill, held, now, rows)
        return Booked(written.id, position_id, fill=fill)
    wallet = now.wallets[order.wallet_id]
    position = new_positions.at_buy(
        position_changes.opened(fill),
        order.config,
        id=position_id,
        wallet=wallet,
        mint=order.mint,
        symbol=order.symbol,
        signal_id=order.signal_id,
        transaction_id=written.id,
        at=now.at,
        last_tick=now.last_tick,
    )
    rows.opened.append((position, wallet.address))
    return Booked(written.id, position_id, opened=True, fill=fill)


def _add(order: LockedOrder, fill: Fill, held: HeldPosition, now: Situation, rows: Rows) -> None:
    present = now.present[held.id]
    config = order.config or DEFAULT_CONFIG
    after = position_changes.added(present.books, fill, config.take_profit)
    wallet = now.wallets[order.wallet_id]
    added = added_positions.restarted(held.id, wallet, after, fill, order.config, now.last_tick)
    rows.added.append(added)
    if order.intent_id is not None:
        rows.facts[order.intent_id] = exit_facts.of_purchase(
            fill,
            average_price_sol=after.average_price,
            remaining_tokens=after.tokens(after.remaining_units),
            dca_number=after.dca_count,
            stop_percent=added.stop_percent,
            stop_price_sol=added.stop_price_sol,
        )


def _sell(
    order: LockedOrder, landed: LandedSwap, fill: Fill, now: Situation, sol_usd: Decimal | None, rows: Rows
) -> Booked:
    assert order.position_id is not None  # noqa: S101 - every sale is reserved for a position
    position, before = now.positions[order.position_id], now.present[order.position_id].books
    effect = _effect(order, before, fill)
    written = _swap(order, landed, fill, position.id, now, sol_usd)
    takes_profit = order.purpose == OrderPurpose.TAKE_PROFIT
    rows.transactions.append(swap_rows.sale(written, fill.token_amount, is_take_profit=takes_profit))
    rows.postings.extend(swap_rows.sale_lines(written, fill.token_amount))
    trade = None
    if not effect.remaining_amount and not now.live[order.token].buying:
        trade = new_closed_trades.ended(
            position,
            transaction_id=written.id,
            reason=close_reason(order),
            proceeds_sol=effect.proceeds_sol,
            at=now.at,
            sol_usd=sol_usd,
        )
    rows.sold.append(Sold(position, now.wallets[order.wallet_id], effect, trade))
    if order.intent_id is not None:
        rows.facts[order.intent_id] = exit_facts.of_sale(
            fill,
            tokens=fill.token_amount,
            cost_sol=position.remaining_cost_sol - effect.remaining_cost_sol,
            average_price_sol=position.purchase_price,
            remaining_tokens=effect.remaining_amount,
            levels_hit=effect.levels_hit,
            moon_bag_tokens=effect.moon_bag_amount,
        )
    return Booked(written.id, position.id, ends_position=trade is not None, fill=fill)


def close_reason(order: LockedOrder) -> str:
    """Return why a position ends with this order: as its exit says, which a person may have joined meanwhile."""
    return order.intent_reason or order.inputs.get("reason") or str(CloseReason.MANUAL)


def _effect(order: LockedOrder, before: position_changes.Books, fill: Fill) -> sold.Effect:
    """Return what a sale leaves; a take profit counts its levels as hit, and keeps the bag it sets aside."""
    if order.purpose != OrderPurpose.TAKE_PROFIT:
        return sold.of_books(position_changes.sold(before, fill).books)
    bag = order.inputs.get("moonBagUnits")
    after = position_changes.progressed(
        before, fill, levels=int(order.inputs["levels"]), bag_units=None if bag is None else int(bag)
    )
    return sold.of_books(after.books, took_profit=True, set_bag_aside=bag is not None)


def _swap(
    order: LockedOrder,
    landed: LandedSwap,
    fill: Fill,
    position_id: UUID | None,
    now: Situation,
    sol_usd: Decimal | None,
) -> Swap:
    return Swap(
        id=uuid.uuid4(),
        agent_id=order.agent_id,
        wallet=_wallet(order, now),
        position_id=position_id,
        signal_id=order.signal_id,
        mint=order.mint,
        symbol=order.symbol,
        fill=fill,
        quoted=quote_texts.of(_quote(order, fill)),
        at=now.at,
        sol_usd=sol_usd,
        transaction_hash=landed.signature,
    )


def _quote(order: LockedOrder, fill: Fill) -> Quote:
    """The provider's answer as the books keep it. What it was worth is worked out from what was moved, not promised."""
    payload = {name: value for name, value in order.quote.items() if name != "swapUsdValue"}
    if order.side == OrderSide.BUY:
        return Quote(SOL_MINT, order.mint, fill.swap_lamports, fill.token_base_units, payload=payload)
    return Quote(order.mint, SOL_MINT, fill.token_base_units, fill.swap_lamports, payload=payload)


def costs(order: LockedOrder, landed: LandedSwap, now: Situation, rows: Rows) -> Booked:
    """Book what moved SOL without a swap: the fees of what failed on chain, the rent a closed account gave back."""
    wallet = _wallet(order, now)
    lines = swap_rows.chain_lines(
        landed.network_fee_lamports, landed.priority_fee_lamports, landed.tip_lamports, landed.rent_lamports
    )
    change = sum((delta for _, _, delta, _ in lines), ZERO)
    identifier = uuid.uuid4()
    rows.transactions.append(
        NewTransaction(
            id=identifier,
            agent_id=order.agent_id,
            wallet_id=wallet.id,
            epoch=wallet.epoch,
            transaction_type=TransactionType.DEPOSIT if change > 0 else TransactionType.BURN,
            transaction_time=now.at,
            signal_id=order.signal_id,
            input_mint=SOL_MINT,
            input_symbol="SOL",
            input_amount=change.copy_abs(),
            input_price=Decimal(1),
            transaction_hash=landed.signature,
        )
    )
    rows.postings += [
        Posting(wallet.id, wallet.epoch, mint, symbol, delta, reason, identifier)
        for mint, symbol, delta, reason in lines
        if delta
    ]
    return Booked(identifier)


def stray(order: LockedOrder, landed: LandedSwap, now: Situation, rows: Rows) -> Booked:
    """Book what landed after its wallet's books had ended: kept in them as history, and posted out in the same breath.

    What it left on the chain is not in the books that came after; comparing those with the chain brings it up.
    """
    first = len(rows.postings)
    if landed.error is not None or not landed.token_base_units:
        booked = costs(order, landed, now, rows)
    else:
        fill = fills.landed(
            landed, token_decimals=order.decimals, price_impact=order.price_impact, slippage_bps=order.slippage_bps
        )
        written = _swap(order, landed, fill, None, now, None)
        buys = order.side == OrderSide.BUY
        rows.transactions.append(swap_rows.buy(written) if buys else swap_rows.sale(written, fill.token_amount))
        rows.postings += swap_rows.buy_lines(written) if buys else swap_rows.sale_lines(written, fill.token_amount)
        booked = Booked(written.id, fill=fill)
    rows.postings += [
        replace(line, delta=line.delta.copy_negate(), reason=LedgerReason.RESET, transaction_id=None)
        for line in rows.postings[first:]
    ]
    return booked


def _wallet(order: LockedOrder, now: Situation) -> LockedWallet:
    """The wallet in the epoch the order was reserved in."""
    return replace(now.wallets[order.wallet_id], epoch=order.epoch)
