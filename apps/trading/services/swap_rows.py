"""What every fill writes besides its position: its transaction and its ledger lines, for buys and for sales.

Pure translation, nothing is decided here. A buy's protocol fee is inside what it spends, a sale's comes off what it
brings in; every fee is a ledger line of its own, rent too. A transaction's network fee is network, priority and tip.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from apps.core.money import SOL_MINT, lamports_to_sol, quantize_usd
from apps.trading.domain import fills
from apps.trading.domain.fills import Fill
from apps.trading.services.quote_texts import QuoteText
from apps.wallets.models import LedgerReason, TransactionType
from apps.wallets.services.books import LockedWallet, NewTransaction, Posting

#: Mint, symbol, change in whole tokens, reason.
Line = tuple[str, str, Decimal, LedgerReason]


@dataclass(frozen=True, slots=True)
class Swap:
    """One fill about to be written: who swaps what, when, and by which quote. `sol_usd` None leaves USD empty."""

    id: UUID
    agent_id: UUID
    wallet: LockedWallet
    position_id: UUID | None
    signal_id: int | None
    mint: str
    symbol: str
    fill: Fill
    quoted: QuoteText
    at: datetime
    sol_usd: Decimal | None
    transaction_hash: str | None = None

    @property
    def swapped_sol(self) -> Decimal:
        """The swap's SOL side: protocol fee included, network fee not."""
        return lamports_to_sol(self.fill.swap_lamports)

    @property
    def value_usd(self) -> Decimal | None:
        """What it was worth as its quote tells, else by the SOL price."""
        value = fills.value_usd(self.quoted.quote, self.fill, self.sol_usd)
        return None if value is None else quantize_usd(value)


def buy(swap: Swap, *, is_dca: bool = False) -> NewTransaction:
    """Return the transaction of a buy."""
    fill = swap.fill
    return NewTransaction(
        id=swap.id,
        agent_id=swap.agent_id,
        wallet_id=swap.wallet.id,
        epoch=swap.wallet.epoch,
        transaction_type=TransactionType.SWAP,
        transaction_time=swap.at,
        position_id=swap.position_id,
        signal_id=swap.signal_id,
        value_usd=swap.value_usd,
        input_mint=SOL_MINT,
        input_symbol="SOL",
        input_amount=swap.swapped_sol,
        input_price=Decimal(1),
        output_mint=swap.mint,
        output_symbol=swap.symbol,
        output_amount=fill.token_amount,
        output_price=fill.price_sol,
        slippage_percent=fill.slippage_percent,
        price_impact=fill.price_impact,
        network_fee_sol=lamports_to_sol(fill.network_fee_lamports),
        protocol_fee_sol=lamports_to_sol(fill.protocol_fee_lamports),
        is_dca=is_dca,
        transaction_hash=swap.transaction_hash,
        routes=swap.quoted.routes,
        swap_payload=swap.quoted.payload,
    )


def buy_lines(swap: Swap) -> list[Posting]:
    """Return the ledger lines of a buy: what was swapped, each fee, what came in."""
    fill = swap.fill
    return _lines(
        swap,
        [
            (SOL_MINT, "SOL", -lamports_to_sol(fill.swap_lamports - fill.protocol_fee_lamports), LedgerReason.SWAP),
            (SOL_MINT, "SOL", -lamports_to_sol(fill.protocol_fee_lamports), LedgerReason.PROTOCOL_FEE),
            *chain_fees(fill),
            (swap.mint, swap.symbol, fill.token_amount, LedgerReason.SWAP),
        ],
    )


def sale(swap: Swap, tokens: Decimal, *, is_take_profit: bool = False) -> NewTransaction:
    """Return the transaction of a sale of `tokens` whole tokens."""
    fill = swap.fill
    return NewTransaction(
        id=swap.id,
        agent_id=swap.agent_id,
        wallet_id=swap.wallet.id,
        epoch=swap.wallet.epoch,
        transaction_type=TransactionType.SWAP,
        transaction_time=swap.at,
        position_id=swap.position_id,
        signal_id=swap.signal_id,
        value_usd=swap.value_usd,
        input_mint=swap.mint,
        input_symbol=swap.symbol,
        input_amount=tokens,
        input_price=fill.price_sol,
        output_mint=SOL_MINT,
        output_symbol="SOL",
        output_amount=swap.swapped_sol,
        output_price=Decimal(1),
        slippage_percent=fill.slippage_percent,
        price_impact=fill.price_impact,
        network_fee_sol=lamports_to_sol(fill.network_fee_lamports),
        protocol_fee_sol=lamports_to_sol(fill.protocol_fee_lamports),
        is_take_profit=is_take_profit,
        transaction_hash=swap.transaction_hash,
        routes=swap.quoted.routes,
        swap_payload=swap.quoted.payload,
    )


def sale_lines(swap: Swap, tokens: Decimal) -> list[Posting]:
    """Return the ledger lines of a sale: the tokens, what the swap gave, each fee."""
    fill = swap.fill
    return _lines(
        swap,
        [
            (swap.mint, swap.symbol, tokens.copy_negate(), LedgerReason.SWAP),
            (SOL_MINT, "SOL", lamports_to_sol(fill.swap_lamports), LedgerReason.SWAP),
            (SOL_MINT, "SOL", -lamports_to_sol(fill.protocol_fee_lamports), LedgerReason.PROTOCOL_FEE),
            *chain_fees(fill),
        ],
    )


def chain_fees(fill: Fill) -> list[Line]:
    """Return what getting into the chain cost, part by part, and the rent it locked (or gave back)."""
    network = fill.network_fee_lamports - fill.priority_fee_lamports - fill.tip_lamports
    return chain_lines(network, fill.priority_fee_lamports, fill.tip_lamports, fill.rent_lamports)


def chain_lines(network: int, priority: int, tip: int, rent: int) -> list[Line]:
    """Return what a transaction on chain cost beside its swap, in lamports, as (mint, symbol, delta, reason)."""
    parts = (
        (network, LedgerReason.NETWORK_FEE),
        (priority, LedgerReason.PRIORITY_FEE),
        (tip, LedgerReason.TIP),
        (rent, LedgerReason.RENT),
    )
    return [(SOL_MINT, "SOL", -lamports_to_sol(lamports), reason) for lamports, reason in parts]


def _lines(swap: Swap, lines: list[Line]) -> list[Posting]:
    wallet = swap.wallet
    return [
        Posting(wallet.id, wallet.epoch, mint, symbol, delta, reason, swap.id)
        for mint, symbol, delta, reason in lines
        if delta
    ]
