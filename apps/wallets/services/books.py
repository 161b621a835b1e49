"""Posting to the books: the only place that writes the ledger, balances and transactions.

Everything here is set-based, runs in the caller's transaction and expects the wallets to be locked (`lock_wallets`).
A balance changes by `amount + delta`, never by a figure read before; what would fall below zero refuses the whole post.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from apps.agents import locks
from apps.agents.models import TradingMode
from apps.core import bulk
from apps.core.errors import Invalid
from apps.core.money import ZERO
from apps.wallets import errors
from apps.wallets.models import LedgerReason, Origin, TransactionType


@dataclass(frozen=True, slots=True)
class LockedWallet:
    """A wallet under lock: what a booking must compare with what it was decided on."""

    id: UUID
    agent_id: UUID
    wallet_type: str
    address: str
    epoch: int
    released: bool
    reconciled: bool = True  # False: the chain holds something unexplained, and nothing is bought

    @property
    def is_live(self) -> bool:
        return self.wallet_type == TradingMode.LIVE


@dataclass(frozen=True, slots=True)
class Posting:
    """One change of one balance: `delta` whole tokens, negative leaves the wallet."""

    wallet_id: UUID
    epoch: int
    mint: str
    symbol: str
    delta: Decimal
    reason: LedgerReason
    transaction_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewTransaction:
    """A row of `transaction` to be written; amounts in whole tokens, prices in SOL per token, fees in SOL."""

    id: UUID
    agent_id: UUID
    wallet_id: UUID
    epoch: int
    transaction_type: TransactionType
    transaction_time: datetime
    origin: Origin = Origin.ENGINE
    position_id: UUID | None = None
    signal_id: int | None = None
    corrects_id: UUID | None = None
    value_usd: Decimal | None = None
    input_mint: str | None = None
    input_symbol: str | None = None
    input_amount: Decimal | None = None
    input_price: Decimal | None = None
    output_mint: str | None = None
    output_symbol: str | None = None
    output_amount: Decimal | None = None
    output_price: Decimal | None = None
    slippage_percent: Decimal | None = None
    price_impact: Decimal | None = None
    network_fee_sol: Decimal | None = None
    protocol_fee_sol: Decimal | None = None
    fees_sol: Decimal | None = None
    is_dca: bool = False
    is_take_profit: bool = False
    transaction_hash: str | None = None
    destination_address: str | None = None
    routes: Any = None  # JSON-ready, or JSON text that is written as it is
    swap_payload: Any = None


_TRANSACTION_COLUMNS = tuple(NewTransaction.__dataclass_fields__)
_JSON_COLUMNS = {"routes", "swap_payload"}


def lock_wallets(wallet_ids: Iterable[UUID]) -> dict[UUID, LockedWallet]:
    """Lock wallets by id, in order, and return them. Callers have locked the agents' `agent_state` before."""
    rows = bulk.fetch_all(
        "SELECT id, agent_id, wallet_type, address, epoch, released_at IS NOT NULL, unreconciled_since IS NULL"
        " FROM wallet"
        " WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [list(wallet_ids)],
    )
    return {row[0]: LockedWallet(*row) for row in rows}


def lock_simulation_wallet(*, agent_id: UUID, wallet_id: UUID) -> LockedWallet:
    """Lock agent state and wallet for a change by hand, which only simulated money knows.

    Raises:
        WalletReleased: it was unassigned meanwhile. Invalid: LIVE_WALLET.
    """
    locks.lock_states([agent_id])
    locked = lock_wallets([wallet_id])[wallet_id]
    if locked.released:
        raise errors.WalletReleased
    if locked.wallet_type != TradingMode.SIMULATION:
        raise Invalid("LIVE_WALLET", "A live wallet holds what the chain says, not what is entered.")
    return locked


def insert_transactions(transactions: Sequence[NewTransaction]) -> None:
    """Write transaction rows; their effect on balances is posted separately, in the same transaction."""

    def row(item: NewTransaction) -> list[Any]:
        values = []
        for column in _TRANSACTION_COLUMNS:
            value = getattr(item, column)
            if column in _JSON_COLUMNS and value is not None:
                value = value if isinstance(value, str) else Jsonb(value)
            elif column in ("transaction_type", "origin"):
                value = str(value)
            values.append(value)
        return values

    bulk.insert_rows("transaction", _TRANSACTION_COLUMNS, map(row, transactions))


def post(postings: Sequence[Posting]) -> None:
    """Append ledger entries and move the balances by their sums.

    Raises:
        InsufficientBalance: a balance would fall below zero; the caller's transaction must roll back.
    """
    if not postings:
        return
    bulk.insert_rows(
        "ledger_entry",
        ("wallet_id", "epoch", "mint", "delta", "reason", "transaction_id"),
        ((p.wallet_id, p.epoch, p.mint, p.delta, str(p.reason), p.transaction_id) for p in postings),
    )
    sums: dict[tuple[UUID, str], Decimal] = defaultdict(lambda: ZERO)
    symbols: dict[tuple[UUID, str], str] = {}
    for posting in postings:
        key = (posting.wallet_id, posting.mint)
        sums[key] += posting.delta
        symbols[key] = posting.symbol
    keys = sorted(sums)
    _increase([key for key in keys if sums[key] > 0], sums, symbols)
    _decrease([key for key in keys if sums[key] < 0], sums, symbols)


@dataclass(frozen=True, slots=True)
class Hold:
    """Whole tokens of a wallet that an order puts aside, or gives back."""

    wallet_id: UUID
    mint: str
    amount: Decimal


def hold(holds: Sequence[Hold]) -> None:
    """Move what orders reserve from `amount` to `held`. At most one hold of a (wallet, mint) in one call.

    Raises:
        InsufficientBalance: less is free than is to be held; the caller's transaction must roll back.
    """
    _move_held(holds, -1)


def release(holds: Sequence[Hold]) -> None:
    """Move what orders reserved back from `held` to `amount`, all of it; what left the wallet is posted after that.

    Raises:
        InsufficientBalance: less is held than is to be given back; the caller's transaction must roll back.
    """
    _move_held(holds, 1)


def _move_held(holds: Sequence[Hold], sign: int) -> None:
    wanted = sorted((item for item in holds if item.amount), key=lambda item: (item.wallet_id, item.mint))
    if not wanted:
        return
    parameters = [
        [item.wallet_id for item in wanted],
        [item.mint for item in wanted],
        [item.amount * sign for item in wanted],
    ]
    touched = bulk.execute(
        "UPDATE balance SET amount = amount + v.d, held = held - v.d, updated_at = now()"
        " FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) AS v(w, m, d)"
        " WHERE wallet_id = v.w AND mint = v.m AND amount + v.d >= 0 AND held - v.d >= 0",
        parameters,
    )
    if touched != len(wanted):
        raise errors.InsufficientBalance(mint=wanted[0].mint, symbol="", current=None, required=wanted[0].amount)


_Sums = dict[tuple[UUID, str], Decimal]


def _increase(keys: list[tuple[UUID, str]], sums: _Sums, symbols: dict[tuple[UUID, str], str]) -> None:
    if not keys:
        return
    bulk.execute(
        "INSERT INTO balance (id, wallet_id, mint, symbol, amount, held, updated_at)"
        " SELECT gen_random_uuid(), w, m, s, d, 0, now()"
        " FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::numeric[]) AS v(w, m, s, d)"
        " ON CONFLICT (wallet_id, mint) DO UPDATE SET amount = balance.amount + EXCLUDED.amount, updated_at = now(),"
        " symbol = CASE WHEN EXCLUDED.symbol = '' THEN balance.symbol ELSE EXCLUDED.symbol END",
        [
            [key[0] for key in keys],
            [key[1] for key in keys],
            [symbols[key] for key in keys],
            [sums[key] for key in keys],
        ],
    )


def _decrease(keys: list[tuple[UUID, str]], sums: _Sums, symbols: dict[tuple[UUID, str], str]) -> None:
    if not keys:
        return
    parameters = [[key[0] for key in keys], [key[1] for key in keys], [sums[key] for key in keys]]
    touched = bulk.execute(
        "UPDATE balance SET amount = amount + v.d, updated_at = now()"
        " FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) AS v(w, m, d)"
        " WHERE wallet_id = v.w AND mint = v.m AND amount + v.d >= 0",
        parameters,
    )
    if touched == len(keys):
        return
    short = bulk.fetch_all(
        "SELECT v.m, COALESCE(b.amount, 0), -v.d FROM unnest(%s::uuid[], %s::text[], %s::numeric[]) AS v(w, m, d)"
        " LEFT JOIN balance b ON b.wallet_id = v.w AND b.mint = v.m WHERE b.id IS NULL OR b.amount + v.d < 0 LIMIT 1",
        parameters,
    )
    mint, current, required = short[0] if short else (keys[0][1], None, None)
    symbol = next((symbols[key] for key in keys if key[1] == mint), "")
    raise errors.InsufficientBalance(mint=mint, symbol=symbol, current=current, required=required)
