"""The one function that books full sales: every close, whoever wanted it, is decided again under lock and booked here.

A chunk of sales is one transaction: locks, decisions, then a handful of set-based writes. If the process dies anywhere,
either all of a chunk stands or none of it, and what does not stand is still due.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction as database

from apps.agents import locks
from apps.core import bulk, outbox
from apps.core.errors import SoldeskError
from apps.core.money import (
    MONEY,
    SOL_MINT,
    divide,
    lamports_to_sol,
    quantize_percent,
    quantize_price,
    quantize_sol,
    quantize_usd,
    to_base_units,
)
from apps.trading import presentation
from apps.trading.domain import exit_decision, fills, pnl
from apps.trading.domain.exit_decision import Action, CloseDecision, CloseSituation
from apps.trading.domain.fills import Fill, Quote, UnusableQuote
from apps.trading.models import ClosedTrade
from apps.trading.services import exit_intents, gate
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.gate import Gate
from apps.trading.services.quote_texts import QuoteTexts
from apps.wallets.models import LedgerReason, TransactionType
from apps.wallets.services import books
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting

CHUNK = 250
LEASE_LOST = "LEASE_LOST"


@dataclass(frozen=True, slots=True)
class Sale:
    """A leased close with its part of a quote: `base_units` of the quote's input are this position's."""

    exit: LeasedExit
    quote: Quote
    base_units: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one close. `code` is "" for a sale, else why not; `lost`: another process holds it now."""

    exit: LeasedExit
    action: Action
    code: str = ""
    transaction_id: UUID | None = None
    profit_sol: Decimal | None = None

    @property
    def sold(self) -> bool:
        return self.transaction_id is not None


@dataclass(frozen=True, slots=True)
class _Held:
    """A position as it stands under lock; amounts in whole tokens and SOL."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    mint: str
    symbol: str
    decimals: int
    signal_id: int | None
    purchase_transaction_id: UUID
    purchase_price: Decimal
    purchase_amount: Decimal
    remaining_amount: Decimal
    total_invested_sol: Decimal
    remaining_cost_sol: Decimal
    realized_profit_sol: Decimal
    proceeds_sol: Decimal
    generation: int
    peak_generation: int
    stop_price_sol: Decimal | None
    opened_at: datetime
    is_open: bool
    user_id: UUID


_LOCK_POSITIONS = """
SELECT p.id, p.agent_id, p.wallet_id, p.epoch, p.mint, p.symbol, p.decimals, p.signal_id, p.purchase_transaction_id,
       p.purchase_price, p.purchase_amount, p.remaining_amount, p.total_invested_sol, p.remaining_cost_sol,
       p.realized_profit_sol, p.proceeds_sol, p.generation, p.peak_generation, p.stop_price_sol, p.opened_at,
       p.closed_at IS NULL, a.user_id
FROM position p JOIN agent a ON a.id = p.agent_id
WHERE p.id = ANY(%s) ORDER BY p.id FOR NO KEY UPDATE OF p
"""
_LOCK_INTENTS = """
SELECT i.id, i.reason, i.generation, i.needs_confirmation, (i.details ->> 'stopPriceSol')::numeric
FROM exit_intent i JOIN unnest(%s::bigint[], %s::timestamptz[]) AS v (id, lease) ON v.id = i.id
WHERE i.status = 'leased' AND i.lease_until = v.lease ORDER BY i.id FOR NO KEY UPDATE OF i
"""


@dataclass(frozen=True, slots=True)
class _Claim:
    """An intent still ours, as it stands under lock: a person may have joined it since it was leased."""

    reason: str
    generation: int
    needs_confirmation: bool
    stop_price_sol: Decimal | None


@dataclass(frozen=True, slots=True)
class _Closed:
    """A position as the sale leaves it."""

    position: _Held
    wallet: LockedWallet
    trade: ClosedTrade
    proceeds_sol: Decimal
    realized_profit_sol: Decimal


@dataclass(slots=True)
class _Chunk:
    """Rows gathered while a chunk is decided, written together."""

    at: datetime
    sol_usd: Decimal | None
    transactions: list[NewTransaction] = field(default_factory=list)
    postings: list[Posting] = field(default_factory=list)
    closed: list[_Closed] = field(default_factory=list)
    done: dict[int, UUID] = field(default_factory=dict)
    cancelled: dict[int, str] = field(default_factory=dict)
    texts: QuoteTexts = field(default_factory=QuoteTexts)


def book_sales(sales: Sequence[Sale], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide and book a chunk of simulated full sales in one transaction; return what became of each.

    Each sells exactly what its position still holds. What is not sold and not cancelled stays leased: the caller gives
    it back. Locks: desk state (shared), agent states, wallets, positions, intents. `sol_usd` None leaves USD empty.

    Raises:
        Whatever the database raises; nothing is booked then.
        InsufficientBalance: a wallet holds less than its position says; nothing is booked.
    """
    exits = [sale.exit for sale in sales]
    agent_ids = sorted({item.agent_id for item in exits})
    with database.atomic():
        gate.lock_desk()
        locks.lock_states(agent_ids)
        wallets = books.lock_wallets({item.wallet_id for item in exits})
        positions = {row[0]: _Held(*row) for row in bulk.fetch_all(_LOCK_POSITIONS, [[e.position_id for e in exits]])}
        claims = {
            row[0]: _Claim(*row[1:])
            for row in bulk.fetch_all(_LOCK_INTENTS, [[e.id for e in exits], [e.lease_until for e in exits]])
        }
        switches = gate.read(agent_ids)
        ((at,),) = bulk.fetch_all("SELECT clock_timestamp()")
        chunk = _Chunk(at=at, sol_usd=sol_usd)
        outcomes = [
            _settle(
                sale,
                positions[sale.exit.position_id],
                wallets[sale.exit.wallet_id],
                claims.get(sale.exit.id),
                switches,
                chunk,
            )
            for sale in sales
        ]
        _write(chunk)
    return outcomes


def _settle(
    sale: Sale, position: _Held, wallet: LockedWallet, claim: _Claim | None, switches: Gate, chunk: _Chunk
) -> Outcome:
    if claim is None:
        return Outcome(sale.exit, Action.WAIT, LEASE_LOST)
    try:
        fill = fills.simulated_sell(sale.quote, token_decimals=position.decimals, share=sale.base_units)
    except UnusableQuote as unusable:
        return Outcome(sale.exit, Action.WAIT, unusable.code)
    decision = _decide(sale, fill, position, wallet, claim, switches)
    if decision.action is Action.CANCEL:
        chunk.cancelled[sale.exit.id] = decision.code
    if not decision.allowed:
        return Outcome(sale.exit, decision.action, decision.code)
    return _sell(sale, fill, claim.reason, position, wallet, chunk)


def _decide(
    sale: Sale, fill: Fill, position: _Held, wallet: LockedWallet, claim: _Claim, switches: Gate
) -> CloseDecision:
    stop = position.stop_price_sol if claim.stop_price_sol is None else claim.stop_price_sol
    return exit_decision.decide(
        CloseSituation(
            reason=claim.reason,
            fired_generation=claim.generation,
            averaged_generation=position.peak_generation,
            is_open=position.is_open,
            wallet_current=not wallet.released and wallet.epoch == position.epoch,
            exits_allowed=switches.exits_allowed(position.agent_id),
            remaining_base_units=to_base_units(position.remaining_amount, position.decimals),
            quoted_base_units=sale.base_units,
            needs_confirmation=claim.needs_confirmation,
            stop_price_sol=stop,
            market_price_sol=exit_decision.market_price(fill.price_sol, fill.price_impact),
        )
    )


def _sell(sale: Sale, fill: Fill, reason: str, position: _Held, wallet: LockedWallet, chunk: _Chunk) -> Outcome:
    """Gather the rows of one sale: transaction, ledger lines, closed position, closed trade."""
    transaction_id = uuid.uuid4()
    net = lamports_to_sol(fill.net_lamports)
    chunk.transactions.append(_transaction(transaction_id, sale, fill, position, wallet, chunk))
    chunk.postings.extend(_postings(transaction_id, fill, position, wallet))
    proceeds = position.proceeds_sol + net
    realised = position.realized_profit_sol + net - position.remaining_cost_sol
    trade = _closed_trade(transaction_id, reason, position, proceeds, chunk)
    chunk.closed.append(_Closed(position, wallet, trade, proceeds, realised))
    chunk.done[sale.exit.id] = transaction_id
    return Outcome(sale.exit, Action.BOOK, transaction_id=transaction_id, profit_sol=trade.profit_sol)


def _transaction(
    transaction_id: UUID, sale: Sale, fill: Fill, position: _Held, wallet: LockedWallet, chunk: _Chunk
) -> NewTransaction:
    swapped = lamports_to_sol(fill.swap_lamports)
    quoted = chunk.texts.of(sale.quote)
    return NewTransaction(
        id=transaction_id,
        agent_id=position.agent_id,
        wallet_id=wallet.id,
        epoch=wallet.epoch,
        transaction_type=TransactionType.SWAP,
        transaction_time=chunk.at,
        position_id=position.id,
        signal_id=position.signal_id,
        value_usd=None if chunk.sol_usd is None else quantize_usd(MONEY.multiply(swapped, chunk.sol_usd)),
        input_mint=position.mint,
        input_symbol=position.symbol,
        input_amount=position.remaining_amount,
        input_price=fill.price_sol,
        output_mint=SOL_MINT,
        output_symbol="SOL",
        output_amount=swapped,
        output_price=Decimal(1),
        slippage_percent=fill.slippage_percent,
        price_impact=fill.price_impact,
        network_fee_sol=lamports_to_sol(fill.network_fee_lamports),
        protocol_fee_sol=lamports_to_sol(fill.protocol_fee_lamports),
        routes=quoted.routes,
        swap_payload=quoted.payload,
    )


def _postings(transaction_id: UUID, fill: Fill, position: _Held, wallet: LockedWallet) -> list[Posting]:
    """Return the ledger lines of a sale: the tokens, what the swap gave, each fee."""
    lines = [
        (position.mint, position.symbol, position.remaining_amount.copy_negate(), LedgerReason.SWAP),
        (SOL_MINT, "SOL", lamports_to_sol(fill.swap_lamports), LedgerReason.SWAP),
        (SOL_MINT, "SOL", -lamports_to_sol(fill.protocol_fee_lamports), LedgerReason.PROTOCOL_FEE),
        (SOL_MINT, "SOL", -lamports_to_sol(fill.network_fee_lamports), LedgerReason.NETWORK_FEE),
    ]
    return [
        Posting(wallet.id, wallet.epoch, mint, symbol, delta, reason, transaction_id)
        for mint, symbol, delta, reason in lines
        if delta
    ]


def _closed_trade(
    transaction_id: UUID, reason: str, position: _Held, proceeds_sol: Decimal, chunk: _Chunk
) -> ClosedTrade:
    """Return the trade as it ended: profit is all SOL received minus all SOL ever paid, fees included in both."""
    result = pnl.full_sale(
        invested_sol=position.total_invested_sol,
        received_sol=proceeds_sol,
        original_cost_sol=position.total_invested_sol,
        sol_usd=chunk.sol_usd,
    )
    return ClosedTrade(
        id=uuid.uuid4(),
        agent_id=position.agent_id,
        wallet_id=position.wallet_id,
        epoch=position.epoch,
        position_id=position.id,
        mint=position.mint,
        symbol=position.symbol,
        amount=position.purchase_amount,
        purchase_price=position.purchase_price,
        sale_price=quantize_price(divide(proceeds_sol, position.purchase_amount)),
        change_percent=quantize_percent(result.change_percent),
        profit_sol=quantize_sol(result.profit_sol),
        profit_usd=None if result.profit_usd is None else quantize_usd(result.profit_usd),
        purchase_time=position.opened_at,
        sale_time=chunk.at,
        purchase_transaction_id=position.purchase_transaction_id,
        sale_transaction_id=transaction_id,
        signal_id=position.signal_id,
        close_reason=reason,
        created_at=chunk.at,
    )


_TRADE_COLUMNS = {str(item.column): item.attname for item in ClosedTrade._meta.concrete_fields}

_CLOSE_POSITIONS = """
UPDATE position p
SET remaining_amount = 0, remaining_cost_sol = 0, proceeds_sol = v.proceeds, realized_profit_sol = v.realised,
    generation = p.generation + 1, closed_at = %(at)s, close_reason = v.reason, updated_at = %(at)s
FROM unnest(%(ids)s::uuid[], %(proceeds)s::numeric[], %(realised)s::numeric[], %(reasons)s::text[])
    AS v (id, proceeds, realised, reason)
WHERE p.id = v.id
"""


def _write(chunk: _Chunk) -> None:
    exit_intents.cancel(chunk.cancelled)
    if not chunk.closed:
        return
    books.insert_transactions(chunk.transactions)
    books.post(chunk.postings)
    bulk.execute(
        _CLOSE_POSITIONS,
        {
            "at": chunk.at,
            "ids": [item.position.id for item in chunk.closed],
            "proceeds": [item.proceeds_sol for item in chunk.closed],
            "realised": [item.realized_profit_sol for item in chunk.closed],
            "reasons": [item.trade.close_reason for item in chunk.closed],
        },
    )
    bulk.insert_rows(
        "closed_trade",
        list(_TRADE_COLUMNS),
        ([getattr(item.trade, name) for name in _TRADE_COLUMNS.values()] for item in chunk.closed),
    )
    locks.count_positions(_slots_freed(chunk))
    exit_intents.finish(chunk.done)
    exit_intents.cancel_open([item.position.id for item in chunk.closed], exit_decision.POSITION_CLOSED)
    outbox.append(_messages(chunk))


def _slots_freed(chunk: _Chunk) -> dict[UUID, int]:
    freed: dict[UUID, int] = {}
    for item in chunk.closed:
        freed[item.position.agent_id] = freed.get(item.position.agent_id, 0) - 1
    return freed


def _messages(chunk: _Chunk) -> list[outbox.Message]:
    messages = []
    for item in chunk.closed:
        position = item.position
        messages.append(closed_message(position.agent_id, position.id))
        trade: dict[str, Any] = {
            "agentId": str(position.agent_id),
            "trade": presentation.closed_trade(item.trade, item.wallet.address),
        }
        messages.append(outbox.Message(outbox.user_stream(position.user_id), "trade_closed", trade))
    return messages


def closed_message(agent_id: UUID, position_id: UUID) -> outbox.Message:
    """Tell the agent's feed that a position is gone."""
    payload = {"eventType": "position_closed", "positionId": str(position_id)}
    return outbox.Message(outbox.agent_stream(agent_id), "position_update", payload)


def error_code(error: Exception) -> str:
    """Return the code an intent keeps of what went wrong."""
    return error.code if isinstance(error, SoldeskError) else "EXECUTION_FAILED"
