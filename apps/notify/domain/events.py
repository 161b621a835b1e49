"""Events as receivers get them: what each feed message means, in shapes that stay (docs/webhooks.md).

Pure. Version 1 of every shape; a field may be added to it, a change of what a field means would be version 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from apps.core.api.wire import timestamp_text

VERSION = 1
#: Feed messages that are events for receivers; a `trade_closed` is told with its position's end.
KINDS = ("position_update", "executions", "alert", "trading_state")
PING = "ping"
_POSITION_TYPES = {"position_created": "position.opened", "position_updated": "position.changed"}
POSITION_CLOSED = "position_closed"
_VERDICT_TYPES = {"executed": "signal.executed", "skipped": "signal.skipped", "failed": "signal.failed"}
_ALERT_FIELDS = ("code", "message", "mint", "symbol", "positionId")
_IDS = UUID("5f0e2b0c-9c56-4d34-8d6f-6a0f6d3f3a51")


@dataclass(frozen=True, slots=True)
class Known:
    """What events say beyond their feed message: ended positions with their trades, and signals, each by its id."""

    closings: Mapping[str, dict[str, Any]]
    signals: Mapping[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Event:
    """One event: events with the same `order_key` are told in their order; no key, no order."""

    type: str
    data: dict[str, Any]
    agent_id: UUID | None = None
    order_key: str = ""


def events_of(kind: str, payload: Mapping[str, Any], known: Known) -> Iterator[Event]:
    """Yield the events of one feed message, always the same in the same order."""
    if kind == "position_update":
        yield from _of_position(payload, known)
    elif kind == "executions":
        yield from _of_executions(payload, known)
    elif kind == "alert":
        yield _alert(payload)
    elif kind == "trading_state":
        yield _trading_state(payload)


def ended_position(kind: str, payload: Mapping[str, Any]) -> str | None:
    """Return the position whose end a feed message tells, if it does."""
    if kind == "position_update" and payload.get("eventType") == POSITION_CLOSED:
        return str(payload["positionId"])
    return None


def decided_signal(kind: str, payload: Mapping[str, Any]) -> int | None:
    """Return the signal a feed message has verdicts of, if it has."""
    return int(payload["signalId"]) if kind == "executions" else None


def event_id(stream: str, sequence: int, written_at: datetime, index: int) -> str:
    """Return the id of the `index`th event of a feed message: the same however often it is read, and of no other desk.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 2, tzinfo=UTC)
    >>> event_id("global", 1, at, 0) == event_id("global", 1, at, 0) != event_id("global", 1, at, 1)
    True
    """
    return f"msg_{uuid5(_IDS, f'{stream}/{sequence}/{written_at.isoformat()}/{index}').hex}"


def body(event: Event, *, event_id: str, occurred_at: datetime) -> str:
    """Return the text that is signed and sent."""
    return orjson.dumps(
        {
            "id": event_id,
            "type": event.type,
            "version": VERSION,
            "timestamp": timestamp_text(occurred_at),
            "data": event.data,
        }
    ).decode()


def ping(endpoint_id: UUID) -> Event:
    """Return the event of an endpoint's test."""
    return Event(PING, {"endpointId": str(endpoint_id), "message": "Soldesk can reach this endpoint."})


def _of_position(payload: Mapping[str, Any], known: Known) -> Iterator[Event]:
    kind = payload["eventType"]
    if kind == POSITION_CLOSED:
        closing = known.closings.get(str(payload["positionId"]))
        if closing is not None:
            yield _about_position("position.closed", closing["positionId"], closing)
        return
    if kind in _POSITION_TYPES:
        position = payload["position"]
        data = {"agentId": position["agentId"], "positionId": position["id"], "position": position}
        yield _about_position(_POSITION_TYPES[kind], position["id"], data)


def _about_position(event_type: str, position_id: str, data: dict[str, Any]) -> Event:
    return Event(event_type, data, UUID(data["agentId"]), f"position:{position_id}")


def _of_executions(payload: Mapping[str, Any], known: Known) -> Iterator[Event]:
    signal_id = int(payload["signalId"])
    for execution in payload["executions"]:
        event_type = _VERDICT_TYPES.get(execution["verdict"])
        if event_type is None:
            continue
        data = {
            "signalId": signal_id,
            "agentId": execution["agentId"],
            "positionId": execution["positionId"],
            "verdict": execution["verdict"],
            "code": execution["code"] or None,
            "reasons": execution["reasons"],
            "signal": known.signals.get(signal_id),
        }
        yield Event(event_type, data, UUID(execution["agentId"]))


def _alert(payload: Mapping[str, Any]) -> Event:
    mint = payload.get("mint")
    data = {
        "code": payload.get("code"),
        "message": payload.get("message"),
        "tokenAddress": mint,
        "tokenSymbol": payload.get("symbol"),
        "positionId": payload.get("positionId"),
        "details": {name: value for name, value in payload.items() if name not in _ALERT_FIELDS},
    }
    return Event("alert", data, None, f"alert:{mint or 'desk'}"[:80])


def _trading_state(payload: Mapping[str, Any]) -> Event:
    agent = payload.get("agentId")
    data = {
        "scope": "desk" if agent is None else "agent",
        "agentId": agent,
        "state": payload["state"],
        "exitsEnabled": payload["exitsEnabled"],
        "reason": payload["reason"] or None,
    }
    agent_id = None if agent is None else UUID(agent)
    return Event("trading_state.changed", data, agent_id, f"state:{agent or 'desk'}")
