"""Who trades in the matrix: agents with a live wallet and a token of their own, and how each of their wishes begins.

A wish goes the desk's own way: signals, hand buys, intents fired as the watch fires them, closes by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from apps.agents.models import Agent
from apps.trading.errors import BuyPending
from apps.trading.models import Order, Position
from apps.trading.services import exit_intents, exit_runner, exits, hand_buys
from apps.trading.services.exit_intents import FiredExit
from apps.wallets.models import Wallet
from tests import factories
from tests.kill_matrix.cells import OPENING
from tests.kill_matrix.market import Market
from tests.live import trading
from tests.sandbox_server import SandboxToken
from tests.trading import adjusting

SOL_EACH = 50
SIZE_SOL = Decimal("0.1")
#: How far from a position's average the price is put for it.
PRICES = {"dca": "-30", "take_profit": "60"}
CONFIG = {
    **adjusting.taking(),
    **adjusting.adding(),
    "positionCalculator": {
        "positionSizes": {name: {"min": 0.1, "max": 0.1} for name in ("small", "medium", "large")},
        "randomization": {"enabled": False},
    },
}


@dataclass(slots=True, eq=False)
class Trader:
    """An agent, its live wallet, its token; `faucet` are the transactions that brought its funds."""

    agent: Agent
    wallet: Wallet
    token: SandboxToken
    faucet: frozenset[str]
    price_sol: Decimal

    def position(self) -> Position | None:
        return Position.objects.select_related("wallet").filter(agent=self.agent, closed_at=None).first()

    def order_key(self, purpose: str) -> str:
        """Return what the orders process calls this trader's orders of a purpose."""
        known = (*OPENING, "dca", "take_profit", "reclaim")
        return f"{purpose if purpose in known else 'close'}:{self.wallet.pk}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a trader, and which orders are attempts at it."""

    purpose: str
    trader: Trader
    orders: Q

    def attempts(self) -> list[Order]:
        return list(Order.objects.filter(self.orders).order_by("created_at"))


def make(market: Market, address: str, token: SandboxToken) -> Trader:
    """Return a trader with funds on the chain and in the books."""
    agent = factories.make_agent(sol=None, trading_mode="live", config=CONFIG)
    wallet = factories.make_wallet(agent, wallet_type="live", address=address)
    factories.make_live_key(address=address)
    factories.make_token(token.symbol, mint=token.mint, decimals=token.decimals)
    airdrop = market.airdrop(address, SOL_EACH)
    factories.fund(wallet, str(SOL_EACH))
    return Trader(agent, wallet, token, frozenset({airdrop}), token.price_sol)


def fits(trader: Trader, purpose: str) -> bool:
    """Whether a trader can have such a wish now: each position is added to and taken profit of once."""
    position = trader.position()
    if purpose in OPENING:
        return position is None
    if position is None:
        return False
    return {"dca": not position.dca_count, "take_profit": not position.take_profit_levels_hit}.get(purpose, True)


def begin(market: Market, trader: Trader, purpose: str) -> Wish:
    """Reserve the order of a wish. The orders process stands still meanwhile."""
    return wish_of(purpose, trader, _BEGINNINGS[purpose](market, trader))


def wish_of(purpose: str, trader: Trader, order: Order) -> Wish:
    """Return the wish whose first attempt this order is: a trader has one at a time."""
    return Wish(purpose, trader, Q(wallet=trader.wallet, purpose=order.purpose, created_at__gte=order.created_at))


def put_price(market: Market, trader: Trader, price_sol: Decimal) -> None:
    trader.price_sol = market.control.set_price(trader.token.mint, price_sol)


def buy_by_hand(trader: Trader) -> Order:
    """Ask for a buy and return its order."""
    try:
        hand_buys.buy_by_hand(
            agent=trader.agent,
            token_address=trader.token.mint,
            actor=trader.agent.user,
            position_size_sol=SIZE_SOL,
            timeout_seconds=0,
        )
    except BuyPending:
        return Order.objects.filter(agent=trader.agent).latest("created_at")
    raise AssertionError("a live buy was booked without an order")


def _signal(_market: Market, trader: Trader) -> Order:
    signal = trading.send(trader.agent.user, trader.token)
    return Order.objects.get(signal=signal, agent=trader.agent)


def _adjust(reason: str) -> Callable[[Market, Trader], Order]:
    def begin(market: Market, trader: Trader) -> Order:
        position = _held(trader)
        put_price(market, trader, position.purchase_price * (1 + Decimal(PRICES[reason]) / 100))
        return _ordered(adjusting.fire(position, reason, trader.price_sol).pk)

    return begin


def _close(reason: str) -> Callable[[Market, Trader], Order]:
    def begin(_market: Market, trader: Trader) -> Order:
        position = _held(trader)
        with transaction.atomic():
            fired = exit_intents.fire([FiredExit(position.pk, reason, position.generation)])
        return _ordered(fired[position.pk])

    return begin


def _close_by_hand(_market: Market, trader: Trader) -> Order:
    intent = exits.request_close(position=_held(trader), reason="manual", actor=trader.agent.user)
    return _ordered(intent.pk)


def _ordered(intent_id: int) -> Order:
    outcomes = exit_runner.run_due()
    order = Order.objects.filter(intent_id=intent_id).first()
    assert order is not None, f"no order came of the intent: {outcomes}"
    return order


def _held(trader: Trader) -> Position:
    position = trader.position()
    assert position is not None
    return position


_BEGINNINGS: dict[str, Callable[[Market, Trader], Order]] = {
    "entry": _signal,
    "manual": lambda _market, trader: buy_by_hand(trader),
    "dca": _adjust("dca"),
    "take_profit": _adjust("take_profit"),
    "stop_loss": _close("stop_loss"),
    "stale_trade": _close("stale_trade"),
    "by_hand": _close_by_hand,
    "reclaim": _close("stop_loss"),
}
