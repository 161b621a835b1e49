"""Fills that a fork undid: a sale, or a DCA, and the entry that took it back are no fills of their position any more.

Replays leave both out. A position's first buy that is taken back ends the position, and is not meant here.
"""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from apps.core import bulk
from apps.core.money import SOL_MINT

#: Ids of transactions, for `NOT IN`; few rows ever have `corrects_id`, and they have an index of their own.
IDS = f"""
SELECT unnest(ARRAY[back.id, undone.id]) FROM transaction back
JOIN transaction undone ON undone.id = back.corrects_id AND undone.position_id = back.position_id
WHERE back.corrects_id IS NOT NULL AND back.origin = 'engine'
  AND (undone.input_mint <> '{SOL_MINT}' OR undone.is_dca)
"""

# The ledger's numbers rise in the order of booking, under the wallet's lock; times of transactions need not.
_LEFT = f"""
SELECT t.output_mint IS NOT DISTINCT FROM p.mint,
       CASE WHEN t.output_mint = p.mint THEN t.output_amount ELSE t.input_amount END,
       CASE WHEN t.output_mint = p.mint THEN t.input_amount + COALESCE(t.network_fee_sol, 0)
            ELSE COALESCE(t.output_amount, 0) - COALESCE(t.protocol_fee_sol, 0) - COALESCE(t.network_fee_sol, 0) END,
       t.is_dca
FROM position p
JOIN transaction t ON t.position_id = p.id
JOIN LATERAL (SELECT min(id) AS place FROM ledger_entry WHERE transaction_id = t.id) AS booked ON true
WHERE p.id = %s AND t.id NOT IN ({IDS})
ORDER BY booked.place
"""


def left_of(position_id: UUID) -> list[tuple[bool, Decimal, Decimal, bool]]:
    """Return the fills that stand, oldest first: is it a buy, whole tokens, SOL with all fees in, is it a DCA."""
    return [(row[0], row[1], row[2], row[3]) for row in bulk.fetch_all(_LEFT, [position_id])]


def is_dca(transaction_id: UUID | None) -> bool:
    """Return whether a transaction added to a position that was there."""
    rows = bulk.fetch_all("SELECT is_dca FROM transaction WHERE id = %s", [transaction_id])
    return bool(rows and rows[0][0])


def has_dca_after(position_id: UUID, transaction_id: UUID | None) -> bool:
    """Return whether a DCA that stands came after a fill of its position."""
    ((later,),) = bulk.fetch_all(
        "SELECT EXISTS (SELECT 1 FROM transaction t JOIN transaction fill ON fill.id = %s"
        " WHERE t.position_id = %s AND t.is_dca AND t.transaction_time > fill.transaction_time"
        f" AND t.id NOT IN ({IDS}))",
        [transaction_id, position_id],
    )
    return bool(later)
