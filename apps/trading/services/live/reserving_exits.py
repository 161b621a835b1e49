"""Exits of live positions become orders: certain closes here at once, what needed a quote where that is decided.

What stands in the way (no key, an order in flight) leaves the intent due. A close sells what its position holds, and
after a failure no more than the chain says is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction as database

from apps.core import bulk
from apps.core.money import to_base_units
from apps.trading.domain import entry_rules, exit_decision, exit_ladder
from apps.trading.domain.exit_decision import Action, CloseSituation
from apps.trading.models import OrderPurpose
from apps.trading.selectors import live_wallets
from apps.trading.selectors.live_wallets import LiveWallet
from apps.trading.services import exit_intents, exit_locks, gate
from apps.trading.services.exit_intents import LeasedExit
from apps.trading.services.exit_locks import Claim, HeldPosition, Locked
from apps.trading.services.exit_outcomes import LEASE_LOST, Outcome
from apps.trading.services.gate import Gate
from apps.trading.services.live import new_orders, reserving
from apps.trading.services.live.new_orders import NewOrder
from apps.wallets.services.books import LockedWallet

ORDER_IN_FLIGHT = "ORDER_IN_FLIGHT"
#: The chain has nothing of what the books say is held: comparing the two (reconciliation) tells why.
NOTHING_ON_CHAIN = "NOTHING_ON_CHAIN"


@dataclass(frozen=True, slots=True)
class Close:
    """A leased close of a live position. `on_chain_units` None: the chain was not asked, or did not answer."""

    exit: LeasedExit
    on_chain_units: int | None = None


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What orders of a chunk of exits depend on; empty where all are simulated. `attempts` are orders so far."""

    wallets: Mapping[tuple[UUID, str], LiveWallet] = field(default_factory=dict)
    attempts: Mapping[int, int] = field(default_factory=dict)

    def obstacle(self, leased: LeasedExit, *, buys: bool = False) -> Outcome | None:
        """Return why an exit of a live position has to wait, or None."""
        live = self.wallets[leased.wallet_id, leased.mint]
        if not live.loaded:
            return Outcome(leased, Action.WAIT, entry_rules.WALLET_NOT_LOADED)
        if live.buying if buys else live.selling:
            return Outcome(leased, Action.REQUOTE, ORDER_IN_FLIGHT)
        return None

    def next_attempt(self, intent_id: int) -> int:
        return self.attempts.get(intent_id, 0) + 1


_NONE = LiveFacts()
_ATTEMPTS = "SELECT intent_id, max(attempt) FROM trade_order WHERE intent_id = ANY(%s) GROUP BY intent_id"


def read_facts(locked: Locked, exits: Iterable[LeasedExit]) -> LiveFacts:
    """Return what holds for the live ones among leased exits, under their locks; without any it costs nothing."""
    live = [item for item in exits if locked.wallets[item.wallet_id].is_live]
    if not live:
        return _NONE
    return LiveFacts(
        live_wallets.read((item.wallet_id, item.mint) for item in live),
        dict(bulk.fetch_all(_ATTEMPTS, [[item.id for item in live]])),
    )


def sale(
    leased: LeasedExit,
    claim: Claim,
    position: HeldPosition,
    wallet: LockedWallet,
    facts: LiveFacts,
    *,
    base_units: int,
    price_impact: Decimal | None = None,
    progress: Mapping[str, Any] | None = None,
) -> NewOrder:
    """Return the order of an exit that sells; `progress` is what a take profit counts when it has landed."""
    return reserving.sale(
        purpose=OrderPurpose.TAKE_PROFIT if claim.is_adjust else OrderPurpose.CLOSE,
        wallet=wallet,
        mint=position.mint,
        symbol=position.symbol,
        decimals=position.decimals,
        base_units=base_units,
        inputs={"reason": claim.reason, "generation": position.generation, **(progress or {})},
        intent_id=leased.id,
        position_id=position.id,
        attempt=facts.next_attempt(leased.id),
        price_impact=price_impact,
    )


def write(orders: Sequence[NewOrder]) -> None:
    """Write the orders of exits, put their tokens or SOL aside, and leave their intents to them."""
    new_orders.write(orders)
    exit_intents.hand_to_orders([order.intent_id for order in orders if order.intent_id is not None])


def reserve_closes(closes: Sequence[Close], *, sol_usd: Decimal | None) -> list[Outcome]:
    """Decide a chunk of certain closes under lock and reserve their orders, in one transaction.

    What cannot be reserved stays leased: the caller gives it back. Locks: desk state (shared), agent states, wallets,
    positions, intents. Nothing is booked, so that `sol_usd` says nothing.

    Raises:
        Whatever the database raises; nothing is reserved then.
        InsufficientBalance: a wallet has less free than its position holds.
    """
    exits = [item.exit for item in closes]
    with database.atomic():
        locked = exit_locks.lock(exits)
        facts = read_facts(locked, exits)
        switches = gate.read({item.agent_id for item in exits})
        orders: list[NewOrder] = []
        outcomes = [_reserve(item, locked, facts, switches, orders) for item in closes]
        write(orders)
        exit_intents.cancel({item.exit.id: item.code for item in outcomes if item.action is Action.CANCEL})
    return outcomes


def _reserve(close: Close, locked: Locked, facts: LiveFacts, switches: Gate, orders: list[NewOrder]) -> Outcome:
    leased = close.exit
    claim = locked.claims.get(leased.id)
    if claim is None:
        return Outcome(leased, Action.WAIT, LEASE_LOST)
    position = locked.positions[leased.position_id]
    wallet = locked.wallets[position.wallet_id]
    remaining = to_base_units(position.remaining_amount, position.decimals)
    decision = exit_decision.decide(
        CloseSituation(
            reason=claim.reason,
            fired_generation=claim.generation,
            averaged_generation=position.peak_generation,
            is_open=position.is_open,
            wallet_current=exit_locks.is_current(position, wallet),
            exits_allowed=switches.exits_allowed(position.agent_id),
            remaining_base_units=remaining,
            quoted_base_units=remaining,
        )
    )
    if not decision.allowed:
        return Outcome(leased, decision.action, decision.code)
    obstacle = facts.obstacle(leased)
    if obstacle is not None:
        return obstacle
    units = exit_ladder.units_to_sell(remaining, close.on_chain_units)
    if units <= 0:
        return Outcome(leased, Action.WAIT, NOTHING_ON_CHAIN)
    orders.append(sale(leased, claim, position, wallet, facts, base_units=units))
    return Outcome(leased, Action.BOOK, reason=claim.reason)
