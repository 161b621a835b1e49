"""How many calls a plan allows, and which lane may take which slot.

Pure. A window of `limit` calls in `window_seconds` slides; each lane has slots reserved in it, and the rest belongs to
whoever comes first. Exits may take slots kept for entries and for the rest, never those that watch held tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Lane(StrEnum):
    """What a call is for, the most important first."""

    EXIT_QUOTE = "exit_quote"
    HELD_PRICES = "held_prices"
    ENTRY_QUOTE = "entry_quote"
    REST = "rest"


LANES = tuple(Lane)
_VITAL = frozenset({Lane.EXIT_QUOTE, Lane.HELD_PRICES})
#: Calls no breaker holds back, and whose failures open none: one token's quote that hangs must not keep the others from
#: being sold. Each exit that fails waits longer and longer by itself, which spares a provider in trouble as well.
PAST_BREAKERS = frozenset({Lane.EXIT_QUOTE})


@dataclass(frozen=True, slots=True)
class Plan:
    """`limit` calls in any `window_seconds`, with `reserved` slots per lane."""

    limit: int
    window_seconds: float = 60.0
    reserved: Mapping[Lane, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if sum(self.reserved.values()) > self.limit:
            raise ValueError("a plan cannot reserve more slots than it has")

    def respected_by(self, lane: Lane, *, within_reserve: bool) -> frozenset[Lane]:
        """Return the other lanes whose unused reserved slots `lane` must leave alone."""
        if within_reserve or lane is Lane.EXIT_QUOTE:
            return _VITAL - {lane}
        return frozenset(LANES) - {lane}

    def admits(self, lane: Lane, used: Mapping[Lane, int]) -> bool:
        """Say whether one more call of `lane` fits, given the calls each lane made in the window.

        >>> plan = Plan(10, reserved={Lane.EXIT_QUOTE: 3, Lane.HELD_PRICES: 3})
        >>> plan.admits(Lane.ENTRY_QUOTE, {Lane.ENTRY_QUOTE: 3}), plan.admits(Lane.ENTRY_QUOTE, {Lane.ENTRY_QUOTE: 4})
        (True, False)
        >>> plan.admits(Lane.EXIT_QUOTE, {Lane.ENTRY_QUOTE: 4, Lane.EXIT_QUOTE: 2})
        True
        """
        within = used.get(lane, 0) < self.reserved.get(lane, 0)
        kept = sum(
            max(0, self.reserved.get(other, 0) - used.get(other, 0))
            for other in self.respected_by(lane, within_reserve=within)
        )
        return sum(used.values()) + kept < self.limit


def _shared_by_quotes_and_prices(limit: int) -> Plan:
    """Reserve 30 % for exits, 30 % for held tokens, 20 % for entries and 5 % for the rest; 15 % is first come."""
    return Plan(
        limit,
        reserved={
            Lane.EXIT_QUOTE: limit * 30 // 100,
            Lane.HELD_PRICES: limit * 30 // 100,
            Lane.ENTRY_QUOTE: limit * 20 // 100,
            Lane.REST: limit * 5 // 100,
        },
    )


UNLIMITED = "sandbox"
#: Nodes are providers by their host, `node:api.mainnet.solana.com`; their plan is a rate, `10/s`.
NODE_PREFIX, PER_SECOND = "node:", "/s"

_JUPITER = {
    "keyless": _shared_by_quotes_and_prices(30),
    "free": _shared_by_quotes_and_prices(60),
    "developer": _shared_by_quotes_and_prices(600),
    "launch": _shared_by_quotes_and_prices(3_000),
    "pro": _shared_by_quotes_and_prices(9_000),
}
_DEXSCREENER = Plan(300, reserved={Lane.HELD_PRICES: 210, Lane.REST: 30})
_PYTH = Plan(10, window_seconds=10.0)


def node_plan(calls_per_second: int) -> Plan:
    """Return what a Solana node is asked at most: of ten seconds' calls 40 % are kept for exits, 20 % for entries.

    >>> node_plan(10).limit, node_plan(10).reserved[Lane.EXIT_QUOTE]
    (100, 40)
    """
    limit = calls_per_second * 10
    reserved = {Lane.EXIT_QUOTE: limit * 40 // 100, Lane.ENTRY_QUOTE: limit * 20 // 100}
    return Plan(limit, window_seconds=10.0, reserved=reserved)


PLANS: Mapping[str, Mapping[str, Plan]] = {
    "jupiter": _JUPITER,
    "dexscreener": dict.fromkeys(("keyless", "free"), _DEXSCREENER),
    "pyth": dict.fromkeys(("keyless", "free", "paid"), _PYTH),
}


def plan_for(provider: str, plan: str) -> Plan | None:
    """Return the limits of a provider's plan; None means no limit (the sandbox).

    Raises:
        ValueError: for a plan the provider does not have.
    """
    if plan == UNLIMITED:
        return None
    if provider.startswith(NODE_PREFIX) and plan.removesuffix(PER_SECOND).isdigit():
        return node_plan(int(plan.removesuffix(PER_SECOND)))
    known = PLANS.get(provider, {})
    if plan not in known:
        raise ValueError(f"{provider} has no plan {plan!r}; known: {', '.join([*known, UNLIMITED])}")
    return known[plan]
