"""All the doctor's looks, one after the other; what breaks one of them is a line of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as Late
from functools import partial

from django.db import DatabaseError

from apps.chain.errors import NodeError
from apps.console.doctor import chain, desk, keys
from apps.console.doctor.findings import Finding, Level, fail
from apps.core.errors import SoldeskError

_BROKEN = (DatabaseError, NodeError, SoldeskError, OSError, Late, TimeoutError)


def examine() -> list[Finding]:
    """Look at everything and return what was found, in the order it is to be put right."""
    found = _tried("database", desk.services)
    if any(item.area == "database" and item.level is Level.FAIL for item in found):
        return found
    agents = keys.live_agents()
    live = bool(agents)
    looks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("orders", partial(desk.orders_process, live=live)),
        ("nodes", lambda: chain.findings(chain.look(), live=live)),
        ("signer", partial(keys.signer, live=live)),
        ("wallets", partial(keys.wallets, agents)),
        ("limits", partial(keys.limits, agents)),
        ("prices", partial(desk.prices, live=live)),
        ("budget", desk.budgets),
        ("backup", desk.backups),
    ]
    return found + [item for area, look in looks for item in _tried(area, look)]


def _tried(area: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        for item in look():
            found.append(item)
    except _BROKEN as error:
        found.append(fail(area, f"This could not be looked at ({type(error).__name__}).", "Look at the desk's log."))
    return found
