"""What can be wrong with a wallet or a balance."""

from __future__ import annotations

from decimal import Decimal

from apps.core.api import wire
from apps.core.errors import Conflict, Invalid, NotFound, SoldeskError


class WalletNotFound(NotFound):
    def __init__(self, message: str = "This agent has no such wallet") -> None:
        super().__init__("WALLET_NOT_FOUND", message)


class WalletReleased(Conflict):
    def __init__(self) -> None:
        super().__init__("WALLET_RELEASED", "This wallet is no longer assigned to the agent")


class InsufficientBalance(Invalid):
    """A balance would fall below zero; nothing was changed."""

    def __init__(self, *, mint: str, symbol: str = "", current: Decimal | None = None, required: Decimal | None = None):
        extra = {"tokenAddress": mint, "tokenSymbol": symbol}
        if current is not None:
            extra["currentBalance"] = wire.decimal_text(current)
        if required is not None:
            extra["requiredAmount"] = wire.decimal_text(required)
        super().__init__("INSUFFICIENT_BALANCE", f"Not enough {symbol or mint} in the wallet", extra=extra)
        self.mint = mint


class TransactionStays(Invalid):
    """A correction names another agent or wallet than the row's; `field` says which."""

    def __init__(self, field: str) -> None:
        message = f"{field}: the transaction stays where it is; delete it and enter another"
        super().__init__("TRANSACTION_STAYS", message, extra={"field": field})


class NotALiveWallet(Invalid):
    """What only a live wallet has (a chain, a key to give back) was asked of a simulation wallet."""

    def __init__(self) -> None:
        super().__init__("SIMULATION_WALLET", "This is a simulation wallet: only a live one can do that")


class SimulationAddress(Invalid):
    def __init__(self) -> None:
        super().__init__("SIMULATION_ADDRESS", "A sim_ address is on no chain: it cannot be a live wallet")


class LiveAddress(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "LIVE_ADDRESS", "A simulation wallet has an address of the form sim_ and letters or digits, 44 at most"
        )


class WalletNotLoaded(Invalid):
    """No key that the caller may use is loaded for this address; whether one exists for others is not told."""

    def __init__(self) -> None:
        super().__init__("WALLET_NOT_LOADED", "No key is loaded for this address, or you may not assign it")


class WalletInUse(Conflict):
    def __init__(self) -> None:
        super().__init__("WALLET_IN_USE", "This address is assigned to another agent: unassign it there first")


class OrdersOpen(Conflict):
    """A wallet's books cannot be closed or compared with the chain while part of a balance is reserved."""

    def __init__(self) -> None:
        super().__init__("ORDERS_OPEN", "An order of this wallet is under way; try again when it is settled")


class WalletBusy(Conflict):
    def __init__(self) -> None:
        super().__init__("WALLET_BUSY", "The wallet's books changed whenever the chain was asked; try again shortly")


class ChainNotConfigured(SoldeskError):
    status = 503

    def __init__(self) -> None:
        super().__init__("CHAIN_NOT_CONFIGURED", "This desk has no node of the chain to ask: an operator sets one up")


class ChainUnavailable(SoldeskError):
    """No node told what was asked; nothing was booked."""

    status = 502

    def __init__(self, message: str = "No node of the chain answered: try again shortly") -> None:
        super().__init__("RPC_ERROR", message)
