"""Why a signal is not taken."""

from __future__ import annotations

from apps.core.errors import Conflict, Invalid


class SignalDuplicate(Conflict):
    def __init__(self, seconds: int) -> None:
        super().__init__(
            "SIGNAL_DUPLICATE", f"The same token, type and strength was already signalled within {seconds} seconds"
        )


class InvalidMint(Invalid):
    def __init__(self) -> None:
        super().__init__("INVALID_MINT", "tokenAddress is not a Solana mint: it must be base58 of 32 bytes")
