"""Reads of notify: endpoints, deliveries, and what events say beyond their feed message."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import User
from apps.core.api.wire import timestamp_text
from apps.notify import errors
from apps.notify.models import WebhookDelivery, WebhookEndpoint
from apps.signals.models import TradingSignal
from apps.trading import presentation
from apps.trading.models import Position


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint that listens, and what to."""

    endpoint_id: UUID
    events: frozenset[str]
    agent_ids: frozenset[UUID]
    since: datetime

    def wants(self, event_type: str, agent_id: UUID | None, at: datetime) -> bool:
        """Tell whether an event of `at` is for this endpoint; what is about no agent passes its agent filter."""
        return (
            event_type in self.events
            and at >= self.since
            and (not self.agent_ids or agent_id is None or agent_id in self.agent_ids)
        )


def subscriptions() -> dict[UUID, list[Subscription]]:
    """Return every endpoint that listens, by its user."""
    rows = WebhookEndpoint.objects.filter(enabled=True, user__is_active=True).values_list(
        "user_id", "id", "events", "agent_ids", "created_at"
    )
    by_user: dict[UUID, list[Subscription]] = defaultdict(list)
    for user_id, endpoint_id, events, agent_ids, created_at in rows:
        by_user[user_id].append(Subscription(endpoint_id, frozenset(events), frozenset(agent_ids), created_at))
    return dict(by_user)


def closings(position_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return ended positions as `position.closed` tells them, by id; one that a reset ended has no trade."""
    wanted = set(position_ids)
    if not wanted:
        return {}
    rows = Position.objects.filter(pk__in=wanted).select_related("wallet", "closed_trade")
    return {str(row.pk): _closing(row) for row in rows}


def _closing(position: Position) -> dict[str, Any]:
    trade = getattr(position, "closed_trade", None)
    address = position.wallet.address
    return {
        "agentId": str(position.agent_id),
        "positionId": str(position.pk),
        "walletAddress": address,
        "tokenAddress": position.mint,
        "tokenSymbol": position.symbol,
        "closeReason": position.close_reason or None,
        "closedAt": presentation.timestamp(position.closed_at),
        "trade": None if trade is None else presentation.closed_trade(trade, address),
    }


def signals(signal_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return signals as `signal.…` events tell them, by id."""
    wanted = set(signal_ids)
    if not wanted:
        return {}
    return {
        row.pk: {
            "id": row.pk,
            "createdAt": timestamp_text(row.created_at),
            "tokenAddress": row.token_address,
            "symbol": row.symbol,
            "signalType": row.signal_type,
            "signalStrength": row.signal_strength,
            "activationReason": row.activation_reason,
            "source": row.source,
        }
        for row in TradingSignal.objects.filter(pk__in=wanted)
    }


def list_endpoints(*, user: User) -> QuerySet[WebhookEndpoint]:
    """Return a user's endpoints, newest first."""
    return WebhookEndpoint.objects.filter(user=user)


def get_endpoint(*, user: User, endpoint_id: UUID) -> WebhookEndpoint:
    """Return one endpoint of the user.

    Raises:
        EndpointNotFound: unknown, or another user's.
    """
    found = WebhookEndpoint.objects.filter(pk=endpoint_id, user=user).first()
    if found is None:
        raise errors.EndpointNotFound
    return found


def list_deliveries(*, endpoint: WebhookEndpoint) -> QuerySet[WebhookDelivery]:
    """Return an endpoint's deliveries with their messages, unordered."""
    return WebhookDelivery.objects.filter(endpoint=endpoint).select_related("message")


def get_delivery(*, user: User, delivery_id: UUID) -> WebhookDelivery:
    """Return one delivery to an endpoint of the user, with its message.

    Raises:
        DeliveryNotFound: unknown, or another user's.
    """
    found = (
        WebhookDelivery.objects.select_related("message", "endpoint")
        .filter(pk=delivery_id, endpoint__user=user)
        .first()
    )
    if found is None:
        raise errors.DeliveryNotFound
    return found
