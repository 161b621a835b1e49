"""How an order that did not land is tried again: further from the price, dearer in fees, never beyond the desk's caps.

Buys and sales climb the same ladder, sales from a wider first step: to be out counts more than the last percent. A sale
sells what is left, and never more than the chain says there is, until the tokens are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_BUY_SLIPPAGE_BPS = 100
FIRST_SALE_SLIPPAGE_BPS = 200
FIRST_FEE_LAMPORTS = 2_000_000
#: A sale that failed so often is tried again at once; after that it waits, longer each time.
TRIES_AT_ONCE = 3
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
#: After this many steps every cap is reached: there is nothing left to double.
_LAST_STEP = 20


@dataclass(frozen=True, slots=True)
class Caps:
    """What no order of the desk goes beyond: slippage, and all fees of one order together."""

    slippage_bps: int
    fee_lamports: int


@dataclass(frozen=True, slots=True)
class Rung:
    """What an attempt may give up for landing."""

    slippage_bps: int
    fee_cap_lamports: int


def rung(side: str, attempt: int, caps: Caps) -> Rung:
    """Return the terms of an attempt, counted from 1: twice those of the one before, within the caps.

    >>> caps = Caps(1_000, 5_000_000)
    >>> [rung("sell", number, caps).slippage_bps for number in (1, 2, 3, 4, 90)]
    [200, 400, 800, 1000, 1000]
    >>> [rung("buy", number, caps).fee_cap_lamports for number in (1, 2, 3)]
    [2000000, 4000000, 5000000]
    """
    steps = min(max(attempt, 1) - 1, _LAST_STEP)
    first = FIRST_SALE_SLIPPAGE_BPS if side == "sell" else FIRST_BUY_SLIPPAGE_BPS
    return Rung(
        slippage_bps=min(first << steps, caps.slippage_bps),
        fee_cap_lamports=min(FIRST_FEE_LAMPORTS << steps, caps.fee_lamports),
    )


def pause_seconds(attempt: int) -> float:
    """Return how long after its `attempt`-th attempt has ended a sale is tried again.

    >>> [pause_seconds(number) for number in (1, 3, 4, 5, 50)]
    [0.0, 0.0, 0.5, 1.0, 30.0]
    """
    if attempt <= TRIES_AT_ONCE:
        return 0.0
    return min(_FIRST_PAUSE_SECONDS * 2 ** min(attempt - TRIES_AT_ONCE - 1, 10), _LONGEST_PAUSE_SECONDS)


def units_to_sell(remaining_units: int, on_chain_units: int | None) -> int:
    """Return what a close sells: what the position still holds, but no more than the chain says there is.

    None: the chain was not asked, or did not answer; then the books' word counts, and the chain refuses what is not so.

    >>> units_to_sell(500, None), units_to_sell(500, 480), units_to_sell(500, 900)
    (500, 480, 500)
    """
    return remaining_units if on_chain_units is None else min(remaining_units, on_chain_units)
