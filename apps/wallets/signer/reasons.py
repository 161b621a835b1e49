"""Why the signer says no: stable codes, each with the sentence a person reads. Pure."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Codes of refusals; docs/signer.md explains each."""

    BAD_REQUEST = "BAD_REQUEST"
    SIGNER_BUSY = "SIGNER_BUSY"
    SIGNER_BROKEN = "SIGNER_BROKEN"
    NOT_ALLOWED_HERE = "NOT_ALLOWED_HERE"

    KEY_UNKNOWN = "KEY_UNKNOWN"
    KEY_LOCKED = "KEY_LOCKED"
    KEY_EXISTS = "KEY_EXISTS"
    KEY_UNREADABLE = "KEY_UNREADABLE"
    KEY_FROM_ENVIRONMENT = "KEY_FROM_ENVIRONMENT"
    PASSPHRASE_WEAK = "PASSPHRASE_WEAK"  # noqa: S105
    PASSPHRASE_WRONG = "PASSPHRASE_WRONG"  # noqa: S105
    PASSPHRASE_LOCKED = "PASSPHRASE_LOCKED"  # noqa: S105

    TRANSACTION_UNREADABLE = "TRANSACTION_UNREADABLE"
    VERSION_UNSUPPORTED = "VERSION_UNSUPPORTED"
    FEE_PAYER = "FEE_PAYER"
    OTHER_SIGNERS = "OTHER_SIGNERS"
    LOOKUP_TABLE = "LOOKUP_TABLE"
    PROGRAM_NOT_ALLOWED = "PROGRAM_NOT_ALLOWED"
    INSTRUCTION_NOT_ALLOWED = "INSTRUCTION_NOT_ALLOWED"
    INSTRUCTION_REPEATED = "INSTRUCTION_REPEATED"
    INSTRUCTION_MISSING = "INSTRUCTION_MISSING"
    FOREIGN_ACCOUNT = "FOREIGN_ACCOUNT"
    FEE_TOO_HIGH = "FEE_TOO_HIGH"
    TRANSFER_TOO_HIGH = "TRANSFER_TOO_HIGH"
    ROUTE_UNREADABLE = "ROUTE_UNREADABLE"
    WRONG_AMOUNT = "WRONG_AMOUNT"
    MINIMUM_NOT_ENFORCED = "MINIMUM_NOT_ENFORCED"

    BLOCKHASH_UNKNOWN = "BLOCKHASH_UNKNOWN"
    SIMULATION_FAILED = "SIMULATION_FAILED"
    SIMULATION_INCOMPLETE = "SIMULATION_INCOMPLETE"
    TOO_LITTLE_IN = "TOO_LITTLE_IN"
    TOO_MUCH_OUT = "TOO_MUCH_OUT"
    OWN_ACCOUNT_AT_RISK = "OWN_ACCOUNT_AT_RISK"
    AUTHORITY_CHANGED = "AUTHORITY_CHANGED"
    NOT_EMPTY = "NOT_EMPTY"

    BELOW_OWN_PRICE = "BELOW_OWN_PRICE"
    NO_PRICE = "NO_PRICE"

    TRADE_CAP = "TRADE_CAP"
    DAY_CAP = "DAY_CAP"
    ORDER_SIGNED = "ORDER_SIGNED"
    LEDGER_BROKEN = "LEDGER_BROKEN"

    NODE_UNAVAILABLE = "NODE_UNAVAILABLE"
    PRICE_UNAVAILABLE = "PRICE_UNAVAILABLE"
    PROGRAMS_UNKNOWN = "PROGRAMS_UNKNOWN"


#: What may be asked again as it is: nothing was judged, something the signer needs was away.
PASSING = frozenset(
    {
        Reason.SIGNER_BUSY,
        Reason.BLOCKHASH_UNKNOWN,
        Reason.NODE_UNAVAILABLE,
        Reason.PRICE_UNAVAILABLE,
        Reason.PROGRAMS_UNKNOWN,
    }
)


class Refused(Exception):
    """The signer does not do it; nothing was signed. The message is for a person and holds no secret."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message
