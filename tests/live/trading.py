"""What tests of live orders share: agents with a live wallet whose key is loaded, and what the chain says of a swap."""

from __future__ import annotations

import hashlib
import itertools
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.agents.models import Agent
from apps.core import base58, bulk
from apps.core.money import SOL_MINT
from apps.signals import services as signals
from apps.signals.models import TradingSignal
from apps.trading.domain import order_machine
from apps.trading.domain.landed_swap import LandedSwap
from apps.trading.models import ExitIntent, Order, OrderPurpose, OrderSide, Position
from apps.trading.services import entries, exit_intents
from apps.trading.services.exit_intents import FiredExit
from apps.trading.services.live import settling
from tests import factories
from tests.sandbox_server import SandboxToken

_slots, _signals = itertools.count(1_000), itertools.count(1)
NETWORK, PRIORITY, TIP, RENT = 5_000, 30_000, 10_000, 2_039_280
#: One SOL each time, whatever the balance.
ONE_SOL = {
    "positionCalculator": {
        "positionSizes": {name: {"min": 1, "max": 1} for name in ("small", "medium", "large")},
        "randomization": {"enabled": False},
    }
}


def live_agent(
    user: User | None = None,
    *,
    sol: str = "10",
    loaded: bool = True,
    config: dict[str, Any] | None = None,
    **fields: Any,
) -> Agent:
    """Return an agent that trades live, with a funded wallet whose key the signer has (or not)."""
    agent = factories.make_agent(user, sol=None, trading_mode="live", config=config or ONE_SOL, **fields)
    wallet = factories.make_wallet(agent, wallet_type="live")
    factories.make_live_key(address=wallet.address, loaded=loaded)
    factories.fund(wallet, sol)
    return agent


def hold(token: SandboxToken, **options: Any) -> Position:
    """Open a live position of one SOL as a signal does, landed at the market's price and final."""
    agent = live_agent(**options)
    send(agent.user, token)
    order = sign(Order.objects.get(agent=agent))
    tokens = int(Decimal(order.in_base_units).scaleb(token.decimals - 9) / token.price_sol)
    settling.settle_landed([(order.pk, landed(order, tokens=tokens))])
    Order.objects.filter(pk=order.pk).update(status=order_machine.FINALIZED)
    return Position.objects.select_related("wallet").get(agent=agent)


def send(user: User, token: SandboxToken) -> TradingSignal:
    """Send a signal and let it be traded."""
    signal = signals.create_signal(
        user=user,
        api_key=None,
        token_address=token.mint,
        symbol=token.symbol,
        signal_type=f"T{next(_signals)}",
        signal_strength=3,
    )
    entries.process_signal(signal.pk)
    return signal


def fire_stop(position: Position, **fields: Any) -> ExitIntent:
    """Fire a stop loss as the watch does."""
    with transaction.atomic():
        fired = exit_intents.fire([FiredExit(position.pk, "stop_loss", position.generation, **fields)])
    return ExitIntent.objects.get(pk=fired[position.pk])


def sign(order: Order, status: str = order_machine.SENT) -> Order:
    """Bring a reserved order to where its bytes may land, as the orders process does."""
    digest = hashlib.sha512(order.pk.bytes).digest()
    Order.objects.filter(pk=order.pk).update(
        status=status,
        signature=base58.encode(digest),
        sealed_transaction=b"sealed",
        last_valid_block_height=150,
        sends=1,
    )
    order.refresh_from_db()
    return order


def landed(order: Order, tokens: int | None = None, lamports: int | None = None, **fields: Any) -> LandedSwap:
    """Return what the chain says of an order: it got `tokens` for `lamports`, or the other way round."""
    buys = order.side == OrderSide.BUY
    amount = int(order.in_base_units)
    token_units = tokens if tokens is not None else (1_000_000 if buys else amount)
    swap = lamports if lamports is not None else (amount if buys else 900_000_000)
    values: dict[str, Any] = {
        "error": None,
        "network_fee_lamports": NETWORK,
        "priority_fee_lamports": PRIORITY,
        "tip_lamports": TIP,
        "protocol_fee_lamports": 0,
        "rent_lamports": RENT if buys else 0,
        **fields,
    }
    if values["error"] is not None or order.purpose == OrderPurpose.RECLAIM:
        token_units = swap = 0
    if values["error"] is not None:
        values["rent_lamports"] = 0
    fees = values["network_fee_lamports"] + values["priority_fee_lamports"] + values["tip_lamports"]
    delta = (-swap if buys else swap) - fees - values["rent_lamports"]
    return LandedSwap(
        signature=order.signature or "",
        slot=next(_slots),
        block_time=None,
        side=order.side,
        mint=order.mint,
        token_base_units=token_units,
        swap_lamports=swap,
        wallet_lamports_delta=delta,
        wallet_token_delta=token_units if buys else -token_units,
        **values,
    )


def sol_lamports(agent: Agent) -> int:
    """Return what the books say the live wallet has on chain: free and held."""
    wallet = factories.wallet_of(agent, "live")
    ((total,),) = bulk.fetch_all(
        "SELECT COALESCE(sum(amount + held) * 1000000000, 0)::bigint FROM balance WHERE wallet_id = %s AND mint = %s",
        [wallet.pk, SOL_MINT],
    )
    return int(total)
