"""Why the engine refuses or fails, as errors a caller sees. Codes of rules stand in `domain`."""

from __future__ import annotations

from apps.core.errors import Conflict, Invalid, NotFound

#: Codes that mean "clashes with what is there now" and answer 409.
CONFLICT_CODES = frozenset({"POSITION_EXISTS", "TRADING_HALTED", "TRADING_REDUCING", "WALLET_RESET"})


class EntryRefused(Invalid):
    """A buy by hand was refused; `code` is the rule's."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        status = 409 if code in CONFLICT_CODES else 404 if code in ("AGENT_NOT_FOUND", "WALLET_NOT_FOUND") else 400
        super().__init__(code, message, status=status, details=details or None)


class PositionNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("POSITION_NOT_FOUND", "This agent has no such open position")


class PositionsOpen(Conflict):
    """An agent cannot be archived while live positions are open."""

    def __init__(self) -> None:
        super().__init__("POSITIONS_OPEN", "Close the agent's live positions first; then it can be deleted")
