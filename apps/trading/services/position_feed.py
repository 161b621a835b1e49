"""What an agent's feed is told of its positions: `position_update` messages, whoever changed the position.

Written with `outbox.append` in the transaction of the change, last. The ids of a position's fills are read here, so
that a booking need not know those of earlier ones: call `updated` after its transactions were written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from apps.core import outbox
from apps.trading import presentation
from apps.trading.presentation import PositionFills
from apps.trading.selectors import fills

KIND = "position_update"


def created(position: Any, wallet_address: str) -> outbox.Message:
    """Tell that a position was opened."""
    return _told("position_created", position, wallet_address, presentation.NO_FILLS)


def updated(positions: Iterable[tuple[Any, str]]) -> list[outbox.Message]:
    """Tell what positions are now: rows with their wallets' addresses, as they stand after the change.

    One query for all that were ever added to or sold in part, none for the others.
    """
    rows = list(positions)
    known = fills.of_positions(position for position, _ in rows)
    return [_told("position_updated", position, address, known[position.id]) for position, address in rows]


def closed(agent_id: UUID, position_id: UUID) -> outbox.Message:
    """Tell that a position is gone."""
    payload = {"eventType": "position_closed", "positionId": str(position_id)}
    return outbox.Message(outbox.agent_stream(agent_id), KIND, payload)


def _told(event: str, position: Any, wallet_address: str, known: PositionFills) -> outbox.Message:
    payload = {"eventType": event, "position": presentation.open_position(position, wallet_address, known)}
    return outbox.Message(outbox.agent_stream(position.agent_id), KIND, payload)
