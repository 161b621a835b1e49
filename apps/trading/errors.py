"""Why the engine refuses or fails, as errors a caller sees. Codes of rules stand in `domain`."""

from __future__ import annotations

from uuid import UUID

from apps.core.errors import Conflict, Invalid, NotFound, SoldeskError
from apps.trading.domain import loss_limits

#: Codes that mean "clashes with what is there now" and answer 409.
CONFLICT_CODES = frozenset(
    {
        "POSITION_EXISTS",
        "TRADING_HALTED",
        "TRADING_REDUCING",
        "WALLET_NOT_RECONCILED",
        "WALLET_RESET",
        *loss_limits.CODES,
    }
)


class EntryRefused(Invalid):
    """A buy by hand was refused; `code` is the rule's."""

    def __init__(self, code: str, message: str, **details: object) -> None:
        status = 409 if code in CONFLICT_CODES else 404 if code == "AGENT_NOT_FOUND" else 400
        super().__init__(code, message, status=status, details=details or None)


class TokenNotTradable(Invalid):
    """No route leads between these mints for this amount; `reason` is the aggregator's code."""

    def __init__(self, input_mint: str, output_mint: str, *, reason: str) -> None:
        super().__init__(
            "TOKEN_NOT_TRADABLE",
            "Nobody quotes this token",
            details={"inputMint": input_mint, "outputMint": output_mint, "reason": reason},
        )
        self.reason = reason


class TokenNotDead(Conflict):
    """Too little speaks for a token being dead to write its positions off; `reason` is the rule's code."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "TOKEN_NOT_DEAD",
            "No recent check found this token without a price and without a buyer",
            details={"reason": reason},
        )


class NothingToWriteOff(Conflict):
    """Nobody holds the token in a simulated wallet; what a live wallet holds is on the chain."""

    def __init__(self) -> None:
        super().__init__("NOTHING_TO_WRITE_OFF", "No simulated wallet holds this token")


class PositionNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("POSITION_NOT_FOUND", "This agent has no such open position")


class PositionsOpen(Conflict):
    """An agent cannot be archived while live positions are open, nor a wallet replaced while any is."""

    def __init__(self, message: str = "Close the agent's live positions first; then it can be deleted") -> None:
        super().__init__("POSITIONS_OPEN", message)


class ExitsHalted(Conflict):
    """An operator switched off selling, for the desk or for this agent."""

    def __init__(self) -> None:
        super().__init__("EXITS_HALTED", "Selling is switched off now: an operator halted exits")


class ClosePending(SoldeskError):
    """A close that is not sold yet: the intent stays due and will be (202)."""

    def __init__(self, *, intent_id: int, last_error: str = "") -> None:
        super().__init__(
            "CLOSE_PENDING",
            "The position is being sold; it takes longer than usual",
            status=202,
            extra={"intentId": intent_id, "lastError": last_error or None},
        )
        self.intent_id = intent_id


class BuyPending(SoldeskError):
    """A live buy that has not landed yet: its order goes on to its end (202)."""

    def __init__(self, *, order_id: UUID) -> None:
        super().__init__(
            "BUY_PENDING",
            "The token is being bought; it takes longer than usual",
            status=202,
            extra={"orderId": str(order_id)},
        )
        self.order_id = order_id


class CloseCancelled(Conflict):
    """A close that ended without a sale; `code` says why, e.g. WALLET_RESET."""

    def __init__(self, code: str) -> None:
        super().__init__(code or "CLOSE_CANCELLED", "The close ended without a sale: the position changed meanwhile")
