"""The combinations: what an order is for, where its process is when something is killed, what that is, what goes wrong.

A point is `before:` or `after:` one of the steps an order takes. Each fault knows the points its orders come by: only
those are drawn with it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Steps of every order that lands: transitions of the machine, and each question to the outside. `after:reserved` is
#: when the process has claimed it.
LANDING = ("reserved", "built", "sign", "signed", "sent", "send", "landed", "finalized")
#: Of one that nobody knows the fate of for a while: `unresolved` lies between.
DOUBTED = (*LANDING, "unresolved")
#: Of one that never lands.
EXPIRING = ("sign", "signed", "sent", "send", "unresolved", "expired")
#: Of one that a fork takes back: it has landed, is reversed, and expires.
FORKED = ("sent", "send", "landed", "reversed", "expired")
#: Of one that lands as a failure.
FAILING = ("signed", "sent", "send", "landed")
#: Of one the signer signs only when its fault is over: by then it lands.
UNSIGNED = ("reserved", "built", "sign")
#: The same of a reclaim, which is signed before it is written down as built.
SIGNED_FIRST = ("reserved", "sign")
#: Of one the signer refuses, and of one that is not worth showing to it.
REFUSED, UNBUILT = ("built", "sign", "failed"), ("failed",)

VICTIMS = ("orders", "signer", "database", "sandbox")
ROUTES = ("node", "execute")
OPENING = ("entry", "manual")
#: Ends of a position by rule and by hand, and what follows a sale.
CLOSING = ("stop_loss", "stale_trade", "by_hand", "reclaim")
PURPOSES = (*OPENING, "dca", "take_profit", *CLOSING)
SALES = ("take_profit", "stop_loss", "stale_trade", "by_hand")
BUYS = (*OPENING, "dca")
_SWAPS = tuple(purpose for purpose in PURPOSES if purpose != "reclaim")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong while the order is under way: `nodes` and `jupiter` are switched on as they stand here.

    Under `expires` slots pass as soon as the order is sent, and its bytes never land. `turn` is something that happens
    in the market at a point of the order's way, while its process stands still: a fork, or a price that is gone.
    """

    name: str
    steps: tuple[str, ...] = LANDING
    nodes: tuple[tuple[str, tuple[str, ...], Mapping[str, Any]], ...] = ()
    jupiter: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    expires: bool = False
    turn: tuple[str, str] | None = None
    routes: tuple[str, ...] = ROUTES
    purposes: tuple[str, ...] = PURPOSES

    @property
    def points(self) -> tuple[str, ...]:
        sides = itertools.product(self.steps, ("before", "after"))
        return tuple(f"{side}:{step}" for step, side in sides if (side, step) != ("before", "reserved"))


_BOTH, _ONE, _TWO = ("node_1", "node_2"), ("node_1",), ("node_2",)


def _nodes(name: str, kind: str, nodes: tuple[str, ...], **options: Any) -> Fault:
    return Fault(name, nodes=((kind, nodes, options),))


def _jupiter(name: str, kind: str, **options: Any) -> Fault:
    return Fault(name, jupiter=(("jupiter_order", kind, options),), purposes=_SWAPS)


def _execute(name: str, kind: str, **options: Any) -> Fault:
    return Fault(name, jupiter=(("jupiter_execute", kind, options),), routes=("execute",), purposes=_SWAPS)


def _refused(name: str, kind: str, steps: tuple[str, ...] = REFUSED, purposes: tuple[str, ...] = _SWAPS) -> Fault:
    return Fault(name, steps, jupiter=(("jupiter_order", kind, {}),), purposes=purposes)


def _unsigned(name: str, kind: str, steps: tuple[str, ...], purposes: tuple[str, ...]) -> Fault:
    return Fault(name, steps, nodes=((kind, _BOTH, {}),), routes=("node",), purposes=purposes)


_UNSENT: tuple[str, tuple[str, ...], Mapping[str, Any]] = ("not_sent", _BOTH, {})
_OLD: tuple[tuple[str, str, Mapping[str, Any]], ...] = (("jupiter_order", "expired_blockhash", {}),)
FAULTS = (
    Fault("nothing"),
    _nodes("latency", "latency", _BOTH, latency_ms=60, count=12),
    _nodes("rate limit", "rate_limit", _BOTH, count=6),
    _nodes("server error", "server_error", _BOTH, count=8),
    _nodes("pages instead of answers", "html", _BOTH, count=6),
    _nodes("connections cut", "disconnect", _BOTH, count=6),
    Fault("lost answer", nodes=(("answer_lost", _BOTH, {"count": 2}),), routes=("node",)),
    Fault("answer before landing", nodes=(("not_sent", _BOTH, {"count": 1, "slots": 8}),), routes=("node",)),
    _nodes("one node hangs", "hang", _TWO, duration_seconds=1.0),
    _nodes("one node is behind", "behind", _TWO, slots=20),
    _nodes("one node is not healthy", "unhealthy", _ONE),
    _nodes("lagging status", "status_lag", _TWO, slots=20),
    _nodes("lagging history", "history_lag", _ONE, slots=20),
    # While two nodes contradict each other nothing is booked, and while one denies it nothing is final.
    Fault("lies that it failed", (*LANDING[:-2], "unresolved"), nodes=(("lying", _TWO, {"says": "failed"}),)),
    Fault("lies that it is not there", LANDING[:-1], nodes=(("lying", _ONE, {"says": "nothing"}),)),
    _nodes("lies that it landed", "lying", _TWO, says="landed"),
    _nodes("height too high", "wrong_height", _ONE, blocks=500),
    _nodes("height too low", "wrong_height", _TWO, blocks=-500),
    _nodes("expiry too early", "wrong_expiry", _ONE, blocks=-145),
    _nodes("sockets dropped", "dropped_socket", _BOTH),
    _nodes("sockets silent", "silent_socket", _BOTH),
    Fault(
        "lost answer, late history",
        DOUBTED,
        nodes=(("answer_lost", _BOTH, {"count": 2}), ("history_lag", _BOTH, {"slots": 75})),
        routes=("node",),
    ),
    _jupiter("429 of jupiter", "rate_limit", count=1),
    _jupiter("503 of jupiter", "server_error", count=2),
    _jupiter("jupiter cuts connections", "disconnect", count=2),
    _jupiter("jupiter hangs", "hang", duration_seconds=1.0),
    _jupiter("jupiter is slow", "latency", latency_ms=700, count=2),
    # Through the nodes it gets one of theirs; what Jupiter itself shall land is signed as it is, or not at all.
    Fault("old blockhash of jupiter", jupiter=_OLD, routes=("node",), purposes=_SWAPS),
    Fault("old blockhash of jupiter", UNSIGNED, jupiter=_OLD, routes=("execute",), purposes=_SWAPS),
    _execute("execute: lost answer", "answer_lost", count=1),
    _execute("execute: error after landing", "error_after_landing", count=1),
    _execute("execute: answer before landing", "early_answer", count=1, slots=5),
    _execute("execute: lands late", "late_landing", count=1, slots=20),
    _execute("execute: says it failed", "false_failure", count=1),
    Fault(
        "execute: lost answer, late history",
        DOUBTED,
        jupiter=(("jupiter_execute", "answer_lost", {}),),
        nodes=(("history_lag", _BOTH, {"slots": 75}),),
        routes=("execute",),
        purposes=_SWAPS,
    ),
    Fault("never sent on", EXPIRING, nodes=(_UNSENT,), expires=True, routes=("node",)),
    Fault(
        "never sent on, and one lies",
        EXPIRING,
        nodes=(_UNSENT, ("wrong_height", _TWO, {"blocks": 500})),
        expires=True,
        routes=("node",),
    ),
    # What one node alone shows is booked after a while, and taken back when nobody shows it any more.
    Fault(
        "never sent on, and one says it landed",
        ("sent", "send", "landed"),
        nodes=(_UNSENT, ("lying", _TWO, {"says": "landed"})),
        expires=True,
        routes=("node",),
    ),
    _unsigned("unknown blockhash", "unknown_blockhash", UNSIGNED, _SWAPS),
    _unsigned("unknown blockhash", "unknown_blockhash", SIGNED_FIRST, ("reclaim",)),
    _unsigned("expired blockhash", "expired_blockhash", UNSIGNED, _SWAPS),
    _unsigned("expired blockhash", "expired_blockhash", SIGNED_FIRST, ("reclaim",)),
    Fault(
        "execute: success that is none",
        EXPIRING,
        jupiter=(("jupiter_execute", "false_success", {}),),
        nodes=(_UNSENT,),
        expires=True,
        routes=("execute",),
        purposes=_SWAPS,
    ),
    Fault("a fork", FORKED, turn=("after:landed", "fork")),
    Fault("the price is gone", FAILING, turn=("before:send", "price"), purposes=SALES),
    Fault(
        "the price is gone, lost answer, late history",
        ("unresolved", "landed"),
        nodes=(("answer_lost", _BOTH, {"count": 2}), ("history_lag", _BOTH, {"slots": 75})),
        turn=("before:send", "price"),
        routes=("node",),
        purposes=SALES,
    ),
    _refused("foreign fee payer", "replaced_fee_payer", UNBUILT),
    # A buy does not come as far as the signer: nobody could sell behind it, says the token's judge.
    _refused("drained wallet", "drained_wallet", UNBUILT, BUYS),
    _refused("drained wallet", "drained_wallet", REFUSED, SALES),
    _refused("other destination", "swapped_destination", UNBUILT, BUYS),
    _refused("other destination", "swapped_destination", REFUSED, SALES),
    _refused("added instruction", "added_instruction"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    number: int
    point: str
    fault: Fault = field(repr=False)
    victim: str
    route: str
    purpose: str

    def __str__(self) -> str:
        return f"#{self.number} {self.purpose} {self.point}, {self.fault.name}, {self.victim} killed, by {self.route}"


_Combination = tuple[str, Fault, str, str, str]


def every() -> list[_Combination]:
    """Return all combinations there are. A reclaim goes through the nodes, whatever the route of swaps."""
    return [
        (point, fault, victim, route, purpose)
        for fault in FAULTS
        for point, victim, route, purpose in itertools.product(fault.points, VICTIMS, fault.routes, fault.purposes)
        if purpose != "reclaim" or route == "node"
    ]


def draw(seed: int, count: int) -> list[Cell]:
    """Return `count` combinations of a seed, all different, those of one route together (a restart lies between).

    First comes what brings a victim to a point, a fault or a purpose it has not met yet, then what brings those
    together for the first time.
    """
    chance = random.Random(seed)
    left = every()
    chance.shuffle(left)
    drawn: list[_Combination] = []
    met: set[tuple[str, str]] = set()
    for pairs, least in ((_with_victim, 4), (_with_victim, 2), (_with_victim, 1), (_pairs, 3), (_pairs, 0)):
        rest = []
        for combination in left:
            if len(drawn) < count and sum(pair not in met for pair in pairs(combination)) >= least:
                drawn.append(combination)
                met |= set(_pairs(combination))
            else:
                rest.append(combination)
        left = rest
    drawn.sort(key=lambda combination: combination[3])
    return [Cell(number, *combination) for number, combination in enumerate(drawn, 1)]


def _pairs(combination: _Combination) -> Iterator[tuple[str, str]]:
    point, fault, _, route, purpose = combination
    yield from _with_victim(combination)
    yield from itertools.combinations((f"at {point}", f"with {fault.name}", f"for {purpose}"), 2)
    yield f"with {fault.name}", f"by {route}"


def _with_victim(combination: _Combination) -> Iterator[tuple[str, str]]:
    point, fault, victim, route, purpose = combination
    for name in (f"at {point}", f"with {fault.name}", f"for {purpose}", f"by {route}"):
        yield f"killing {victim}", name
