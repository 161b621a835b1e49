"""Endpoints for tests, and feed messages as bookings write them."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.core import outbox
from apps.notify.models import SUBSCRIBABLE, WebhookEndpoint
from apps.notify.services import endpoints
from apps.notify.services.endpoints import Wish


def subscribe(user: User, url: str, *events: str, **more: Any) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint for all events, or those named; return it with its secret."""
    wish = Wish(url=url, events=events or SUBSCRIBABLE, **more)
    return endpoints.create(user=user, wish=wish, actor=user)


def tell(*messages: outbox.Message) -> None:
    """Write feed messages as a booking does."""
    with transaction.atomic():
        outbox.append(messages)


def position_message(position: Any, event: str = "position_updated") -> outbox.Message:
    from apps.trading import presentation

    payload = {"eventType": event, "position": presentation.open_position(position, "a wallet")}
    return outbox.Message(outbox.agent_stream(position.agent_id), "position_update", payload)


def alert(user: User, code: str = "EXIT_STUCK", **more: Any) -> outbox.Message:
    return outbox.Message(outbox.user_stream(user.pk), "alert", {"code": code, "message": "A sentence.", **more})
