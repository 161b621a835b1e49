"""What must hold after each cell, asked of the chain itself and of the books, neither by way of the other."""

from __future__ import annotations

from collections.abc import Iterator

from apps.core.money import SOL_MINT
from apps.trading.domain import order_machine
from apps.trading.models import (
    ExitIntent,
    IntentStatus,
    Order,
    OrderPurpose,
    OrderStatus,
    Position,
    SignalExecution,
    Verdict,
)
from apps.wallets.models import Balance
from tests.kill_matrix.cells import CLOSING, OPENING
from tests.kill_matrix.market import Market
from tests.kill_matrix.traders import Trader, Wish
from tests.trading.closing import differences

OPEN_INTENTS = (IntentStatus.DUE, IntentStatus.LEASED)


def unfinished(trader: Trader) -> list[str]:
    """Return what is still under way of a trader: orders, exits, verdicts."""
    orders = Order.objects.filter(wallet=trader.wallet).exclude(status__in=order_machine.TERMINAL)
    intents = ExitIntent.objects.filter(position__agent=trader.agent, status__in=OPEN_INTENTS)
    pending = SignalExecution.objects.filter(agent=trader.agent, verdict=Verdict.PENDING)
    return [
        *(f"{each.side} {each.purpose} {each.status} {each.code} {each.detail}" for each in orders),
        *(f"exit {each.reason} {each.status} {each.last_error} attempts {each.attempts}" for each in intents),
        *(f"verdict on signal {each.signal_id}" for each in pending),
    ]


def check(market: Market, wish: Wish, before: frozenset[str], known: frozenset[str] = frozenset()) -> None:
    """Compare chain and books of a trader at rest; `before` are the transactions of former cells.

    `known` is what the audit has found in cells that failed: it is told once.

    Raises:
        AssertionError: something does not hold; it says everything that does not.
    """
    trader = wish.trader
    history = frozenset(market.history_of(trader.wallet.address)) - trader.faucet
    wrong = [
        *_unrecorded(trader, history),
        *_twice(market, wish, history - before),
        *_left_open(wish),
        *_unequal(market, trader),
        *(f"stuck: {each}" for each in unfinished(trader)),
        *(f"the audit finds: {each}" for each in differences() if each not in known),
    ]
    assert not wrong, "\n".join(wrong)


def _unrecorded(trader: Trader, history: frozenset[str]) -> Iterator[str]:
    """Tell of what landed and is not booked, and of what is booked and did not land."""
    booked = {each.signature for each in Order.objects.filter(wallet=trader.wallet) if each.fill is not None}
    if history != booked:
        yield f"the chain has {set(history - booked)} beyond the books, and not {booked - history}"


def _twice(market: Market, wish: Wish, fresh: frozenset[str]) -> Iterator[str]:
    """Tell of a wish that was done more than once, by the orders or by the chain, and of what nobody wished."""
    made = [each for each in wish.attempts() if each.status == OrderStatus.FINALIZED]
    if len(made) > 1:
        yield f"done {len(made)} times: {[each.signature for each in made]}"
    if wish.purpose == "reclaim":
        return  # it moves no token
    address, mint = wish.trader.wallet.address, wish.trader.token.mint
    moves = [moved for signature in fresh if (moved := market.moved(signature, address, mint))]
    buys = wish.purpose in (*OPENING, OrderPurpose.DCA)
    wanted = [moved for moved in moves if (moved > 0) == buys]
    if len(wanted) > 1 or wanted != moves:
        yield f"the chain has it {len(wanted)} times: {moves}"
    if len(made) != len(wanted):
        yield f"the orders say {len(made)} times, the chain {len(wanted)}"


def _left_open(wish: Wish) -> Iterator[str]:
    if wish.purpose in CLOSING and Position.objects.filter(agent=wish.trader.agent, closed_at=None).exists():
        yield "the position is still open"


def _unequal(market: Market, trader: Trader) -> Iterator[str]:
    """Tell of balances that are not the chain's to the lamport, and of what is put aside."""
    decimals = {SOL_MINT: 9, trader.token.mint: trader.token.decimals}
    rows = list(Balance.objects.filter(wallet=trader.wallet))
    held = [(row.mint, row.held) for row in rows if row.held]
    if held:
        yield f"put aside for nobody: {held}"
    books = {row.mint: row.amount.scaleb(decimals[row.mint]) for row in rows if row.amount}
    chain = market.held_by(trader.wallet.address)
    if books != chain:
        yield f"the books say {books}, the chain {chain}"
