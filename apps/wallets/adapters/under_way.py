"""Who says which wallets have orders under way: `trading`, once it is there; without it the books alone say."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from apps.core import bulk
from apps.wallets.ports import OrdersUnderWay

_connected: OrdersUnderWay | None = None


def connect(orders: OrdersUnderWay) -> None:
    """Ask `orders` from now on."""
    global _connected
    _connected = orders


def of(wallet_ids: Iterable[UUID]) -> set[UUID]:
    """Return the wallets whose books and chain cannot be compared now: part is held, or an order is under way."""
    wanted = list(wallet_ids)
    held = bulk.fetch_all("SELECT DISTINCT wallet_id FROM balance WHERE wallet_id = ANY(%s) AND held <> 0", [wanted])
    found: set[UUID] = {row[0] for row in held}
    return found if _connected is None else found | _connected(wanted)
