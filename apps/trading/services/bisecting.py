"""Booking a chunk of exits so that what one of them meets costs no other: halved until it waits alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from django.db import DatabaseError

from apps.core import database_errors
from apps.core.errors import SoldeskError
from apps.trading.domain.exit_decision import Action
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_outcomes import Outcome, error_code

log = structlog.get_logger(__name__)

Item = TypeVar("Item")


def book(
    part: Sequence[Item], book_all: Callable[[Sequence[Item]], list[Outcome]], exit_of: Callable[[Item], LeasedExit]
) -> list[Outcome]:
    """Book a chunk with `book_all`, one transaction; an error of the data, or a lock not had in time, halves it.

    Raises:
        DatabaseError: of the kinds that pass and concern everybody (connection, deadlock, resources, shutdown).
    """
    try:
        return book_all(part)
    except (DatabaseError, SoldeskError) as error:
        held = database_errors.is_lock_timeout(error)
        if isinstance(error, DatabaseError) and not (held or database_errors.is_data_error(error)):
            raise
        if len(part) == 1:
            leased, code = exit_of(part[0]), database_errors.DATABASE_BUSY if held else error_code(error)
            log.warning("exit_failed", position_id=str(leased.position_id), code=code, exc_info=error)
            return [Outcome(leased, Action.WAIT, code)]
    middle = len(part) // 2
    return book(part[:middle], book_all, exit_of) + book(part[middle:], book_all, exit_of)
