"""The combinations: where the orders process is when something is killed, what is killed, and what else goes wrong."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Points of every order that lands, before and after each transition and each question to the outside.
LANDING_POINTS = tuple(
    f"{side}:{step}"
    for step in ("built", "sign", "signed", "sent", "send", "landed", "finalized")
    for side in ("before", "after")
)
#: Points of an order that never lands.
EXPIRING_POINTS = tuple(f"{side}:{step}" for step in ("unresolved", "expired") for side in ("before", "after"))
#: Points of an order the signer or the desk refuses.
REFUSED_POINTS = tuple(f"{side}:{step}" for step in ("built", "sign", "failed") for side in ("before", "after"))
VICTIMS = ("orders", "signer", "database", "sandbox")
ROUTES = ("node", "execute")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong while the order is under way: `nodes` and `jupiter` are switched on as they stand here.

    An order under an `expires` fault never lands, one under `refused` is never signed.
    """

    name: str
    nodes: tuple[tuple[str, tuple[str, ...], Mapping[str, Any]], ...] = ()
    jupiter: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    expires: bool = False
    refused: bool = False
    routes: tuple[str, ...] = ROUTES

    @property
    def points(self) -> tuple[str, ...]:
        return EXPIRING_POINTS if self.expires else REFUSED_POINTS if self.refused else LANDING_POINTS


_BOTH, _ONE, _TWO = ("node_1", "node_2"), ("node_1",), ("node_2",)


def _nodes(name: str, kind: str, nodes: tuple[str, ...], **options: Any) -> Fault:
    return Fault(name, nodes=((kind, nodes, options),))


def _execute(name: str, kind: str, **options: Any) -> Fault:
    return Fault(name, jupiter=(("jupiter_execute", kind, options),), routes=("execute",))


FAULTS = (
    Fault("nothing"),
    _nodes("latency", "latency", _BOTH, latency_ms=60, times=6),
    _nodes("rate limit", "rate_limit", _BOTH, times=3),
    _nodes("server error", "server_error", _BOTH, times=4),
    Fault("lost answer", nodes=(("answer_lost", _BOTH, {"times": 2}),), routes=("node",)),
    Fault("answer before landing", nodes=(("not_sent", _BOTH, {"times": 1, "slots": 8}),), routes=("node",)),
    _nodes("one node hangs", "hang", _TWO, duration_seconds=1.0),
    _nodes("lagging status", "status_lag", _TWO, slots=20),
    _nodes("lagging history", "history_lag", _ONE, slots=20),
    _nodes("lies that it failed", "lying", _TWO, says="failed"),
    _nodes("lies that it is not there", "lying", _ONE, says="nothing"),
    _nodes("lies that it landed", "lying", _TWO, says="landed"),
    _nodes("height too high", "wrong_height", _ONE, blocks=500),
    _nodes("height too low", "wrong_height", _TWO, blocks=-500),
    _nodes("expiry too early", "wrong_expiry", _ONE, blocks=-145),
    _nodes("sockets dropped", "dropped_socket", _BOTH),
    Fault("429 of jupiter", jupiter=(("jupiter_order", "rate_limit", {"count": 1}),)),
    Fault("503 of jupiter", jupiter=(("jupiter_order", "server_error", {"count": 2}),)),
    _execute("execute: lost answer", "answer_lost", count=1),
    _execute("execute: error after landing", "error_after_landing", count=1),
    _execute("execute: answer before landing", "early_answer", count=1, slots=5),
    _execute("execute: says it failed", "false_failure", count=1),
    Fault("never sent on", nodes=(("not_sent", _BOTH, {}),), expires=True, routes=("node",)),
    Fault(
        "never sent on, and one lies",
        nodes=(("not_sent", _BOTH, {}), ("wrong_height", _TWO, {"blocks": 500})),
        expires=True,
        routes=("node",),
    ),
    Fault("unknown blockhash", nodes=(("unknown_blockhash", _BOTH, {}),), expires=True, routes=("node",)),
    Fault(
        "execute: success that is none",
        jupiter=(("jupiter_execute", "false_success", {}),),
        nodes=(("not_sent", _BOTH, {}),),
        expires=True,
        routes=("execute",),
    ),
    Fault("foreign fee payer", jupiter=(("jupiter_order", "replaced_fee_payer", {}),), refused=True),
    Fault("drained wallet", jupiter=(("jupiter_order", "drained_wallet", {}),), refused=True),
    Fault("other destination", jupiter=(("jupiter_order", "swapped_destination", {}),), refused=True),
    Fault("added instruction", jupiter=(("jupiter_order", "added_instruction", {}),), refused=True),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    number: int
    point: str
    fault: Fault = field(repr=False)
    victim: str
    route: str

    def __str__(self) -> str:
        return f"#{self.number} {self.point}, {self.fault.name}, {self.victim} killed, by {self.route}"


def every() -> list[tuple[str, Fault, str, str]]:
    """Return all combinations there are."""
    return [
        (point, fault, victim, route)
        for fault in FAULTS
        for point, victim, route in itertools.product(fault.points, VICTIMS, fault.routes)
    ]


def draw(seed: int, count: int) -> list[Cell]:
    """Return `count` combinations of a seed, all different, those of one route together (a restart lies between).

    Where `count` has room for it, each fault is among them.
    """
    chance = random.Random(seed)
    left = every()
    chance.shuffle(left)
    first = {combination[1].name: combination for combination in left}
    drawn = list(first.values())[:count]
    drawn += [combination for combination in left if combination not in drawn][: max(count - len(drawn), 0)]
    drawn.sort(key=lambda combination: combination[3])
    return [Cell(number, *combination) for number, combination in enumerate(drawn, 1)]
