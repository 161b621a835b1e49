"""The gate every entry passes and every sale asks: the trading state of the desk and of each agent.

Read inside the booking transaction. Bookings share the desk's lock, so that once an operator's HALT has returned, no
booking that had not seen it can still commit; an agent's own state is changed under its `agent_state` lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from apps.core import bulk
from apps.trading.domain import eligibility, entry_rules, exit_decision
from apps.trading.models import State
from apps.wallets.services.books import LockedWallet

#: An advisory lock, served in the order of asking. On a row, those who share the lock overtake a waiting writer: while
#: bookings overlap, the operator's HALT would wait as long as they keep coming.
_DESK_LOCK = 0x50F7_6A7E
TRADING_HALTED = "TRADING_HALTED"
TRADING_REDUCING = "TRADING_REDUCING"
MESSAGES = {
    TRADING_HALTED: "Trading is halted.",
    TRADING_REDUCING: "Trading only lowers exposure now: no new entries.",
}


@dataclass(frozen=True, slots=True)
class Switch:
    """One trading state as it stands."""

    state: str = State.ACTIVE
    exits_enabled: bool = True
    reason: str = ""

    @property
    def exits_allowed(self) -> bool:
        return self.state != State.HALTED or self.exits_enabled


@dataclass(frozen=True, slots=True)
class Gate:
    """The states that hold for a set of agents; agents without a row are ACTIVE."""

    desk: Switch
    agents: dict[UUID, Switch]

    def exits_allowed(self, agent_id: UUID) -> bool:
        """Whether positions of the agent may be sold now."""
        return self.desk.exits_allowed and self.agents.get(agent_id, _ACTIVE).exits_allowed


_ACTIVE = Switch()


def entry_refusal(*states: str) -> str | None:
    """Return why nobody may enter under these states (the desk's and the agent's), or None."""
    if State.HALTED in states:
        return TRADING_HALTED
    return TRADING_REDUCING if State.REDUCING in states else None


def buy_refusal(
    *,
    desk_state: str,
    own_state: str,
    archived: bool,
    wallet: LockedWallet | None,
    epoch: int | None,
    paused: bool,
) -> str | None:
    """Return why an agent may not buy now, be it to open a position or to add to one, or None.

    Every buy passes here in its booking transaction, with the desk, the agent and the wallet locked. `epoch` is the
    wallet's as the buy was decided; `paused` that it is automatic and the agent's automation is off.
    """
    if archived:
        return entry_rules.AGENT_NOT_FOUND
    if wallet is None:
        return entry_rules.WALLET_NOT_FOUND
    if wallet.released or wallet.epoch != epoch:
        return exit_decision.WALLET_RESET
    if not wallet.reconciled:
        return entry_rules.WALLET_NOT_RECONCILED
    if paused:
        return eligibility.PAUSED
    return entry_refusal(desk_state, own_state)


def lock_desk() -> None:
    """Share the desk's lock until commit: its state cannot change meanwhile. The first lock of a booking."""
    bulk.fetch_all("SELECT pg_advisory_xact_lock_shared(%s)", [_DESK_LOCK])


def lock_desk_alone() -> None:
    """Wait for every booking under way and hold those that come until commit: for who changes the desk's state."""
    bulk.fetch_all("SELECT pg_advisory_xact_lock(%s)", [_DESK_LOCK])


def read(agent_ids: Iterable[UUID]) -> Gate:
    """Return the gate as it stands; it stays so until commit for who holds the locks of the desk and the agents."""
    rows = bulk.fetch_all(
        "SELECT agent_id, state, exits_enabled, reason FROM trading_state WHERE agent_id IS NULL OR agent_id = ANY(%s)",
        [list(agent_ids)],
    )
    switches = {row[0]: Switch(*row[1:]) for row in rows}
    return Gate(desk=switches.pop(None, _ACTIVE), agents=switches)
