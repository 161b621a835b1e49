"""A chain that says what a test wants it to say, or nothing: for the port's failure modes and exact figures."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from apps.core.money import sol_to_lamports
from apps.wallets.errors import ChainUnavailable
from apps.wallets.ports import ChainBalance


class Chain:
    """Answers with the balances it was given, at a slot that rises with each answer."""

    def __init__(self) -> None:
        self.slot = 100
        self.asked: list[tuple[str, int]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self._sol: dict[str, str] = {}
        self._fails = False

    def hold(self, address: str, sol: str) -> None:
        self._sol[address] = sol

    def fail(self) -> None:
        self._fails = True

    def balance(self, address: str, *, min_slot: int) -> ChainBalance:
        self.asked.append((address, min_slot))
        if self._fails:
            raise ChainUnavailable
        self.slot += 1
        told = ChainBalance(sol_to_lamports(Decimal(self._sol.get(address, "0"))), self.slot)
        self.before_answer()
        return told
