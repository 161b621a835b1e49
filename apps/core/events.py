"""Domain events: how work crosses apps without looking up.

A publisher declares frozen dataclasses in its own `events.py`; a higher app subscribes in `AppConfig.ready()`.
Handlers run in the publisher's transaction, in the order of subscription, and may veto by raising.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

E = TypeVar("E")

_handlers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)


def subscribe(event_class: type[E], handler: Callable[[E], None]) -> None:
    """Call `handler` for every published event of exactly `event_class`; subscribing twice is one subscription."""
    if handler not in _handlers[event_class]:
        _handlers[event_class].append(handler)


def publish(event: object) -> None:
    """Run every handler of the event's class, in this transaction; whatever a handler raises reaches the caller."""
    for handler in _handlers[type(event)]:
        handler(event)
