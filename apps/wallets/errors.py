"""What can be wrong with a wallet or a balance."""

from __future__ import annotations

from decimal import Decimal

from apps.core.errors import Conflict, Invalid, NotFound


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
            extra["currentBalance"] = f"{current:f}"
        if required is not None:
            extra["requiredAmount"] = f"{required:f}"
        super().__init__("INSUFFICIENT_BALANCE", f"Not enough {symbol or mint} in the wallet", extra=extra)
        self.mint = mint
