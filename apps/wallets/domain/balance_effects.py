"""What a transaction does to a wallet's balances (trading.md 5.7, decision 15): exact, no tolerance, never below zero.

Amounts are whole units; SOL is kept to the lamport, rounded down coming in and up going out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

from apps.core.errors import Invalid
from apps.core.money import MONEY, SOL_MINT, quantize_sol

DEPOSIT = "DEPOSIT"
BURN = "BURN"
SWAP = "SWAP"

INSUFFICIENT = "insufficient"
BALANCE_NOT_FOUND = "balance_not_found"
NEGATIVE = "negative"
INVALID_INPUT = "invalid_input"

_MESSAGES = {
    INSUFFICIENT: "The wallet holds less than this takes out.",
    BALANCE_NOT_FOUND: "The wallet has never held what this takes out.",
    NEGATIVE: "The balance is below zero already.",
    INVALID_INPUT: "The transaction needs a mint and an amount above zero on each of its sides.",
}


class BalanceRefused(Invalid):
    """A transaction the wallet cannot bear; nothing changes. `reason` is one of the short codes of this module."""

    def __init__(self, reason: str) -> None:
        code = "INSUFFICIENT_BALANCE" if reason in (INSUFFICIENT, BALANCE_NOT_FOUND, NEGATIVE) else "INVALID_AMOUNT"
        super().__init__(code, _MESSAGES[reason])
        self.reason = reason

    def __reduce__(self) -> tuple[type[BalanceRefused], tuple[str]]:
        return BalanceRefused, (self.reason,)


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of a transaction: a mint (case-sensitive) and an amount in whole units."""

    mint: str
    amount: Decimal


def effects(kind: str, given: Leg | None, taken: Leg | None = None) -> dict[str, Decimal]:
    """Return the change of each balance: a deposit adds `given`, a burn takes it, a swap takes it and adds `taken`.

    Raises:
        BalanceRefused: a side is missing, or is not an amount above zero.

    >>> effects(SWAP, Leg(SOL_MINT, Decimal("0.1234567891")), Leg("T", Decimal(5)))[SOL_MINT]
    Decimal('-0.123456790')
    """
    if kind not in (DEPOSIT, BURN, SWAP) or not _sound(given) or (kind == SWAP and not _sound(taken)):
        raise BalanceRefused(INVALID_INPUT)
    changes: dict[str, Decimal] = {}
    with localcontext(MONEY):
        if given is not None:
            changes[given.mint] = _coming_in(given) if kind == DEPOSIT else -_going_out(given)
        if kind == SWAP and taken is not None:
            changes[taken.mint] = changes.get(taken.mint, Decimal(0)) + _coming_in(taken)
    return changes


def apply(
    balances: Mapping[str, Decimal], kind: str, given: Leg | None, taken: Leg | None = None
) -> dict[str, Decimal]:
    """Return all balances after a transaction; the input is left as it is.

    Raises:
        BalanceRefused: what is taken out is not there, or `effects` refuses it.

    >>> apply({SOL_MINT: Decimal(5)}, SWAP, Leg(SOL_MINT, Decimal(1)), Leg("T", Decimal(1000)))["T"]
    Decimal('1000')
    """
    changes = effects(kind, given, taken)
    after = dict(balances)
    with localcontext(MONEY):
        if kind != DEPOSIT and given is not None:
            _require(balances, given)
        for mint, change in changes.items():
            after[mint] = after.get(mint, Decimal(0)) + change
            if after[mint] < 0:
                raise BalanceRefused(NEGATIVE)
    return after


def _require(balances: Mapping[str, Decimal], leg: Leg) -> None:
    held = balances.get(leg.mint)
    if held is None:
        raise BalanceRefused(BALANCE_NOT_FOUND)
    if held < _going_out(leg):
        raise BalanceRefused(INSUFFICIENT)


def _sound(leg: Leg | None) -> bool:
    return leg is not None and bool(leg.mint) and leg.amount.is_finite() and leg.amount > 0


def _coming_in(leg: Leg) -> Decimal:
    return quantize_sol(leg.amount, rounding=ROUND_FLOOR) if leg.mint == SOL_MINT else leg.amount


def _going_out(leg: Leg) -> Decimal:
    return quantize_sol(leg.amount, rounding=ROUND_CEILING) if leg.mint == SOL_MINT else leg.amount
