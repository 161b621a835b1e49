"""What an attempt's answer means: delivered, due again later, given up; and what it says about the endpoint.

2xx is delivered. 410 switches the endpoint off. Everything else, redirects included, is a failure that is tried again
after the pauses of `domain.pauses`; an endpoint that has taken nothing for days is switched off.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction as database
from django.utils import timezone

from apps.core import bulk, outbox
from apps.core.http import Posted
from apps.notify import metrics
from apps.notify.domain import pauses
from apps.notify.models import DeliveryStatus, DisabledReason, WebhookEndpoint
from apps.notify.services import endpoints
from apps.notify.services.claims import Parcel

log = structlog.get_logger(__name__)

GONE = 410
EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt that is over, begun `at`."""

    parcel: Parcel
    posted: Posted
    at: datetime

    @property
    def error(self) -> str:
        """Why it failed, as a code; empty when it was taken."""
        return "" if self.posted.ok else self.posted.failure or f"http_{self.posted.status}"

    @property
    def gone(self) -> bool:
        return self.posted.status == GONE

    @property
    def label(self) -> str:
        """The outcome for the metrics: one of a dozen words."""
        if self.posted.ok:
            return "delivered"
        if self.posted.status is None:
            return self.posted.failure
        if self.gone:
            return "gone"
        return "rejected" if self.posted.status < 500 else "unavailable"


@dataclass(frozen=True, slots=True)
class _Next:
    """What a delivery is after an attempt."""

    outcome: Outcome
    status: DeliveryStatus
    due_at: datetime | None


def record(results: Sequence[Outcome]) -> None:
    """Write down what became of attempts: deliveries, the log of attempts, endpoints. Locks endpoints, deliveries."""
    decided = [_decide(result, timezone.now()) for result in results]
    with database.atomic():
        locked = _lock_endpoints({result.parcel.endpoint_id for result in results})
        over = _write_deliveries(decided)
        _write_attempts(results)
        _write_endpoints(results, locked)
        _switch_off(results, locked)
    for result in results:
        metrics.attempted(result.label, result.posted.elapsed_seconds)
        if not result.posted.ok:
            log.warning(
                "webhook_failed",
                delivery=result.parcel.delivery_id,
                endpoint=result.parcel.endpoint_id,
                type=result.parcel.type,
                error=result.error,
                tries=result.parcel.tries + 1,
                elapsed_ms=round(result.posted.elapsed_seconds * 1000, 1),
            )
    for status, seconds in over:
        if status == DeliveryStatus.DELIVERED:
            metrics.delivered(seconds)
        elif status == DeliveryStatus.FAILED:
            metrics.given_up()


def _decide(result: Outcome, now: datetime) -> _Next:
    if result.posted.ok:
        return _Next(result, DeliveryStatus.DELIVERED, None)
    chance = random.random()  # noqa: S311 - spreads attempts, guards nothing
    pause = pauses.pause_after(result.parcel.tries + 1, chance=chance, wished_seconds=result.posted.wait_seconds)
    if result.gone or pause is None:
        return _Next(result, DeliveryStatus.FAILED, None)
    return _Next(result, DeliveryStatus.PENDING, now + pause)


def _lock_endpoints(endpoint_ids: set[UUID]) -> dict[UUID, WebhookEndpoint]:
    """Lock the endpoints, so that one deleted meanwhile is deleted before or after."""
    rows = WebhookEndpoint.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=endpoint_ids)
    return {row.pk: row for row in rows.order_by("pk")}


# Whose lease another has taken over cannot say that it failed; that it was delivered is true all the same.
_UPDATE = """
UPDATE webhook_delivery d
SET status = v.status, attempts = d.attempts + 1, tries = d.tries + 1, due_at = v.due_at, lease = NULL,
    leased_until = NULL, status_code = v.status_code, last_error = v.error, response_excerpt = v.excerpt,
    duration_ms = v.duration_ms, delivered_at = CASE WHEN v.status = 'delivered' THEN clock_timestamp() END
FROM unnest(%(ids)s::uuid[], %(leases)s::uuid[], %(statuses)s::text[], %(due)s::timestamptz[], %(codes)s::int[],
            %(errors)s::text[], %(excerpts)s::text[], %(durations)s::int[])
    AS v (id, lease, status, due_at, status_code, error, excerpt, duration_ms), webhook_message m
WHERE d.id = v.id AND m.id = d.message_id AND d.status = 'pending' AND (d.lease = v.lease OR v.status = 'delivered')
RETURNING d.status, EXTRACT(EPOCH FROM clock_timestamp() - m.occurred_at)::float8
"""
_LOG = """
INSERT INTO webhook_attempt (delivery_id, number, at, status_code, error, response_excerpt, duration_ms)
SELECT d.id, d.attempts, v.at, v.status_code, v.error, v.excerpt, v.duration_ms
FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(codes)s::int[], %(errors)s::text[], %(excerpts)s::text[],
            %(durations)s::int[]) AS v (id, at, status_code, error, excerpt, duration_ms)
JOIN webhook_delivery d ON d.id = v.id
ORDER BY v.at
"""
_TELL_ENDPOINTS = """
UPDATE webhook_endpoint e
SET last_success_at = COALESCE(v.success_at, e.last_success_at),
    last_failure_at = COALESCE(v.failure_at, e.last_failure_at),
    failing_since = CASE WHEN v.failing THEN COALESCE(e.failing_since, v.failure_at) END
FROM unnest(%(ids)s::uuid[], %(successes)s::timestamptz[], %(failures)s::timestamptz[], %(failing)s::bool[])
    AS v (id, success_at, failure_at, failing)
WHERE e.id = v.id
"""


def _write_deliveries(decided: Sequence[_Next]) -> list[tuple[str, float]]:
    # One delivery may be in it twice (its lease ran out while the first answer waited): what was taken is taken.
    best = {item.outcome.parcel.delivery_id: item for item in sorted(decided, key=lambda item: item.outcome.posted.ok)}
    chosen = [best[delivery_id] for delivery_id in sorted(best)]
    return [
        (row[0], row[1])
        for row in bulk.fetch_all(
            _UPDATE,
            {
                "ids": [item.outcome.parcel.delivery_id for item in chosen],
                "leases": [item.outcome.parcel.lease for item in chosen],
                "statuses": [str(item.status) for item in chosen],
                "due": [item.due_at for item in chosen],
                "codes": [item.outcome.posted.status for item in chosen],
                "errors": [item.outcome.error for item in chosen],
                "excerpts": [item.outcome.posted.excerpt for item in chosen],
                "durations": [_milliseconds(item.outcome) for item in chosen],
            },
        )
    ]


def _write_attempts(results: Sequence[Outcome]) -> None:
    bulk.execute(
        _LOG,
        {
            "ids": [result.parcel.delivery_id for result in results],
            "times": [result.at for result in results],
            "codes": [result.posted.status for result in results],
            "errors": [result.error for result in results],
            "excerpts": [result.posted.excerpt for result in results],
            "durations": [_milliseconds(result) for result in results],
        },
    )


def _write_endpoints(results: Sequence[Outcome], locked: dict[UUID, WebhookEndpoint]) -> None:
    """Note the last success and failure of each endpoint; it is failing if the last of its answers was a failure."""
    ids = sorted(locked)
    successes: dict[UUID, datetime] = {}
    failures: dict[UUID, datetime] = {}
    failing: dict[UUID, bool] = {}
    for result in results:
        ended_at = result.at + timedelta(seconds=result.posted.elapsed_seconds)
        (successes if result.posted.ok else failures)[result.parcel.endpoint_id] = ended_at
        failing[result.parcel.endpoint_id] = not result.posted.ok
    bulk.execute(
        _TELL_ENDPOINTS,
        {
            "ids": ids,
            "successes": [successes.get(endpoint_id) for endpoint_id in ids],
            "failures": [failures.get(endpoint_id) for endpoint_id in ids],
            "failing": [failing[endpoint_id] for endpoint_id in ids],
        },
    )


def _switch_off(results: Sequence[Outcome], locked: dict[UUID, WebhookEndpoint]) -> None:
    """Switch off what answered 410, and what has taken nothing for days; tell their users."""
    last = {result.parcel.endpoint_id: result for result in results}
    gone = {result.parcel.endpoint_id for result in results if result.gone}
    alerts = []
    for endpoint_id, endpoint in locked.items():
        if not endpoint.enabled:
            continue
        since = endpoint.failing_since
        if endpoint_id in gone:
            alerts.append(endpoints.switch_off(endpoint=endpoint, reason=DisabledReason.GONE))
        elif not last[endpoint_id].posted.ok and since is not None and timezone.now() - since > pauses.FAILING_FOR:
            alerts.append(endpoints.switch_off(endpoint=endpoint, reason=DisabledReason.FAILING))
    outbox.append(alerts)


_GIVE_UP = """
UPDATE webhook_delivery SET status = 'failed', last_error = %s, due_at = NULL, lease = NULL, leased_until = NULL
WHERE status = 'pending' AND pending_since < %s AND (leased_until IS NULL OR leased_until < clock_timestamp())
"""


def give_up_stale() -> int:
    """Give up deliveries that have waited for days, behind others or for an endpoint that is off; return how many."""
    gone = bulk.execute(_GIVE_UP, [EXPIRED, timezone.now() - pauses.GIVEN_UP_AFTER])
    if gone:
        metrics.given_up(gone)
        log.warning("webhook_deliveries_expired", deliveries=gone)
    return gone


_BEHIND = """
SELECT endpoint_id FROM webhook_delivery WHERE status = 'pending' GROUP BY endpoint_id HAVING count(*) > %s
"""


def switch_off_behind() -> int:
    """Switch off endpoints for which too much waits, and tell their users; return how many."""
    behind = {row[0] for row in bulk.fetch_all(_BEHIND, [pauses.MOST_PENDING])}
    if not behind:
        return 0
    with database.atomic():
        rows = [row for row in _lock_endpoints(behind).values() if row.enabled]
        outbox.append([endpoints.switch_off(endpoint=row, reason=DisabledReason.BACKLOG) for row in rows])
    return len(rows)


def _milliseconds(result: Outcome) -> int:
    return round(result.posted.elapsed_seconds * 1000)
